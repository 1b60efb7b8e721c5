"""The ASGI application: paths, credentials, limits; see docs/serving.md for what it answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Final

from destinations.errors import BodyError, QueueFullError, StoreFullError, StoreGoneError
from destinations.pipeline.observer import Observer
from destinations.server.accepting import accept
from destinations.server.auth import Authenticator, presented_key
from destinations.server.body import Body, first_event, read_body
from destinations.server.future_bridge import FutureBridge
from destinations.server.gzip_body import inflated, inflated_beginning
from destinations.server.header_settings import HEADER
from destinations.server.ingest_route import IngestRoute
from destinations.server.keys import KeyRefusedError
from destinations.server.network_addresses import Network, peer_of
from destinations.server.pages import Pages
from destinations.server.refused_events import Refusal, Refusing
from destinations.server.replies import (
    BODY_CUT,
    REFUSED,
    Receive,
    Reply,
    Scope,
    Send,
    error,
    unavailable,
)
from destinations.server.shares import Shares
from destinations.server.tenants import ServedTenants
from destinations.statuses import BODY_INCOMPLETE, SENDER_GONE

__all__ = ["Limits", "Receiver"]

_LOG = logging.getLogger(__name__)
_PREFIX: Final = "/v1/"
_SETTINGS: Final = HEADER.lower().encode()
_GZIP: Final = frozenset({b"gzip", b"x-gzip"})
_GONE_SECONDS: Final = 30.0
_FULL_SECONDS: Final = 30.0
_FAULT_SECONDS: Final = 30.0
_BEGINNING_SECONDS: Final = 1.0
_CHALLENGE: Final = (b"www-authenticate", b'Basic realm="events"')


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body, seconds until it has come, and what is under way at once.

    ``requests`` and ``held_bytes``, the bytes of their bodies, are shared among the destinations:
    see `destinations.server.shares.Shares`.
    """

    body_bytes: int = 500 * 1024
    body_seconds: float = 10.0
    requests: int = 500
    held_bytes: int = 64 * 1024 * 1024


class _AnsweredError(Exception):
    """The connection has refused the request already, in the middle of its body."""


@dataclass(slots=True)
class _Request:
    """A request for a route: what is known of it so far.

    ``is_known`` says that its sender has proved what the route asks for. ``data`` is its
    body, of ``length`` bytes, and ``events`` how many it counts for. ``is_whole`` is false if
    ``data`` is a part of it, or not as it came.
    """

    route: IngestRoute
    path: str
    peer: str
    is_known: bool = False
    data: bytes = b""
    length: int = 0
    events: int = 1
    is_whole: bool = True

    def refusal(self, reply: Reply) -> Refusal:
        """Return the refusal of all of it, with the code and the message that were answered."""
        body: Any = reply.body  # as `error` makes it
        return Refusal(
            reply.status,
            body["code"],
            body["message"],
            self.data,
            self.length,
            self.events,
            is_whole=self.is_whole,
        )


