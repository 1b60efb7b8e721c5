"""Delete what is too old to be needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from destinations.outcome import Outcome
from destinations.pipeline.attempts import AttemptPolicy
from destinations.store import (
    OpenStore,
    RecentBounds,
    delete_drifts,
    delete_messages,
    delete_settled,
    delete_spent_events,
    delete_spent_settings,
)

__all__ = ["DEDUPE_DAYS", "KEEP_DAYS", "REFUSED_DAYS", "Periods", "Pruned", "prune"]

KEEP_DAYS: Final = 30.0
"""Days that finished deliveries stay in the ledger, unless set otherwise."""

DEDUPE_DAYS: Final = 7.0
"""Days that a ``messageId`` is recognised again, unless set otherwise; at least `KEEP_DAYS`."""

_AUDIT_DAYS: Final = 365.0
"""Days that the audit log keeps what operators did."""

REFUSED_DAYS: Final = 7.0
"""Days that events stay which a receiver refused, unless set otherwise."""

_DAY: Final = 86_400.0

_FINISHED: Final = (Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED)


@dataclass(frozen=True, slots=True)
class Periods:
    """The days for which things are kept.

    ``keep_days`` is for deliveries that were delivered, filtered or dropped, and ``by_outcome`` for
    those of one outcome. Deliveries that are unmapped, invalid, rejected or dead stay until an
    operator decides, unless their outcome has days there; these are at least ``dedupe_days``, since
    an event that comes again, or corrected, has to be compared with them. For ``dedupe_days`` a
    ``messageId`` is recognised again, which never ends before its deliveries do. For
    ``refused_days`` events stay that a receiver refused, and within ``recent`` those that were
    delivered; None keeps none of them. ``attempts`` is for requests with their answers.
    """

    keep_days: float = KEEP_DAYS
    dedupe_days: float = DEDUPE_DAYS
    refused_days: float = REFUSED_DAYS
    by_outcome: Mapping[Outcome, float] = field(default_factory=dict)
    recent: RecentBounds | None = None
    attempts: AttemptPolicy | None = field(default_factory=AttemptPolicy)

    def of(self, outcome: Outcome) -> float | None:
        """Return for how many days deliveries of an outcome stay; None if until decided."""
        days = self.by_outcome.get(outcome)
        if outcome in _FINISHED:
            return self.keep_days if days is None else days
        return None if days is None else max(days, self.dedupe_days)


@dataclass(frozen=True, slots=True)
class Pruned:
    """The numbers of deleted raw events, rows of the ledger, messageIds and refused events."""

    raw_events: int = 0
    deliveries: int = 0
    messages: int = 0
    refused: int = 0


def prune(
    store: OpenStore, now: float, periods: Periods, more: Callable[[], bool] = lambda: True
) -> Pruned:
    """Delete what is older than the days for which it is kept.

    Each transaction is short; before each, ``more`` says whether there is time for it.
    Raises `UsageError` if the store cannot be written.
    """
    database = store.database
    if more():
        database.add_up()
    if more():
        delete_drifts(database, now - periods.keep_days * _DAY)
    days = {outcome: periods.of(outcome) for outcome in Outcome}
    before = {outcome: now - each * _DAY for outcome, each in days.items() if each is not None}
    settled = delete_settled(database, before, more)
    messages = delete_messages(database, now - periods.dedupe_days * _DAY, now, more)
    audit = store.audit()
    while more() and audit.delete_before(now - _AUDIT_DAYS * _DAY):
        pass
    raw_events = settled.raw_events + delete_spent_events(database, more)
    raw_events += store.recent().prune(now, periods.recent, more)
    store.attempts().prune(now, periods.attempts, more)
    if more():
        with database.transaction() as connection:
            delete_spent_settings(connection)
    return Pruned(
        deliveries=settled.deliveries,
        messages=settled.messages + messages,
        raw_events=raw_events,
        refused=store.refused().delete_before(now - periods.refused_days * _DAY, more),
    )
