"""Import definitions from Segment's files: catalog, action library, subscriptions."""

from destinations.kit.importer.segment import Imported, import_segment
from destinations.kit.importer.subscription_import import import_subscriptions

__all__ = ["Imported", "import_segment", "import_subscriptions"]
