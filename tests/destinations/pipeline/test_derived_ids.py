"""Events without a messageId are recognised by their content, or by their place in an input."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.pipeline.derived_ids import DerivedIds

EVENT = {"type": "track", "userId": "u"}
TIMED = {**EVENT, "timestamp": "2026-01-01T00:00:00Z"}


def test_equal_events_are_counted() -> None:
    """The third of equal ones is the third again when the input is read again."""
    first, again = DerivedIds(None), DerivedIds(None)
    ids = [first.id_of(dict(TIMED), line) for line in (1, 5, 9)]
    assert len(set(ids)) == 3
    assert [again.id_of(dict(reversed(TIMED.items())), line) for line in (2, 3, 4)] == ids
    assert first.id_of({**TIMED, "userId": "v"}, 1) not in ids
    assert all(one.by == "content" and one.is_certain for one in ids)


def test_what_is_not_an_event_has_an_id_too() -> None:
    """So a line of junk has one row, however often its file is given."""
    first, again = DerivedIds(None), DerivedIds("monday")
    assert first.id_of(b"junk", 1) == again.id_of(b"junk", 7)
    assert first.id_of(b"junk", 2) != again.id_of(b"other", 2)


def test_a_named_input() -> None:
    """What has no time of its own is known by the name and the line, whatever its content is."""
    ids = DerivedIds("monday")
    assert ids.id_of(EVENT, 17) == ("monday:17", "line", True)


def test_the_name_of_an_input_changes_no_other_id() -> None:
    """Else a file that is named for its events without a time would send the others again."""
    assert DerivedIds("monday").id_of(TIMED, 17) == DerivedIds(None).id_of(TIMED, 17)


@pytest.mark.parametrize(
    ("event", "certain"),
    [
        (EVENT, False),
        *(({**EVENT, name: "2026-01-01T00:00:00Z"}, True) for name in (
            "timestamp", "originalTimestamp", "sentAt", "receivedAt"
        )),
        ({**EVENT, "timestamp": ""}, False),
        (b"junk", True),
    ],
)  # fmt: skip
def test_what_can_be_told_apart(event: dict[str, Any] | bytes, certain: bool) -> None:
    """Without a time of its own, an event of today may equal one of yesterday."""
    assert DerivedIds(None).id_of(event, 1).is_certain is certain


@pytest.mark.parametrize("input_id", [None, "monday"])
@pytest.mark.parametrize("event", [TIMED, EVENT, b"junk"])
def test_an_id_that_was_written_out(event: dict[str, Any] | bytes, input_id: str | None) -> None:
    """It stays that of its event, also where that was corrected, or counted with equal ones."""
    written = DerivedIds(None)
    others = [written.id_of(event, line).id for line in (1, 2)]
    for noted in ("tuesday:3", *(others if event is not EVENT else ()), "corrected:1"):
        found = DerivedIds(input_id).id_of(event, 7, noted)
        assert found == (noted, None, True)


def test_an_id_of_the_content_alone() -> None:
    """Without a time it is no more certain than before: the input needs a name."""
    noted = DerivedIds(None).id_of(EVENT, 1).id
    assert DerivedIds(None).id_of(EVENT, 7, noted) == (noted, None, False)
    assert DerivedIds("monday").id_of(EVENT, 7, noted) == ("monday:7", "line", True)


def test_several_events_at_a_line() -> None:
    """Those of an array on one line are told apart by their place in it, on every reading."""
    event = {"type": "track", "event": "E", "userId": "u"}
    for _ in range(2):
        ids = DerivedIds("monday")
        found = [ids.id_of(event, line).id for line in (1, 1, 1, 2, 3, 3)]
        assert found == [
            "monday:1",
            "monday:1.2",
            "monday:1.3",
            "monday:2",
            "monday:3",
            "monday:3.2",
        ]
        ids.close()


def test_an_event_that_is_fed_back_for_each_subscription() -> None:
    """It is one event, at its line, however many lines it was written out in."""
    event = {"type": "track", "event": "E", "userId": "u"}
    content = DerivedIds(None).id_of(event, 5).id
    ids = DerivedIds("monday")
    assert [ids.id_of(event, 5, content).id for _ in range(2)] == ["monday:5", "monday:5"]
    ids.close()
