"""Import definitions from Segment's files: catalog, action library, subscriptions."""

from destinations.kit.importer.into import import_subscriptions
from destinations.kit.importer.segment import Imported, import_segment

__all__ = ["Imported", "import_segment", "import_subscriptions"]
