"""What outlives a run: a SQLite file for all destinations of one machine."""

from destinations.store.bulk import with_rows
from destinations.store.capabilities import Capabilities
from destinations.store.database import Store, default_path
from destinations.store.documents import Document, Documents
from destinations.store.kept import Kept, KeptEvents
from destinations.store.manual_changes import ManualChanges, note_change
from destinations.store.settling import Unsettled, settle, unsettled
from destinations.store.writer import GroupWriter, StoreFullError

__all__ = [
    "Capabilities",
    "Document",
    "Documents",
    "GroupWriter",
    "Kept",
    "KeptEvents",
    "ManualChanges",
    "Store",
    "StoreFullError",
    "Unsettled",
    "default_path",
    "note_change",
    "settle",
    "unsettled",
    "with_rows",
]
