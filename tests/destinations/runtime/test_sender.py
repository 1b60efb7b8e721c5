"""What one attempt comes to for each event, by the answer and by whether a repeat does harm."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any, get_args

import pytest

from destinations.definition import ErrorClass
from destinations.errors import (
    APIError,
    HeldError,
    IntegrationError,
    InvalidAuthenticationError,
    RetryableError,
    SelfTimeoutError,
    TransportError,
    UnsendableError,
    UsageError,
)
from destinations.http import Answer, Failure, HttpRequest, HttpResponse
from destinations.http.json_bytes import encode_json
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import ManualChange, Outcome, Result, Retry, State, Status
from destinations.runtime.action import Call, Done, Payload
from destinations.runtime.destination import Code, Delivery, Destination
from destinations.runtime.sender import Sender, status_of
from destinations.runtime.subscription_key import SubscriptionKey

Bind = Callable[..., Destination]
Deliver = Callable[..., list[Result]]

DELIVERED, REJECTED, DEAD = Outcome.DELIVERED, Outcome.REJECTED, Outcome.DEAD
UNKNOWN, READY, INVALID = State.UNKNOWN, State.READY, Outcome.INVALID


def _track(by: object, user: str = "u1") -> dict[str, Any]:
    properties = {"by": by, "thing": "t"}
    return {"type": "track", "userId": user, "event": "Used", "properties": properties}


def _page(name: str = "home") -> dict[str, Any]:
    return {"type": "page", "userId": "u1", "name": name}


def _identify(user: str = "u1") -> dict[str, Any]:
    return {"type": "identify", "userId": user}


def _delivery(destination: Destination, event: dict[str, Any]) -> Delivery:
    ((subscription, payload),) = destination.payloads(event)
    assert subscription is not None
    assert isinstance(payload, dict), payload
    return Delivery(subscription, event, payload)


@pytest.fixture
def deliver(bind: Bind, clock: Any) -> Deliver:
    """Makes one attempt with events of one action."""

    def run(
        transport: Any,
        *events: dict[str, Any],
        change: Any = None,
        stop: threading.Event | None = None,
        counted: int | None = None,
    ) -> list[Result]:
        destination = bind(change)
        sender = Sender(destination, transport, stop=stop, clock=clock)
        results = sender.deliver([_delivery(destination, event) for event in events])
        sent = len(transport.requests) if counted is None else counted
        assert sender.requests_sent == sent
        assert clock.waits == []
        return results

    return run


def _own(code: str, index: int = 0) -> dict[str, Any]:
    """An error of one event of a batch."""
    return {"message": "no", "path": [f"e{index}"], "extensions": {"code": code}}


@pytest.mark.parametrize(
    ("reply", "outcome", "retry", "maybe_applied"),
    [
        ("ok", DELIVERED, None, False),
        ("refused connection", READY, Retry(), False),
        ("429", READY, Retry(after=7.0), False),
        ("429 for an hour", READY, Retry(after=3600.0), False),
        ("busy", READY, Retry(whole_request=False), False),
        ("busy twice at most", READY, Retry(attempts=2, whole_request=False), False),
        ("lost", UNKNOWN, Retry(), True),
        ("408", UNKNOWN, Retry(), True),
        ("500", UNKNOWN, Retry(), True),
        ("503", UNKNOWN, Retry(), True),
        ("302", UNKNOWN, Retry(concerns="request"), True),
        ("html", UNKNOWN, Retry(), True),
        ("null data", UNKNOWN, Retry(), True),
        ("no alias", UNKNOWN, Retry(), True),
        ("unexpected", UNKNOWN, Retry(whole_request=False), True),
        ("broken", UNKNOWN, Retry(whole_request=False), True),
        ("unnamed error", UNKNOWN, None, True),
        ("refusal", REJECTED, None, False),
        ("bad", REJECTED, None, False),
        ("bad as a whole", REJECTED, None, False),
        ("400", UNKNOWN, None, True),
        ("501", UNKNOWN, None, True),
        ("307", READY, Retry(concerns="request"), False),
        ("404", READY, Retry(concerns="request"), False),
        ("413", REJECTED, None, False),
        ("who are you", READY, Retry(concerns="key"), False),
        ("401", READY, Retry(concerns="key"), False),
    ],
)
def test_a_request_that_counts_twice_when_sent_twice(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    reply: str,
    outcome: Status,
    retry: Retry | None,
    maybe_applied: bool,
) -> None:
    """It is sent again only if nothing was applied; what may have been applied is unknown."""
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
        "busy twice at most": replies.errors(_own("BUSY TWICE"), data={"e0": None}),
        "broken": replies.errors(_own("BROKEN"), data={"e0": None}),
        "unnamed error": replies.errors(_own("?"), data={"e0": None}),
        "bad": replies.errors(_own("BAD"), data={"e0": None}),
        "bad as a whole": replies.errors("BAD"),
        "who are you": replies.errors({"message": "Who are you?"}),
    }

    def change(documents: Any) -> None:
        (busy,) = (
            rule
            for rule in documents["destination"]["errorRules"]
            if rule["when"].get("code") == "BUSY"
        )
        twice = {**busy, "when": {"code": "BUSY TWICE"}, "attempts": 2}
        documents["destination"]["errorRules"].append(twice)

    transport = scripted([answers.get(reply) or replies.http(int(reply), {"message": "x"})])
    (result,) = deliver(transport, _track(1), change=change)
    assert result.outcome is outcome
    assert result.retry == retry
    assert result.maybe_applied is maybe_applied
    assert result.attempts == 1
    # Of the key the partner is asked once more.
    assert len(transport.requests) == 1 + (retry == Retry(concerns="key"))


@pytest.mark.parametrize(
    ("reply", "outcome", "retry"),
    [
        ("200", DELIVERED, None),
        ("lost", READY, Retry()),
        ("refused connection", READY, Retry()),
        ("503", READY, Retry()),
        ("500", READY, Retry()),
        ("408", READY, Retry()),
        ("423", READY, Retry()),
        ("429", READY, Retry(after=7.0)),
        ("501", REJECTED, None),
        ("404", REJECTED, None),
        ("302", REJECTED, None),
        ("400", REJECTED, None),
        ("413", REJECTED, None),
        ("401", READY, Retry(concerns="key")),
        ("403", READY, Retry(concerns="key")),
    ],
)
def test_a_request_that_may_be_repeated(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    reply: str,
    outcome: Status,
    retry: Retry | None,
) -> None:
    """An idempotent request may be sent again after everything that may pass."""
    answers = {
        "refused connection": replies.refused,
        "lost": replies.lost,
        "429": replies.http(429, retry_after="7"),
    }
    transport = scripted([answers.get(reply) or replies.http(int(reply), {})])
    (result,) = deliver(transport, _page())
    assert (result.outcome, result.retry) == (outcome, retry)
    assert result.attempts == 1
    assert len(transport.requests) == 1 + (retry == Retry(concerns="key"))


@pytest.mark.parametrize("nothing_applied", [True, False])
@pytest.mark.parametrize("retryable", [True, False])
@pytest.mark.parametrize("error_class", get_args(ErrorClass))
@pytest.mark.parametrize("name", ["save", "count"])
def test_what_a_failure_means(
    bind: Bind, *, name: str, error_class: ErrorClass, retryable: bool, nothing_applied: bool
) -> None:
    """Only what cannot be applied twice is sent again, and what nothing will change is rejected."""
    request = bind().requests[name]
    found = status_of(
        request, error_class=error_class, retryable=retryable, nothing_applied=nothing_applied
    )
    if name == "count" and not nothing_applied:
        assert found is UNKNOWN
    elif retryable or error_class == "authentication":
        assert found is READY
    else:
        assert found is REJECTED


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


@pytest.mark.parametrize(
    ("reply", "reason", "code", "status"),
    [
        ("lost", "the answer was lost: timed out", "ANSWER_LOST", None),
        ("503", "HTTP 503: no page", "SERVICE_UNAVAILABLE", 503),
        ("refused", "no connection: refused", "RETRYABLE_ERROR", 503),
    ],
)
def test_a_lost_answer_is_called_so(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    reply: str,
    reason: str,
    code: str,
    status: int | None,
) -> None:
    """What may have been applied and was never answered has no status, as if it had been."""
    answer = getattr(replies, reply, None) or replies.http(int(reply), {"message": "no page"})
    (result,) = deliver(scripted([answer]), _track(1))
    assert (result.reason, result.code, result.status) == (reason, code, status)
    assert result.outcome is (READY if reply == "refused" else UNKNOWN)


def test_events_of_a_batch_stand_or_fall_alone(
    deliver: Deliver, scripted: Any, replies: Any
) -> None:
    """One request carries all, and each event has the result that the answer has for it."""
    first = replies.errors(
        _own("BUSY", 1),
        _own("BAD", 2),
        _own("BROKEN", 3),
        data={"e0": {"done": True}, "e1": None, "e2": None, "e3": None},
    )
    transport = scripted([first])
    results = deliver(transport, *[_track(by) for by in (10, 11, 12, 13)])
    assert [result.outcome for result in results] == [DELIVERED, READY, REJECTED, UNKNOWN]
    assert [result.attempts for result in results] == [1] * 4
    assert [result.maybe_applied for result in results] == [False, False, False, True]
    assert transport.variables == [{"by_0": 10, "by_1": 11, "by_2": 12, "by_3": 13}]


@pytest.mark.parametrize("status", [400, 406, 409, 422, 501])
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
    deliver: Deliver, scripted: Any, replies: Any, bad: tuple[int, ...]
) -> None:
    """An event that the partner cannot read does not take the others with it."""

    def partner(request: HttpRequest) -> HttpResponse:
        values = [
            value for _, value in sorted(json.loads(request.body or b"")["variables"].items())
        ]
        answer: HttpResponse
        if any(value in bad for value in values):
            answer = replies.errors("BAD")
        else:
            answer = replies.data(*[{"done": True}] * len(values))
        return answer

    transport = scripted([partner])
    results = deliver(transport, *[_track(by) for by in range(4)])
    expected = [REJECTED if by in bad else DELIVERED for by in range(4)]
    assert [result.outcome for result in results] == expected
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
    """Wrong credentials are wrong for each event alone as well: the test of them says so, too."""
    transport = scripted([replies.http(status)])
    results = deliver(transport, _track(1), _track(2))
    assert [(one.outcome, one.code) for one in results] == [(READY, "INVALID_AUTHENTICATION")] * 2
    assert len(transport.requests) == 2


def _is_test(request: HttpRequest) -> bool:
    return b"query Find" in (request.body or b"")


def _counts(request: HttpRequest) -> list[int]:
    variables = json.loads(request.body or b"{}")["variables"]
    return [value for _, value in sorted(variables.items(), key=lambda one: int(one[0][3:]))]


def _larger(documents: Any) -> None:
    documents["destination"]["requests"]["count"]["batch"]["size"] = 100


@pytest.mark.parametrize(
    ("bad", "test", "outcomes", "concerns", "requests"),
    [
        # A firewall: one event or some are refused, and all the others go.
        ({17}, "passes", {DELIVERED: 39, REJECTED: 1}, "event", 14),
        ({0, 39}, "passes", {DELIVERED: 38, REJECTED: 2}, "event", 30),
        ({17}, "none", {DELIVERED: 39, REJECTED: 1}, "event", 14),
        # Nothing goes, though the key is valid: it may not do this.
        (set(range(40)), "passes", {READY: 40}, "permission", 10),
        (set(range(40)), "none", {READY: 40}, "key", 9),
        (set(range(40)), "fails", {READY: 40}, "key", 2),
        ({17}, "fails", {READY: 40}, "key", 2),
        (set(range(40)), "away", {READY: 40}, "event", 2),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_who_is_refused(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    status: int,
    bad: set[int],
    test: str,
    outcomes: dict[Status, int],
    concerns: str,
    requests: int,
) -> None:
    """Single events are told from the key, and from what it may do, with few requests."""

    def change(documents: Any) -> None:
        _larger(documents)
        if test == "none":
            del documents["destination"]["authentication"]

    def partner(request: HttpRequest) -> Any:
        if _is_test(request):
            statuses = {"passes": 200, "fails": status, "away": 503}
            return replies.http(statuses[test], {"data": {"e0": {"id": "x"}}})
        values = _counts(request)
        if set(values) & bad:
            return replies.http(status, b"<html>Request blocked</html>")
        return replies.data(*[{"done": True}] * len(values))

    transport = scripted([partner])
    results = deliver(transport, *map(_track, range(40)), change=change)
    assert Counter(result.outcome for result in results) == outcomes
    assert {by for by, result in enumerate(results) if result.outcome is REJECTED} <= bad
    left = {one.retry.concerns for one in results if one.retry is not None}
    assert left == ({concerns} if READY in outcomes else set())
    confirmed = {one.code == "INVALID_AUTHENTICATION" for one in results if one.retry is not None}
    assert confirmed == ({test == "fails"} if READY in outcomes else set())
    assert len(transport.requests) <= requests
    if concerns in {"permission", "key"} and test != "fails":  # looked at in four halves
        assert min(len(_counts(one)) for one in transport.requests if not _is_test(one)) == 2


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("test", "left"), [("passes", REJECTED), ("fails", READY), ("away", READY)]
)
def test_the_key_is_refused_in_the_middle_of_a_batch(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    status: int,
    test: str,
    left: Status,
) -> None:
    """That a part was accepted does not show that the events of the rest are to blame."""

    def partner(request: HttpRequest) -> Any:
        if _is_test(request):
            statuses = {"passes": 200, "fails": status, "away": 503}
            return replies.http(statuses[test], {"data": {"e0": {"id": "x"}}})
        values = _counts(request)
        if len(values) > 2:
            return replies.http(413)
        if set(values) & {2, 3}:
            return replies.http(status)
        return replies.data(*[{"done": True}] * len(values))

    transport = scripted([partner])
    results = deliver(transport, *map(_track, range(4)), change=_larger)
    assert [one.outcome for one in results] == [DELIVERED, DELIVERED, left, left]
    confirmed = [one.code == "INVALID_AUTHENTICATION" for one in results[2:]]
    assert confirmed == [test == "fails"] * 2
    assert sum(map(_is_test, transport.requests)) == 1


@pytest.mark.parametrize(
    "code", ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "404", "405"]
)
@pytest.mark.parametrize(
    ("bad", "outcomes", "requests"),
    [
        (set(range(40)), {READY: 40}, 7),
        ({0}, {DELIVERED: 39, REJECTED: 1}, 14),
        ({39}, {DELIVERED: 39, REJECTED: 1}, 14),
        (set(range(20)), {DELIVERED: 20, REJECTED: 20}, 50),
        (set(range(39)), {READY: 40}, 7),  # a few more would have told; the next batch may
    ],
)
def test_what_is_said_of_the_request(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    code: str,
    bad: set[int],
    outcomes: dict[Status, int],
    requests: int,
) -> None:
    """It is no verdict on an event, unless others of the same request are taken."""

    def partner(request: HttpRequest) -> Any:
        values = _counts(request)
        if not set(values) & bad:
            return replies.data(*[{"done": True}] * len(values))
        return replies.http(int(code)) if code.isdigit() else replies.errors(code)

    def change(documents: Any) -> None:
        _larger(documents)
        for one in ("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"):
            rule: dict[str, Any] = {"when": {"code": one}, "class": "invalid"}
            rule |= {"retryable": False, "nothingApplied": True}
            documents["destination"]["errorRules"].append(rule)

    transport = scripted([partner])
    results = deliver(transport, *map(_track, range(40)), change=change)
    assert Counter(result.outcome for result in results) == outcomes
    assert {one.retry.concerns for one in results if one.retry is not None} <= {"request"}
    assert len(transport.requests) <= requests
    if READY in outcomes:  # after three halves
        assert [len(_counts(one)) for one in transport.requests] == [40, 20, 10, 5, 5, 10, 20]


@pytest.mark.parametrize(
    ("limit", "outcomes", "requests"),
    [
        (lambda size, _count: size > 1500, {DELIVERED: 100}, 14),
        (lambda _size, count: count > 7, {DELIVERED: 100}, 24),
        (lambda size, _count: size > 10, {REJECTED: 100}, 200),
    ],
    ids=["bytes", "items", "one alone"],
)
def test_a_batch_that_is_too_large(
    deliver: Deliver,
    *,
    scripted: Any,
    replies: Any,
    limit: Callable[[int, int], bool],
    outcomes: dict[Status, int],
    requests: int,
) -> None:
    """It is sent in parts, whatever a rule says; what is known to be too large is not tried."""

    def partner(request: HttpRequest) -> Any:
        values = _counts(request)
        if limit(len(request.body or b""), len(values)):
            return replies.http(413, b"<html>413 Request Entity Too Large</html>")
        return replies.data(*[{"done": True}] * len(values))

    def change(documents: Any) -> None:
        _larger(documents)
        rule: dict[str, Any] = {"when": {"status": "4xx"}, "class": "conflict"}
        rule |= {"retryable": False, "nothingApplied": False}
        documents["destination"]["errorRules"].append(rule)

    transport = scripted([partner])
    results = deliver(transport, *map(_track, range(100)), change=change)
    assert Counter(result.outcome for result in results) == outcomes
    assert len(transport.requests) <= requests
    sizes = [(len(one.body or b""), len(_counts(one))) for one in transport.requests]
    refused = [size for size in sizes if limit(*size)]
    assert len(refused) == len(set(refused)) or REJECTED in outcomes


def test_a_batch_has_as_many_bytes_as_the_definition_says(
    deliver: Deliver, scripted: Any, replies: Any
) -> None:
    """It is cut before it is sent; one event alone goes, however long it is."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["count"]["batch"] = {"size": 100, "bytes": 1500}

    def partner(request: HttpRequest) -> Any:
        return replies.data(*[{"done": True}] * len(_counts(request)))

    transport = scripted([partner])
    results = deliver(transport, *map(_track, range(100)), change=change)
    assert {result.outcome for result in results} == {DELIVERED}
    assert all(result.attempts == 1 for result in results)
    assert max(len(one.body or b"") for one in transport.requests) <= 1500
    assert len(transport.requests) <= 8


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