class _RefusedError(Exception):
    """The request ends with this reply."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__()


class Receiver:
    """``POST /v1/NAME`` for each of its routes, and its `pages`, unless others serve those.

    ``unready`` gives the reasons for which no events should be sent here now; it may block.
    ``remarks`` gives what else an operator should know of. ``trusted`` are proxies: see `peer_of`.
    """

    def __init__(
        self,
        *,
        metrics: Callable[[], bytes],
        unready: Callable[[], Sequence[str]],
        remarks: Callable[[], Sequence[str]] = tuple,
        limits: Limits | None = None,
        observer: Observer | None = None,
        trusted: Sequence[Network] = (),
    ) -> None:
        self.routes: Mapping[str, IngestRoute] = {}
        self.draining = False
        self.serves_pages = True
        self._unready = unready
        self.pages = Pages(metrics=metrics, unready=self._unready_or_draining, remarks=remarks)
        self._trusted = trusted
        self.refusing = Refusing()
        self._limits = limits or Limits()
        self._observer = observer or Observer()
        self._requests = Shares(self._limits.requests)
        self._held = Shares(self._limits.held_bytes, self._limits.body_bytes)
        self._bridge: FutureBridge | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI defines it."""
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except _AnsweredError:
            return
        await reply.send(send)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        name = path.removeprefix(_PREFIX)
        if path.startswith(_PREFIX) and name in self.routes:
            request = _Request(self.routes[name], path, self._peer(scope))
            if method == "POST":
                reply, refusals = await self._post(request, scope, receive)
            else:
                reply = error(405, "send events with POST", (b"allow", b"POST"), close=True)
                refusals = [request.refusal(reply)]
            if refusals:
                self._tell(request, refusals)
            return reply
        page = await self.pages.reply(path, method) if self.serves_pages else None
        if page is not None:
            return page
        self._observer.refused("", 404, self._peer(scope))
        return error(404, f"there is nothing here; events go to {_PREFIX}NAME", close=True)

    def _tell(self, request: _Request, refusals: Sequence[Refusal]) -> None:
        """Count each event; keep only those of known senders, as strangers could fill the store."""
        name = request.route.name
        numbers: Counter[tuple[int, str]] = Counter()
        for one in refusals:
            numbers[one.status, one.code] += one.events
        for (status, code), number in numbers.items():
            self._observer.refused(name, status, request.peer, code, number)
        if request.is_known:
            self.refusing.keep(request.route.scope, request.path, request.peer, refusals)

    def _peer(self, scope: Scope) -> str:
        """Return the address of the sender."""
        host, _ = scope.get("client") or ("", 0)
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return peer_of(host, forwarded, self._trusted)

    def _unready_or_draining(self) -> Sequence[str]:
        return ["draining"] if self.draining else self._unready()

    async def _post(
        self, request: _Request, scope: Scope, receive: Receive
    ) -> tuple[Reply, Sequence[Refusal]]:
        """Return the answer to a request, and what of it was refused."""
        name = request.route.name
        if self.draining:
            reply = unavailable("is shutting down", 5.0, close=True)
        elif not self._requests.take(name, 1, self.routes.keys()):
            reply = unavailable("too many requests are under way", 1.0, close=True)
        else:
            try:
                with self._holding(name) as hold:
                    return await self._take(request, scope, receive, hold)
            except _RefusedError as refused:
                reply = refused.reply
            except BodyError as fault:
                request.events = fault.events
                reply = error(fault.status, fault.message, code=fault.code)
            except QueueFullError as full:
                reply = unavailable(full.message, full.retry_after)
            except StoreFullError as full:  # no room for a new tenant
                reply = unavailable(f"{full.reason}; nothing was accepted", _FULL_SECONDS)
            except StoreGoneError:
                reply = unavailable("the store is gone; nothing was accepted", _GONE_SECONDS)
            except _AnsweredError:
                raise
            except Exception:  # noqa: BLE001 - answered so that the sender tries again
                # Only the log has the error: its message could reveal too much.
                _LOG.exception(
                    "request to %s failed with an internal error",
                    name,
                    extra={"destination": name},
                )
                self._observer.internal_error(name)
                message = "internal error; nothing was accepted"
                # To a customer's endpoint Segment does not send again what is answered 500.
                is_repeated = request.route.tenants is None
                reply = error(500, message) if is_repeated else unavailable(message, _FAULT_SECONDS)
            finally:
                self._requests.give_back(name, 1)
        return reply, [request.refusal(reply)]

    async def _take(
        self, request: _Request, scope: Scope, receive: Receive, hold: Callable[[int], None]
    ) -> tuple[Reply, Sequence[Refusal]]:
        headers = _single_headers(scope)
        authorization = headers.get(b"authorization")
        request.length = _announced(headers)
        if request.route.tenants is not None:
            try:
                request.route = await self._admit(
                    request.route, request.route.tenants, authorization, _settings_header(scope)
                )
            except KeyRefusedError as refused:
                if refused.scope is not None:
                    request.route = replace(request.route, scope=refused.scope)
                    request.is_known = True
                    await self._keep_beginning(request, headers, receive, hold)
                raise _RefusedError(_of_key(refused)) from None
        authenticator = request.route.authenticator
        # Before the body is read: who has no key, or no signature, cannot make us hold one.
        if authenticator.wants_key and not authenticator.has_key(authorization):
            raise _RefusedError(self._stranger(authorization))
        signature = headers.get(b"x-signature")
        if authenticator.wants_signature and not signature:
            raise _RefusedError(error(401, "missing X-Signature", _CHALLENGE, close=True))
        request.is_known = not authenticator.wants_signature
        try:
            is_gzip = _is_gzip(headers)
            if request.length > self._limits.body_bytes:
                raise _too_long(self._limits.body_bytes)
        except _RefusedError:
            await self._keep_beginning(request, headers, receive, hold)
            raise
        await self._read(request, scope, receive, hold)
        first = _check_signature(authenticator, signature, request.data, is_gzip=is_gzip)
        request.is_known = True
        if is_gzip:
            self._inflate(request, hold)
        request.length = len(request.data)
        body = read_body(request.data)
        # Else the batch begins with the signed event of another sender.
        if first is not None and (not body.events or body.events[0] != first):
            request.is_known = False
            raise _RefusedError(_wrong_signature())
        request.events = max(1, len(body.events))
        return await self._accept(request, body)

    async def _accept(self, request: _Request, body: Body) -> tuple[Reply, Sequence[Refusal]]:
        route = request.route
        if route.tenants is None or route.tenant is None:
            return await accept(route, body, self._observer, self._to_loop)
        try:
            with route.tenants.keeping(route.tenant, request.events, len(request.data)):
                return await accept(route, body, self._observer, self._to_loop)
        except KeyRefusedError as refused:
            raise _RefusedError(_of_key(refused)) from None

    @property
    def _to_loop(self) -> FutureBridge:
        if self._bridge is None:
            self._bridge = FutureBridge(asyncio.get_running_loop())
        return self._bridge

    async def _admit(
        self,
        route: IngestRoute,
        tenants: ServedTenants,
        authorization: bytes | None,
        settings: bytes | None,
    ) -> IngestRoute:
        """Return the route of the tenant whose key a request has.

        Before its body is read: who has no key of a customer cannot make us hold one.
        """
        try:
            admitted = tenants.admit(presented_key(authorization), settings)
            if isinstance(admitted, Future):
                asked = self._to_loop.result(admitted)
                admitted = await asyncio.wait_for(asked, tenants.rules.patience)
            return route.of(admitted)
        except TimeoutError:
            message = "the partner takes long to say whether the key is valid"
            reply = unavailable(message, tenants.rules.patience, close=True)
        raise _RefusedError(reply)

    def _inflate(self, request: _Request, hold: Callable[[int], None]) -> None:
        """Replace a compressed body by what it holds; of one that is refused, by its beginning."""
        try:
            request.data = inflated(request.data, self._limits.body_bytes)
        except BodyError:
            beginning = inflated_beginning(request.data, self.refusing.most_event_bytes)
            if beginning:
                request.data, request.is_whole = beginning, False
            raise
        hold(len(request.data))

    @contextlib.contextmanager
    def _holding(self, name: str) -> Iterator[Callable[[int], None]]:
        """Provide a function that counts a request's bytes; it raises for too many."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if not self._held.take(name, size, self.routes.keys()):
                raise _RefusedError(unavailable("too many bytes are held", 1.0, close=True))
            held += size

        try:
            yield hold
        finally:
            self._held.give_back(name, held)

    def _stranger(self, authorization: bytes | None) -> Reply:
        known = False
        for other in self.routes.values():
            known |= other.authenticator.has_key(authorization)
        if known:
            return error(403, "this key is for another destination", close=True)
        what = "wrong key" if authorization else "missing key"
        return error(401, f"{what} in Authorization", _CHALLENGE, close=True)

    async def _read(
        self, request: _Request, scope: Scope, receive: Receive, hold: Callable[[int], None]
    ) -> None:
        """Read the whole body; raises before more of it than allowed is held.

        Then ``request`` has the beginning of it.
        """
        pieces: list[bytes] = []
        try:
            await self._read_pieces(pieces, scope, receive, hold)
        except _RefusedError:
            request.data, request.is_whole = b"".join(pieces), False
            request.length = max(request.length, len(request.data))
            request.data = request.data[: self.refusing.most_event_bytes]
            raise
        request.data = b"".join(pieces)

    async def _read_pieces(
        self, pieces: list[bytes], scope: Scope, receive: Receive, hold: Callable[[int], None]
    ) -> None:
        limit, size = self._limits.body_bytes, 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _AnsweredError if scope.get(REFUSED) else _sender_gone(scope)
                    piece = message.get("body", b"")
                    pieces.append(piece)
                    size += len(piece)
                    if size > limit:
                        raise _too_long(limit)
                    hold(len(piece))
                    if not message.get("more_body", False):
                        if scope.get(BODY_CUT):
                            raise _sender_gone(scope)
                        return
        seconds = self._limits.body_seconds
        raise _RefusedError(error(408, f"the body took longer than {seconds:g} s", close=True))

    async def _keep_beginning(
        self,
        request: _Request,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        hold: Callable[[int], None],
    ) -> None:
        """Read what is kept of a request that is refused before its body was read."""
        request.is_whole = False
        # Who asks first whether to send the body is answered without it.
        if request.is_known and b"expect" not in headers:
            await self._read_beginning(request, receive, hold)

    async def _read_beginning(
        self, request: _Request, receive: Receive, hold: Callable[[int], None]
    ) -> None:
        """Read as much of a refused body as is kept of one, if it comes within a moment."""
        pieces: list[bytes] = []
        left = self.refusing.most_event_bytes
        with contextlib.suppress(TimeoutError, _RefusedError):
            async with asyncio.timeout(_BEGINNING_SECONDS):
                while left > 0:
                    message = await receive()
                    piece = message.get("body", b"")[:left]
                    hold(len(piece))
                    pieces.append(piece)
                    left -= len(piece)
                    if not message.get("more_body", False):
                        break
        request.data = b"".join(pieces)
        request.is_whole = len(request.data) == request.length


def _of_key(refused: KeyRefusedError) -> Reply:
    """Return the answer to a request whose key is not accepted."""
    if refused.retry_after is not None:
        return unavailable(refused.message, refused.retry_after, close=True)
    challenge = (_CHALLENGE,) if refused.status == 401 else ()
    return error(refused.status, refused.message, *challenge, close=True)


def _is_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a body is compressed; raises for an encoding that is not understood."""
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in _GZIP:
        return True
    if encoding not in {b"identity", b""}:
        accepted = (b"accept-encoding", b"gzip")
        message = "send the body with Content-Encoding gzip, or without one"
        raise _RefusedError(error(415, message, accepted, close=True))
    return False


