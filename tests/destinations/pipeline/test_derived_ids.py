"""Events without a messageId are recognised by their content, or by their place in an input."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.pipeline.derived_ids import DerivedIds

EVENT = {"type": "track", "userId": "u"}


def test_equal_events_are_counted() -> None:
    """The third of equal ones is the third again when the input is read again."""
    first, again = DerivedIds(None), DerivedIds(None)
    ids = [first.id_of(dict(EVENT), line) for line in (1, 5, 9)]
    assert len(set(ids)) == 3
    assert [again.id_of(dict(reversed(EVENT.items())), line) for line in (2, 3, 4)] == ids
    assert first.id_of({**EVENT, "userId": "v"}, 1) not in ids


def test_what_is_not_an_event_has_an_id_too() -> None:
    """So a line of junk has one row, however often its file is given."""
    first, again = DerivedIds(None), DerivedIds(None)
    assert first.id_of(b"junk", 1) == again.id_of(b"junk", 7)
    assert first.id_of(b"junk", 2) != again.id_of(b"other", 2)


def test_a_named_input() -> None:
    """Its name and the line are the id, whatever the content is."""
    ids = DerivedIds("monday")
    assert ids.id_of(EVENT, 17) == "monday:17"
    assert ids.id_of(b"junk", 18) == "monday:18"


@pytest.mark.parametrize(
    ("event", "input_id", "certain"),
    [
        (EVENT, None, False),
        (EVENT, "monday", True),
        *(({**EVENT, name: "2026-01-01T00:00:00Z"}, None, True) for name in (
            "timestamp", "originalTimestamp", "sentAt", "receivedAt"
        )),
        ({**EVENT, "timestamp": ""}, None, False),
        (None, None, True),
    ],
)  # fmt: skip
def test_what_can_be_told_apart(
    event: dict[str, Any] | None, input_id: str | None, certain: bool
) -> None:
    """Without a time of its own, an event of today may equal one of yesterday."""
    assert DerivedIds(input_id).is_certain(event) is certain
