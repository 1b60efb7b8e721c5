"""Keep queue, ledger and plugin data in a SQLite file that outlives the process."""

from destinations.store.accounts import Accounts, KnownAccount, check_label
from destinations.store.beside import check_not_beside_store
from destinations.store.check import broken_rules, count_deliveries
from destinations.store.database import (
    Database,
    check_not_lost,
    check_store_path,
    default_path,
    fold_log,
    make_store,
)
from destinations.store.failures import is_full
from destinations.store.files import (
    FILE_MODE,
    is_missing,
    make_file,
    make_folder,
    sync,
    why_not_writable,
)
from destinations.store.identity import identity_path, restoration_path
from destinations.store.ledger import SqliteLedger
from destinations.store.open_files import close_file, lock, open_file
from destinations.store.queue import SqliteQueue
from destinations.store.reader import (
    copied_at,
    copy_of,
    is_backup,
    is_newer,
    is_older,
    stored_version,
    unmark,
)
from destinations.store.refused import (
    RefusedCount,
    RefusedEntry,
    RefusedEvent,
    RefusedSelection,
    SqliteRefused,
)
from destinations.store.restored import latest_acceptance, mark_restored, note_gap
from destinations.store.retention import (
    compact,
    delete_drifts,
    delete_messages,
    delete_settled,
    delete_spent_events,
)
from destinations.store.sqlite_store import SqliteStore
from destinations.store.write_health import WriteHealth, free_bytes

__all__ = [
    "FILE_MODE",
    "Accounts",
    "Database",
    "KnownAccount",
    "RefusedCount",
    "RefusedEntry",
    "RefusedEvent",
    "RefusedSelection",
    "SqliteLedger",
    "SqliteQueue",
    "SqliteRefused",
    "SqliteStore",
    "WriteHealth",
    "broken_rules",
    "check_label",
    "check_not_beside_store",
    "check_not_lost",
    "check_store_path",
    "close_file",
    "compact",
    "copied_at",
    "copy_of",
    "count_deliveries",
    "default_path",
    "delete_drifts",
    "delete_messages",
    "delete_settled",
    "delete_spent_events",
    "fold_log",
    "free_bytes",
    "identity_path",
    "is_backup",
    "is_full",
    "is_missing",
    "is_newer",
    "is_older",
    "latest_acceptance",
    "lock",
    "make_file",
    "make_folder",
    "make_store",
    "mark_restored",
    "note_gap",
    "open_file",
    "restoration_path",
    "stored_version",
    "sync",
    "unmark",
    "why_not_writable",
]
