"""Cases that are made of a delivery and its attempts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.kit.testing.case import Case, RecordedResponse, Served
from destinations.kit.testing.incidents import Incident, IncidentCase, incident_case
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject, open_subject
from destinations.outcome import Outcome, State
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.sandbox.placeholders import placeholder_settings
from destinations.store import Attempt

EVENT = {
    "type": "track",
    "event": "Report Exported",
    "userId": "user_0005",
    "messageId": "m-1",
    "properties": {"featureId": "seats", "delta": 2},
}
KEY = SubscriptionKey("Record usage", "track")
OK = {"recorded": True, "reason": None}
FULL = {"recorded": False, "reason": "no seat is left"}


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Kana, whose requests carry many events."""
    return open_subject("kana")


def _attempt(answer: Any = None, **given: Any) -> Attempt:
    values: dict[str, Any] = {
        "number": 1,
        "at": 1_700_000_000.0,
        "seconds": 0.1,
        "kind": "send",
        "request": "recordUsage",
        "method": "POST",
        "url": "***",
        "request_headers": {},
        "request_body": b"",
        "request_bytes": 0,
        "status": None if answer is None else 200,
        "answer_headers": {"content-type": "application/json", "date": "today"},
        "answer_body": None if answer is None else json.dumps(answer).encode(),
        "answer_bytes": 9,
        "error": "",
        "error_class": None,
        "rule": "r",
        "outcome": None,
    }
    return Attempt(**{**values, **given})


def _made(
    subject: Subject,
    *attempts: Attempt,
    key: SubscriptionKey = KEY,
    until: int | None = None,
) -> IncidentCase:
    raw = json.dumps(EVENT).encode()
    incident = Incident("one", "One.", raw, key, attempts, "test", until)
    return incident_case(subject, incident, placeholder_settings(subject.definition))


def _case(subject: Subject, *attempts: Attempt, key: SubscriptionKey = KEY) -> Case:
    made = _made(subject, *attempts, key=key)
    assert not made.notes
    assert replay(subject, made.case).passed
    return made.case


def _busy(number: int, at: float, outcome: Outcome | State = State.READY) -> Attempt:
    """An attempt that the partner put off, some seconds after the first."""
    return _attempt(number=number, at=1_700_000_000.0 + at, status=429, outcome=outcome)


def _good(number: int, at: float) -> Attempt:
    return _attempt(
        {"data": {"e0": OK}}, number=number, at=1_700_000_000.0 + at, outcome=Outcome.DELIVERED
    )


def _ends(case: Case) -> tuple[int, str]:
    (row,) = case.expected
    return len(case.interactions), row.outcome.value


def test_of_a_request_of_its_own(subject: Subject) -> None:
    """The answer as it came, with the headers that matter, and what it leads to."""
    case = _case(subject, _attempt({"data": {"e0": FULL}}))
    assert _ends(case) == (1, "rejected")
    result = case.interactions[0].result
    assert isinstance(result, RecordedResponse)
    assert result.headers == {"content-type": "application/json"}
    assert case.clock == "2023-11-14T22:13:20Z"
    assert case.subscriptions is None


def test_of_a_batch(subject: Subject) -> None:
    """Of the answer only what is its own, under the first alias."""
    answer = {
        "data": {"e0": OK, "e1": FULL, "e2": OK},
        "errors": [{"message": "x", "path": ["e2", "y"]}, {"message": "z"}],
    }
    answer["errors"] = [{"message": "x", "path": ["e2", "y"]}]
    case = _case(subject, _attempt(answer, deliveries=3, item=1, outcome="rejected"))
    assert _ends(case) == (1, "rejected")
    result = case.interactions[0].result
    assert isinstance(result, RecordedResponse)
    assert result.json == {"data": {"e0": FULL}, "errors": []}


def test_a_batch_that_was_sent_again_in_halves(subject: Subject) -> None:
    """Alone, the delivery would not be: only its last request counts."""
    refused = _attempt({"errors": [{"message": "x"}]}, deliveries=4)
    last = _attempt({"data": {"e0": FULL}}, number=2, outcome="rejected")
    assert _ends(_case(subject, refused, last)) == (1, "rejected")


