"""What outlives a run: a SQLite file for all destinations of one machine."""

from destinations.store.bulk import with_rows
from destinations.store.capabilities import Capabilities
from destinations.store.database import Store, default_path
from destinations.store.documents import Document, Documents
from destinations.store.files import FILE_MODE, is_missing, make_folder
from destinations.store.kept import Kept, KeptEvents
from destinations.store.manual_changes import ManualChanges, note_change
from destinations.store.read_only import ReadOnlyStore
from destinations.store.reader import Reader, stored_version
from destinations.store.settling import Unsettled, settle, unsettled
from destinations.store.writer import GroupWriter, StoreFullError

__all__ = [
    "FILE_MODE",
    "Capabilities",
    "Document",
    "Documents",
    "GroupWriter",
    "Kept",
    "KeptEvents",
    "ManualChanges",
    "ReadOnlyStore",
    "Reader",
    "Store",
    "StoreFullError",
    "Unsettled",
    "default_path",
    "is_missing",
    "make_folder",
    "note_change",
    "settle",
    "stored_version",
    "unsettled",
    "with_rows",
]
