"""Serve operators: every delivery with its reasons, replay, retention, backup."""

from destinations.operations.backup import back_up
from destinations.operations.decisions import (
    drop,
    proposed,
    resolve,
    why_not_dropped,
    why_not_resolved,
)
from destinations.operations.export import export_line
from destinations.operations.interrupted import delivers, open_ledger, recover_interrupted
from destinations.operations.locks import (
    Serving,
    check_migration,
    is_in_use,
    is_served,
    lock_account,
    lock_run,
    lock_server,
    note_server,
    note_start,
    noted_periods,
    try_to_lock,
    who_serves,
)
from destinations.operations.pauses import (
    StoredPauses,
    paused_actions,
    pauses_of_servers,
    resume,
)
from destinations.operations.replay import (
    PlannedReplay,
    Replayed,
    plan_replay,
    replay,
    waiting_for_nobody,
    why_in_conflict,
    why_not_replayed,
)
from destinations.operations.requests import (
    HandedOver,
    await_server,
    hand_to_server,
    instead_of_server,
    plan_request,
    settle_held,
)
from destinations.operations.restore import Restoration, adopt, restore
from destinations.operations.retention import DEDUPE_DAYS, KEEP_DAYS, Periods, Pruned, prune
from destinations.operations.runs import (
    Again,
    CutAgain,
    open_run_store,
    prune_after_run,
    wrote_undelivered,
)
from destinations.operations.status import (
    StoreStatus,
    count_waiting,
    queue_length,
    store_status,
)
from destinations.operations.times import parse_time, shown_duration, shown_time

__all__ = [
    "DEDUPE_DAYS",
    "KEEP_DAYS",
    "Again",
    "CutAgain",
    "HandedOver",
    "Periods",
    "PlannedReplay",
    "Pruned",
    "Replayed",
    "Restoration",
    "Serving",
    "StoreStatus",
    "StoredPauses",
    "adopt",
    "await_server",
    "back_up",
    "check_migration",
    "count_waiting",
    "delivers",
    "drop",
    "export_line",
    "hand_to_server",
    "instead_of_server",
    "is_in_use",
    "is_served",
    "lock_account",
    "lock_run",
    "lock_server",
    "note_server",
    "note_start",
    "noted_periods",
    "open_ledger",
    "open_run_store",
    "parse_time",
    "paused_actions",
    "pauses_of_servers",
    "plan_replay",
    "plan_request",
    "proposed",
    "prune",
    "prune_after_run",
    "queue_length",
    "recover_interrupted",
    "replay",
    "resolve",
    "restore",
    "resume",
    "settle_held",
    "shown_duration",
    "shown_time",
    "store_status",
    "try_to_lock",
    "waiting_for_nobody",
    "who_serves",
    "why_in_conflict",
    "why_not_dropped",
    "why_not_replayed",
    "why_not_resolved",
    "wrote_undelivered",
]
