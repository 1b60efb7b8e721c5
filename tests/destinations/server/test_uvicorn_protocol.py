"""Connections: heads that are too long or slow, offers of other protocols, what is no HTTP."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from destinations.pipeline.queue import Receipt
from destinations.server import http_server, uvicorn_protocol
from destinations.server.refused_events import Refusal, Refusing

Serve = Callable[..., Any]


def test_heads_without_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are cut off."""
    monkeypatch.setattr(uvicorn_protocol, "_HEAD_BYTES", 1_000)
    running = serve()
    pieces = [b"POST /v1/one HTTP/1.1\r\nx: ", *[b"y" * 400] * 4]
    assert running.raw_pieces(pieces) == b""


def test_long_heads(serve: Serve) -> None:
    """A head that is whole and too long is answered."""
    answer = serve().raw(b"POST /v1/one HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("data", [b"", b"POST /v1/one HT", b"POST /v1/one HTTP/1.1\r\nhost: x"])
def test_slow_heads(serve: Serve, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Who does not get a head through in time is cut off."""
    monkeypatch.setattr(uvicorn_protocol, "_HEAD_SECONDS", 0.05)
    assert serve().raw(data) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"POST /v1/one HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/one HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http(serve: Serve, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It is answered in JSON, the connection ends, and nobody can fill the log with it."""
    running = serve()
    answer = running.raw(data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "invalid HTTP/1.1 request: " in json.loads(answer.partition(b"\r\n\r\n")[2])["message"]
    assert caplog.records == []
    assert running.observer.notes == [("refused", "", 400)]
    assert running.observer.peers == ["127.0.0.1"]


_OFFER = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
_EVENT = b'{"type":"track","event":"E","userId":"u","messageId":"%d","properties":{"by":1}}'


def _offering(number: int, head: bytes = _OFFER) -> bytes:
    body = _EVENT % number
    first = b"POST /v1/one HTTP/1.1\r\nhost: x\r\n" + head
    return first + b"content-length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("size", [1, 7, 90, 10_000])
def test_offers_of_another_protocol(serve: Serve, size: int) -> None:
    """A request that offers to go on with HTTP/2 is a request, wherever its pieces are cut."""
    running = serve()
    last = _offering(3, b"connection: close, upgrade\r\nupgrade: websocket\r\n")
    data = _offering(1) + _offering(2) + last
    answers = running.raw_pieces([data[at : at + size] for at in range(0, len(data), size)])
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b'"accepted":1') == 3
    assert [event.message_id for event in running.inboxes["one"].taken] == ["1", "2", "3"]


def test_tunnels(serve: Serve) -> None:
    """Nobody is led through here to somewhere else."""
    answer = serve().raw(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"CONNECT is not supported: this server is not a proxy" in answer


def test_a_long_body_before_the_next_head(serve: Serve) -> None:
    """What belongs to a body does not count for the head that begins behind it."""
    running = serve()
    body = (_EVENT % 1) + b" " * 100_000
    first = b"POST /v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    second = _offering(2, b"connection: close\r\n")
    answers = running.raw_pieces([first + second[:40], second[40:]])
    assert answers.count(b"HTTP/1.1 200 ") == 2


def test_many_offers_in_one_packet(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Each is a request, however many there are."""
    running = serve()
    data = b"".join(_offering(number) for number in range(400))
    answers = running.raw(data + _offering(400, b"connection: close\r\n"))
    assert answers.count(b"HTTP/1.1 200 ") == 401
    assert caplog.records == []


def test_what_follows_the_end(serve: Serve) -> None:
    """What comes behind a request that ends the connection is nobody's, offer or not."""
    for head in (b"connection: close\r\n", b"connection: close, upgrade\r\nupgrade: h2c\r\n"):
        running = serve()
        answers = running.raw(_offering(1, head) + _offering(2))
        assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("nonsense", [b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"])
def test_nonsense_behind_a_request(serve: Serve, nonsense: bytes) -> None:
    """The request has its own answer, and then the connection ends."""
    running = serve()
    inbox = running.inboxes["one"]
    held: list[Any] = []
    inbox.held = held
    inbox.on_accept = lambda: threading.Timer(
        0.05, lambda: held[0].set_result([Receipt(1)])
    ).start()
    answers = running.raw(_offering(1, b"") + nonsense)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "request_",
    [
        _offering(1, b"") + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx",
    ],
)
def test_connections_that_go_on_with_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, request_: bytes
) -> None:
    """They end in time, like those that are silent."""
    monkeypatch.setattr(http_server, "_KEEP_ALIVE_SECONDS", 0.2)
    running = serve()
    assert running.raw_pieces([request_[:-1], request_[-1:]]).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"host: x\r\ntransfer-encoding: gzip, chunked\r\n", 501),
        (b"host: x\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", 501),
        (b"content-length: 2\r\n", 400),
        (b"host: x\r\nhost: x\r\ncontent-length: 2\r\n", 400),
        (b"host: x\r\ncontent-encoding: gzip\r\ncontent-encoding: gzip\r\n", 400),
        (b"host: x\r\ncontent-encoding: identity\r\ncontent-encoding: gzip\r\n", 400),
    ],
)
def test_heads_that_cannot_be_right(serve: Serve, head: bytes, status: int) -> None:
    """They are answered in JSON, and what follows is nobody's."""
    running = serve()
    answer = running.raw(b"POST /v1/one HTTP/1.1\r\n" + head + b"\r\n{}" + _offering(1))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"message", "code"}
    assert running.inboxes["one"].taken == []


