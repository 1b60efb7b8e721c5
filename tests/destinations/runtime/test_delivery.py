"""What becomes of each event, by what the partner answers and by whether a repeat does harm."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import UnsendableError
from destinations.outcome import Outcome, Result
from destinations.runtime.delivery import Courier
from destinations.runtime.destination import Delivery, Destination

Bind = Callable[..., Destination]
Deliver = Callable[..., list[Result]]

DELIVERED, REJECTED, DEAD = Outcome.DELIVERED, Outcome.REJECTED, Outcome.DEAD
UNKNOWN, RETRYING, INVALID = Outcome.UNKNOWN, Outcome.RETRYING, Outcome.INVALID


def _track(by: object, user: str = "u1") -> dict[str, Any]:
    properties = {"by": by, "thing": "t"}
    return {"type": "track", "userId": user, "event": "Used", "properties": properties}


def _page(name: str = "home") -> dict[str, Any]:
    return {"type": "page", "userId": "u1", "name": name}


def _identify(user: str = "u1") -> dict[str, Any]:
    return {"type": "identify", "userId": user}


@pytest.fixture
def deliver(bind: Bind, clock: Any) -> Deliver:
    """Delivers events of one action; the jitter is always the whole bound: 1 s, 2 s, ..."""

    def run(
        transport: Any,
        *events: dict[str, Any],
        change: Any = None,
        stop: threading.Event | None = None,
        counted: int | None = None,
    ) -> list[Result]:
        destination = bind(change)
        courier = Courier(destination, transport, clock, stop=stop, draw=lambda: 1.0)
        deliveries = []
        for event in events:
            ((_, delivery),) = destination.deliveries(event)
            assert isinstance(delivery, Delivery), delivery
            deliveries.append(delivery)
        results = courier.deliver(deliveries)
        sent = len(transport.requests) if counted is None else counted
        assert courier.requests_sent == sent
        return results

    return run


def _own(code: str, index: int = 0) -> dict[str, Any]:
    """An error of one event of a batch."""
    return {"message": "no", "path": [f"e{index}"], "extensions": {"code": code}}


@pytest.mark.parametrize(
    ("script", "outcome", "waits"),
    [
        (["ok"], DELIVERED, []),
        (["refused connection", "ok"], DELIVERED, [1.0]),
        (["refused connection"], DEAD, [1.0, 2.0]),
        (["429", "ok"], DELIVERED, [7.0]),
        (["429"], DEAD, [7.0, 7.0]),
        (["429 for an hour", "ok"], DELIVERED, [20.0]),
        (["busy", "refused connection", "ok"], DELIVERED, [1.0, 2.0]),
        (["busy"], DEAD, [1.0, 2.0]),
        (["lost"], UNKNOWN, []),
        (["refused connection", "lost"], UNKNOWN, [1.0]),
        (["408"], UNKNOWN, []),
        (["500"], UNKNOWN, []),
        (["503", "ok"], UNKNOWN, []),
        (["302"], UNKNOWN, []),
        (["html"], UNKNOWN, []),
        (["null data"], UNKNOWN, []),
        (["no alias"], UNKNOWN, []),
        (["unexpected"], UNKNOWN, []),
        (["broken"], UNKNOWN, []),
        (["unnamed error"], UNKNOWN, []),
        (["refusal"], REJECTED, []),
        (["bad"], REJECTED, []),
        (["bad as a whole"], REJECTED, []),
        (["400"], UNKNOWN, []),
        (["501"], UNKNOWN, []),
        (["who are you"], RETRYING, []),
        (["401"], RETRYING, []),
    ],
)
def test_a_request_that_counts_twice_when_sent_twice(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    clock: Any,
    script: list[str],
    outcome: Outcome,
    waits: list[float],
) -> None:
    """It is sent again only if nothing was applied; what may have been applied ends as unknown."""
    answers = {
        "ok": replies.data({"done": True}),
        "refused connection": replies.refused,
        "lost": replies.lost,
        "429": replies.http(429, retry_after="7"),
        "429 for an hour": replies.http(429, retry_after="3600"),
        "html": replies.http(200, b"<html>"),
        "null data": replies.data(None),
        "no alias": replies.http(200, {"data": {}}),
        "unexpected": replies.data({"done": "perhaps"}),
        "refusal": replies.data({"done": False, "why": "full"}),
        "busy": replies.errors(_own("BUSY"), data={"e0": None}),
        "broken": replies.errors(_own("BROKEN"), data={"e0": None}),
        "unnamed error": replies.errors(_own("?"), data={"e0": None}),
        "bad": replies.errors(_own("BAD"), data={"e0": None}),
        "bad as a whole": replies.errors("BAD"),
        "who are you": replies.errors({"message": "Who are you?"}),
    }
    transport = scripted(
        [answers.get(name) or replies.http(int(name), {"message": "x"}) for name in script]
    )
    (result,) = deliver(transport, _track(1))
    assert result.outcome is outcome
    assert clock.waits == waits
    assert len(transport.requests) == result.attempts == len(waits) + 1
    assert len({request.body for request in transport.requests}) == 1


@pytest.mark.parametrize(
    ("script", "outcome", "waits"),
    [
        (["200"], DELIVERED, []),
        (["lost", "200"], DELIVERED, [1.0]),
        (["lost"], DEAD, [1.0, 2.0]),
        (["refused connection", "503", "200"], DELIVERED, [1.0, 2.0]),
        (["500"], DEAD, [1.0, 2.0]),
        (["408", "200"], DELIVERED, [1.0]),
        (["423", "200"], DELIVERED, [1.0]),
        (["429", "200"], DELIVERED, [7.0]),
        (["501"], REJECTED, []),
        (["404"], REJECTED, []),
        (["302"], REJECTED, []),
        (["lost", "400"], REJECTED, [1.0]),
        (["401"], RETRYING, []),
        (["403"], REJECTED, []),
    ],
)
def test_a_request_that_may_be_repeated(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    clock: Any,
    script: list[str],
    outcome: Outcome,
    waits: list[float],
) -> None:
    """An idempotent request is sent again after everything that may pass, to the policy's end."""
    answers = {
        "refused connection": replies.refused,
        "lost": replies.lost,
        "429": replies.http(429, retry_after="7"),
    }
    transport = scripted([answers.get(name) or replies.http(int(name), {}) for name in script])
    (result,) = deliver(transport, _page())
    assert result.outcome is outcome
    assert clock.waits == waits
    assert len(transport.requests) == result.attempts == len(waits) + 1