def _check_signature(
    authenticator: Authenticator, signature: bytes | None, data: bytes, *, is_gzip: bool
) -> bytes | None:
    """Check the signature of a body as it was sent, of which nothing was read before.

    Segment signs only the first event of a batch: that event is returned if it is what was signed.
    """
    if not authenticator.wants_signature or authenticator.is_signed(signature, data):
        return None
    if not is_gzip:  # what is not signed is not inflated
        first = first_event(data)
        if authenticator.is_signed(signature, first):
            return first
    raise _RefusedError(_wrong_signature())


def _wrong_signature() -> Reply:
    return error(401, "wrong X-Signature", _CHALLENGE)


def _too_long(limit: int) -> _RefusedError:
    return _RefusedError(error(413, f"the body is longer than {limit:,} bytes", close=True))


def _sender_gone(scope: Scope) -> _RefusedError:
    """Return the refusal of a body without an end; the client may be gone."""
    is_announced = any(name == b"content-length" for name, _ in scope["headers"])
    end = "Content-Length" if is_announced else "last chunk"
    message = f"the sender went away before the end of the body (its {end})"
    return _RefusedError(error(SENDER_GONE, message, code=BODY_INCOMPLETE, close=True))


def _announced(headers: Mapping[bytes, bytes]) -> int:
    """Return the length of the body that a request announces; 0 if it announces none."""
    announced = headers.get(b"content-length", b"")
    return int(announced) if announced.isdigit() else 0


def _settings_header(scope: Scope) -> bytes | None:
    """Return the settings that came with a request; in several lines of it they are one value."""
    found = [value for name, value in scope["headers"] if name == _SETTINGS]
    return b", ".join(found) if found else None  # which is no Base64, as either could be meant


def _single_headers(scope: Scope) -> Mapping[bytes, bytes]:
    """Return headers by lower-case name, without those that come twice: either could be meant."""
    headers: dict[bytes, bytes] = {}
    twice: set[bytes] = set()
    for name, value in scope["headers"]:
        if name in headers:
            twice.add(name)
        headers[name] = value
    return {name: value for name, value in headers.items() if name not in twice}
