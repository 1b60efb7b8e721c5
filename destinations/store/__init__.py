"""What outlives a run: a SQLite file for all destinations of one machine."""

from destinations.store.capabilities import Capabilities
from destinations.store.database import Store, default_path
from destinations.store.documents import Document, Documents
from destinations.store.kept import Kept, KeptEvents
from destinations.store.manual_changes import ManualChanges
from destinations.store.settling import Unsettled, settle, unsettled

__all__ = [
    "Capabilities",
    "Document",
    "Documents",
    "Kept",
    "KeptEvents",
    "ManualChanges",
    "Store",
    "Unsettled",
    "default_path",
    "settle",
    "unsettled",
]
