"""What a connection gets to see besides uvicorn's: bounds on heads, upgrades, what is no HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Protocol"]

_HEAD_SECONDS: Final = 10.0
_HEAD_BYTES: Final = 64 * 1024

# What belongs to another protocol that a request offers to go on with.
_OFFER: Final = frozenset({b"upgrade", b"http2-settings"})


class Protocol(HttpToolsProtocol):
    """One connection.

    Cuts off who does not get the head of a request through: uvicorn itself waits for ever. Takes a
    request that offers an upgrade, as some clients' every request does, for one that does not
    (RFC 9110, 7.8): uvicorn loses its body. And says in JSON what is wrong with what is no HTTP.
    """

    _watch: asyncio.TimerHandle | None = None
    _head: int = 0
    _offers: bool = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        # asyncio does so for sockets that it makes itself. Without it an answer in two pieces, as
        # uvicorn sends it, waits up to 40 ms for the sender to confirm the first.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begin()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begin()

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        self._end()
        self._offers = self.parser.should_upgrade()
        if not self._offers:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body of a request is complete."""
        if not self._offers:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            (end_of_head,) = upgrade.args
            self._decline(data[end_of_head:])
        except httptools.HttpParserError as error:
            self._refuse(400, f"this is no HTTP/1.1: {error}")
        if self._watch is not None:
            self._head += len(data)
            if self._head > _HEAD_BYTES:
                self._cut_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end()
        super().connection_lost(exc)

    def _decline(self, rest: bytes) -> None:
        """Reads the request again, without what it offers."""
        self._offers = False
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._refuse(405, "send events with POST")
            return
        head = [method, b" ", self.url, f" HTTP/{version}\r\n".encode()]
        for name, value in self.headers:
            kept = value
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                kept = b", ".join(token for token in tokens if token.lower() not in _OFFER)
            if name not in _OFFER and kept:
                head += [name, b": ", kept, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join([*head, b"\r\n", rest]))

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"message": message}).encode()
        head = (
            f"HTTP/1.1 {status} \r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._end()
        self.transport.write(head.encode() + body)
        self.transport.close()

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
