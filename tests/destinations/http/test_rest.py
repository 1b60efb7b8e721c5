"""REST requests: what is sent, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.http import Answer, CompiledRequest, Failure
from destinations.http.json_bytes import encode_json
from destinations.secrets import Secret

Compiled = Callable[..., CompiledRequest]
URL = "https://example.com/pages"


def _send(request: CompiledRequest, context: dict[str, Any]) -> Any:
    return request.prepare([request.part(context)], context)


@pytest.mark.parametrize(
    ("rest", "url", "content_type", "body"),
    [
        ({"method": "GET", "url": URL}, URL, None, None),
        (
            {"method": "GET", "url": URL, "query": {"a": {"@path": "$.payload.by"}, "b": "ž &"}},
            f"{URL}?a=2&b=%C5%BE+%26",
            None,
            None,
        ),
        (
            {"method": "GET", "url": f"{URL}?x=1", "query": {"a": True}},
            f"{URL}?x=1&a=true",
            None,
            None,
        ),
        (
            {"method": "GET", "url": URL, "query": {"a": None, "b": {"@path": "$.payload.none"}}},
            URL,
            None,
            None,
        ),
        (
            {
                "method": "POST",
                "url": URL,
                "json": {"who": {"@path": "$.event.userId"}, "what": None},
            },
            URL,
            "application/json",
            b'{"who":"u1","what":null}',
        ),
        (
            {
                "method": "POST",
                "url": URL,
                "form": {"who": {"@path": "$.event.userId"}, "what": None},
            },
            URL,
            "application/x-www-form-urlencoded",
            b"who=u1",
        ),
        (
            {
                "method": "PATCH",
                "url": URL,
                "json": [1],
                "headers": {"content-type": "application/merge-patch+json"},
            },
            URL,
            "application/merge-patch+json",
            b"[1]",
        ),
        ({"method": "DELETE"}, "https://example.com/graphql", None, None),
        # Without a body nothing says of which type it is.
        (
            {
                "method": "PUT",
                "url": URL,
                "json": {"@path": "$.payload.none"},
                "headers": {"Content-TYPE": "application/vnd.example+json"},
            },
            URL,
            None,
            None,
        ),
        ({"method": "PUT", "url": URL, "json": {"@literal": None}}, URL, None, None),
    ],
)
def test_requests(
    compiled: Compiled,
    context: dict[str, Any],
    rest: dict[str, Any],
    url: str,
    content_type: str | None,
    body: bytes | None,
) -> None:
    """Address, query and body are what the mappings give; what is null or undefined is left out."""
    request = _send(compiled("save", rest=rest), context)
    assert (request.method, request.url, request.body) == (rest["method"], url, body)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers.get("content-type") == content_type
    assert headers["authorization"] == "Bearer sk_test_0123456789"


def test_secrets_are_sent_as_they_are(compiled: Compiled, context: dict[str, Any]) -> None:
    """A mask is for what people see: query, form, body and headers have the value."""
    context["settings"]["apiKey"] = Secret("sk_test_0123456789")
    key = {"@path": "$.settings.apiKey"}
    rest = {
        "method": "POST",
        "url": {"@template": "https://example.com/{{settings.apiKey}}"},
        "query": {"key": key, "text": {"@template": "k={{settings.apiKey}}"}},
        "headers": {"X-Key": key, "X-Text": {"@template": "k={{settings.apiKey}}"}},
        "form": {"key": key},
    }
    request = _send(compiled("save", rest=rest), context)
    assert request.url == (
        "https://example.com/sk_test_0123456789?key=sk_test_0123456789&text=k%3Dsk_test_0123456789"
    )
    assert request.headers["X-Key"] == "sk_test_0123456789"
    assert request.headers["X-Text"] == "k=sk_test_0123456789"
    assert type(request.headers["X-Key"]) is type(request.url) is str
    assert request.body == b"key=sk_test_0123456789"
    del rest["form"]
    body = _send(compiled("save", rest={**rest, "json": {"key": key}}), context).body
    assert json.loads(body) == {"key": "sk_test_0123456789"}


@pytest.mark.parametrize("place", ["query", "form"])
def test_what_has_no_encoding_is_not_sent(
    compiled: Compiled, context: dict[str, Any], place: str
) -> None:
    """Half a surrogate pair is no text of UTF-8: the request is refused."""
    context["payload"]["page"] = "\ud800"
    rest = {"method": "POST", "url": URL, place: {"a": {"@path": "$.payload.page"}}}
    with pytest.raises(ResolveError, match="surrogate"):
        _send(compiled("save", rest=rest), context)


@pytest.mark.parametrize(
    ("status", "body", "data"),
    [
        (200, {"id": 1}, {"id": 1}),
        (201, None, None),
        (204, b"", None),
        (200, b" \n", None),
        (202, b"ok", "ok"),
        (200, b"\xff", "\ufffd"),
    ],
)
def test_successes(
    compiled: Compiled, replies: Any, status: int, body: object, data: object
) -> None:
    """Any 2xx is one, unless the definition expects more; the body need not be JSON."""
    assert compiled("save").read(replies.http(status, body), 1) == [Answer("ok", data)]


@pytest.mark.parametrize(
    ("body", "success", "message"),
    [
        ({"status": "ok"}, True, ""),
        ({"status": "error", "message": "no such page"}, False, "no such page"),
        ({"status": "other"}, False, "the answer is not the expected one"),
        (b"ok", False, "the answer is not the expected one"),
    ],
)
def test_only_what_is_expected_is_a_success(
    compiled: Compiled, replies: Any, body: object, success: bool, message: str
) -> None:
    """With ``expect`` an HTTP 200 is not enough; a refusal is for good, anything else is not."""
    request = compiled(
        "save",
        expect={
            "type": "object",
            "required": ["status"],
            "properties": {"status": {"const": "ok"}},
        },
        refusals=[
            {
                "when": {
                    "type": "object",
                    "properties": {"status": {"const": "error"}},
                    "required": ["status"],
                },
                "message": {"@path": "$.answer.message"},
            }
        ],
    )
    (verdict,) = request.read(replies.http(200, body), 1)
    assert isinstance(verdict, Answer) is success
    if isinstance(verdict, Failure):
        assert verdict.message == message
        assert verdict.retryable is not (message == "no such page")
        assert verdict.nothing_applied is (message == "no such page")


@pytest.mark.parametrize(
    ("status", "body", "error_class", "retryable", "message"),
    [
        (400, {"message": "bad page"}, "invalid", False, "HTTP 400: bad page"),
        (400, {"error": {"message": "deep"}}, "invalid", False, "HTTP 400: deep"),
        (400, {"error": "flat"}, "invalid", False, "HTTP 400: flat"),
        (400, {"errors": [{"message": "first"}, {}]}, "invalid", False, "HTTP 400: first"),
        (400, {"odd": 1}, "invalid", False, 'HTTP 400: {"odd": 1}'),
        (409, b"taken", "conflict", False, "HTTP 409: taken"),
        (429, b"", "rate_limit", True, "HTTP 429"),
        (503, b"<html>\n down", "unavailable", True, "HTTP 503: <html> down"),
    ],
)
def test_failures(
    compiled: Compiled,
    *,
    replies: Any,
    status: int,
    body: object,
    error_class: str,
    retryable: bool,
    message: str,
) -> None:
    """Rules of the request come first, then those of the destination, then the status."""
    own = {"when": {"status": 409}, "class": "conflict", "retryable": False, "nothingApplied": True}
    request = compiled("save", errorRules=[own])
    (failure,) = request.read(replies.http(status, body, retry_after="5"), 1)
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retryable) == (error_class, retryable)
    assert failure.message == message
    assert failure.retry_after == 5.0
    assert failure.whole_request


def test_an_error_may_be_an_answer(compiled: Compiled, replies: Any) -> None:
    """A status or a body that the definition names is given to the action's code."""
    answers = [
        {"name": "missing", "when": {"status": 404}},
        {"name": "exists", "when": {"body": {"type": "object", "required": ["dup"]}}},
    ]
    request = compiled("save", answers=answers)
    assert request.read(replies.http(404, b""), 1) == [Answer("missing")]
    assert request.read(replies.http(400, {"dup": 1}), 1) == [Answer("exists")]


