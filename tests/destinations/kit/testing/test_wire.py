from __future__ import annotations

from typing import Any

import pytest
import requests

from destinations.definition import Timeouts
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import ABSENT, RecordedRequest, RecordedResponse
from destinations.kit.testing.wire import (
    CutResponse,
    Reply,
    Wire,
    failure_kind,
    http_response,
    transport_error,
)

REQUEST = HttpRequest(
    "PATCH",
    "https://example.com/a?b=%20c",
    {"Content-Type": "application/json", "Authorization": "Bearer k"},
    b'{"a": [1.5]}',
)


def _send(reply: Reply, request: HttpRequest = REQUEST) -> tuple[HttpResponse, RecordedRequest]:
    seen: list[RecordedRequest] = []

    def answer(recorded: RecordedRequest) -> Reply:
        seen.append(recorded)
        return reply

    transport = HttpTransport(Timeouts(1, 1, 1))
    try:
        with Wire(answer):
            return transport.send(request), seen[0]
    finally:
        transport.close()


def test_a_request_is_seen_as_it_is_sent() -> None:
    """Method, URL with its query, the destination's own headers, and the body as a value."""
    _, seen = _send(HttpResponse(200, {}, b""))
    assert seen == RecordedRequest(
        "PATCH",
        "https://example.com/a?b=%20c",
        {"Content-Type": "application/json", "Authorization": "Bearer k"},
        json={"a": [1.5]},
    )


@pytest.mark.parametrize(
    ("kind", "body", "json", "text"),
    [
        ("application/x-www-form-urlencoded", b"a=1", ABSENT, "a=1"),
        ("application/json", b"{", ABSENT, "{"),
        ("application/json", b"null", None, None),
        ("application/json", None, ABSENT, None),
        # One line or many: lines are text, so that a batch of one is like any other.
        ("application/x-ndjson", b'{"a":1}\n', ABSENT, '{"a":1}\n'),
    ],
)
def test_a_body_that_is_no_json_is_text(
    kind: str, body: bytes | None, json: Any, text: str | None
) -> None:
    """A body is a value where its type says JSON and it is."""
    _, seen = _send(
        HttpResponse(204, {}, b""),
        HttpRequest("POST", "https://example.com/", {"Content-Type": kind}, body),
    )
    assert seen.json is json
    assert seen.body == text


@pytest.mark.parametrize(
    ("kind", "body", "json", "text"),
    [
        ("application/json", b'{"a":1}', {"a": 1}, None),
        ("application/x-ndjson", b'{"a":1}\n{"a":2}\n', ABSENT, '{"a":1}\n{"a":2}\n'),
    ],
)
def test_a_compressed_body_is_seen_as_it_was_made(
    kind: str, body: bytes, json: Any, text: str | None
) -> None:
    """A case has what a person can read, beside the header that says it was compressed."""
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    request = HttpRequest("POST", "https://example.com/", headers, body, gzip=True)
    _, seen = _send(HttpResponse(204, {}, b""), request)
    assert (seen.json, seen.body, seen.headers) == (json, text, headers)


def test_an_answer_arrives_as_it_is() -> None:
    """Status, headers and body go through the transport of a run."""
    answer = HttpResponse(429, {"retry-after": "3", "content-type": "text/plain"}, b"slow")
    response, _ = _send(answer)
    assert (response.status, response.body) == (429, b"slow")
    assert response.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("reply", "sent", "timeout"),
    [
        ("refused", False, False),
        ("connectTimeout", False, True),
        ("timeout", True, True),
        ("lost", True, False),
        (CutResponse(HttpResponse(200, {}, b'{"status": "ok"}')), True, False),
        (CutResponse(HttpResponse(200, {}, b"")), True, False),
    ],
    ids=str,
)
def test_a_failure_is_read_by_the_transport(reply: Any, sent: bool, timeout: bool) -> None:
    """The transport itself tells whether something was sent: nothing of that is made up."""
    with pytest.raises(TransportError) as caught:
        _send(reply)
    assert (caught.value.sent, caught.value.timeout) == (sent, timeout)
    if isinstance(reply, str):
        assert failure_kind(caught.value) == reply
        assert failure_kind(transport_error(reply)) == reply


def test_errors_of_the_answering_function_come_out() -> None:
    """What must stop a replay is not taken for a failure of the network."""

    def answer(_request: RecordedRequest) -> Reply:
        raise ZeroDivisionError

    transport = HttpTransport(Timeouts(1, 1, 1))
    with Wire(answer), pytest.raises(ZeroDivisionError):
        transport.send(REQUEST)
    transport.close()


def test_the_wire_ends_with_its_block() -> None:
    """Afterwards requests are made for real: here, to a port where nobody listens."""
    _send(HttpResponse(200, {}, b""))
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:9/", timeout=1)


@pytest.mark.parametrize(
    ("recorded", "body", "kind"),
    [
        (RecordedResponse(200, json={"a": "ü"}), '{"a": "ü"}'.encode(), "application/json"),
        (RecordedResponse(200, {"Content-Type": "text/html"}, body="<p>"), b"<p>", "text/html"),
        (RecordedResponse(204), b"", None),
        (RecordedResponse(200, json=None), b"null", "application/json"),
    ],
)
def test_a_recorded_response_on_the_wire(
    recorded: RecordedResponse, body: bytes, kind: str | None
) -> None:
    """JSON has its type unless the case says another."""
    response = http_response(recorded)
    assert response.body == body
    assert response.headers.get("content-type") == kind
