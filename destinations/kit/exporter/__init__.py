"""Export definitions to Segment's repository of action destinations."""

from destinations.kit.exporter.segment import Exported, export_segment, exported_slug

__all__ = ["Exported", "export_segment", "exported_slug"]
