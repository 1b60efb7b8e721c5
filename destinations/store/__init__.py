"""Keep queue, ledger and plugin data in a SQLite file that outlives the process."""

from destinations.store.accounts import Accounts, KnownAccount, check_label
from destinations.store.check import broken_rules, count_deliveries
from destinations.store.copying import (
    MOVED_TABLES,
    MovedTable,
    MoveNote,
    MoveSource,
    MoveTarget,
    Row,
)
from destinations.store.copying_files import FileSource, FileTarget, moving_path
from destinations.store.database import (
    SqliteDatabase,
    check_not_lost,
    check_store_path,
    default_path,
    fold_log,
    make_store,
)
from destinations.store.durability import DurabilityIssue
from destinations.store.erasing import (
    Erased,
    apply_erasures,
    count_mentions,
    count_other_rows,
    erase_user,
    has_to_be_dropped,
    noted_scopes,
    scopes_of,
)
from destinations.store.erasures import (
    ERASED,
    Erasure,
    erasures_path,
    erasures_stored,
    make_erasure,
    read_erasures_file,
    write_erasures_file,
)
from destinations.store.event_settings import delete_spent_settings
from destinations.store.failures import is_full
from destinations.store.files import (
    FILE_MODE,
    is_missing,
    make_file,
    make_folder,
    sync,
    why_not_writable,
)
from destinations.store.ledger import StoredLedger
from destinations.store.moved import MOVED_TO, MOVING, moved_to
from destinations.store.open_files import close_file, lock, open_file
from destinations.store.queue import StoredQueue
from destinations.store.reached import Reached
from destinations.store.reader import (
    copied_at,
    copy_of,
    has_log_of_another,
    is_backup,
    is_newer,
    is_older,
    read_once,
    stored_uuid,
    stored_version,
    unmark,
)
from destinations.store.recent import RecentBounds, RecentEvent, StoredRecent
from destinations.store.refused import (
    RefusedCount,
    RefusedEntry,
    RefusedEvent,
    RefusedSelection,
    StoredRefused,
)
from destinations.store.restored import latest_acceptance, mark_restored, note_gap
from destinations.store.retention import (
    compact,
    delete_drifts,
    delete_messages,
    delete_settled,
    delete_spent_events,
    delete_spent_texts,
)
from destinations.store.sealing import (
    SealedValues,
    Sealer,
    SealingKey,
    make_sealing_key,
    sealing_key_fault,
)
from destinations.store.sidecar_files import check_not_sidecar
from destinations.store.store_identity import identity_path, restoration_path
from destinations.store.stores import OpenStore, SqliteStore
from destinations.store.tenant_merging import MergedTenant, merge_tenants
from destinations.store.tenant_rows import ASKED, MERGED, PAUSED
from destinations.store.tenants import (
    ChangedTenants,
    DocumentsVersion,
    KeptConnection,
    Tenant,
    TenantNumbers,
    Tenants,
    TenantSecrets,
    TenantStore,
    begins_id,
    erase_tenant,
    erased_name,
    tenant_name,
)
from destinations.store.write_health import WriteHealth, free_bytes

__all__ = [
    "ASKED",
    "ERASED",
    "FILE_MODE",
    "MERGED",
    "MOVED_TABLES",
    "MOVED_TO",
    "MOVING",
    "PAUSED",
    "Accounts",
    "ChangedTenants",
    "DocumentsVersion",
    "DurabilityIssue",
    "Erased",
    "Erasure",
    "FileSource",
    "FileTarget",
    "KeptConnection",
    "KnownAccount",
    "MergedTenant",
    "MoveNote",
    "MoveSource",
    "MoveTarget",
    "MovedTable",
    "OpenStore",
    "Reached",
    "RecentBounds",
    "RecentEvent",
    "RefusedCount",
    "RefusedEntry",
    "RefusedEvent",
    "RefusedSelection",
    "Row",
    "SealedValues",
    "Sealer",
    "SealingKey",
    "SqliteDatabase",
    "SqliteStore",
    "StoredLedger",
    "StoredQueue",
    "StoredRecent",
    "StoredRefused",
    "Tenant",
    "TenantNumbers",
    "TenantSecrets",
    "TenantStore",
    "Tenants",
    "WriteHealth",
    "apply_erasures",
    "begins_id",
    "broken_rules",
    "check_label",
    "check_not_lost",
    "check_not_sidecar",
    "check_store_path",
    "close_file",
    "compact",
    "copied_at",
    "copy_of",
    "count_deliveries",
    "count_mentions",
    "count_other_rows",
    "default_path",
    "delete_drifts",
    "delete_messages",
    "delete_settled",
    "delete_spent_events",
    "delete_spent_settings",
    "delete_spent_texts",
    "erase_tenant",
    "erase_user",
    "erased_name",
    "erasures_path",
    "erasures_stored",
    "fold_log",
    "free_bytes",
    "has_log_of_another",
    "has_to_be_dropped",
    "identity_path",
    "is_backup",
    "is_full",
    "is_missing",
    "is_newer",
    "is_older",
    "latest_acceptance",
    "lock",
    "make_erasure",
    "make_file",
    "make_folder",
    "make_sealing_key",
    "make_store",
    "mark_restored",
    "merge_tenants",
    "moved_to",
    "moving_path",
    "note_gap",
    "noted_scopes",
    "open_file",
    "read_erasures_file",
    "read_once",
    "restoration_path",
    "scopes_of",
    "sealing_key_fault",
    "stored_uuid",
    "stored_version",
    "sync",
    "tenant_name",
    "unmark",
    "why_not_writable",
    "write_erasures_file",
]