def test_a_batch_of_which_nothing_can_be_written_is_not_sent(
    deliver: Deliver, scripted: Any
) -> None:
    """Without an event there is no request."""

    def change(documents: Any) -> None:
        documents["count"]["fields"]["properties"]["by"]["type"] = "string"

    transport = scripted([])
    results = deliver(transport, _track("\ud800"), _track("\udfff"), change=change)
    assert [result.outcome for result in results] == [INVALID, INVALID]


def test_a_request_whose_mapping_fails_is_invalid(
    deliver: Deliver, scripted: Any, replies: Any
) -> None:
    """An address that is none ends the event: nothing is sent."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["save"]["rest"]["url"] = {"@path": "$.settings.limit"}

    transport = scripted([replies.http(200)])
    (result,) = deliver(transport, _page("no address"), change=change, counted=0)
    assert result.outcome is INVALID
    assert "must be an absolute http or https URL" in result.reason
    assert transport.requests == []


def test_a_request_that_can_never_be_sent_is_invalid(
    deliver: Deliver, scripted: Any, replies: Any
) -> None:
    """It is not tried again, is no outage of the partner, and takes no other of its batch along."""

    def partner(request: HttpRequest) -> HttpResponse | TransportError:
        if b":13" in (request.body or b""):
            return UnsendableError("the request cannot be sent: it is unlucky")
        answer: HttpResponse = replies.success(request)
        return answer

    transport = scripted([partner])
    results = deliver(transport, _track(1), _track(13), _track(3), counted=2)
    assert [result.outcome for result in results] == [DELIVERED, INVALID, DELIVERED]
    assert results[1].reason.endswith("the request cannot be sent: it is unlucky")
    assert (results[1].code, results[1].attempts) == ("BAD_REQUEST", 0)


def test_nothing_is_sent_after_a_stop(deliver: Deliver, scripted: Any, replies: Any) -> None:
    """What comes after it is ready as before, through plugin code as well."""
    stop = threading.Event()
    stop.set()
    transport = scripted([replies.http(200)])
    for event in (_track(1), _page(), _identify()):
        (result,) = deliver(transport, event, stop=stop)
        assert (result.outcome, result.attempts, result.maybe_applied) == (READY, 0, False)
    assert transport.requests == []


def test_a_stop_in_the_middle_of_a_split(deliver: Deliver, scripted: Any, replies: Any) -> None:
    """What was not tried alone is not called refused because the whole was."""
    stop = threading.Event()

    def partner(request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = replies.errors("BAD")
        if len(transport.requests) > 1:
            stop.set()
            answer = replies.success(request)
        return answer

    transport = scripted([partner])
    results = deliver(transport, _track(1), _track(2), stop=stop)
    assert [result.outcome for result in results] == [DELIVERED, READY]


FOUND = {"id": "u1", "name": "Ada"}


@pytest.mark.parametrize(
    ("user", "script", "outcome", "reason", "requests"),
    [
        ("u1", ["found"], DELIVERED, "found Ada", 1),
        ("u1", ["missing", "created"], DELIVERED, "created", 2),
        ("u1", ["lost"], READY, "no answer: timed out", 1),
        ("u1", ["missing", "lost"], UNKNOWN, "the answer was lost: timed out", 2),
        ("u1", ["missing", "refused"], READY, "no connection: refused", 2),
        ("u1", ["missing", "bad"], REJECTED, "no", 2),
        ("u1", ["who"], READY, "Who are you?", 1),
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
        ("checked", ["missing", "created", "refused"], UNKNOWN, "no connection: refused", 3),
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
    outcome: Status,
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
    if outcome is READY:
        assert result.retry is not None
    # What was carried out in part must not be sent again, whatever is preferred.
    assert result.applied_in_part is (outcome is UNKNOWN and script[1:2] == ["created"])


def test_plugin_code_runs_for_each_event(deliver: Deliver, scripted: Any, replies: Any) -> None:
    """Several events of one action have a result each, in order."""
    transport = scripted(
        [replies.data(FOUND), replies.errors(_own("BAD"), data=None), replies.data(FOUND)]
    )
    results = deliver(transport, _identify("a"), _identify("b"), _identify("c"))
    assert [result.outcome for result in results] == [DELIVERED, REJECTED, DELIVERED]


@pytest.mark.parametrize(
    ("error", "outcome", "code", "status"),
    [
        (RetryableError("later"), READY, "RETRYABLE_ERROR", 500),
        (APIError("no", 404), REJECTED, "NOT_FOUND", 404),
        (IntegrationError("no", "OWN_CODE", 418), REJECTED, "OWN_CODE", 418),
        (HeldError("5 or 7"), State.HELD, "CONFLICT", 409),
    ],
)
def test_errors_that_plugin_code_raises(
    bind: Bind, *, scripted: Any, error: IntegrationError, outcome: Status, code: str, status: int
) -> None:
    """One lets the event be tried again, one holds it, and any other refuses it for good."""

    def failing(payload: Payload) -> Generator[Call, Answer, Done]:
        yield from ()
        assert payload == {"id": "u1"}
        raise error

    plain = bind()
    destination = Destination(plain.definition, plain.settings, Code({"sync": failing}))
    (result,) = Sender(destination, scripted([])).deliver([_delivery(destination, _identify())])
    assert (result.outcome, result.reason) == (outcome, error.message)
    assert (result.code, result.status, result.attempts) == (code, status, 0)
    assert result.retry == (Retry(whole_request=False) if outcome is READY else None)


def test_what_is_held_after_a_request_that_must_not_be_repeated(
    bind: Bind, scripted: Any, replies: Any
) -> None:
    """The code has the last word on what was applied."""

    def holding(payload: Payload) -> Generator[Call, Answer, Done]:
        yield Call("create", payload)
        raise HeldError("created, or not")

    plain = bind()
    destination = Destination(plain.definition, plain.settings, Code({"sync": holding}))
    transport = scripted([replies.data({"id": "u1"})])
    (result,) = Sender(destination, transport).deliver([_delivery(destination, _identify())])
    assert (result.outcome, result.reason) == (State.HELD, "created, or not")
    assert result.maybe_applied


class _Resuming:
    """Plugin code that says how it was started."""

    def __call__(self, payload: Payload) -> Generator[Call, Answer, Done]:
        yield from ()
        return Done(f"{payload['id']} for the first time")

    def resume(self, payload: Payload) -> Generator[Call, Answer, Done]:
        yield from ()
        return Done(f"{payload['id']} once more")


@pytest.mark.parametrize(
    ("resumes", "note"), [(False, "u1 for the first time"), (True, "u1 once more")]
)
def test_plugin_code_that_resumes(bind: Bind, scripted: Any, resumes: bool, note: str) -> None:
    """It is told that an earlier attempt may have changed something, if it wants to know."""
    plain = bind()
    destination = Destination(plain.definition, plain.settings, Code({"sync": _Resuming()}))
    delivery = _delivery(destination, _identify())
    delivery.resumes = resumes
    (result,) = Sender(destination, scripted([])).deliver([delivery])
    assert result.reason == note


@pytest.mark.parametrize(
    ("script", "changed"),
    [
        (["found"], False),
        (["lost"], False),  # only asked
        (["missing", "created"], True),
        (["missing", "lost"], True),
        (["missing", "refused"], False),  # never sent
        (["missing", "bad"], False),
    ],
)
def test_what_plugin_code_may_have_changed(
    deliver: Deliver, scripted: Any, replies: Any, script: list[str], changed: bool
) -> None:
    """A question changes nothing, whatever becomes of it."""
    answers = {
        "found": replies.data(FOUND),
        "created": replies.data({"id": "u1"}),
        "missing": replies.errors(_own("MISSING"), data=None),
        "bad": replies.errors(_own("BAD"), data=None),
        "lost": replies.lost,
        "refused": replies.refused,
    }
    (result,) = deliver(scripted([answers[name] for name in script]), _identify())
    assert result.maybe_applied is changed


def test_what_plugin_code_leaves_to_an_operator(bind: Bind, scripted: Any) -> None:
    """The change that it names is part of the result."""
    change = ManualChange("u1", {"name": "Ada"})

    def leaving(payload: Payload) -> Generator[Call, Answer, Done]:
        yield from ()
        assert payload == {"id": "u1"}
        return Done("as good as done", change)

    plain = bind()
    destination = Destination(plain.definition, plain.settings, Code({"sync": leaving}))
    (result,) = Sender(destination, scripted([])).deliver([_delivery(destination, _identify())])
    assert (result.outcome, result.manual) == (DELIVERED, change)


def _whole_payload(documents: Any) -> None:
    """Makes the one variable, and the JSON of a REST call, the whole payload."""
    requests = documents["destination"]["requests"]
    requests["count"]["graphql"] = {
        "document": "mutation ($all: Input!) { count(all: $all) { done why } }",
        "variables": {"all": {"@path": "$.payload"}},
    }
    requests["save"]["rest"] = {
        "method": "PUT",
        "url": "http://127.0.0.1:9/pages",
        "json": {"@path": "$.payload"},
    }


@pytest.mark.parametrize("event", [_track(7), _page('ž\u2028"<>')], ids=["graphql", "rest"])
def test_the_bytes_of_a_payload_make_the_same_request(
    bind: Bind, scripted: Any, replies: Any, event: dict[str, Any]
) -> None:
    """A payload that was kept as JSON is spliced in, without event, and nothing else differs."""
    destination = bind(_whole_payload)
    whole = _delivery(destination, event)
    kept = Delivery(whole.subscription, payload_json=encode_json(whole.payload))
    assert whole.subscription.action.takes_payload_bytes
    answer = replies.data({"done": True}) if event["type"] == "track" else replies.http(200)
    transport = scripted([answer])
    for delivery in (whole, kept):
        (result,) = Sender(destination, transport).deliver([delivery])
        assert result.outcome is DELIVERED
    first, second = transport.requests
    assert first == second


def test_kept_and_new_payloads_share_a_request(bind: Bind, scripted: Any, replies: Any) -> None:
    """A batch may hold some as bytes and some as values."""

    def count_done(request: HttpRequest) -> HttpResponse:
        variables = json.loads(request.body or b"")["variables"]
        answer: HttpResponse = replies.data(*[{"done": True}] * len(variables))
        return answer

    destination = bind(_whole_payload)
    deliveries = [_delivery(destination, _track(by)) for by in range(3)]
    deliveries[1] = Delivery(
        deliveries[1].subscription, payload_json=encode_json(deliveries[1].payload)
    )
    transport = scripted([count_done])
    results = Sender(destination, transport).deliver(deliveries)
    assert [result.outcome for result in results] == [DELIVERED] * 3
    assert transport.variables == [{f"all_{by}": {"by": by, "thing": "t"} for by in range(3)}]


def test_a_kept_payload_is_read_where_a_request_needs_it(
    bind: Bind, scripted: Any, replies: Any
) -> None:
    """Mappings see payload and event as they were, from their bytes."""
    destination = bind()
    event = _page("home")
    key = SubscriptionKey("Pages", "save")
    kept = Delivery(
        destination.by_key[key], payload_json=b'{"page":"home"}', raw=json.dumps(event).encode()
    )
    transport = scripted([replies.http(200)])
    (result,) = Sender(destination, transport).deliver([kept])
    assert result.outcome is DELIVERED
    (request,) = transport.requests
    assert (request.url, request.body) == ("http://127.0.0.1:9/pages/home", b'{"by":"u1"}')


def test_a_kept_payload_that_cannot_be_read(bind: Bind, scripted: Any, replies: Any) -> None:
    """Its event is invalid, and those beside it in the batch are sent."""
    destination = bind()
    subscription = destination.by_key[SubscriptionKey("Counts", "count")]
    deep = Delivery(subscription, payload_json=b"[" * 5_000 + b"]" * 5_000)
    transport = scripted([replies.success])
    results = Sender(destination, transport).deliver([deep, _delivery(destination, _track(7))])
    assert [result.outcome for result in results] == [Outcome.INVALID, DELIVERED]
    assert "the body is nested too deeply to be read as JSON" in results[0].reason
    assert transport.variables == [{"by_0": 7}]


class _Counting:
    """Payloads to ask for, and a partner who knows all but those that it does not."""

    def __init__(self, replies: Any, **special: Any) -> None:
        self.replies = replies
        self.special = special

    def __call__(self, request: HttpRequest) -> HttpResponse:
        variables = json.loads(request.body or b"")["variables"]
        asked = [variables[name] for name in sorted(variables)]
        whole = [self.special[one] for one in asked if one in self.special]
        answer: HttpResponse
        if whole and isinstance(whole[0], HttpResponse):
            return whole[0]
        data = {
            f"e{n}": None if one in self.special else {"id": one} for n, one in enumerate(asked)
        }
        errors = [_own(self.special[one], n) for n, one in enumerate(asked) if one in self.special]
        answer = self.replies.errors(*errors, data=data)
        return answer


def _find_in_pairs(documents: Any) -> None:
    documents["destination"]["requests"]["find"]["batch"] = {"size": 2}


def test_questions_travel_in_batches(bind: Bind, scripted: Any, replies: Any) -> None:
    """Each payload has its answer, in order, and a request carries as many as it can."""
    transport = scripted([_Counting(replies, b="MISSING")])
    found = Sender(bind(_find_in_pairs), transport).ask("find", [{"id": one} for one in "abcde"])
    assert found == [
        Answer("missing") if one == "b" else Answer("ok", {"id": one}) for one in "abcde"
    ]
    assert [len(variables) for variables in transport.variables] == [2, 2, 1]


def test_an_answer_that_another_hid_is_asked_for_alone(
    bind: Bind, scripted: Any, replies: Any
) -> None:
    """Where the partner spoke of some, the others are asked for again, each by itself."""
    hidden = replies.errors(_own("BAD", 0), data=None)

    def partner(request: HttpRequest) -> HttpResponse:
        several = len(json.loads(request.body or b"")["variables"]) > 1
        answer: HttpResponse = hidden if several else replies.data({"id": "b"})
        return answer

    transport = scripted([partner])
    first, second = Sender(bind(_find_in_pairs), transport).ask("find", [{"id": "a"}, {"id": "b"}])
    assert isinstance(first, Failure)
    assert (first.error_class, first.whole_request) == ("invalid", False)
    assert second == Answer("ok", {"id": "b"})
    assert transport.variables == [{"id_0": "a", "id_1": "b"}, {"id_0": "b"}]


def _find_in(size: int) -> Callable[[Any], None]:
    def change(documents: Any) -> None:
        documents["destination"]["requests"]["find"]["batch"] = {"size": size}

    return change


@pytest.mark.parametrize("reply", ["lost", "503", "500", "400", "403", "whole", "cut"])
@pytest.mark.parametrize("bad", ["0", "9", "4", "49", "0 1", "0 25", "7 8 9", "3 19 31 46"])
def test_a_question_that_fails_takes_no_other_with_it(
    bind: Bind, scripted: Any, replies: Any, reply: str, bad: str
) -> None:
    """Whatever happens to the requests that hold it: the others are told, in halves of halves."""
    poison = set(bad.split())
    answer = getattr(replies, reply, None) or (
        replies.http(200, {"errors": [{"message": "?"}]})
        if reply == "whole"
        else replies.http(200, b'{"da')
        if reply == "cut"
        else replies.http(int(reply), {"message": "no"})
    )

    def partner(request: HttpRequest) -> Any:
        asked = json.loads(request.body or b"")["variables"]
        values = [asked[f"id_{n}"] for n in range(len(asked))]
        return answer if poison & set(values) else replies.data(*({"id": one} for one in values))

    transport = scripted([partner])
    names = [str(number) for number in range(50)]
    found = Sender(bind(_find_in(50)), transport).ask("find", [{"id": one} for one in names])
    told = {one for one, it in zip(names, found, strict=True) if it == Answer("ok", {"id": one})}
    assert told == set(names) - poison
    assert len(transport.requests) <= 1 + 12 * len(poison)


@pytest.mark.parametrize(
    ("reply", "most"),
    # What was refused before it was sent, or says who asks or how often, hides no answer.
    [("lost", 16), ("503", 16), ("refused", 1), ("401", 1), ("429", 1)],
)
def test_a_partner_who_answers_nobody_is_not_asked_for_each(
    bind: Bind, scripted: Any, replies: Any, api_key: str, reply: str, most: int
) -> None:
    """A failure of the whole request is that of each payload, without its secrets."""
    answer = getattr(replies, reply, None) or replies.http(int(reply), {"message": f"no {api_key}"})
    transport = scripted([answer])
    payloads = [{"id": str(number)} for number in range(500)]
    found = Sender(bind(_find_in(500)), transport).ask("find", payloads)
    assert all(isinstance(one, Failure) and one.whole_request for one in found)
    assert not any(api_key in one.message for one in found if isinstance(one, Failure))
    assert len(transport.requests) == most
    unasked = {one.message for one in found if isinstance(one, Failure) and not one.made}
    assert unasked <= {"no request was made, as the partner did not answer others before it"}


def test_a_partner_who_lets_everybody_wait_is_not_asked_for_each(
    bind: Bind, scripted: Any, replies: Any
) -> None:
    """A question that takes the whole time of a request is not halved for ever."""
    clock = StillClock()

    def partner(_request: HttpRequest) -> Any:
        clock.now += 30.0
        return replies.lost

    transport = scripted([partner])
    payloads = [{"id": str(number)} for number in range(500)]
    Sender(bind(_find_in(500)), transport, clock=clock).ask("find", payloads)
    assert len(transport.requests) == 2


def test_a_question_that_cannot_be_made(bind: Bind, scripted: Any, replies: Any) -> None:
    """It fails alone, and the others are asked."""
    transport = scripted([_Counting(replies)])
    first, second = Sender(bind(), transport).ask("find", [{"id": "\ud800"}, {"id": "b"}])
    assert isinstance(first, Failure)
    assert not first.retryable
    assert "the request find cannot be made: " in first.message
    assert second == Answer("ok", {"id": "b"})


def test_nothing_is_asked_after_a_stop(bind: Bind, scripted: Any) -> None:
    """Then every payload has a failure that may pass, and that is not the partner's."""
    stop = threading.Event()
    stop.set()
    found = Sender(bind(), scripted([]), stop=stop).ask("find", [{"id": "a"}, {"id": "b"}])
    for one in found:
        assert isinstance(one, Failure)
        assert (one.retryable, one.made) == (True, False)
        assert one.message == "no request was made: stopped first"