@pytest.mark.parametrize(
    ("reply", "reason", "code", "status"),
    [
        ("lost", "no answer: timed out", "SELF_TIMEOUT", 408),
        ("refused", "no connection: refused", "RETRYABLE_ERROR", 503),
        ("404", "HTTP 404: no page sk_***", "NOT_FOUND", 404),
        ("503", "HTTP 503: no page sk_***", "SERVICE_UNAVAILABLE", 503),
        ("401", "HTTP 401: no page sk_***", "INVALID_AUTHENTICATION", 401),
    ],
)
def test_reasons(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    api_key: str,
    reply: str,
    reason: str,
    code: str,
    status: int,
) -> None:
    """A result has the partner's words, without secrets that it echoes, and Segment's code."""
    answer = getattr(replies, reply, None) or replies.http(
        int(reply), {"message": f"no page {api_key}"}
    )
    (result,) = deliver(scripted([answer]), _page())
    assert result.reason == reason.replace("sk_***", "***")
    assert (result.code, result.status) == (code, status)


def test_no_attempt_starts_after_the_deadline(
    deliver: Deliver, scripted: Any, replies: Any, clock: Any
) -> None:
    """Waits that the partner asks for end with the policy's 30 seconds."""

    def change(documents: Any) -> None:
        documents["destination"]["transport"]["retry"]["attempts"] = 100

    transport = scripted([replies.http(429, retry_after="8")])
    (result,) = deliver(transport, _track(1), change=change)
    assert result.outcome is DEAD
    assert clock.waits == [8.0] * 3


def test_an_outage_is_shared(bind: Bind, scripted: Any, replies: Any, clock: Any) -> None:
    """Not every event waits for a deadline of its own while the partner is down."""

    def change(documents: Any) -> None:
        documents["destination"]["transport"]["retry"]["attempts"] = 100

    transport = scripted([replies.refused])
    destination = bind(change)
    courier = Courier(destination, transport, clock, draw=lambda: 1.0)

    def one() -> tuple[Outcome, int]:
        ((_, delivery),) = destination.deliveries(_page())
        (result,) = courier.deliver([delivery])  # type: ignore[list-item]
        return result.outcome, result.attempts

    first, attempts = one()
    assert (first, attempts > 3, 20 < clock.now <= 30) == (DEAD, True, True)
    clock.now = 31.0
    assert [one() for _ in range(3)] == [(DEAD, 1)] * 3
    transport.replies = [replies.http(200), replies.refused, replies.http(200)]
    assert one() == (DELIVERED, 1)
    assert one() == (DELIVERED, 2)


