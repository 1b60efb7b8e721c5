from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.outcome import Outcome, Result
from destinations.runner import Row
from destinations.secrets import Masker
from destinations.store import KeptEvents, Store

Record = tuple[Row, bytes]
KEPT = {Outcome.UNMAPPED, Outcome.UNKNOWN, Outcome.DEAD, Outcome.RETRYING}


@pytest.fixture
def keep(store: Store) -> Callable[..., KeptEvents]:
    """The kept events as one run sees them, at a time that goes on by a second with each entry."""
    time = iter(range(1000, 2000))
    runs: list[KeptEvents] = []

    def make(destination: str = "sample", version: str = "1.0.0") -> KeptEvents:
        for earlier in runs:
            earlier.flush()  # as at the end of each run
        masker = Masker(["prv_secret"])
        runs.append(KeptEvents(store, destination, version, masker, now=lambda: float(next(time))))
        return runs[-1]

    return make


def _row(outcome: Outcome, message_id: str | None = "m1", **values: Any) -> Record:
    action = values.pop("action", "track")
    event: dict[str, Any] = {"type": "track", "userId": values.pop("user", "u")}
    if message_id is not None:
        event["messageId"] = message_id
    result = Result(outcome, values.pop("reason", "why"), **values)
    return Row(1, action, result), json.dumps(event).encode()


def _outcomes(kept: KeptEvents) -> list[Outcome]:
    return [entry.outcome for entry in kept.entries()]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_is_kept(keep: Callable[..., KeptEvents], outcome: Outcome):
    """Kept is what may still be delivered or must be settled; the rest is not."""
    kept = keep()
    kept.record([_row(outcome)])
    assert _outcomes(kept) == ([outcome] if outcome in KEPT else [])
    assert kept.count() == kept.count(outcome) == (outcome in KEPT)


def test_all_that_is_known_is_kept(keep: Callable[..., KeptEvents]):
    """An entry has the event as it was read, and what became of it; secrets are masked."""
    kept = keep(version="1.2.3")
    row, data = _row(
        Outcome.DEAD, code="X", status=503, attempts=6, reason="the key prv_secret is busy"
    )
    kept.record([(row, data)])
    (entry,) = kept.entries()
    assert entry.raw_event == data
    assert (entry.action, entry.outcome, entry.code) == ("track", Outcome.DEAD, "X")
    assert (entry.attempts, entry.definition_version, entry.kept_at) == (6, "1.2.3", 1000.0)
    assert entry.reason == "the key *** is busy"


@pytest.mark.parametrize("message_id", ["m1", None], ids=["by messageId", "by content"])
@pytest.mark.parametrize("before", sorted(KEPT))
@pytest.mark.parametrize(
    ("settled", "left"),
    [
        (Outcome.DELIVERED, [Outcome.DELIVERED]),
        (Outcome.REJECTED, []),
        (Outcome.INVALID, []),
    ],
)
def test_what_is_settled_by_a_later_run(
    keep: Callable[..., KeptEvents],
    message_id: str | None,
    before: Outcome,
    settled: Outcome,
    left: list[Outcome],
):
    """Refused for good, an event is let go; delivered, it is noted, so that it comes but once."""
    kept = keep()
    kept.record([_row(before, message_id)])
    kept.begin_run()
    _, data = row = _row(settled, message_id)
    kept.record([row])
    assert _outcomes(kept) == left
    kept.begin_run()
    earlier = kept.earlier(data, "track")
    assert (earlier and earlier.outcome) == (Outcome.FILTERED if left else None)


@pytest.mark.parametrize(
    ("outcome", "again"),
    [
        (Outcome.UNMAPPED, None),
        (Outcome.DEAD, None),
        (Outcome.RETRYING, None),
        (Outcome.UNKNOWN, Outcome.UNKNOWN),
    ],
)
def test_what_comes_again(keep: Callable[..., KeptEvents], outcome: Outcome, again: Outcome | None):
    """Only what may have been applied is not sent when it comes again, in a later run."""
    kept = keep()
    _, data = row = _row(outcome)
    kept.record([row])
    assert kept.earlier(data, "track") is None
    kept.begin_run()
    for later in (keep(), kept):
        earlier = later.earlier(data, "track")
        assert (earlier and earlier.outcome) == again
        assert later.earlier(data, "other") is None


def test_what_is_being_sent_counts_as_unknown(keep: Callable[..., KeptEvents]):
    """Until its row is recorded, a kept event may have been applied; others are not touched."""
    kept = keep()
    _, data = first = _row(Outcome.DEAD)
    kept.record([first, _row(Outcome.UNMAPPED, "m2")])
    kept.begin_run()
    _, other = _row(Outcome.DELIVERED, "m3")
    kept.sending([("track", data), ("track", other)])
    assert _outcomes(kept) == [Outcome.UNKNOWN, Outcome.UNMAPPED]
    assert "may have been applied" in next(iter(kept.entries())).reason
    kept.record([_row(Outcome.DELIVERED)])
    assert _outcomes(kept) == [Outcome.DELIVERED, Outcome.UNMAPPED]


