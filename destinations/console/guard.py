"""Guard every request and every answer, whichever route it is for.

The host is one of this console, the body is bounded, who asks is known, and the browser gets the
rules by which it shows answers: also those that say that something failed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from destinations.console.gate import Gate
from destinations.console.problems import answer_fault
from destinations.errors import UsageError
from destinations.http.loopback import is_loopback
from destinations.server.network_addresses import parse_network, peer_of

__all__ = ["HEADERS", "MOST_BODY_BYTES", "Guard"]

_LOG = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 1024 * 1024
_BODY_SECONDS: Final = 10.0
_MOST_FIELDS: Final = 1_000

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""The headers of every answer."""


class Guard:
    """See the module. ``hosts`` are the names of the console.

    Without them, they are those of the loopback address, or if it is not ``is_local``, what a
    proxy lets through.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        *,
        hosts: frozenset[str] | None = None,
        is_local: bool = True,
        body_seconds: float = _BODY_SECONDS,
        most_body_bytes: int = MOST_BODY_BYTES,
    ) -> None:
        self._app = app
        self._gate = gate
        self._hosts = hosts
        self._is_local = is_local
        self._body_seconds = body_seconds
        self._most = most_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI defines it."""
        if scope["type"] != "http":
            return
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        scope.setdefault("state", {})
        request = Request(scope, receive)
        request.state.address = self._address(scope)
        request.state.operator = None
        try:
            refusal = self._wrong_host(request)
            if refusal is None:
                body = await self._body(request)
                if isinstance(body, Response):
                    refusal = body
            if refusal is not None:
                await refusal(scope, receive, guarded)
                return
            assert isinstance(body, bytes)  # noqa: S101 - looked at above
            request.state.form = _form(request, body)
            await asyncio.to_thread(self._gate.identify, request)
            await self._app(scope, _replay(body, receive), guarded)
        except Exception:
            _LOG.exception("request to the console failed with an internal error")
            if begun:  # what was sent cannot be taken back
                raise
            detail = "internal error: the log of the console has it"
            await answer_fault(request, 500, detail)(scope, receive, guarded)

    def _address(self, scope: Scope) -> str:
        host, _ = scope.get("client") or ("", 0)
        if not self._gate.options.behind_proxy:
            return str(host)
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        try:
            return peer_of(host, forwarded, [parse_network(host)])
        except UsageError:  # a socket without an address
            return str(host)

    def _wrong_host(self, request: Request) -> Response | None:
        """Refuse a name that is not the console's: a page of another site that points here."""
        given = request.headers.getlist("host")
        name = _host_name(given[0]) if len(given) == 1 else ""
        if self._hosts is not None:
            is_right = name in self._hosts
        else:
            is_right = bool(name) and (not self._is_local or is_loopback(name))
        if is_right:
            return None
        detail = "the Host of the request is not one of this console"
        return answer_fault(request, 421, detail)

    async def _body(self, request: Request) -> bytes | Response:
        length = request.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            return answer_fault(request, 400, "Content-Length is not a number")
        too_large = f"the body is longer than {self._most:,} bytes"
        if int(length) > self._most:
            return answer_fault(request, 413, too_large, headers={"Connection": "close"})
        data = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in request.stream():
                    data += chunk
                    if len(data) > self._most:
                        closed = {"Connection": "close"}
                        return answer_fault(request, 413, too_large, headers=closed)
        except TimeoutError:
            detail = f"the body did not arrive within {self._body_seconds:g} s"
            return answer_fault(request, 408, detail, headers={"Connection": "close"})
        return bytes(data)


def _form(request: Request, body: bytes) -> FormData:
    """Return the fields of a form; of what is no form, none. Forms with files are not read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return FormData()
    text = body.decode("utf-8", "replace")
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return FormData()
    return FormData([(name, value) for name, value in fields])


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read as if it came now; then what the client does."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _host_name(text: str) -> str:
    """Return the name in a Host header, without its port and the brackets of IPv6."""
    if text.startswith("["):
        name, bracket, _ = text[1:].partition("]")
        return name.lower() if bracket else ""
    return text.partition(":")[0].lower()