def test_events_of_a_batch_stand_or_fall_alone(
    deliver: Deliver, scripted: Any, replies: Any, clock: Any
) -> None:
    """One request for all, and only what may be repeated goes into the next."""
    first = replies.errors(
        _own("BUSY", 1),
        _own("BAD", 2),
        _own("BROKEN", 3),
        data={"e0": {"done": True}, "e1": None, "e2": None, "e3": None},
    )
    transport = scripted([first, replies.data({"done": True})])
    results = deliver(transport, *[_track(by) for by in (10, 11, 12, 13)])
    assert [result.outcome for result in results] == [DELIVERED, DELIVERED, REJECTED, UNKNOWN]
    assert [result.attempts for result in results] == [1, 2, 1, 1]
    assert transport.variables == [
        {"by_0": 10, "by_1": 11, "by_2": 12, "by_3": 13},
        {"by_0": 11},
    ]
    assert clock.waits == [1.0]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422, 501])
def test_a_status_alone_does_not_prove_that_nothing_ran(
    deliver: Deliver, scripted: Any, replies: Any, status: int
) -> None:
    """A batch that counts is not sent again in parts after a refusal that no rule knows."""
    transport = scripted([lambda _: replies.http(status)])
    results = deliver(transport, *[_track(by) for by in range(4)])
    assert [result.outcome for result in results] == [UNKNOWN] * 4
    assert len(transport.variables) == 1


@pytest.mark.parametrize("bad", [(), (0,), (3,), (1, 2), (0, 1, 2, 3)])
def test_a_batch_that_is_refused_as_a_whole_is_split(
    deliver: Deliver, scripted: Any, replies: Any, clock: Any, bad: tuple[int, ...]
) -> None:
    """An event that the partner cannot read does not take the others with it."""

    def partner(request: HttpRequest) -> HttpResponse:
        values = [
            value for _, value in sorted(json.loads(request.body or b"")["variables"].items())
        ]
        if any(value in bad for value in values):
            return replies.errors("BAD")
        return replies.data(*[{"done": True}] * len(values))

    transport = scripted([partner])
    results = deliver(transport, *[_track(by) for by in range(4)])
    expected = [REJECTED if by in bad else DELIVERED for by in range(4)]
    assert [result.outcome for result in results] == expected
    assert clock.waits == []
    # Nobody is counted twice.
    counted = [
        value
        for variables in transport.variables
        if not set(variables.values()) & set(bad)
        for value in variables.values()
    ]
    assert sorted(counted) == [by for by in range(4) if by not in bad]


@pytest.mark.parametrize("status", [401, 403])
def test_a_batch_is_not_split_for_what_is_no_fault_of_an_event(
    deliver: Deliver, scripted: Any, replies: Any, status: int
) -> None:
    """Wrong credentials are wrong for each event alone as well."""
    transport = scripted([replies.http(status)])
    deliver(transport, _track(1), _track(2))
    assert len(transport.requests) == 1


def test_an_event_that_cannot_be_written_is_invalid_alone(
    deliver: Deliver, scripted: Any, replies: Any
) -> None:
    """What JSON cannot hold is found before it is sent, and the rest of the batch goes."""

    def change(documents: Any) -> None:
        documents["count"]["fields"]["properties"]["by"]["type"] = "string"

    transport = scripted([replies.success])
    events = [_track("a"), _track("\ud800"), _track("c")]
    results = deliver(transport, *events, change=change)
    assert [result.outcome for result in results] == [DELIVERED, INVALID, DELIVERED]
    assert results[1].attempts == 0
    assert results[1].code == "BAD_REQUEST"
    assert "the request count cannot be made: " in results[1].reason


