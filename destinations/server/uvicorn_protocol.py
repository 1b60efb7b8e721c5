"""Extend uvicorn's connections: bounds on heads, upgrades, and bytes that are not HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from destinations.server.replies import BODY_CUT, REFUSED
from destinations.statuses import CODES, PHRASES

__all__ = ["Protocol"]

_HEAD_SECONDS: Final = 10.0
_HEAD_BYTES: Final = 64 * 1024
_GO_ON: Final = b"HTTP/1.1 100 "

# The time and bytes for which a client may keep sending after the answer: see `Protocol._linger`.
_LINGER_QUIET_SECONDS: Final = 2.0
_LINGER_SECONDS: Final = 30.0
_LINGER_BYTES: Final = 64 * 1024 * 1024

# Headers of another protocol to which a request offers to switch.
_OFFER: Final = frozenset({b"upgrade", b"http2-settings"})


class _Joined:
    """Sends the head of an answer together with its body, which uvicorn gives one by one."""

    __slots__ = ("_close", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._close = close
        self._head = b""

    def write(self, data: bytes) -> None:
        """Keep the head of an answer; send what follows with it."""
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(_GO_ON):
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def flush(self) -> None:
        """Send a head that nothing follows, as of an answer to HEAD."""
        if self._head:
            self.write(b"")

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._transport.is_closing()

    def close(self) -> None:
        """See `asyncio.BaseTransport`."""
        self.flush()
        self._close()


class Protocol(HttpToolsProtocol):
    """One connection.

    Cuts off clients that do not send the whole head of a request: uvicorn waits for ever. Takes a
    request that offers an upgrade, as some clients' every request does, for one that does not (RFC
    9110, 7.8): uvicorn loses its body. And says in JSON what is wrong with input that is not HTTP.
    """

    _watch: asyncio.TimerHandle | None = None
    _head: int = 0
    _ended: bool = False
    _offers: bool = False
    _refused: tuple[int, str] | None = None
    # Lines of headers for its own answers.
    more_headers: str = ""
    tell_refused: Callable[[int, str], None] = staticmethod(lambda _status, _peer: None)
    # The client has said all, and still reads.
    _is_half_closed: bool = False
    # What was to be said is said, and the client still sends: until when, and how much.
    _lingers: asyncio.TimerHandle | None = None
    _lingers_until: float = 0.0
    _quiet_at: float = 0.0
    _left: int = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of TCP, which reads and writes
        """Note that a client has connected."""
        super().connection_made(transport)
        self._joined = _Joined(transport, self._finish)
        # asyncio does so for sockets that it makes itself. Without it an answer in two pieces, as
        # uvicorn sends it, waits up to 40 ms for the sender to confirm the first.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begin()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._begin()

    def on_headers_complete(self) -> None:
        """Answer or go on, as the head of a request is complete."""
        self._end()
        self._ended = True
        self._refused = self._refused or self._head_issue()
        self._offers = self.parser.should_upgrade()
        if not self._offers and self._refused is None:
            super().on_headers_complete()
            cycle: Any = self.cycle
            cycle.transport = self._joined

    def on_response_complete(self) -> None:
        """Go on after an answer."""
        self._joined.flush()
        if self._lingers is not None:
            return
        if self._is_half_closed and not self.pipeline:
            self.transport.close()
        super().on_response_complete()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio has it
        """Go on to answer what was asked, also if not all of it has come.

        See `asyncio.Protocol`.
        """
        if self._lingers is not None or not self._is_answering:
            return None
        if self.cycle.more_body:  # the application says so, as it knows whose request it is
            scope: Any = self.cycle.scope  # which may have keys of its own, whatever its type says
            scope[BODY_CUT] = True
            self.cycle.more_body = self.cycle.keep_alive = False
            self.cycle.message_event.set()
        self._is_half_closed = True
        return True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body of a request."""
        if self._refused is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Handle a request whose body is complete."""
        self._ended = True
        if not self._offers and self._refused is None:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Read bytes of requests as they arrive."""
        if self._lingers is not None:
            self._quiet_at = self.loop.time() + _LINGER_QUIET_SECONDS
            self._left -= len(data)
            if self._left < 0:
                self.transport.close()
        elif self._refused is None:  # else the connection ends when what came before is answered
            self._unset_keepalive_if_required()
            self._ended = False
            rest = data
            while rest:
                rest = self._feed(rest)
            self._look_after(len(data))

    def _head_issue(self) -> tuple[int, str] | None:
        """Return the status and what is wrong with the head of a request as a whole."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > _HEAD_BYTES:
            return 431, f"the head is longer than {_HEAD_BYTES:,} bytes"
        if self.parser.get_method() == b"CONNECT":
            # Whichever server this is, of events, of pages or of metrics.
            return 405, "CONNECT is not supported: this server is not a proxy"
        names = [name for name, _ in self.headers]
        encodings = b",".join(it for name, it in self.headers if name == b"transfer-encoding")
        if encodings and encodings.strip().lower() != b"chunked":
            return 501, "the only Transfer-Encoding that is understood is chunked"
        if self.parser.get_http_version() == "1.1" and names.count(b"host") != 1:
            return 400, "a request has exactly one Host header"
        if names.count(b"content-encoding") > 1:
            return 400, "a request has at most one Content-Encoding header"
        return None

    def _look_after(self, size: int) -> None:
        """Refuse or time out what ``size`` more bytes left incomplete or wrong."""
        if self._refused is not None:
            self._refuse(*self._refused)
        elif self._watch is None:
            self._await_next()
        elif not self._ended:  # all of it belongs to the head that is not complete yet
            self._head += size
            if self._head > _HEAD_BYTES:
                self._cut_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection is gone."""
        self._end()
        if self._lingers is not None:
            self._lingers.cancel()
        super().connection_lost(exc)

    def _feed(self, data: bytes) -> bytes:
        """Return the bytes that a new parser has to read."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            (end_of_head,) = upgrade.args
            if self._refused is None:
                return self._declined() + data[end_of_head:]
        except httptools.HttpParserError as error:
            self._refused = self._refused or (400, f"invalid HTTP/1.1 request: {error}")
        return b""

    def _declined(self) -> bytes:
        """Return the head of the request without what it offers, for a new parser."""
        self._offers = False
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head = [method, b" ", self.url, f" HTTP/{version}\r\n".encode()]
        for name, value in self.headers:
            kept = value
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                kept = b", ".join(token for token in tokens if token.lower() not in _OFFER)
            if name not in _OFFER and kept:
                head += [name, b": ", kept, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn has it: bytes after a request that ends the connection are not a fault.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join([*head, b"\r\n"])

    def _refuse(self, status: int, message: str) -> None:
        """Answer, and end the connection."""
        self._end()
        if self._is_answering and (self.pipeline or not self.cycle.more_body):
            # It would be taken for the answer to an earlier request, which is still to come.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        self.tell_refused(status, self.client[0] if self.client else "")
        body = json.dumps({"message": message, "code": CODES[status]}).encode()
        head = (
            f"HTTP/1.1 {status} {PHRASES[status]}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"{self.more_headers}connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._linger()

    def _finish(self) -> None:
        """End the connection after an answer that says so."""
        if self.cycle.more_body or self.pipeline or self._refused is not None:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close our side, and discard what the client still sends, for a while.

        Bytes left unread would take the answer back: the client sees a reset instead.
        """
        if self.transport.is_closing() or self._lingers is not None:
            return
        self._unset_keepalive_if_required()
        if self._is_answering:  # nothing can be said any more
            scope: Any = self.cycle.scope  # which may have keys of its own, whatever its type says
            scope[REFUSED] = True
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write_eof()
        now = self.loop.time()
        self._lingers_until, self._left = now + _LINGER_SECONDS, _LINGER_BYTES
        self._quiet_at = now + _LINGER_QUIET_SECONDS
        self._go_on_lingering()
        self.flow.resume_reading()

    def _go_on_lingering(self) -> None:
        at = min(self._quiet_at, self._lingers_until)
        if at <= self.loop.time():
            self.transport.close()
        else:
            self._lingers = self.loop.call_at(at, self._go_on_lingering)

    @property
    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # none before the first request, whatever its type says
        return cycle is not None and not cycle.response_complete

    def _await_next(self) -> None:
        """Close the connection unless the next request begins in time."""
        if not self._is_answering and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _begin(self) -> None:
        self._end()
        self._head = 0
        self._watch = self.loop.call_later(_HEAD_SECONDS, self._cut_off)

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _cut_off(self) -> None:
        self._end()
        if self.transport is not None:
            self.transport.abort()