WHOLE_PAYLOAD = {"method": "POST", "url": URL, "json": {"@path": "$.payload"}}
BATCH = {"size": 3}


@pytest.mark.parametrize(
    ("rest", "batch", "takes"),
    [
        (WHOLE_PAYLOAD, None, True),
        ({**WHOLE_PAYLOAD, "json": {"@path": "payload"}}, None, True),
        (WHOLE_PAYLOAD, BATCH, True),
        (WHOLE_PAYLOAD, {**BATCH, "json": {"all": {"@path": "$.items"}}}, False),
        ({**WHOLE_PAYLOAD, "query": {"a": 1}}, None, False),
        ({**WHOLE_PAYLOAD, "url": {"@template": URL + "/{{payload.id}}"}}, None, False),
        ({**WHOLE_PAYLOAD, "headers": {"X-Id": {"@path": "$.payload.id"}}}, None, False),
        ({**WHOLE_PAYLOAD, "headers": {"X-Id": {"@path": "$.settings.limit"}}}, None, True),
        ({**WHOLE_PAYLOAD, "json": {"@path": "$.payload.id"}}, None, False),
        ({**WHOLE_PAYLOAD, "json": {"@path": "$.event"}}, None, False),
        ({"method": "POST", "url": URL, "form": {"@path": "$.payload"}}, None, False),
        ({"method": "GET", "url": URL}, None, False),
    ],
)
def test_which_requests_take_a_payload_as_bytes(
    compiled: Compiled, rest: dict[str, Any], batch: dict[str, Any] | None, takes: bool
) -> None:
    """Those whose body is the payload, and nothing else of an event is in them."""
    changes = {} if batch is None else {"batch": batch}
    assert compiled("save", rest=rest, **changes).takes_payload_bytes is takes


