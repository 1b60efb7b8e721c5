"""What a person sees and does in the ledger of deliveries: dead letters, replay, retention."""

from destinations.deliveries.backup import back_up
from destinations.deliveries.changes import drop, resolve, why_not_dropped
from destinations.deliveries.ledger import (
    DROPPED,
    LedgerEntry,
    Selection,
    count_classes,
    find_deliveries,
    get_delivery,
    raw_event,
)
from destinations.deliveries.overview import DestinationStatus, StoreStatus, store_status
from destinations.deliveries.replaying import (
    Replay,
    Replayed,
    Today,
    plan_replay,
    replay,
    why_not_replayed,
)
from destinations.deliveries.retention import DEDUPE_DAYS, KEEP_DAYS, Pruned, compact, prune
from destinations.deliveries.serving import is_served, serving_lock
from destinations.deliveries.times import parse_time, shown_duration, shown_time

__all__ = [
    "DEDUPE_DAYS",
    "DROPPED",
    "KEEP_DAYS",
    "DestinationStatus",
    "LedgerEntry",
    "Pruned",
    "Replay",
    "Replayed",
    "Selection",
    "StoreStatus",
    "Today",
    "back_up",
    "compact",
    "count_classes",
    "drop",
    "find_deliveries",
    "get_delivery",
    "is_served",
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
    "why_not_dropped",
    "why_not_replayed",
]
