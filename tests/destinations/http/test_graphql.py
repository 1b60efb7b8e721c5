"""GraphQL requests: what is sent for a batch, and what an answer means for each of its events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition import (
    GraphQLDefinition,
    RequestDefinition,
    RetryDefinition,
    Timeouts,
    TransportDefinition,
)
from destinations.errors import ResolveError
from destinations.http import Answer, CompiledRequest, Failure, HttpResponse, Part, compile_request
from destinations.http.json_bytes import encode_json

Compiled = Callable[..., CompiledRequest]
DONE = {"done": True}


def _error(code: str, *path: object, message: str = "no") -> dict[str, Any]:
    return {"message": message, "path": list(path), "extensions": {"code": code}}


def _kind(verdict: Answer | Failure) -> str:
    if isinstance(verdict, Answer):
        return verdict.name
    name = verdict.error_class.upper() if verdict.whole_request else verdict.error_class
    mark = "?"
    if verdict.nothing_applied:
        mark = "+" if verdict.retryable else "!"
    return name + mark


def test_a_request_carries_a_batch(compiled: Compiled, context: dict[str, Any]) -> None:
    """One document with an alias and variables for each event, in order."""
    request = compiled("count").prepare([{"by": b"2"}, {"by": b"3"}], context)
    assert (request.method, request.url) == ("POST", "https://example.com/graphql")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == "Bearer sk_test_0123456789"
    body = json.loads(request.body or b"")
    assert body["variables"] == {"by_0": 2, "by_1": 3}
    assert "e0: count(by: $by_0)" in body["query"]
    assert "e1: count(by: $by_1)" in body["query"]


def test_variables_are_mapped(compiled: Compiled, context: dict[str, Any]) -> None:
    """A variable that is undefined is left out, one that is null is sent."""
    request = compiled("count")
    assert request.part(context) == {"by": b"2"}
    parts: list[Part | bytes] = [{"by": b"null"}, {}, {"by": b"1"}]
    body = json.loads(request.prepare(parts, context).body or b"")
    assert body["variables"] == {"by_0": None, "by_2": 1}
    del context["payload"]["by"]
    assert request.part(context) == {}


@pytest.mark.parametrize(
    ("status", "body", "kinds"),
    [
        # Each event by its own alias.
        (200, {"data": {"e0": DONE, "e1": DONE}}, ["ok", "ok"]),
        (200, {"data": {"e0": DONE}}, ["ok", "internal?"]),
        (200, {"data": {"e0": DONE, "e1": None}}, ["ok", "internal?"]),
        (200, {"data": {"e0": DONE, "e1": {"done": "yes"}}}, ["ok", "internal?"]),
        (200, {"data": {"e0": DONE, "e1": {"done": False, "why": "x"}}}, ["ok", "invalid!"]),
        (200, {"data": {"e0": DONE, "e1": {"done": 1}}}, ["ok", "internal?"]),
        (200, {"data": {"e1": DONE, "e0": DONE, "e2": DONE}}, ["ok", "ok"]),
        # Errors whose path begins with the alias.
        (
            200,
            {"data": {"e0": DONE, "e1": None}, "errors": [_error("BAD", "e1")]},
            ["ok", "invalid!"],
        ),
        (
            200,
            {"data": {"e0": DONE, "e1": None}, "errors": [_error("BUSY", "e1")]},
            ["ok", "unavailable+"],
        ),
        (
            200,
            {"data": {"e0": DONE, "e1": None}, "errors": [_error("OTHER", "e1")]},
            ["ok", "internal?"],
        ),
        (
            200,
            {"data": {"e0": DONE, "e1": {"done": True}}, "errors": [_error("BAD", "e1", "why")]},
            ["ok", "invalid!"],
        ),
        (
            200,
            {"errors": [_error("BAD", "e1"), _error("BUSY", "e1"), _error("BUSY", "e0")]},
            ["unavailable+", "invalid!"],
        ),
        # Errors of the whole: only what has no data was refused before anything ran.
        (200, {"errors": [{"message": "x", "extensions": {"code": "BAD"}}]}, ["INVALID!"] * 2),
        (
            200,
            {"data": None, "errors": [{"message": "x", "extensions": {"code": "BAD"}}]},
            ["INVALID?"] * 2,
        ),
        (
            200,
            {"data": {"e0": DONE}, "errors": [{"message": "x", "extensions": {"code": "BAD"}}]},
            ["ok", "INVALID?"],
        ),
        (200, {"data": None, "errors": [_error("BAD", "e0")]}, ["invalid!", "INTERNAL?"]),
        (200, {"errors": [_error("BAD", "other")]}, ["INVALID!"] * 2),
        (200, {"errors": [_error("BAD", 0)]}, ["INVALID!"] * 2),
        (200, {"errors": [{"message": "Who are you?"}]}, ["AUTHENTICATION!"] * 2),
        (200, {"data": None, "errors": [{"message": "Who are you?"}]}, ["AUTHENTICATION!"] * 2),
        (200, {"errors": [{}]}, ["INTERNAL?"] * 2),
        (200, {"errors": [{"message": 7, "extensions": [], "path": "e0"}]}, ["INTERNAL?"] * 2),
        # Answers that prove nothing.
        (200, {"data": None}, ["INTERNAL?"] * 2),
        (200, {"data": []}, ["INTERNAL?"] * 2),
        (200, {}, ["INTERNAL?"] * 2),
        (200, {"errors": []}, ["INTERNAL?"] * 2),
        (200, {"errors": ["BAD"]}, ["INTERNAL?"] * 2),
        (200, [], ["INTERNAL?"] * 2),
        (200, None, ["INTERNAL?"] * 2),
        (200, b"<html>", ["INTERNAL?"] * 2),
        (200, b"", ["INTERNAL?"] * 2),
        (200, b'{"data": {"e0": {"done"', ["INTERNAL?"] * 2),
        # Other statuses are of the whole request.
        (400, {"errors": [{"message": "x", "extensions": {"code": "BUSY"}}]}, ["UNAVAILABLE+"] * 2),
        (400, {"errors": [{"message": "Who are you?"}]}, ["AUTHENTICATION!"] * 2),
        (400, {"data": {"e0": DONE, "e1": DONE}}, ["INVALID?"] * 2),
        (401, b"", ["AUTHENTICATION!"] * 2),
        (302, b"", ["INVALID?"] * 2),
        (429, b"slow down", ["RATE_LIMIT+"] * 2),
        (500, {"data": {"e0": DONE, "e1": DONE}}, ["UNAVAILABLE?"] * 2),
        (502, b"<html>", ["UNAVAILABLE?"] * 2),
    ],
)
def test_answers(
    compiled: Compiled, replies: Any, status: int, body: object, kinds: list[str]
) -> None:
    """What an answer means for each of two events.

    In ``kinds`` a failure is its class: in capitals if it is of the whole request, ``!`` if nothing
    was applied, ``+`` if it may be tried again besides, ``?`` if nothing is certain.
    """
    verdicts = compiled("count").read(replies.http(status, body), 2)
    found = [_kind(verdict).replace("INTERNAL?", "internal?") for verdict in verdicts]
    assert found == [text.replace("INTERNAL?", "internal?") for text in kinds]


def test_the_value_of_an_answer(compiled: Compiled, replies: Any) -> None:
    """A success brings the root field's value; an error that is an answer brings its name."""
    request = compiled("find")
    person = {"id": "u1", "name": "Ada"}
    assert request.read(replies.data(person), 1) == [Answer("ok", person)]
    assert request.read(replies.errors(_error("MISSING", "e0"), data=None), 1) == [
        Answer("missing")
    ]
    (failure,) = request.read(replies.errors(_error("MISSED", "e0"), data=None), 1)
    assert isinstance(failure, Failure)


