"""Bodies of text and of lines, and compressed ones: what is made, and what goes over the wire."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from destinations.definition import Timeouts
from destinations.errors import ResolveError
from destinations.http import Answer, CompiledRequest, Failure
from destinations.http.transport import HttpTransport
from destinations.secrets import Secret

Compiled = Callable[..., CompiledRequest]

URL = "https://example.com/pages"
PAGE = {"@path": "$.payload.page"}
ABSENT = {"@path": "$.payload.none"}


def _send(request: CompiledRequest, context: dict[str, Any]) -> Any:
    return request.prepare([request.part(context)], context)


def _rest(**parts: Any) -> dict[str, Any]:
    return {"method": "POST", "url": URL, **parts}


NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"
BODIES: dict[str, tuple[dict[str, Any], str | None, bytes | None]] = {
    "text": ({"text": {"@template": "page={{payload.page}}"}}, TEXT, b"page=home"),
    "text with an accent": ({"text": "\u017e"}, TEXT, b"\xc5\xbe"),
    "empty text": ({"text": ""}, TEXT, b""),
    "a number as text": ({"text": {"@path": "$.payload.by"}}, TEXT, b"2"),
    "true as text": ({"text": True}, TEXT, b"true"),
    "no text": ({"text": ABSENT}, None, None),
    "null as text": ({"text": {"@literal": None}}, None, None),
    "a secret as text": ({"text": {"@path": "$.settings.apiKey"}}, TEXT, b"sk_test_0123456789"),
    "text of another type": (
        {"text": "<a/>", "headers": {"content-type": "application/xml"}},
        "application/xml",
        b"<a/>",
    ),
    "a line": ({"ndjson": [{"page": PAGE}]}, NDJSON, b'{"page":"home"}\n'),
    "two lines": (
        {"ndjson": [{"index": {}}, {"page": PAGE}]},
        NDJSON,
        b'{"index":{}}\n{"page":"home"}\n',
    ),
    "a line that is left out": (
        {"ndjson": [ABSENT, {"@literal": None}, {"page": PAGE}]},
        NDJSON,
        b'{"page":"home"}\n',
    ),
    "a line break within a line": ({"ndjson": ["a\nb"]}, NDJSON, b'"a\\nb"\n'),
    "lines of another type": (
        {"ndjson": [1], "headers": {"Content-Type": "application/json"}},
        "application/json",
        b"1\n",
    ),
}


@pytest.mark.parametrize(("rest", "kind", "body"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_bodies(
    compiled: Compiled,
    context: dict[str, Any],
    *,
    rest: dict[str, Any],
    kind: str | None,
    body: bytes | None,
    is_compressed: bool,
) -> None:
    """What is made is what the mappings give; compressed or not, it is shown as it was made."""
    context["settings"]["apiKey"] = Secret("sk_test_0123456789")
    request = _send(compiled("save", rest=_rest(gzip=is_compressed, **rest)), context)
    assert request.body == body
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers.get("content-type") == kind
    assert request.gzip is (is_compressed and body is not None)
    assert headers.get("content-encoding") == ("gzip" if request.gzip else None)


@pytest.mark.parametrize(
    ("rest", "payload", "message"),
    [
        ({"text": PAGE}, {"page": {"a": 1}}, "/text: must be text, not an object"),
        ({"text": PAGE}, {"page": [1]}, "/text: must be text, not an array"),
        ({"text": PAGE}, {"page": "\ud800"}, "/text: holds a lone surrogate"),
        ({"ndjson": [PAGE]}, {}, "/ndjson: gives no line; expected at least one for each event"),
        ({"ndjson": [PAGE]}, {"page": "\ud800"}, "the body holds a lone surrogate"),
    ],
)
def test_what_cannot_be_sent(
    compiled: Compiled,
    context: dict[str, Any],
    rest: dict[str, Any],
    payload: dict[str, Any],
    message: str,
) -> None:
    """The event fails with the place of the body, before anything is sent."""
    with pytest.raises(ResolveError, match=message):
        _send(compiled("save", rest=_rest(**rest)), {**context, "payload": payload})


def _batch(compiled: Compiled, context: dict[str, Any], pages: list[Any], **parts: Any) -> Any:
    """Return a compiled request of lines, its parts and the message for these pages."""
    request = compiled("save", **parts)
    contexts = [{**context, "payload": {"page": page}} for page in pages]
    made = [request.part(one) for one in contexts]
    return request, made, request.prepare(made, contexts[0])


def test_a_batch_of_lines(compiled: Compiled, context: dict[str, Any]) -> None:
    """The lines of all events follow each other, in the order of the events."""
    rest = _rest(ndjson=[{"create": {}}, PAGE], gzip=True)
    _, _, message = _batch(compiled, context, ["a", None, "c"], rest=rest, batch={"size": 3})
    lines = [json.loads(line) for line in message.body.decode().splitlines()]
    assert lines == [{"create": {}}, "a", {"create": {}}, {"create": {}}, "c"]
    assert message.body.endswith(b"\n")


@pytest.mark.parametrize(
    ("lines", "event"),
    [
        ([{"id": PAGE}], {"@path": "$.id"}),
        ([{"create": {"_id": PAGE}}, {"page": 1}], {"@path": "[0].create._id"}),
        # Left out or not: of several lines there is a list.
        ([ABSENT, {"id": PAGE}], {"@path": "[0].id"}),
    ],
)
def test_failed_events_by_an_id_in_a_line(
    compiled: Compiled, replies: Any, context: dict[str, Any], lines: list[Any], event: Any
) -> None:
    """An answer may name events by an id of their line, or of one of their lines."""
    failures = {
        "status": [200],
        "items": {"@path": "$.errors"},
        "id": {"item": {"@path": "$.id"}, "event": event},
    }
    request, parts, _ = _batch(
        compiled,
        context,
        ["a", "b"],
        rest=_rest(ndjson=lines),
        batch={"size": 2, "failures": failures},
    )
    answer = replies.http(200, {"errors": [{"id": "b", "message": "no"}]})
    first, second = request.read(answer, 2, parts)
    assert first == Answer("ok", {"errors": [{"id": "b", "message": "no"}]})
    assert isinstance(second, Failure)


@pytest.mark.parametrize(
    ("rest", "reads"),
    [
        ({"text": "x"}, False),
        ({"text": {"@path": "$.event.userId"}}, True),
        ({"ndjson": [PAGE]}, False),
        ({"ndjson": [PAGE, {"@path": "$.event"}]}, True),
    ],
)
def test_which_requests_read_the_event(
    compiled: Compiled, rest: dict[str, Any], *, reads: bool
) -> None:
    """Those of which any body does, so that it is at hand when they are made later."""
    request = compiled("save", rest=_rest(**rest))
    assert request.reads_event is reads
    assert not request.takes_payload_bytes


@pytest.fixture
def received() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """The address of a server, and the headers and bodies that it gets."""
    found: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.append((headers, self.rfile.read(int(headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("body", [{"text": "x" * 5000}, {"ndjson": [{"page": PAGE}] * 50}])
def test_compressed_bodies(
    compiled: Compiled,
    context: dict[str, Any],
    received: tuple[str, list[tuple[dict[str, str], bytes]]],
    body: dict[str, Any],
) -> None:
    """The same body is the same bytes each time it is sent, and comes out as it was made."""
    url, found = received
    message = _send(compiled("save", rest={**_rest(gzip=True, **body), "url": url}), context)
    transport = HttpTransport(Timeouts(5, 5, 5))
    try:
        for _ in range(2):
            assert transport.send(message).status == 204
    finally:
        transport.close()
    (headers, sent), (_, again) = found
    assert sent == again
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(sent) == message.body
    assert len(sent) < len(message.body) / 4
    # No time of compression, which would make each attempt another body (RFC 1952, 2.3.1).
    assert sent[4:8] == bytes(4)
