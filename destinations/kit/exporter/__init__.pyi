from .segment import Exported, export_segment, exported_slug

__all__ = ["Exported", "export_segment", "exported_slug"]