MOVE = {
    "document": """mutation Move($id: ID!, $by: Int) {
        claim: rename(id: $id) { id } move: count(by: $by) { done why }
    }""",
    "variables": {"id": {"@path": "$.event.userId"}, "by": {"@path": "$.payload.by"}},
}
MOVED = {"type": "object", "properties": {"move": {"properties": {"done": {"const": True}}}}}
FULL = {"type": "object", "properties": {"move": {"properties": {"done": {"const": False}}}}}
ANSWERS = [
    {"name": "claimed", "when": {"code": "BAD", "rootField": "claim"}},
    {"name": "stuck", "when": {"code": "STUCK"}},
]
CLAIM = {"id": "u1"}


@pytest.fixture
def moving(compiled: Compiled) -> Callable[..., CompiledRequest]:
    """A request with two root fields, as a mutation or as a query."""

    def make(kind: str = "mutation") -> CompiledRequest:
        return compiled(
            "count",
            graphql={**MOVE, "document": MOVE["document"].replace("mutation", kind)},  # type: ignore[attr-defined] # the document is text
            answers=ANSWERS,
            expect=MOVED,
            refusals=[{"when": FULL, "message": {"@template": "full: {{answer.move.why}}"}}],
        )

    return make


def test_several_root_fields_are_sent_in_order(
    moving: Callable[..., CompiledRequest], context: dict[str, Any]
) -> None:
    """Each event has both, one after the other, under aliases of its own."""
    request = moving()
    parts = [request.part(context)] * 2
    body = json.loads(request.prepare(parts, context).body or b"")
    assert body["variables"] == {"id_0": "u1", "by_0": 2, "id_1": "u1", "by_1": 2}
    found = [line.split("(")[0] for line in body["query"].splitlines() if ": " in line]
    assert found[1:] == ["e0_claim: rename", "e0_move: count", "e1_claim: rename", "e1_move: count"]


