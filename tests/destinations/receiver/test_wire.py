"""Connections: heads that are too long or slow, offers of other protocols, what is no HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.receiver import wire

Serve = Callable[..., Any]


def test_long_heads(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head without end is cut off."""
    monkeypatch.setattr(wire, "_HEAD_BYTES", 1_000)
    running = serve()
    assert running.raw(b"POST /v1/one HTTP/1.1\r\nx: " + b"y" * 2_000) == b""


@pytest.mark.parametrize("data", [b"", b"POST /v1/one HT", b"POST /v1/one HTTP/1.1\r\nhost: x"])
def test_slow_heads(serve: Serve, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Who does not get a head through in time is cut off."""
    monkeypatch.setattr(wire, "_HEAD_SECONDS", 0.05)
    assert serve().raw(data) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"POST /v1/one HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/one HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http(serve: Serve, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It is answered in JSON, the connection ends, and nobody can fill the log with it."""
    answer = serve().raw(data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "no HTTP" in json.loads(answer.partition(b"\r\n\r\n")[2])["message"]
    assert caplog.records == []


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
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b'"accepted": 1') == 3
    assert [event.message_id for event in running.inboxes["one"].taken] == ["1", "2", "3"]


def test_tunnels(serve: Serve) -> None:
    """Nobody is led through here to somewhere else."""
    answer = serve().raw(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