@pytest.fixture
def remembering(bind: Bind) -> Destination:
    """A destination where the answer of ``find`` holds for everybody."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["find"]["remember"] = True

    return bind(change)


def test_an_answer_is_remembered(remembering: Destination, scripted: Any, replies: Any) -> None:
    """The second time nothing is sent, and what was found out is left with the caller."""
    answers: dict[str, Any] = {}
    transport = scripted([replies.data(FOUND)])
    sender = Sender(remembering, transport, answers=answers)
    for _ in range(3):
        assert sender.ask("find", [{"id": "u1"}]) == [Answer("ok", FOUND)]
    assert len(transport.requests) == sender.requests_sent == 1
    assert answers == {"find": FOUND}


def test_an_answer_of_an_earlier_run_is_used(remembering: Destination, scripted: Any) -> None:
    """What is known is not asked again, whatever it says."""
    sender = Sender(remembering, scripted([]), answers={"find": None})
    assert sender.ask("find", [{"id": "u1"}]) == [Answer("ok", None)]
    assert sender.requests_sent == 0


@pytest.mark.parametrize("name", ["missing", "failure"])
def test_only_successes_are_remembered(
    remembering: Destination, scripted: Any, replies: Any, name: str
) -> None:
    """An answer of another name, or none, is asked for again."""
    first = replies.errors(_own("MISSING"), data=None) if name == "missing" else replies.http(400)
    transport = scripted([first, replies.data(FOUND)])
    sender = Sender(remembering, transport)
    verdicts = [sender.ask("find", [{"id": "u1"}])[0] for _ in range(3)]
    assert (
        verdicts[0] == Answer("missing") if name == "missing" else isinstance(verdicts[0], Failure)
    )
    assert verdicts[1:] == [Answer("ok", FOUND)] * 2
    assert len(transport.requests) == 2


def test_other_answers_are_not_kept(bind: Bind, scripted: Any, replies: Any) -> None:
    """A request that does not say so is sent every time."""
    answers: dict[str, Any] = {}
    transport = scripted([replies.data(FOUND)])
    sender = Sender(bind(), transport, answers=answers)
    for _ in range(3):
        sender.ask("find", [{"id": "u1"}])
    assert len(transport.requests) == 3
    assert answers == {}


@pytest.mark.parametrize(
    ("reply", "message"),
    [("ok", None), ("401", "HTTP 401: wrong ***"), ("refused", "no connection: refused")],
)
def test_the_test_of_credentials(
    bind: Bind, *, scripted: Any, replies: Any, api_key: str, reply: str, message: str | None
) -> None:
    """The request of the definition tells whether they are valid, or why that is not known."""
    answers = {
        "ok": replies.data(FOUND),
        "401": replies.http(401, {"message": f"wrong {api_key}"}),
        "refused": replies.refused,
    }
    failure = Sender(bind(), scripted([answers[reply]])).test_credentials()
    assert (None if failure is None else failure.message) == message


def test_credentials_that_nothing_tests(bind: Bind, scripted: Any) -> None:
    """A definition without such a request is told, and nothing is sent."""

    def change(documents: Any) -> None:
        del documents["destination"]["authentication"]

    with pytest.raises(UsageError, match="Sample has no authentication test"):
        Sender(bind(change), scripted([])).test_credentials()


def _asking(name: str, **payload: Any) -> Generator[Call, Answer, object]:
    answer = yield Call(name, payload)
    return answer.data


@pytest.mark.parametrize(
    ("name", "script", "waits"),
    [
        ("find", ["ok"], []),
        ("find", ["lost", "503", "ok"], [0.5, 1.0]),
        ("find", ["429", "ok"], [7.0]),
        ("create", ["refused", "ok"], [0.5]),
    ],
)
def test_code_outside_of_events(
    bind: Bind,
    *,
    scripted: Any,
    replies: Any,
    clock: Any,
    name: str,
    script: list[str],
    waits: list[float],
) -> None:
    """A request that may succeed later is made again, a few times, unless it could do harm."""
    answers = {
        "ok": replies.data(FOUND),
        "lost": replies.lost,
        "refused": replies.refused,
        "429": replies.http(429, retry_after="7"),
    }
    transport = scripted([answers.get(one) or replies.http(int(one)) for one in script])
    assert Sender(bind(), transport, clock=clock).perform(_asking(name, id="u1")) == FOUND
    assert clock.waits == waits
    assert len(transport.requests) == len(script)


@pytest.mark.parametrize(
    ("name", "reply", "error", "requests"),
    [
        ("find", "lost", SelfTimeoutError, 4),
        ("find", "503", APIError, 4),
        ("find", "404", APIError, 1),
        ("find", "401", InvalidAuthenticationError, 1),
        ("create", "lost", SelfTimeoutError, 1),
        ("create", "503", APIError, 1),
    ],
)
def test_code_outside_of_events_that_fails(
    bind: Bind,
    *,
    scripted: Any,
    replies: Any,
    clock: Any,
    api_key: str,
    name: str,
    reply: str,
    error: type[IntegrationError],
    requests: int,
) -> None:
    """What fails all the same is raised as Segment's framework would, without secrets."""
    answer = getattr(replies, reply, None) or replies.http(int(reply), {"message": api_key})
    transport = scripted([answer])
    with pytest.raises(error) as caught:
        Sender(bind(), transport, clock=clock).perform(_asking(name, id="u1"))
    assert type(caught.value) is error
    assert api_key not in str(caught.value) + caught.value.message
    assert len(transport.requests) == requests


def test_code_outside_of_events_whose_request_cannot_be_made(bind: Bind, scripted: Any) -> None:
    """That is the caller's fault, and the generator is closed."""
    closed: list[bool] = []

    def steps() -> Generator[Call, Answer, None]:
        try:
            yield Call("find", {"id": "\ud800"})
        finally:
            closed.append(True)

    with pytest.raises(UsageError, match="the request find cannot be made"):
        Sender(bind(), scripted([])).perform(steps())
    assert closed == [True]


def test_a_stop_ends_code_outside_of_events(
    bind: Bind, scripted: Any, replies: Any, clock: Any
) -> None:
    """It waits no longer, and what it asked for is not made again."""
    clock.stop_at = 0.5
    transport = scripted([replies.lost])
    with pytest.raises(SelfTimeoutError):
        Sender(bind(), transport, clock=clock).perform(_asking("find", id="u1"))
    assert len(transport.requests) == 1
