"""Delete what is too old to be needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from destinations.store import (
    SqliteStore,
    delete_drifts,
    delete_messages,
    delete_settled,
    delete_spent_events,
)

__all__ = ["DEDUPE_DAYS", "KEEP_DAYS", "REFUSED_DAYS", "Periods", "Pruned", "prune"]

KEEP_DAYS: Final = 30.0
"""Days that finished deliveries stay in the ledger, unless told otherwise."""

DEDUPE_DAYS: Final = 7.0
"""Days that a ``messageId`` is recognised again, unless told otherwise; at least `KEEP_DAYS`."""

REFUSED_DAYS: Final = 7.0
"""Days that events stay which a receiver refused, unless told otherwise."""

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Periods:
    """For how many days things are kept.

    For ``keep_days`` finished deliveries stay; for ``dedupe_days`` a ``messageId`` is recognised
    again, which never ends before the first: while a delivery is there, its messageId is known. For
    ``refused_days`` events stay that a receiver refused.
    """

    keep_days: float = KEEP_DAYS
    dedupe_days: float = DEDUPE_DAYS
    refused_days: float = REFUSED_DAYS


@dataclass(frozen=True, slots=True)
class Pruned:
    """The numbers of deleted raw events, rows of the ledger, messageIds and refused events."""

    raw_events: int = 0
    deliveries: int = 0
    messages: int = 0
    refused: int = 0


def prune(
    store: SqliteStore, now: float, periods: Periods, more: Callable[[], bool] = lambda: True
) -> Pruned:
    """Delete what is finished; dead, rejected, invalid and unmapped ones stay for an operator.

    Deliveries that were delivered, filtered or dropped go after ``keep_days``, and the messageIds,
    by which an event that comes again is recognised, after ``dedupe_days`` and not before their
    deliveries. Events that a receiver refused go after ``refused_days``. Each transaction is short;
    before each, ``more`` says whether there is time for it.
    Raises `UsageError` if the store cannot be written.
    """
    database = store.database
    if more():
        delete_drifts(database, now - periods.keep_days * _DAY)
    return Pruned(
        deliveries=delete_settled(database, now - periods.keep_days * _DAY, more),
        messages=delete_messages(database, now - periods.dedupe_days * _DAY, now, more),
        raw_events=delete_spent_events(database, more),
        refused=store.refused().delete_before(now - periods.refused_days * _DAY, more),
    )