def test_a_request_of_an_old_client(serve: Serve) -> None:
    """HTTP/1.0 has no Host."""
    data = _offering(1, b"").replace(b"host: x\r\n", b"").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert serve().raw(data).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("number", [1, 3])
def test_half_closed_connections(serve: Serve, number: int) -> None:
    """Who says that nothing more comes still hears what became of what came."""
    running = serve()
    inbox = running.inboxes["one"]
    held: list[Any] = []
    inbox.held = held
    inbox.on_accept = lambda: threading.Timer(
        0.05, lambda: held[-1].set_result([Receipt(1)])
    ).start()
    data = b"".join(_offering(one, b"") for one in range(number))
    answers = running.raw(data, shut=True)
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") == number
    assert not running.server._server.server_state.connections


def test_half_closed_within_a_later_request(serve: Serve) -> None:
    """The one of which not all came is told so, after the answers to the ones before it."""
    running = serve()
    inbox = running.inboxes["one"]
    held: list[Any] = []
    inbox.held = held
    inbox.on_accept = lambda: threading.Timer(
        0.05, lambda: held[-1].set_result([Receipt(1)])
    ).start()
    answers = running.raw(_offering(1, b"") + _offering(2, b"")[:-5], shut=True)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"499"]
    assert [event.message_id for event in inbox.taken] == ["1"]


_SHORT = b"POST /v1/one HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("data", "shown", "raw"),
    [
        (
            _offering(1, b"")[:-5],
            "its Content-Length",
            _offering(1, b"").split(b"\r\n\r\n")[1][:-5],
        ),
        (_SHORT + b"content-length: 9\r\n\r\n", "its Content-Length", b""),
        (_SHORT + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "its last chunk", b"abc"),
        (_SHORT + b"transfer-encoding: chunked\r\n\r\n9\r\nabc", "its last chunk", b"abc"),
    ],
)
def test_half_closed_within_a_body(serve: Serve, data: bytes, shown: str, raw: bytes) -> None:
    """The sender is told, and it is counted and kept as gone, not as one of a bad body."""
    running = serve()
    kept: list[Refusal] = []
    running.receiver.refusing = _Noted(kept)
    answer = running.raw(data, shut=True)
    assert answer.startswith(b"HTTP/1.1 499 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "message": f"the sender went away before the end of the body ({shown})",
        "code": "BODY_INCOMPLETE",
    }
    assert running.observer.notes == [("refused", "one", 499)]
    assert running.observer.codes == ["BODY_INCOMPLETE"]
    assert [(one.raw, one.is_whole) for one in kept] == [(raw, False)]
    assert running.inboxes["one"].taken == []
    assert not running.server._server.server_state.connections


def test_a_reset_within_a_body(serve: Serve) -> None:
    """A sender that breaks off is counted and kept in the same way, though nobody is answered."""
    running = serve()
    kept: list[Refusal] = []
    noted = running.receiver.refusing = _Noted(kept)
    data = _SHORT + b"content-length: 9\r\n\r\n[{}"
    with socket.create_connection(("127.0.0.1", running.server.port), 30) as connection:
        connection.sendall(data + b"," * 3)
        no_linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)  # close resets it
    assert noted.is_filled.wait(30)
    assert running.observer.notes == [("refused", "one", 499)]
    assert running.observer.codes == ["BODY_INCOMPLETE"]
    assert [(one.status, one.raw, one.is_whole) for one in kept] == [(499, b"[{},,,", False)]
    assert running.inboxes["one"].taken == []


def test_a_body_that_is_not_http_is_counted_once(serve: Serve) -> None:
    """The connection refuses it, so that its sender did not go away."""
    running = serve()
    data = _SHORT + b"transfer-encoding: chunked\r\n\r\nzz\r\n"
    assert running.raw(data).startswith(b"HTTP/1.1 400 ")
    assert running.post(_EVENT % 1).status_code == 200  # later than what became of the other
    refused = [note for note in running.observer.notes if note[0] == "refused"]
    assert refused == [("refused", "", 400)]


class _Noted(Refusing):
    """Puts what it is to keep into a list."""

    most_event_bytes = 1_000

    def __init__(self, kept: list[Refusal]) -> None:
        self._kept = kept
        self.is_filled = threading.Event()

    def keep(self, *given: Any) -> None:
        self._kept += given[-1]
        self.is_filled.set()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_bodies_that_are_much_too_long(serve: Serve, *, is_chunked: bool) -> None:
    """Who sends all of it before he listens hears 413, and no reset."""
    running = serve()
    head = b"content-length: 10000000\r\n\r\n"
    body = b"x" * 10_000_000
    if is_chunked:
        head, body = b"transfer-encoding: chunked\r\n\r\n", b"186a0\r\n%s\r\n" % body[:100_000]
        body = body * 100 + b"0\r\n\r\n"
    answer = running.raw(b"POST /v1/one HTTP/1.1\r\nhost: x\r\n" + head + body)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"REQUEST_ENTITY_TOO_LARGE"' in answer


@pytest.mark.parametrize("bound", ["_LINGER_BYTES", "_LINGER_SECONDS", "_LINGER_QUIET_SECONDS"])
def test_who_goes_on_sending(serve: Serve, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """He is listened to for a while only, and held by nothing."""
    for each in ("_LINGER_BYTES", "_LINGER_SECONDS", "_LINGER_QUIET_SECONDS"):
        monkeypatch.setattr(uvicorn_protocol, each, 0.05 if each == bound else 1_000_000_000)
    running = serve()
    head = b"POST /v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.server.port), 30) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
        with contextlib.suppress(ConnectionError):
            while running.server._server.server_state.connections:
                if bound != "_LINGER_QUIET_SECONDS":
                    connection.sendall(b"x" * 100)
