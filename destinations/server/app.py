"""The ASGI application: paths, credentials, limits; see docs/serving.md for what it answers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final

from destinations.errors import (
    BodyError,
    QueueFullError,
    StoreDeniedError,
    StoreFullError,
    StoreGoneError,
    TemporaryError,
)
from destinations.pipeline.observer import Observer
from destinations.server.accepting import accept
from destinations.server.auth import Authenticator, presented_key
from destinations.server.body import Body, first_event, read_body
from destinations.server.body_reader import BodyReader, Hold, Limits
from destinations.server.event_request import (
    AnsweredError,
    EventRequest,
    RefusedError,
    single_headers,
)
from destinations.server.event_sources import EventSources
from destinations.server.future_bridge import FutureBridge
from destinations.server.header_settings import HEADER
from destinations.server.ingest_route import IngestRoute
from destinations.server.keys import KeyRefusedError
from destinations.server.network_addresses import Network, peer_of
from destinations.server.pages import Pages
from destinations.server.refused_events import Refusal, Refusing
from destinations.server.replies import CHALLENGE, Receive, Reply, Scope, Send, error, unavailable
from destinations.server.shares import Shares
from destinations.server.source_requests import SourceRequests
from destinations.server.tenants import ServedTenants

__all__ = ["Receiver"]

_LOG = logging.getLogger(__name__)
_PREFIX: Final = "/v1/"
_SETTINGS: Final = HEADER.lower().encode()
_GONE_SECONDS: Final = 30.0
_FULL_SECONDS: Final = 30.0
_FAULT_SECONDS: Final = 30.0
_AWAY_SECONDS: Final = 5.0

_Taken = tuple[Reply, Sequence[Refusal]]
_Take = Callable[[EventRequest, Scope, Receive, Hold], Awaitable[_Taken]]
"""Takes the events of a request; returns the answer, and what of it was refused."""


class Receiver:
    """``POST /v1/NAME`` for each of its routes, Segment's HTTP API for its sources, and `pages`.

    The pages only unless others serve those.

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
        limits = limits or Limits()
        self._observer = observer or Observer()
        self._requests = Shares(limits.requests)
        self._reader = BodyReader(limits, lambda: self.refusing.most_event_bytes)
        self._bridge: FutureBridge | None = None
        self._of_sources = SourceRequests(
            self._reader, self._observer, lambda: self._to_loop, trusted
        )

    @property
    def sources(self) -> EventSources:
        """The sources whose events it takes; they can be exchanged."""
        return self._of_sources.sources

    @sources.setter
    def sources(self, value: EventSources) -> None:
        self._of_sources.sources = value

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI defines it."""
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except AnsweredError:
            return
        await reply.send(send)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        name = path.removeprefix(_PREFIX)
        if self._of_sources.is_for(path):
            return await self._reply_to_source(path, scope, receive)
        if path.startswith(_PREFIX) and name in self.routes:
            route = self.routes[name]
            request = EventRequest(name, path, self._peer(scope), route.scope)
            if method == "POST":
                take = partial(self._take, route)
                # To a customer's endpoint Segment does not send again what is answered 500.
                is_repeated = route.tenants is None
                reply, refusals = await self._post(
                    request, scope, receive, take, is_repeated=is_repeated
                )
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
        there = [f"{_PREFIX}NAME"] if self.routes or not self.sources else []
        there += [f"{_PREFIX}batch, {_PREFIX}track and so on"] if self.sources else []
        return error(404, f"there is nothing here; events go to {' or '.join(there)}", close=True)

    async def _reply_to_source(self, path: str, scope: Scope, receive: Receive) -> Reply:
        request = self._of_sources.begin(path, self._peer(scope), scope)
        if scope["method"] == "POST":
            reply, refusals = await self._post(request, scope, receive, self._of_sources.take)
        else:
            reply = self._of_sources.without_body(request, scope)
            refusals = [] if reply.status < 400 else [request.refusal(reply)]
        if refusals:
            self._tell(request, refusals)
        return self._of_sources.for_browsers(reply, request, scope)

    @property
    def _names(self) -> Collection[str]:
        """The names among which what is limited is shared."""
        sources = self._of_sources.sources
        return [*self.routes, *sources.names] if sources else self.routes.keys()

    def _tell(self, request: EventRequest, refusals: Sequence[Refusal]) -> None:
        """Count each event; keep only those of known senders, as strangers could fill the store."""
        numbers: Counter[tuple[int, str]] = Counter()
        for one in refusals:
            numbers[one.status, one.code] += one.events
        for (status, code), number in numbers.items():
            self._observer.refused(request.name, status, request.peer, code, number)
        if request.is_known and request.scope is not None:
            self.refusing.keep(request.scope, request.path, request.peer, refusals)

    def _peer(self, scope: Scope) -> str:
        """Return the address of the sender."""
        host, _ = scope.get("client") or ("", 0)
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return peer_of(host, forwarded, self._trusted)

    def _unready_or_draining(self) -> Sequence[str]:
        return ["draining"] if self.draining else self._unready()

    async def _post(  # noqa: C901 - each fault has its own answer
        self,
        request: EventRequest,
        scope: Scope,
        receive: Receive,
        take: _Take,
        *,
        is_repeated: bool = True,
    ) -> _Taken:
        """Return the answer to a request that brings events, and what of it was refused.

        ``is_repeated`` says that its sender sends again what is answered 500.
        """
        name = request.name
        if self.draining:
            reply = unavailable("is shutting down", 5.0, close=True)
        elif not self._requests.take(name, 1, self._names):
            reply = unavailable("too many requests are under way", 1.0, close=True)
        else:
            try:
                with self._reader.holding(name, self._names) as hold:
                    return await take(request, scope, receive, hold)
            except RefusedError as refused:
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
            except AnsweredError:
                raise
            except (TemporaryError, StoreDeniedError):  # which name the place of the store
                message = "the store cannot be used now; nothing was accepted"
                reply = unavailable(message, _AWAY_SECONDS)
            except Exception:  # noqa: BLE001 - answered so that the sender tries again
                # Only the log has the error: its message could reveal too much.
                _LOG.exception(
                    "request to %s failed with an internal error",
                    name or request.path,  # a source is not known yet
                    extra={"destination": name},
                )
                self._observer.internal_error(name)
                message = "internal error; nothing was accepted"
                reply = error(500, message) if is_repeated else unavailable(message, _FAULT_SECONDS)
            finally:
                self._requests.give_back(name, 1)
        return reply, [request.refusal(reply)]

    async def _take(
        self,
        route: IngestRoute,
        request: EventRequest,
        scope: Scope,
        receive: Receive,
        hold: Hold,
    ) -> _Taken:
        headers = single_headers(scope)
        authorization = headers.get(b"authorization")
        if route.tenants is not None:
            try:
                route = await self._admit(
                    route, route.tenants, authorization, _settings_header(scope)
                )
            except KeyRefusedError as refused:
                if refused.scope is not None:
                    request.scope, request.is_known = refused.scope, True
                    await self._reader.keep_beginning(request, headers, receive, hold)
                raise RefusedError(_of_key(refused)) from None
            request.scope = route.scope
        authenticator = route.authenticator
        # Before the body is read: who has no key, or no signature, cannot make us hold one.
        if authenticator.wants_key and not authenticator.has_key(authorization):
            raise RefusedError(self._stranger(authorization))
        signature = headers.get(b"x-signature")
        if authenticator.wants_signature and not signature:
            raise RefusedError(error(401, "missing X-Signature", CHALLENGE, close=True))
        request.is_known = not authenticator.wants_signature
        is_gzip = await self._reader.read(request, headers, scope, receive, hold)
        first = _check_signature(authenticator, signature, request.data, is_gzip=is_gzip)
        request.is_known = True
        if is_gzip:
            self._reader.inflate(request, hold)
        request.length = len(request.data)
        body = read_body(request.data)
        # Else the batch begins with the signed event of another sender.
        if first is not None and (not body.events or body.events[0] != first):
            request.is_known = False
            raise RefusedError(_wrong_signature())
        request.events = max(1, len(body.events))
        return await self._accept(route, request, body)

    async def _accept(self, route: IngestRoute, request: EventRequest, body: Body) -> _Taken:
        if route.tenants is None or route.tenant is None:
            return await accept(route, body, self._observer, self._to_loop)
        try:
            with route.tenants.keeping(route.tenant, request.events, len(request.data)):
                return await accept(route, body, self._observer, self._to_loop)
        except KeyRefusedError as refused:
            raise RefusedError(_of_key(refused)) from None

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
        raise RefusedError(reply)

    def _stranger(self, authorization: bytes | None) -> Reply:
        known = False
        for other in self.routes.values():
            known |= other.authenticator.has_key(authorization)
        if known:
            return error(403, "this key is for another destination", close=True)
        what = "wrong key" if authorization else "missing key"
        return error(401, f"{what} in Authorization", CHALLENGE, close=True)


def _of_key(refused: KeyRefusedError) -> Reply:
    """Return the answer to a request whose key is not accepted."""
    if refused.retry_after is not None:
        return unavailable(refused.message, refused.retry_after, close=True)
    challenge = (CHALLENGE,) if refused.status == 401 else ()
    return error(refused.status, refused.message, *challenge, close=True)


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
    raise RefusedError(_wrong_signature())


def _wrong_signature() -> Reply:
    return error(401, "wrong X-Signature", CHALLENGE)


def _settings_header(scope: Scope) -> bytes | None:
    """Return the settings that came with a request; in several lines of it they are one value."""
    found = [value for name, value in scope["headers"] if name == _SETTINGS]
    return b", ".join(found) if found else None  # which is no Base64, as either could be meant
