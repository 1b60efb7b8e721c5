from __future__ import annotations

from dataclasses import dataclass

import pytest

from destinations.cli.run_notices import Notices
from destinations.outcome import Outcome, Result, Retry, State
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent, Stage, Transition
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker

BUSY = Result(State.READY, "busy", "SERVICE_UNAVAILABLE", 503, retry=Retry())
REFUSED = Result(State.READY, "who?", "INVALID_AUTHENTICATION", 401, retry=Retry())
ALONE = Result(State.READY, "busy", "TOO_MANY_REQUESTS", 429, retry=Retry(whole_request=False))
DELIVERED = Result(Outcome.DELIVERED)
FILTERED = Result(Outcome.FILTERED)


@dataclass
class Clock:
    """Time that moves when it is told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


@pytest.fixture
def notices(clock: Clock) -> Notices:
    """What is said of a partner whose key is a secret, with a minute of patience."""
    return Notices("Partner", 60.0, Masker(["sk_1234"]), clock)


def _transitions(*results: Result, stage: Stage = "send") -> list[Transition]:
    event = QueuedEvent("m", "track", "u", 0.0, b"{}", 1)
    delivery = QueuedDelivery(event, SubscriptionKey("Counts", "count"))
    return [Transition(delivery, result, stage) for result in results]


@pytest.mark.parametrize(
    ("results", "stage", "told"),
    [
        ([BUSY, BUSY], "send", True),
        ([BUSY, DELIVERED], "send", False),
        ([ALONE], "send", False),
        ([REFUSED], "send", False),
        ([DELIVERED], "send", False),
        ([FILTERED], "plan", False),
        ([], "send", False),
    ],
)
def test_who_is_away(
    notices: Notices,
    capsys: pytest.CaptureFixture[str],
    results: list[Result],
    stage: Stage,
    *,
    told: bool,
) -> None:
    """A partner that answers nothing is told of; one that refuses something is there."""
    notices.transitioned("partner", _transitions(*results, stage=stage))
    said = capsys.readouterr().err
    assert said == ("Partner does not answer (busy); waiting up to 60 s.\n" if told else "")


def test_once_until_it_answers(notices: Notices, capsys: pytest.CaptureFixture[str]) -> None:
    """Each time that it goes away is told once, and that it is back; nothing planned tells that."""
    notices.transitioned("partner", _transitions(DELIVERED))
    for _ in range(2):
        notices.transitioned("partner", _transitions(BUSY))
    notices.transitioned("partner", _transitions(FILTERED, stage="plan"))
    for _ in range(2):
        notices.transitioned("partner", _transitions(DELIVERED))
    notices.is_away("the key sk_1234 is slow")
    assert capsys.readouterr().err.splitlines() == [
        "Partner does not answer (busy); waiting up to 60 s.",
        "Partner answers again.",
        "Partner does not answer (the key *** is slow); waiting up to 60 s.",
    ]


def test_lost_answers(notices: Notices, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """What is waited for is told at once, and then now and again."""
    for seconds, answers in ((0.0, 2_000), (1.0, 2_000), (9.0, 5), (10.0, 1), (19.9, 1)):
        clock.now = seconds
        notices.waits(answers)
    assert capsys.readouterr().err.splitlines() == [
        f"Waiting to ask Partner about {what}; press Ctrl-C to leave that to the next run."
        for what in ("2,000 lost answers", "1 lost answer")
    ]