def test_an_event_is_recognised_however_it_is_written(keep: Callable[..., KeptEvents]):
    """An event without a messageId is itself again with other white space and order of keys."""
    row, _ = _row(Outcome.UNMAPPED)
    kept = keep()
    kept.record([(row, b'{"type": "track",  "userId": "\\u00fc"}')])
    kept.begin_run()
    delivered, _ = _row(Outcome.DELIVERED)
    kept.record([(delivered, b'{"userId":"u","type":"track"}')])
    assert _outcomes(kept) == [Outcome.UNMAPPED]
    kept.record([(delivered, '{"userId":"ü","type":"track"}'.encode())])
    assert _outcomes(kept) == [Outcome.DELIVERED]


def test_a_later_outcome_replaces_an_earlier_one(keep: Callable[..., KeptEvents]):
    """An event has one entry: with its newest outcome, in the place where it was first kept."""
    kept = keep()
    kept.record([_row(Outcome.UNMAPPED, "m1"), _row(Outcome.UNMAPPED, "m2")])
    later = keep(version="2.0.0")
    later.record([_row(Outcome.UNKNOWN, "m1", attempts=1, code="SELF_TIMEOUT", reason="lost")])
    first, second = later.entries()
    assert (first.outcome, first.attempts, first.code) == (Outcome.UNKNOWN, 1, "SELF_TIMEOUT")
    assert (first.reason, first.definition_version) == ("lost", "2.0.0")
    assert (first.kept_at, second.kept_at) == (1000.0, 1001.0)
    assert second.outcome is Outcome.UNMAPPED


def test_actions_are_apart(keep: Callable[..., KeptEvents]):
    """What one action settles is still kept for another."""
    kept = keep()
    kept.record([_row(Outcome.DEAD, action="one"), _row(Outcome.DEAD, action="two")])
    kept.begin_run()
    kept.record([_row(Outcome.REJECTED, action="one")])
    assert [entry.action for entry in kept.entries()] == ["two"]


def test_an_event_without_an_action(keep: Callable[..., KeptEvents]):
    """What ends before any action settles nothing, and is kept without one where it is kept."""
    kept = keep()
    kept.record([_row(Outcome.DEAD)])
    kept.record([_row(Outcome.FILTERED, action=None)])
    assert _outcomes(kept) == [Outcome.DEAD]
    kept.record([_row(Outcome.UNKNOWN, "m2", action=None)])
    assert [entry.action for entry in kept.entries(Outcome.UNKNOWN)] == [None]


def test_destinations_are_apart(keep: Callable[..., KeptEvents]):
    """One store serves several destinations, and each sees its own events."""
    one, two = keep("one"), keep("two")
    one.record([_row(Outcome.DEAD)])
    two.record([_row(Outcome.DEAD), _row(Outcome.DELIVERED, "m2")])
    one.begin_run()
    two.begin_run()
    two.record([_row(Outcome.REJECTED)])
    assert (one.count(), two.count()) == (1, 0)


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_events_in_one_call_the_kept_one_stays(
    keep: Callable[..., KeptEvents], order: int
):
    """Two events alike, one delivered and one not: nothing is let go that was not delivered."""
    kept = keep()
    kept.record([_row(Outcome.DEAD, None), _row(Outcome.DELIVERED, None)][::order])
    assert _outcomes(kept) == [Outcome.DEAD]


def test_many_entries_come_in_the_order_they_were_kept(keep: Callable[..., KeptEvents]):
    """All entries come, page after page, also while some are settled in between."""
    numbers = range(900)
    kept = keep()
    kept.record([_row(Outcome.UNMAPPED, f"m{number}") for number in numbers])
    kept.begin_run()
    seen = []
    for entry in kept.entries():
        seen.append(json.loads(entry.raw_event)["messageId"])
        kept.record([(Row(1, "track", Result(Outcome.REJECTED)), entry.raw_event)])
    assert seen == [f"m{number}" for number in numbers]
    assert kept.count() == 0


def test_what_is_no_json_is_kept_as_it_is(keep: Callable[..., KeptEvents]):
    """Bytes of any kind are kept unchanged, one entry for each content."""
    kept = keep()
    for data in (b"\xff\x00", b"\xff\x00", b"[]", b"x" * 50_000):
        kept.record([(Row(1, None, Result(Outcome.RETRYING, "stopped")), data)])
    assert [entry.raw_event for entry in kept.entries()] == [b"\xff\x00", b"[]", b"x" * 50_000]