def test_a_request_whose_mapping_fails_is_invalid(
    deliver: Deliver, scripted: Any, replies: Any
) -> None:
    """An address that is none ends the event: nothing is sent."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["save"]["rest"]["url"] = {"@path": "$.payload.page"}

    transport = scripted([replies.http(200)])
    (result,) = deliver(transport, _page("no address"), change=change)
    assert result.outcome is INVALID
    assert "must be an absolute http or https URL" in result.reason
    assert transport.requests == []


def test_a_request_that_can_never_be_sent_is_invalid(
    deliver: Deliver, scripted: Any, replies: Any, clock: Any
) -> None:
    """It is not tried again, is no outage of the partner, and takes no other of its batch along."""

    def partner(request: HttpRequest) -> Any:
        if b":13" in (request.body or b""):
            return UnsendableError("the request cannot be sent: it is unlucky")
        return replies.success(request)

    transport = scripted([partner])
    results = deliver(transport, _track(1), _track(13), _track(3), counted=2)
    assert [result.outcome for result in results] == [DELIVERED, INVALID, DELIVERED]
    assert results[1].reason.endswith("the request cannot be sent: it is unlucky")
    assert (results[1].code, results[1].attempts) == ("BAD_REQUEST", 0)
    assert clock.waits == []


@pytest.mark.parametrize(
    ("event", "reply", "outcome"),
    [
        (_page(), "lost", RETRYING),
        (_track(1), "refused", RETRYING),
        (_track(1), "lost", UNKNOWN),
    ],
)
def test_a_stop_ends_the_waiting(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    clock: Any,
    event: dict[str, Any],
    reply: str,
    outcome: Outcome,
) -> None:
    """What would be sent again stays to be sent; what may have been applied stays unknown."""
    clock.stop_at = 0.5
    transport = scripted([getattr(replies, reply)])
    (result,) = deliver(transport, event)
    assert result.outcome is outcome
    assert len(transport.requests) == result.attempts == 1


def test_nothing_is_sent_after_a_stop(deliver: Deliver, scripted: Any, replies: Any) -> None:
    """What comes after it ends as retrying, through plugin code as well."""
    stop = threading.Event()
    stop.set()
    transport = scripted([replies.http(200)])
    for event in (_track(1), _page(), _identify()):
        (result,) = deliver(transport, event, stop=stop)
        assert (result.outcome, result.attempts) == (RETRYING, 0)
    assert transport.requests == []


def test_a_stop_in_the_middle_of_a_split(deliver: Deliver, scripted: Any, replies: Any) -> None:
    """What was not tried alone is not called refused because the whole was."""
    stop = threading.Event()

    def partner(request: HttpRequest) -> HttpResponse:
        if len(transport.requests) == 1:
            return replies.errors("BAD")
        stop.set()
        return replies.success(request)

    transport = scripted([partner])
    results = deliver(transport, _track(1), _track(2), stop=stop)
    assert [result.outcome for result in results] == [DELIVERED, RETRYING]


FOUND = {"id": "u1", "name": "Ada"}


@pytest.mark.parametrize(
    ("user", "script", "outcome", "reason", "requests"),
    [
        ("u1", ["found"], DELIVERED, "found Ada", 1),
        ("u1", ["missing", "created"], DELIVERED, "created", 2),
        ("u1", ["lost", "missing", "refused", "created"], DELIVERED, "created", 4),
        ("u1", ["lost"], DEAD, "no answer: timed out", 3),
        ("u1", ["missing", "lost"], UNKNOWN, "no answer: timed out", 2),
        ("u1", ["missing", "refused"], DEAD, "no connection: refused", 4),
        ("u1", ["missing", "bad"], REJECTED, "no", 2),
        ("u1", ["who"], RETRYING, "Who are you?", 1),
        (
            "faulty",
            ["missing"],
            DEAD,
            "the generator 'sync' failed: ZeroDivisionError: with ***",
            1,
        ),
        (
            "faulty later",
            ["missing", "created"],
            UNKNOWN,
            "the generator 'sync' failed: ZeroDivisionError: too late",
            2,
        ),
        # Sent again as a whole, what was created would be created once more.
        ("checked", ["missing", "created", "found"], DELIVERED, "created", 3),
        ("checked", ["missing", "created", "refused"], UNKNOWN, "no connection: refused", 5),
        ("checked", ["missing", "created", "bad"], UNKNOWN, "no", 3),
        ("checked", ["missing", "created", "who"], UNKNOWN, "Who are you?", 3),
    ],
)
def test_plugin_code(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    user: str,
    script: list[str],
    outcome: Outcome,
    reason: str,
    requests: int,
) -> None:
    """Each of its requests is sent under the same rules; a fault of the code fails one event."""
    answers = {
        "found": replies.data(FOUND),
        "created": replies.data({"id": "u1"}),
        "missing": replies.errors(_own("MISSING"), data=None),
        "bad": replies.errors(_own("BAD"), data=None),
        "who": replies.errors({"message": "Who are you?"}),
        "lost": replies.lost,
        "refused": replies.refused,
    }
    transport = scripted([answers[name] for name in script])
    (result,) = deliver(transport, _identify(user))
    assert (result.outcome, result.reason) == (outcome, reason)
    assert len(transport.requests) == result.attempts == requests


def test_plugin_code_runs_for_each_event(deliver: Deliver, scripted: Any, replies: Any) -> None:
    """Several events of one action have a result each, in order."""
    transport = scripted(
        [replies.data(FOUND), replies.errors(_own("BAD"), data=None), replies.data(FOUND)]
    )
    results = deliver(transport, _identify("a"), _identify("b"), _identify("c"))
    assert [result.outcome for result in results] == [DELIVERED, REJECTED, DELIVERED]
