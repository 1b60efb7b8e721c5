"""Batches over REST: one body for many events, and answers that tell them apart."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.http import Answer, Failure, HttpResponse, RestRequest, compile_request
from destinations.runtime.installed import find_folder


def _compiled(slug: str, name: str) -> RestRequest:
    definition = load_definition(find_folder(slug))
    compiled = compile_request(
        definition.requests[name], definition.transport, definition.error_rules
    )
    assert isinstance(compiled, RestRequest)
    return compiled


def _context(settings: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    return {"event": {}, "payload": payload, "settings": settings}


BRAZE = {"apiKey": "k" * 36, "endpoint": "http://127.0.0.1:1"}


def _braze(count: int) -> tuple[RestRequest, list[Any], dict[str, Any]]:
    request = _compiled("braze", "trackEvents")
    payloads = [{"external_id": f"u{n}", "name": "e", "time": "2026-01-01"} for n in range(count)]
    contexts = [_context(BRAZE, payload) for payload in payloads]
    return request, [request.part(context) for context in contexts], contexts[0]


def test_the_body_of_a_batch_holds_every_event_in_order() -> None:
    """Of many events one body is made, and of one event the same with one item."""
    for count in (1, 3):
        request, parts, context = _braze(count)
        message = request.prepare(parts, context)
        assert message.body is not None
        sent = json.loads(message.body)
        assert [item["external_id"] for item in sent["events"]] == [f"u{n}" for n in range(count)]
        assert message.url == "http://127.0.0.1:1/users/track"
        assert message.headers["Authorization"] == f"Bearer {'k' * 36}"


def _answer(status: int, body: Any) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps(body).encode())


ERROR = {"type": "'name' is required", "input_array": "events", "index": 1}
UNPLACED = "the answer does not identify the failed events of the batch:"
CASES: dict[str, tuple[HttpResponse, list[str]]] = {
    "all are taken": (_answer(201, {"message": "success"}), ["ok", "ok", "ok"]),
    "one is named": (
        _answer(201, {"message": "success", "errors": [ERROR]}),
        ["ok", "'name' is required", "ok"],
    ),
    "an empty list names none": (
        _answer(201, {"message": "success", "errors": []}),
        ["ok", "ok", "ok"],
    ),
    "a place outside of the batch tells nothing": (
        _answer(201, {"message": "partly", "errors": [{**ERROR, "index": 3}]}),
        [f"{UNPLACED} one of them failed: 'name' is required"] * 3,
    ),
    "a place as digits": (
        _answer(201, {"message": "success", "errors": [{**ERROR, "index": "1"}]}),
        ["ok", "'name' is required", "ok"],
    ),
    "a place that is none leaves the others open": (
        _answer(201, {"message": "success", "errors": [ERROR, {**ERROR, "index": None}]}),
        [
            f"{UNPLACED} one of them failed: 'name' is required",
            "'name' is required",
            f"{UNPLACED} one of them failed: 'name' is required",
        ],
    ),
    "another message is no success": (
        _answer(201, {"message": "what"}),
        ["the answer is not the expected one"] * 3,
    ),
    "an error of the whole request": (
        _answer(400, {"message": "bad JSON", "errors": [ERROR]}),
        ["HTTP 400: bad JSON"] * 3,
    ),
}


@pytest.mark.parametrize(("response", "expected"), CASES.values(), ids=CASES)
def test_an_answer_tells_the_events_apart(response: HttpResponse, expected: list[str]) -> None:
    """Each event has the verdict that the answer names for it, never one that is guessed."""
    request, _, _ = _braze(3)
    verdicts = request.read(response, 3)
    found = [
        verdict.name if isinstance(verdict, Answer) else verdict.message for verdict in verdicts
    ]
    assert found == expected
    named = [verdict for verdict in verdicts if isinstance(verdict, Failure)]
    if expected.count("ok") == 2:
        assert [(failure.retryable, failure.nothing_applied) for failure in named] == [
            (False, True)
        ]


@pytest.mark.parametrize("secret", ["correct horse", None])
def test_a_request_is_signed_with_its_body(secret: str | None) -> None:
    """The header holds the hex HMAC-SHA1 of the bytes that are sent; it needs a secret."""
    request = _compiled("webhook", "send")
    settings = {"url": "http://127.0.0.1:1/hook"} | ({"sharedSecret": secret} if secret else {})
    context = _context(settings, {"event": {"type": "track", "name": "ünï"}})
    message = request.prepare([request.part(context)], context)
    assert message.body is not None
    if secret is None:
        assert "X-Signature" not in message.headers
    else:
        expected = hmac.new(secret.encode(), message.body, hashlib.sha1).hexdigest()
        assert message.headers["X-Signature"] == expected