# The answer to two events; what each comes to (as in `test_answers`), and the data of an answer.
SEVERAL: dict[str, tuple[Any, list[str], list[Any]]] = {
    "all is done": (
        {"data": {"e0_claim": CLAIM, "e0_move": DONE, "e1_claim": CLAIM, "e1_move": DONE}},
        ["ok", "ok"],
        [{"claim": CLAIM, "move": DONE}] * 2,
    ),
    "one is missing": (
        {"data": {"e0_claim": CLAIM, "e0_move": DONE, "e1_claim": CLAIM}},
        ["ok", "INTERNAL?"],
        [{"claim": CLAIM, "move": DONE}, None],
    ),
    "one is null": (
        {"data": {"e0_claim": None, "e0_move": DONE, "e1_claim": CLAIM, "e1_move": DONE}},
        ["INTERNAL?", "ok"],
        [None, {"claim": CLAIM, "move": DONE}],
    ),
    "one is refused": (
        {
            "data": {
                "e0_claim": CLAIM,
                "e0_move": {"done": False, "why": "x"},
                "e1_claim": CLAIM,
                "e1_move": DONE,
            }
        },
        ["invalid?", "ok"],
        [None, {"claim": CLAIM, "move": DONE}],
    ),
    "the first fails, and nothing runs": (
        {"data": None, "errors": [_error("BUSY", "e0_claim")]},
        ["unavailable+", "INTERNAL?"],
        [None, None],
    ),
    "the first fails, and the second is carried out": (
        {"data": {"e0_claim": None, "e0_move": DONE}, "errors": [_error("BUSY", "e0_claim")]},
        ["unavailable?", "INTERNAL?"],
        [None, None],
    ),
    "the second fails, behind what is done": (
        {"data": None, "errors": [_error("BUSY", "e0_move")]},
        ["unavailable?", "INTERNAL?"],
        [None, None],
    ),
    "the second fails alone": (
        {
            "data": {"e0_claim": CLAIM, "e0_move": None, "e1_claim": CLAIM, "e1_move": DONE},
            "errors": [_error("BAD", "e0_move")],
        },
        ["invalid?", "ok"],
        [None, {"claim": CLAIM, "move": DONE}],
    ),
    "both fail, and the first decides": (
        {
            "data": {"e0_claim": None, "e0_move": None},
            "errors": [_error("BUSY", "e0_move"), _error("BAD", "e0_claim")],
        },
        ["claimed", "INTERNAL?"],
        [{"claim": None, "move": None}, None],
    ),
    "an answer of one root field": (
        {"data": None, "errors": [_error("BAD", "e1_claim")]},
        ["INTERNAL?", "claimed"],
        [None, {"claim": None, "move": None}],
    ),
    "an answer of any root field": (
        {
            "data": {"e0_claim": CLAIM, "e0_move": None, "e1_claim": CLAIM, "e1_move": DONE},
            "errors": [_error("STUCK", "e0_move", "why")],
        },
        ["stuck", "ok"],
        [{"claim": CLAIM, "move": None}, {"claim": CLAIM, "move": DONE}],
    ),
    "an error of no root field": (
        {"errors": [_error("BAD", "e0")]},
        ["INVALID!", "INVALID!"],
        [None, None],
    ),
    "an answer of the whole": (
        {"errors": [_error("STUCK")]},
        ["stuck", "stuck"],
        [{"claim": None, "move": None}] * 2,
    ),
    "the credentials": (
        {"errors": [{"message": "Who are you?"}]},
        ["AUTHENTICATION!", "AUTHENTICATION!"],
        [None, None],
    ),
}


@pytest.mark.parametrize(("body", "kinds", "data"), SEVERAL.values(), ids=SEVERAL)
def test_answers_of_several_root_fields(
    moving: Callable[..., CompiledRequest],
    replies: Any,
    body: object,
    kinds: list[str],
    data: list[Any],
) -> None:
    """All must succeed; nothing is vouched for where another one was, or may have been, applied."""
    verdicts = moving().read(replies.http(200, body), 2)
    assert [_kind(verdict) for verdict in verdicts] == kinds
    assert [verdict.data if isinstance(verdict, Answer) else None for verdict in verdicts] == data


