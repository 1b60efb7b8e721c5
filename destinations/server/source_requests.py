"""Answer requests of Segment's HTTP API: events of sources, and what browsers ask before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from destinations.pipeline.observer import Observer
from destinations.server.body import read_sent
from destinations.server.body_reader import BodyReader, Hold
from destinations.server.cors import allowed, preflight
from destinations.server.event_request import EventRequest, RefusedError, single_headers
from destinations.server.event_sources import EventSource, EventSources, sdk_settings
from destinations.server.future_bridge import FutureBridge
from destinations.server.network_addresses import Network
from destinations.server.public_address import public_address
from destinations.server.refused_events import Refusal
from destinations.server.replies import CHALLENGE, Receive, Reply, Scope, error
from destinations.server.source_calls import PATHS, SETTINGS_PATH, settings_key
from destinations.server.source_events import accept_sent

__all__ = ["SourceRequests"]

_PREFIX: Final = "/v1/"


class SourceRequests:
    """Answers requests to `sources`, which its owner may exchange; see docs/sdks.md.

    For ``trusted`` proxies see `public_address`.
    """

    def __init__(
        self,
        reader: BodyReader,
        observer: Observer,
        bridge: Callable[[], FutureBridge],
        trusted: Sequence[Network] = (),
    ) -> None:
        self.sources = EventSources()
        self._reader = reader
        self._observer = observer
        self._bridge = bridge
        self._trusted = trusted

    def is_for(self, path: str) -> bool:
        """Return whether a path is one of those of Segment's HTTP API; none is without sources."""
        if not self.sources:
            return False
        name = path.removeprefix(_PREFIX)
        is_call = path.startswith(_PREFIX) and name in PATHS and name != SETTINGS_PATH
        return is_call or settings_key(path) is not None

    def begin(self, path: str, peer: str, scope: Scope) -> EventRequest:
        """Return a request as far as its headers tell whose it is."""
        source = self.sources.of_header(single_headers(scope).get(b"authorization"))
        request = EventRequest("", path, peer)
        if source is not None:
            _is_of(request, source)
        return request

    def without_body(self, request: EventRequest, scope: Scope) -> Reply:
        """Return the answer to anything but POST: to a question of a browser, or for settings."""
        method, key = scope["method"], settings_key(request.path)
        if method == "OPTIONS":
            return preflight(single_headers(scope), self.sources.origins)
        if key is None:
            return error(405, "send events with POST", (b"allow", b"POST"), close=True)
        if method not in {"GET", "HEAD"}:
            return error(405, "get the settings with GET", (b"allow", b"GET"), close=True)
        source = self.sources.of_key(key)
        if source is None:
            return error(404, "there is no source with this write key")
        client, _ = scope.get("client") or ("", 0)
        scheme, host = public_address(single_headers(scope), client, self._trusted)
        if not host:  # without one, the SDK would send to Segment
            return error(400, "the header Host names no host")
        return Reply(200, sdk_settings(key, host, scheme))

    async def take(
        self, request: EventRequest, scope: Scope, receive: Receive, hold: Hold
    ) -> tuple[Reply, Sequence[Refusal]]:
        """Return the answer to events, and those of them that were refused.

        Raises `RefusedError`, `AnsweredError`, `BodyError` and `QueueFullError`.
        """
        headers = single_headers(scope)
        if not request.name and headers.get(b"authorization"):
            raise RefusedError(_stranger("wrong write key in Authorization"))
        if settings_key(request.path) is not None:
            raise RefusedError(error(405, "get the settings with GET", (b"allow", b"GET")))
        compressed = await self._reader.read(request, headers, scope, receive, hold)
        if compressed:
            self._reader.inflate(request, hold)
        request.length = len(request.data)
        kind = PATHS[request.path.removeprefix(_PREFIX)]
        body = read_sent(request.data, is_batch=kind is None)
        source = self.sources.get(request.name)
        if source is None:
            source = None if body.key is None else self.sources.of_key(body.key)
            if source is None:
                where = "missing" if body.key is None else "wrong"
                message = f"{where} write key: send it as the user name of Basic, or as writeKey"
                raise RefusedError(_stranger(message))
            _is_of(request, source)
        request.events = max(1, len(body.events))
        return await accept_sent(source, body, kind, request.peer, self._observer, self._bridge())

    def for_browsers(self, reply: Reply, request: EventRequest, scope: Scope) -> Reply:
        """Return a reply that the page of its sender may read, if it is one of the source's."""
        if scope["method"] == "OPTIONS":
            return reply
        key = settings_key(request.path)
        source = self.sources.get(request.name) if key is None else self.sources.of_key(key)
        origins = self.sources.origins if source is None else source.cors
        more = allowed(single_headers(scope).get(b"origin"), origins)
        return replace(reply, headers=(*reply.headers, *more)) if more else reply


def _is_of(request: EventRequest, source: EventSource) -> None:
    """Note whose request it is."""
    request.name, request.scope, request.is_known = source.name, source.scope, True


def _stranger(message: str) -> Reply:
    return error(401, message, CHALLENGE, close=True)