PAYLOADS: list[dict[str, Any]] = [
    {},
    {"page": 'ž\u2028\U0001f600"\\'},
    {"n": [1, 1.0, -0.0, 1e300, 12345678901234567890123, None, True], "deep": {"a": {}}},
]


@pytest.mark.parametrize("sign", [None, {"header": "X-Sign", "algorithm": "sha256"}])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_spliced_payloads_make_the_same_body(
    compiled: Compiled, context: dict[str, Any], sign: dict[str, Any] | None, count: int
) -> None:
    """The bytes of payloads give what the payloads themselves give, with the same signature."""
    rest: dict[str, Any] = WHOLE_PAYLOAD
    if sign is not None:
        rest = {**rest, "sign": {**sign, "secret": {"@path": "$.settings.apiKey"}}}
    request = compiled("save", rest=rest, batch={"size": count})
    for first in range(len(PAYLOADS)):
        payloads = [PAYLOADS[(first + place) % len(PAYLOADS)] for place in range(count)]
        parts = [request.part({**context, "payload": one}) for one in payloads]
        whole = request.prepare(parts, context)
        settings = {"settings": context["settings"]}
        spliced = request.prepare([encode_json(one) for one in payloads], settings)
        assert spliced == whole
        assert json.loads(spliced.body or b"") == (payloads[0] if count == 1 else payloads)


def test_a_batch_is_made_of_the_values_of_its_parts(
    compiled: Compiled, context: dict[str, Any]
) -> None:
    """A body that is mapped from the events reads them back as they were."""
    batch = {
        "size": 3,
        "json": {"all": {"@path": "$.items"}, "key": {"@path": "$.settings.apiKey"}},
    }
    request = compiled("save", rest=WHOLE_PAYLOAD, batch=batch)
    parts = [request.part({**context, "payload": one}) for one in PAYLOADS]
    body = json.loads(request.prepare(parts, context).body or b"")
    assert body == {"all": PAYLOADS, "key": "sk_test_0123456789"}


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "values",
    [[None, "b", "c"], ["a", None, "c"], ["a", "b", None], [None, None], [None], ["a"]],
)
def test_an_event_without_a_value_keeps_its_place_in_a_batch(
    compiled: Compiled, context: dict[str, Any], values: list[str | None], *, mapped: bool
) -> None:
    """The others have theirs, whichever comes first, and the partner may refuse it by its index."""
    batch: dict[str, Any] = {"size": 3}
    if mapped:
        batch["json"] = {"all": {"@path": "$.items"}}
    rest = {"method": "POST", "url": URL, "json": {"@path": "$.payload.s"}}
    request = compiled("save", rest=rest, batch=batch)
    parts = [request.part({**context, "payload": {"s": one}}) for one in values]
    made = request.prepare(parts, context)
    body = json.loads(made.body or b"")
    assert (body["all"] if mapped else body) == values
    assert made.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("rest", "reads"),
    [
        ({"method": "GET", "url": URL}, False),
        (WHOLE_PAYLOAD, False),
        ({"method": "GET", "url": {"@template": URL + "/{{event.userId}}"}}, True),
        ({"method": "GET", "url": URL, "query": {"a": {"@path": "$.event.userId"}}}, True),
        ({"method": "GET", "url": URL, "headers": {"A": {"@path": "$.event.userId"}}}, True),
        ({"method": "POST", "url": URL, "json": {"@path": "$.event"}}, True),
        ({"method": "POST", "url": URL, "json": {"@path": ""}}, True),
        ({"method": "POST", "url": URL, "form": {"a": {"@path": "$.event.userId"}}}, True),
    ],
)
def test_which_requests_read_the_event(
    compiled: Compiled, rest: dict[str, Any], reads: bool
) -> None:
    """Those of which any part does, so that it is at hand when they are made later."""
    assert compiled("save", rest=rest).reads_event is reads
