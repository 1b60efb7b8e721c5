from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from destinations.clock import unix_time
from destinations.definition.document import Document, read_document
from destinations.kit.testing.case import Case
from destinations.kit.testing.case_reading import build_case, read_case
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject, open_subject, subject_in
from destinations.outcome import State

Change = Callable[[dict[str, Any]], object]


def _request(data: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = data["interactions"][0]["request"]
    return request


def test_a_case_that_holds(make_case: Callable[..., Case], partner: Subject) -> None:
    """Nothing differs, and it says how much was compared."""
    report = replay(partner, make_case())
    assert report.differences == ()
    assert report.passed
    assert (report.case, report.events, report.requests) == ("case", 2, 1)


# What is changed in a case that holds, and the one difference that is told.
DIFFERENT: dict[str, tuple[Change, str]] = {
    "the method": (
        lambda data: _request(data).update(method="PUT"),
        'request 1 method: expected "PUT", got "POST"',
    ),
    "the URL": (
        lambda data: _request(data).update(url="https://api.example.com/v2/events"),
        (
            'request 1 url: expected "https://api.example.com/v2/events", '
            'got "https://api.example.com/v1/events"'
        ),
    ),
    "a header": (
        lambda data: _request(data).update(headers={"authorization": "Bearer other"}),
        'request 1 header authorization: expected "Bearer other", got "Bearer placeholder-apiKey"',
    ),
    "a header that is not sent": (
        lambda data: _request(data)["headers"].update({"X-Trace": "1"}),
        'request 1 header X-Trace: expected "1", got nothing',
    ),
    "a value in the body": (
        lambda data: _request(data)["json"]["properties"].update(report="weekly"),
        'request 1 json /properties/report: expected "weekly", got "monthly"',
    ),
    "a key in the body": (
        lambda data: _request(data)["json"].pop("id"),
        'request 1 json /id: expected nothing, got "message-1"',
    ),
    "a body at all": (
        lambda data: _request(data).update(json=None),
        'request 1 json: expected null, got {"id":',
    ),
    "a request that is missing": (
        lambda data: data["interactions"].append(data["interactions"][0]),
        'request 2: expected "POST https://api.example.com/v1/events", got nothing',
    ),
    "a request on top": (
        lambda data: data["interactions"].clear(),
        'request 1: expected nothing, got "POST https://api.example.com/v1/events"',
    ),
    "the outcome": (
        lambda data: data["expected"][0].update(outcome="rejected"),
        'event 1, trackEvent outcome: expected "rejected", got "delivered"',
    ),
    "the outcome, with its reason": (
        lambda data: data["expected"][1].update(outcome="filtered"),
        ('event 2, no action outcome: expected "filtered", got "invalid: Partner needs userId"'),
    ),
    "the reason": (
        lambda data: data["expected"][1].update(reason="because"),
        ('event 2, no action reason: expected "because", got "Partner needs userId"'),
    ),
    "the code": (
        lambda data: data["expected"][1].update(code="CODE"),
        'event 2, no action code: expected "CODE", got "BAD_REQUEST"',
    ),
    "the payload": (
        lambda data: data["expected"][0]["payload"].update(user="user_0002"),
        'event 1, trackEvent payload /user: expected "user_0002", got "user_0001"',
    ),
    "an outcome that is not there": (
        lambda data: data["expected"].append({"event": 2, "outcome": "filtered"}),
        'event 2, no action: expected "filtered", got nothing',
    ),
    "an outcome that is not expected": (
        lambda data: data["expected"].pop(0),
        'event 1, trackEvent: expected nothing, got "delivered"',
    ),
}


@pytest.mark.parametrize(("change", "shown"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_told(
    make_case: Callable[..., Case], partner: Subject, change: Change, shown: str
) -> None:
    """Each difference says where it is, what was expected and what came; there is no other."""
    report = replay(partner, make_case(change))
    assert not report.passed
    (difference,) = report.differences
    assert str(difference).startswith(shown)


def test_order_counts(make_case: Callable[..., Case], partner: Subject) -> None:
    """The same requests in another order are other requests; nothing is sent after the first."""

    def two(data: dict[str, Any]) -> None:
        event = {**data["events"][0], "messageId": "message-0"}
        data["events"].insert(0, event)
        again = {**data["interactions"][0]}
        again["request"] = {**again["request"], "json": {**again["request"]["json"]}}
        again["request"]["json"]["id"] = "message-0"
        data["interactions"].append(again)
        data["expected"] = [{"event": 1, "action": "trackEvent", "outcome": "delivered"}]

    report = replay(partner, make_case(two))
    assert [str(found) for found in report.differences] == [
        'request 1 json /id: expected "message-1", got "message-0"'
    ]


@pytest.mark.parametrize("failure", ["refused", "connectTimeout", "timeout", "lost"])
def test_failures_of_the_network_are_replayed(
    make_case: Callable[..., Case], partner: Subject, failure: str
) -> None:
    """The request may be repeated, so it is, without anybody waiting."""

    def fails_first(data: dict[str, Any]) -> None:
        data["interactions"].insert(
            0, {"request": data["interactions"][0]["request"], "failure": failure}
        )

    report = replay(partner, make_case(fails_first))
    assert report.passed, report.differences
    assert report.requests == 2


@pytest.mark.parametrize("result", [{"response": {"status": 500}}, {"failure": "lost"}])
@pytest.mark.parametrize(
    ("outcome", "differs"), [("held", False), ("unknown", False), ("dead", True)]
)
def test_what_may_have_been_applied(
    template: Path, case_data: dict[str, Any], result: object, outcome: str, *, differs: bool
) -> None:
    """It is unknown, and held where a run and a server cannot ask about it: a case may say both."""
    path = template / "destination.yaml"
    text = path.read_text(encoding="utf-8")
    assert "idempotent: true" in text
    path.write_text(text.replace("idempotent: true", "idempotent: false"), encoding="utf-8")
    subject = subject_in(template)
    request = case_data["interactions"][0]["request"]
    made = result if isinstance(result, dict) else {}
    case_data["events"] = case_data["events"][:1]
    case_data["interactions"] = [{"request": request, **made}]
    case_data["expected"] = [{"event": 1, "action": "trackEvent", "outcome": outcome}]
    document = read_document(json.dumps(case_data), "case.yaml")
    report = replay(subject, build_case(document, "case", subject.definition))
    found = [str(one) for one in report.differences]
    assert bool(found) == differs, found
    assert all('outcome: expected "dead", got "unknown' in one for one in found)


def test_what_can_be_asked_about_is_not_held() -> None:
    """A run asks the partner about it, so a case that says held is wrong."""
    subject = open_subject("kana")
    assert isinstance(subject.folder, Path)
    case = read_case(subject.folder / "cases" / "answer-lost.yaml", subject.definition)
    (unknown,) = (one for one in case.expected if one.outcome is State.UNKNOWN)
    assert replay(subject, case).passed
    expected = [
        replace(one, outcome=State.HELD) if one is unknown else one for one in case.expected
    ]
    (difference,) = replay(subject, replace(case, expected=tuple(expected))).differences
    assert 'outcome: expected "held", got "unknown' in str(difference)


def test_time_stands_still(make_case: Callable[..., Case], partner: Subject) -> None:
    """A date in Retry-After is counted from it.

    Twice 30 s are as long as an outage may last, twice 45 s are longer.
    """

    def busy(data: dict[str, Any]) -> None:
        headers = {"Retry-After": "Mon, 15 Jan 2024 12:00:30 GMT"}
        answer = {"status": 429, "headers": headers}
        first = {"request": data["interactions"][0]["request"], "response": answer}
        data["interactions"] = [first, first, *data["interactions"]]

    assert replay(partner, make_case(busy)).passed

    def earlier(data: dict[str, Any]) -> None:
        data["clock"] = "2024-01-15T11:59:45Z"

    missing, waiting = replay(partner, make_case(earlier)).differences
    assert str(missing).startswith("request 3: expected")
    assert 'outcome: expected "delivered", got "ready' in str(waiting)
    assert unix_time() > 1_750_000_000


def test_plugin_code_does_not_hide_an_unexpected_request(
    make_subject: Callable[..., Subject],
) -> None:
    """What is raised within a generator is told as the difference that it is."""
    subject = make_subject()
    text = (
        "{description: d, settings: {apiKey: placeholder}, clock: '2024-01-15T12:00:00Z',"
        " events: [{type: identify, userId: u}], interactions: [],"
        " expected: [{event: 1, action: sync, outcome: delivered}]}"
    )
    case = build_case(read_document(text, "c"), "c", subject.definition)
    report = replay(subject, case)
    assert [str(found) for found in report.differences] == [
        'request 1: expected nothing, got "POST http://127.0.0.1:9/graphql"'
    ]


def test_a_case_of_a_deletion(make_subject: Callable[..., Subject], with_deletion: Change) -> None:
    """An event that deletes a user is expected under the action of its own."""
    subject = make_subject(with_deletion)
    data: dict[str, Any] = {
        "description": "A user is deleted.",
        "settings": {"apiKey": "sk_test_0123456789"},
        "clock": "2026-01-15T12:00:00Z",
        "events": [{"type": "delete", "userId": "u1", "messageId": "m1"}],
        "interactions": [
            {
                "request": {"method": "DELETE", "url": "http://127.0.0.1:9/v1/contacts/u1"},
                "response": {"status": 404},
            }
        ],
        "expected": [{"event": 1, "action": "onDelete", "outcome": "delivered"}],
    }
    case = build_case(Document("deleted", data, {}), "deleted", subject.definition)
    assert replay(subject, case).differences == ()
