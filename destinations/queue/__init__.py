"""The queue between receivers and workers: what they need of it, and one that SQLite keeps."""

from destinations.queue.protocol import (
    Amount,
    Claimed,
    Expectation,
    Inbox,
    Incoming,
    Planned,
    Queue,
    QueueFullError,
    Receipt,
    Stage,
    State,
    Step,
)
from destinations.queue.sqlite_queue import SETTLE_AFTER, QueueOptions, SqliteQueue
from destinations.queue.statements import Scope

__all__ = [
    "SETTLE_AFTER",
    "Amount",
    "Claimed",
    "Expectation",
    "Inbox",
    "Incoming",
    "Planned",
    "Queue",
    "QueueFullError",
    "QueueOptions",
    "Receipt",
    "Scope",
    "SqliteQueue",
    "Stage",
    "State",
    "Step",
]
