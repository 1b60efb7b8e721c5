"""What a refusal is about, by what became of others meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from destinations.outcome import Outcome, Result, Retry, State
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent
from destinations.pipeline.refusals import Refusals, is_refused_key
from destinations.runtime.subscription_key import SubscriptionKey

DELIVERED = Result(Outcome.DELIVERED)


def _delivery(number: int, began: float | None = None, attempts: int = 0) -> QueuedDelivery:
    event = QueuedEvent(f"m{number}", "track", f"u{number}", 0.0)
    key = SubscriptionKey("Counts", "count")
    return QueuedDelivery(event, key, first_attempt_at=began, attempts=attempts)


def _refused(concerns: str, status: int = 403) -> Result:
    retry = Retry(concerns=concerns)  # type: ignore[arg-type]  # a text of the table
    return Result(State.READY, "no", "X", status, retry=retry)


def _judge(
    refusals: Refusals,
    *batch: tuple[QueuedDelivery, Result],
    now: float = 0.0,
    is_last: bool = False,
    action: str = "count",
) -> Sequence[Result]:
    deliveries, results = zip(*batch, strict=True)
    return refusals.judge(action, deliveries, results, now, is_last=is_last)


@pytest.mark.parametrize(("concerns", "events"), [("request", 3), ("permission", 5), ("key", 5)])
@pytest.mark.parametrize("together", [False, True])
def test_so_many_events_in_a_row(concerns: str, events: int, *, together: bool) -> None:
    """They show that it is none of them; fewer do not, however often, nor where one is taken."""
    refusals = Refusals(ends=False)
    refused = _refused(concerns)
    for number in [*range(events - 1), *[0] * 10]:
        (result,) = _judge(refusals, (_delivery(number, attempts=8), refused))
        assert (result, refusals.paused) == (refused, {})
    _judge(refusals, (_delivery(50), DELIVERED), now=1.0)
    # It is counted anew.
    assert _judge(refusals, (_delivery(60, 2.0), refused)) == [refused]
    assert refusals.paused == {}
    batch = [(_delivery(number, 2.0), refused) for number in range(events)]
    found = _judge(refusals, *batch) if together else [_judge(refusals, one)[0] for one in batch]
    assert {one.outcome for one in found} == {State.READY}
    assert is_refused_key(found[-1]) == (concerns == "key")
    assert refusals.paused == ({} if concerns == "key" else {"count": "no"})
    refusals.resume()
    assert _judge(refusals, (_delivery(0), refused)) == [refused]
    assert refusals.paused == {}


def test_the_credentials_are_refused() -> None:
    """From a certain refusal, or those of five events, until an event is taken."""
    refusals = Refusals(ends=False)
    certain = Result(State.READY, "no", "INVALID_AUTHENTICATION", 401, retry=Retry())
    steps: list[tuple[list[Result], bool]] = [
        ([_refused("key")], False),
        ([certain], True),
        ([_refused("key")], True),
        ([Result(State.READY, "away", "X", 503, retry=Retry())], True),
        ([DELIVERED], False),
        ([certain, DELIVERED], False),  # a firewall refuses single events
        ([_refused("key")] * 4, False),
        ([_refused("key")] * 5, True),
    ]
    for results, is_refused in steps:
        _judge(refusals, *[(_delivery(number), one) for number, one in enumerate(results)])
        assert refusals.is_key_refused is is_refused
    refusals.resume()
    assert not refusals.is_key_refused


@pytest.mark.parametrize("concerns", ["request", "permission", "key"])
def test_one_that_is_refused_before_and_after_others_are_taken(concerns: str) -> None:
    """It is to blame itself; others of another action tell of the key alone."""
    for other, status in (("count", Outcome.REJECTED), ("save", State.READY)):
        refusals = Refusals(ends=False)
        refused = _refused(concerns)
        assert _judge(refusals, (_delivery(1), refused), now=1.0)[0].outcome is State.READY
        _judge(refusals, (_delivery(2), DELIVERED), now=2.0, action=other)
        (result,) = _judge(refusals, (_delivery(1, 1.0, 1), refused), now=3.0)
        assert result.outcome is (Outcome.REJECTED if concerns == "key" else status)
        assert (result.reason, result.code, result.status) == ("no", "X", 403)


@pytest.mark.parametrize(
    ("concerns", "status", "taken", "outcome", "is_key", "paused"),
    [
        ("request", 404, False, State.READY, False, {"count": "no"}),
        ("request", 404, True, Outcome.REJECTED, False, {}),
        ("permission", 403, False, Outcome.REJECTED, False, {}),
        ("key", 403, False, Outcome.REJECTED, False, {}),
        ("key", 401, False, State.READY, True, {}),
        ("key", 401, True, Outcome.REJECTED, False, {}),
    ],
)
@pytest.mark.parametrize("how", ["last", "third"])
def test_at_the_end_of_a_run(
    *,
    concerns: str,
    status: int,
    taken: bool,
    outcome: object,
    is_key: bool,
    paused: dict[str, str],
    how: str,
) -> None:
    """What nothing else tells more of is decided; a server waits instead."""
    refused = _refused(concerns, status)
    for ends in (True, False):
        refusals = Refusals(ends=ends)
        if taken:
            _judge(refusals, (_delivery(9), DELIVERED), now=1.0)
        delivery = _delivery(1, 2.0, 2) if how == "third" else _delivery(1)
        (result,) = _judge(refusals, (delivery, refused), now=3.0, is_last=how == "last")
        assert result.outcome is (outcome if ends else State.READY)
        assert is_refused_key(result) == (is_key and ends)
        assert refusals.paused == (paused if ends else {})


@pytest.mark.parametrize(
    ("concerns", "ends_at"), [("permission", 10), ("key", None), ("request", None)]
)
def test_one_that_nothing_else_tells_more_of(concerns: str, ends_at: int | None) -> None:
    """A server gives it up alone if the key is known to be good; else others may be like it."""
    refusals = Refusals(ends=False)
    refused = _refused(concerns)
    outcomes = [
        _judge(refusals, (_delivery(1, 0.0, tries), refused))[0].outcome for tries in range(30)
    ]
    found = next((at for at, one in enumerate(outcomes, 1) if one is Outcome.REJECTED), None)
    assert found == ends_at
    assert set(outcomes) <= {State.READY, Outcome.REJECTED}
    assert refusals.paused == {}


def test_what_is_none_of_it_stays() -> None:
    """Other failures, and a key that is refused for certain, are what they are."""
    refusals = Refusals(ends=True)
    for result in (
        DELIVERED,
        Result(State.UNKNOWN, "lost"),
        Result(Outcome.REJECTED, "no"),
        Result(State.READY, "away", retry=Retry()),
        Result(State.READY, "no", "INVALID_AUTHENTICATION", 401, retry=Retry(concerns="key")),
    ):
        for number in range(9):
            assert _judge(refusals, (_delivery(number), result), is_last=True) == [result]
    assert refusals.paused == {}
