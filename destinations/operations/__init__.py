"""What a person sees and does in the ledger of deliveries: dead letters, replay, retention."""

from destinations.operations.backup import back_up
from destinations.operations.changes import drop, resolve, why_not_dropped, why_not_resolved
from destinations.operations.ledger import (
    DROPPED,
    LedgerEntry,
    Selection,
    count_classes,
    find_deliveries,
    get_delivery,
    raw_event,
)
from destinations.operations.overview import (
    DestinationStatus,
    StoreStatus,
    count_waiting,
    store_status,
)
from destinations.operations.replaying import (
    Replay,
    Replayed,
    Today,
    plan_replay,
    replay,
    waiting_for_nobody,
    why_not_replayed,
)
from destinations.operations.retention import (
    DEDUPE_DAYS,
    KEEP_DAYS,
    Periods,
    Pruned,
    compact,
    prune,
)
from destinations.operations.serving import (
    Serving,
    is_served,
    note_server,
    noted_periods,
    serving_lock,
    who_serves,
)
from destinations.operations.times import parse_time, shown_duration, shown_time

__all__ = [
    "DEDUPE_DAYS",
    "DROPPED",
    "KEEP_DAYS",
    "DestinationStatus",
    "LedgerEntry",
    "Periods",
    "Pruned",
    "Replay",
    "Replayed",
    "Selection",
    "Serving",
    "StoreStatus",
    "Today",
    "back_up",
    "compact",
    "count_classes",
    "count_waiting",
    "drop",
    "find_deliveries",
    "get_delivery",
    "is_served",
    "note_server",
    "noted_periods",
    "parse_time",
    "plan_replay",
    "prune",
    "raw_event",
    "replay",
    "resolve",
    "serving_lock",
    "shown_duration",
    "shown_time",
    "store_status",
    "waiting_for_nobody",
    "who_serves",
    "why_not_dropped",
    "why_not_replayed",
    "why_not_resolved",
]
