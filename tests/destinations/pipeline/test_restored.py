"""What of a restored copy is sent again, and which events are of the time that it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.outcome import Effect, State
from destinations.pipeline.queue import (
    Balance,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Restored,
)
from destinations.pipeline.restored import Gap, hold_restored, why_not_sent

COPIED_AT = 1_700_000_000.0
COPY = Restored(COPIED_AT, "", "k", 20, "2025-06")


def _delivery(restored: Restored, increment: Increment | None) -> QueuedDelivery:
    event = QueuedEvent("m", "track", "ann", COPIED_AT)
    return QueuedDelivery(event, None, increment=increment, restored=restored)


@pytest.mark.parametrize(
    ("restored", "increment", "found", "why"),
    [
        (COPY, Increment("k", 5), Balance("ann", 20, "2025-06"), ""),
        (COPY, Increment("k", 5), Balance("ann", 25, "2025-06"), "another amount"),
        (COPY, Increment("k", 5), Balance("ann", 19, "2025-06"), "another amount"),
        (COPY, Increment("k", 5), Balance("ann", 20, "2025-07"), "a new billing period has reset"),
        (COPY, Increment("k", 5), Balance("ann", 20), "a new billing period has reset"),
        (COPY, Increment("k", 5), None, "shows no amount"),
        (COPY, Increment("other", 5), Balance("ann", 20, "2025-06"), "something else"),
        (COPY, None, Balance("ann", 20, "2025-06"), "something else"),
        (Restored(COPIED_AT, "for this"), Increment("k", 5), Balance("ann", 20), "for this"),
    ],
)
def test_what_is_sent_again(
    restored: Restored, increment: Increment | None, found: Balance | None, why: str
) -> None:
    """Only if the partner shows exactly what the copy says, in the same period; else it is held."""
    delivery = _delivery(restored, increment)
    said = why_not_sent(delivery, found)
    assert (why in said, bool(said)) == (True, bool(why))
    if not why:
        return
    held = hold_restored(delivery, said, found, asked=True)
    assert (held.result.outcome, held.result.code) == (State.HELD, "RESTORED")
    assert held.effect is Effect.MAYBE
    assert held.evidence["copiedAt"] == "2023-11-14T22:13:20Z"
    if increment is not None:
        assert held.evidence["expected"] == restored.amount
        assert held.evidence["found"] == (None if found is None else found.amount)


@pytest.mark.parametrize(
    ("event", "is_in_it"),
    [
        ({"timestamp": "2023-11-14T22:13:20Z"}, True),
        ({"timestamp": "2023-11-14T22:13:19.999Z"}, False),
        ({"timestamp": "2023-11-14T22:13:29.999Z"}, True),
        ({"timestamp": "2023-11-14T22:13:30Z"}, False),
        ({"timestamp": "2023-11-14T22:13:25"}, True),  # without a zone it is in UTC
        ({"timestamp": "2023-11-15T00:13:25+02:00"}, True),
        ({"timestamp": "2023-11-14T22:13:25+02:00"}, False),
        ({"timestamp": "yesterday", "originalTimestamp": "2023-11-14T22:13:25Z"}, True),
        ({"originalTimestamp": "2023-11-14T22:13:25Z"}, True),
        ({"sentAt": "2023-11-14T22:13:25Z"}, True),
        ({"timestamp": "2023-11-14T22:13:35Z", "sentAt": "2023-11-14T22:13:25Z"}, False),
        ({"timestamp": 1}, False),
        ({}, False),
        (None, False),
    ],
)
def test_the_gap(event: dict[str, Any] | None, is_in_it: bool) -> None:
    """It is told by the event's own time: from the copy until the store was restored."""
    assert Gap(COPIED_AT, COPIED_AT + 10).has(event) is is_in_it
