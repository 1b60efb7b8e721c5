"""Definitions made of Segment's own files: its catalog, its action library, subscriptions."""

from destinations.kit.importer.into import import_subscriptions
from destinations.kit.importer.segment import Imported, import_segment

__all__ = ["Imported", "import_segment", "import_subscriptions"]
