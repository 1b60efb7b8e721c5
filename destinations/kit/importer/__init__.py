"""Import definitions and connections from Segment's files: catalog, library, subscriptions."""

from destinations.kit.importer.connection_export import export_connection
from destinations.kit.importer.connection_import import ImportedConnection, import_connection
from destinations.kit.importer.segment import Imported, import_segment
from destinations.kit.importer.subscription_import import import_subscriptions

__all__ = [
    "Imported",
    "ImportedConnection",
    "export_connection",
    "import_connection",
    "import_segment",
    "import_subscriptions",
]
