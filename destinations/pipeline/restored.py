"""Decide on deliveries that waited in the copy of which a store was restored.

The original store was used after the copy was made, and may have delivered all of them. It counts
as another writer, so a difference of amounts proves nothing. Only if the partner shows exactly the
amount in the copy was nothing delivered, and the deliveries are sent. All others are held for an
operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from destinations.outcome import Effect, Result, State
from destinations.pipeline.queue import Balance, QueuedDelivery, Restored, Transition

__all__ = ["Gap", "hold_restored", "why_not_sent"]

_CODE: Final = "RESTORED"


class Gap(NamedTuple):
    """The time that a restored store does not know of: events of it are held."""

    since: float
    until: float

    def has(self, event: Mapping[str, Any] | None) -> bool:
        """Return whether an event happened in it, by its own time."""
        at = None if event is None else _own_time(event)
        return at is not None and self.since <= at < self.until

    @property
    def restored(self) -> Restored:
        """The fact that is known of such an event."""
        why = "its own time lies after the copy and before the store was restored"
        return Restored(self.since, why)


def why_not_sent(delivery: QueuedDelivery, found: Balance | None) -> str:
    """Return why a delivery of a copy is not sent; empty if the partner shows that it may be."""
    restored, increment = delivery.restored, delivery.increment
    assert restored is not None  # noqa: S101 - its callers have looked
    if restored.amount is None:
        return restored.why
    if increment is None or increment.key != restored.key:
        return "it adds to something else by now"
    if found is None:
        return "the partner shows no amount"
    if found.period != restored.period:
        return "a new billing period has reset the balance"
    if found.amount != restored.amount:
        return "the partner holds another amount than when the copy was made"
    return ""


def hold_restored(
    delivery: QueuedDelivery, why: str, found: Balance | None = None, *, asked: bool = False
) -> Transition:
    """Return the transition that leaves a delivery of a copy to an operator, with its numbers.

    ``asked`` says that the partner was asked, and showed what was ``found``.
    """
    restored, increment = delivery.restored, delivery.increment
    assert restored is not None  # noqa: S101 - its callers have looked
    evidence: dict[str, Any] = {"why": why, "copiedAt": _shown(restored.copied_at)}
    if increment is not None:
        evidence |= {"key": increment.key, "added": [increment.amount]}
        evidence |= {"expected": restored.amount, "periodBefore": restored.period}
    if asked:
        evidence["found"] = None if found is None else found.amount
        evidence["periodNow"] = None if found is None else found.period
    reason = f"it may have been delivered since the restored copy was made: {why}"
    return Transition(
        delivery,
        Result(State.HELD, reason, _CODE),
        "reconcile",
        delivery.attempts,
        effect=Effect.MAYBE,
        evidence=evidence,
    )


def _own_time(event: Mapping[str, Any]) -> float | None:
    for name in ("timestamp", "originalTimestamp", "sentAt"):
        value = event.get(name)
        if isinstance(value, str):
            try:
                at = datetime.fromisoformat(value)
            except ValueError:
                continue
            return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    return None


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