@pytest.mark.parametrize(
    ("error", "error_class", "kind"),
    [
        ("no connection: Connection refused", "unavailable", "refused"),
        ("no connection: timed out", "timeout", "connectTimeout"),
        ("no answer: timed out", "timeout", "timeout"),
        ("the connection broke before the answer was complete", "unavailable", "lost"),
    ],
)
def test_without_an_answer(subject: Subject, error: str, error_class: str, kind: str) -> None:
    """What happened, in the words of a case; it goes on as long as the definition tries."""
    case = _case(subject, _attempt(error=error, error_class=error_class))
    assert {one.result for one in case.interactions} == {kind}


@pytest.mark.parametrize(
    ("attempts", "message"),
    [
        ([], "no attempt of this delivery is kept"),
        ([_attempt({}, is_erased=True)], "attempt 1 was erased"),
        ([_attempt({}, is_answer_cut=True)], "the answer of attempt 1 is not kept whole"),
        ([_attempt({}, answer_body=b"\xff")], "is not UTF-8 text"),
        ([_attempt(error="too long", error_class="invalid")], "has no answer that a case can hold"),
        ([_attempt({"data": {"e0": OK}}, method="PUT")], "makes another request than attempt 1"),
        (
            [_attempt({"data": {"e0": OK}}, request_body=b'{"query": "mutation Other"}')],
            "makes another request than attempt 1",
        ),
        ([_attempt({"data": {"e0": OK}})] * 2, "makes 1 of the 2 requests"),
        (
            [_attempt(["x"], deliveries=2, outcome="rejected")],
            "carried 2 deliveries, and its answer does not tell them apart",
        ),
    ],
)
def test_what_cannot_become_a_case(subject: Subject, attempts: list[Attempt], message: str) -> None:
    """It is told why."""
    with pytest.raises(UsageError, match=message):
        _case(subject, *attempts)


# -- what takes time -------------------------------------------------------------------------------


def test_many_attempts(subject: Subject) -> None:
    """More than a run would make, at their times, and what came of the last."""
    times = [0, 0.4, 2, 9, 30, 100, 900, 4_000, 40_000]
    case = _case(subject, *(_busy(n, at) for n, at in enumerate(times, 1)), _good(10, 90_000))
    assert _ends(case) == (10, "delivered")
    assert case.served == Served()
    assert [one.at for one in case.interactions][:4] == [None, 0.4, 2, 9]


def test_what_waits_still(subject: Subject) -> None:
    """The case ends with the last attempt that was made, and no other is invented."""
    assert _ends(_case(subject, _busy(1, 0))) == (1, "ready")
    assert _ends(_case(subject, *(_busy(n, n * 60) for n in range(1, 10)))) == (9, "ready")


def test_a_deadline(subject: Subject) -> None:
    """It is that which ends the delivery with its last attempt: the roundest one."""
    case = _case(subject, _busy(1, 0), _busy(2, 7), _busy(3, 30.0123, Outcome.DEAD))
    assert _ends(case) == (3, "dead")
    assert case.served == Served(30)
    close = _case(subject, _busy(1, 0), _busy(2, 30.0), _busy(3, 30.25, Outcome.DEAD))
    assert close.served == Served(30.2)


def test_refused_credentials_that_are_good_again(subject: Subject) -> None:
    """A server goes on where a run would stop."""
    refused = _attempt(status=401, outcome=None)
    asked = _attempt({"data": {"user": None}}, number=2, kind="credentials", outcome=State.READY)
    case = _case(subject, refused, replace(asked, request="testCredentials"), _good(3, 300))
    assert _ends(case) == (3, "delivered")


