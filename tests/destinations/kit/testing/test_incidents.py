"""Cases that are made of a delivery and its attempts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.kit.testing.case import Case, RecordedResponse
from destinations.kit.testing.incidents import Incident, incident_case
from destinations.kit.testing.subject import Subject, open_subject
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


def _case(subject: Subject, *attempts: Attempt, key: SubscriptionKey = KEY) -> Case:
    raw = json.dumps(EVENT).encode()
    incident = Incident("one", "One.", raw, key, attempts, "test")
    return incident_case(subject, incident, placeholder_settings(subject.definition))


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
        ([_attempt({}, kind="question")], "no attempt of this delivery is kept"),
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


def test_a_subscription_that_is_gone(subject: Subject) -> None:
    """It is told which there are."""
    with pytest.raises(UsageError, match="no subscription 'Other' any more; there are: '"):
        _case(subject, _attempt({}), key=SubscriptionKey("Other", "track"))
