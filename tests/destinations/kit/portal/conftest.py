"""An endpoint for events that keeps the protocol, and may get single answers wrong."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

KEY: Final = "prv_test_Ab1Cd2Ef3Gh4Ij5"
CALLS: Final = ("track", "identify", "page", "screen", "group", "alias")
LIMIT: Final = 512 * 1024


@dataclass(frozen=True)
class Request:
    """A request that came; ``key`` is the one in its header, ``event`` its body if it is one."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """The key, also a wrong one; empty if there is none that can be read."""
        scheme, _, rest = self.headers.get("authorization", "").partition(" ")
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            if scheme == "Basic":
                return base64.b64decode(rest, validate=True).decode().removesuffix(":")
        return ""

    @property
    def event(self) -> Any:
        """The body as JSON; None if it is none."""
        with contextlib.suppress(ValueError):
            return json.loads(self.body)
        return None

    @property
    def type(self) -> Any:
        """The type of the event; None if there is none."""
        return self.event.get("type") if isinstance(self.event, dict) else None

    @property
    def settings(self) -> Any:
        """The settings in the header; None if they cannot be read, an empty object without it."""
        with contextlib.suppress(ValueError):
            return json.loads(base64.b64decode(self.headers.get("x-segment-settings", "e30=")))
        return None


@dataclass(frozen=True)
class Reply:
    """An answer; ``cut`` ends the connection after it, and does not say so."""

    status: int
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


def refusal(status: int, **headers: str) -> Reply:
    """An error with a message."""
    return Reply(status, {"message": f"refused with {status}"}, headers)


Wrong = Callable[[Request, Reply], Reply | None]
"""Gives another answer instead of the right one; None for none at all."""


class FakeEndpoint:
    """An endpoint on a port of this machine that answers as the protocol says.

    It supports every call but those in ``unsupported``, and accepts events of one key. ``wrong``
    may replace its answers. While ``open`` is not set it does not answer.
    """

    def __init__(self) -> None:
        self._scheme = "http"
        self.requests: list[Request] = []
        self.wrong: Wrong = lambda _, right: right
        self.unsupported: tuple[str, ...] = ("delete",)
        self.seen: dict[str, bytes] = {}
        self.open = threading.Event()
        self.open.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                endpoint.handle(self)

            do_GET = do_POST  # noqa: N815 - as the library names it

            def log_message(self, *_: object) -> None:
                """Nobody wants to know."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/v1/segment"

    def encrypt(self, folder: Path) -> None:
        """Speak TLS from now on, with the certificate in a folder."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https"

    def handle(self, to: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = to.rfile.read(int(to.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in to.headers.items()}
        request = Request(to.command, urlsplit(to.path).query, headers, body)
        self.requests.append(request)
        self.open.wait(60)
        reply = self.wrong(request, self.right(request))
        if reply is None:
            to.close_connection = True
            return
        written = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(written)),
            **reply.headers,
        }
        with contextlib.suppress(ConnectionError):
            to.send_response(reply.status)
            for name, value in headers.items():
                to.send_header(name, value)
            to.end_headers()
            to.wfile.write(written)
        to.close_connection = to.close_connection or reply.cut

    def right(self, request: Request) -> Reply:
        """The answer that the protocol wants."""
        if request.method != "POST":
            return refusal(405)
        if request.key != KEY:
            return refusal(401)
        if len(request.body) > LIMIT:
            return refusal(413, Connection="close")
        event = request.event
        if not isinstance(event, dict) or not isinstance(request.settings, dict):
            return refusal(400)
        if event.get("type") not in (*CALLS, "delete"):
            return refusal(400)
        if event["type"] in self.unsupported:
            return refusal(501)
        if "userId" not in event and "anonymousId" not in event:
            return refusal(400)
        known = self.seen.setdefault(event.get("messageId", ""), request.body)
        return Reply(200) if known == request.body else refusal(409)

    def close(self) -> None:
        """End all that is under way."""
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    """An endpoint that keeps the protocol, until a test says otherwise."""
    made = FakeEndpoint()
    yield made
    made.close()