def _balance(used: int) -> dict[str, Any]:
    period = {"periodStart": "2023-11-01T00:00:00Z", "periodEnd": "2023-12-01T00:00:00Z"}
    current = {"consumption": {"used": used}, **period}
    return {"data": {"e0": {"current": current}}}


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_answer_that_was_lost(subject: Subject, *, is_kept: bool) -> None:
    """The partner is asked about it, also where the balance before is not kept."""
    before = _attempt(_balance(3), kind="question", request="currentUsage")
    lost = _attempt(error="the connection broke", error_class="unavailable", number=2)
    lost = replace(lost, outcome=State.UNKNOWN)
    after = replace(
        before,
        number=3,
        at=1_700_000_120.0,
        answer_body=json.dumps(_balance(5)).encode(),
        outcome=Outcome.DELIVERED,
    )
    made = _made(subject, *([before] if is_kept else []), lost, after)
    assert _ends(made.case) == (3, "delivered")
    assert made.case.served == Served(asks=True)
    assert replay(subject, made.case).passed
    assert [("balance before the request is not kept" in one) for one in made.notes] == (
        [] if is_kept else [True]
    )
    first = made.case.interactions[0].result
    assert isinstance(first, RecordedResponse)
    assert first.json == _balance(3)


def _asks(number: int, at: float, status: int = 503) -> Attempt:
    """A question about the balance before, which the partner answers only when it is well."""
    asked = _attempt(_balance(3), number=number, at=1_700_000_000.0 + at, kind="question")
    asked = replace(asked, request="currentUsage", status=status)
    if status == 200:
        return asked
    body, failed = b"busy", "unavailable"
    return replace(asked, answer_body=body, error_class=failed, outcome=State.READY)


def test_questions_before_that_failed(subject: Subject) -> None:
    """What waited for the balance before has all of its requests."""
    asked = [_asks(1, 0), _asks(2, 1), _asks(3, 3), _asks(4, 7, 200)]
    made = _made(subject, *asked, _good(5, 7.2))
    assert made.notes == []
    assert _ends(made.case) == (5, "delivered")
    assert made.case.served == Served(asks=True)
    results = [one.result for one in made.case.interactions]
    assert [one.status for one in results if isinstance(one, RecordedResponse)] == (
        [503, 503, 503, 200, 200]
    )
    assert replay(subject, made.case).passed


def test_a_question_before_that_is_left_out(subject: Subject) -> None:
    """A case that is sent as by a run does not ask, which is told."""
    made = _made(subject, _asks(1, 0, 200), _good(2, 0.2))
    assert (_ends(made.case), made.case.served) == ((1, "delivered"), None)
    (note,) = made.notes
    assert note.startswith("The case leaves out attempt 1, which asks for the balance before")


def test_what_a_case_cannot_ask_about(subject: Subject) -> None:
    """It ends with the lost answer, and that is told."""
    lost = _attempt(error="the connection broke", error_class="unavailable", outcome=State.UNKNOWN)
    other = _attempt({"data": {}}, number=2, kind="question", request="currentUsage")
    made = _made(subject, lost, replace(other, at=1_700_000_120.0, outcome=State.HELD))
    assert _ends(made.case) == (1, "unknown")
    (note,) = made.notes
    assert note.startswith("The case ends with attempt 1, whose answer was lost, and not as held:")


def test_what_an_operator_sent_again(subject: Subject) -> None:
    """The case is that of the attempts since then, or of those before."""
    attempts = [_busy(1, 0), _busy(2, 60, Outcome.DEAD), _good(3, 4_000)]
    made = _made(subject, *attempts)
    assert _ends(made.case) == (1, "delivered")
    assert "after attempt 2, which came to dead: the case begins after it" in made.notes[0]
    before = _made(subject, *attempts, until=2)
    assert (_ends(before.case), before.notes) == ((2, "dead"), [])


def test_another_outcome(subject: Subject) -> None:
    """A definition that ends it differently today makes no case without a word."""
    attempt = _attempt({"data": {"e0": FULL}}, outcome=Outcome.DELIVERED)
    with pytest.raises(UsageError, match=r"ends as rejected after .* which came to delivered"):
        _made(subject, attempt)


def test_a_subscription_that_is_gone(subject: Subject) -> None:
    """It is told which there are."""
    with pytest.raises(UsageError, match="no subscription 'Other' any more; there are: '"):
        _case(subject, _attempt({}), key=SubscriptionKey("Other", "track"))