def test_a_query_changes_nothing(moving: Callable[..., CompiledRequest], replies: Any) -> None:
    """A rule may say of a query that nothing was applied, whichever of its root fields failed."""
    error = _error("BUSY", "e0_move")
    reply = replies.http(200, {"data": None, "errors": [error]})
    assert [_kind(verdict) for verdict in moving("query").read(reply, 1)] == ["unavailable+"]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, {"errors": [{"message": "two\n  lines"}]}, "two lines"),
        (200, {"errors": [{"message": "x" * 5000}]}, "x" * 5000),
        (200, {"errors": [{}]}, "an error without a message"),
        (200, {"errors": [{"message": " \n"}]}, "an error without a message"),
        (200, {"errors": [{"extensions": {"exception": {"message": "deep"}}}]}, "deep"),
        (200, {"data": {"e0": {"done": False, "why": "full"}}}, "not counted: full"),
        (200, {"data": {"e0": {"done": 1}}}, "the answer is not the expected one"),
        (200, {"data": {}}, "the answer has no value for this event"),
        (200, b"<html>", "not a GraphQL answer: expected data or errors"),
        (503, b"down", "HTTP 503: down"),
        (400, {"errors": [{"message": "bad input"}]}, "HTTP 400: bad input"),
        (400, b"", "HTTP 400"),
    ],
)
def test_messages(
    compiled: Compiled, replies: Any, status: int, body: object, message: str
) -> None:
    """One line that says what the partner said, of bounded length."""
    (failure,) = compiled("count").read(replies.http(status, body), 1)
    assert isinstance(failure, Failure)
    assert failure.message == message


def test_a_rate_limit_says_when_to_come_back(compiled: Compiled) -> None:
    """``Retry-After`` is kept with the failure."""
    (failure,) = compiled("count").read(HttpResponse(429, {"retry-after": "7"}, b""), 1)
    assert isinstance(failure, Failure)
    assert failure.retry_after == 7.0


@pytest.mark.parametrize("value", ["\ud800", float("inf"), float("nan"), {"deep": ["\udfff"]}])
def test_what_json_cannot_hold_is_not_sent(
    compiled: Compiled, context: dict[str, Any], value: object
) -> None:
    """A mapping can make such values; the request is refused instead of failing the run."""
    context["payload"]["by"] = value
    with pytest.raises(ResolveError, match="body"):
        compiled("count").part(context)


WHOLE_PAYLOAD: dict[str, Any] = {
    "document": "mutation ($all: Input!) { count(all: $all) { done why } }",
    "variables": {"all": {"@path": "$.payload"}},
}


@pytest.mark.parametrize(
    ("graphql", "takes"),
    [
        (WHOLE_PAYLOAD, True),
        ({**WHOLE_PAYLOAD, "variables": {"all": {"@path": "payload"}}}, True),
        ({**WHOLE_PAYLOAD, "variables": {"all": {"@path": "$.payload.thing"}}}, False),
        ({**WHOLE_PAYLOAD, "variables": {"all": {"by": {"@path": "$.payload"}}}}, False),
        ({**WHOLE_PAYLOAD, "variables": {"all": {"@path": "$.event"}}}, False),
        (
            {
                "document": "mutation ($all: Input!, $by: Int) { count(all: $all, by: $by) { a } }",
                "variables": {"all": {"@path": "$.payload"}, "by": 1},
            },
            False,
        ),
    ],
)
def test_which_requests_take_a_payload_as_bytes(
    compiled: Compiled, graphql: dict[str, Any], takes: bool
) -> None:
    """Those whose one variable is the payload, and nothing else of an event is in them."""
    assert compiled("count", graphql=graphql).takes_payload_bytes is takes


COUNT = compile_request(
    RequestDefinition(
        "count",
        "Counts.",
        idempotent=False,
        call=GraphQLDefinition(WHOLE_PAYLOAD["document"], WHOLE_PAYLOAD["variables"]),
        batch_size=4,
    ),
    TransportDefinition(
        {"@path": "$.settings.endpoint"},
        {"Authorization": {"@template": "Bearer {{settings.apiKey}}"}},
        Timeouts(1, 1, 1),
        RetryDefinition(1, 1, 1),
        1,
    ),
    (),
)
PAYLOADS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=4))
def test_spliced_payloads_make_the_same_body(payloads: list[dict[str, Any]]) -> None:
    """The bytes of payloads give, in their places, what the payloads themselves give."""
    settings = {"apiKey": "key", "endpoint": "https://example.com/graphql"}
    contexts = [{"event": {}, "payload": one, "settings": settings} for one in payloads]
    whole = COUNT.prepare([COUNT.part(context) for context in contexts], contexts[0])
    spliced = COUNT.prepare([encode_json(one) for one in payloads], {"settings": settings})
    assert spliced == whole
    variables = json.loads(spliced.body or b"")["variables"]
    assert list(variables.values()) == payloads
