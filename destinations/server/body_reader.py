"""Read the bodies of requests within limits, and the beginning of those that are refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from destinations.errors import BodyError
from destinations.server.event_request import (
    AnsweredError,
    EventRequest,
    RefusedError,
    announced_length,
    is_gzip,
)
from destinations.server.gzip_body import inflated, inflated_beginning
from destinations.server.replies import (
    BODY_CUT,
    REFUSED,
    Receive,
    Scope,
    error,
    unavailable,
)
from destinations.server.shares import Shares
from destinations.statuses import BODY_INCOMPLETE, SENDER_GONE

__all__ = ["BodyReader", "Hold", "Limits"]

Hold = Callable[[int], None]
"""Counts bytes that a request holds; raises `RefusedError` for too many."""

_BEGINNING_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body, seconds until it has come, and what is under way at once.

    ``requests`` and ``held_bytes``, the bytes of their bodies, are shared among the destinations
    and sources: see `destinations.server.shares.Shares`.
    """

    body_bytes: int = 500 * 1024
    body_seconds: float = 10.0
    requests: int = 500
    held_bytes: int = 64 * 1024 * 1024


class BodyReader:
    """Reads bodies within ``limits``; ``most_kept`` is how much is kept of one that is refused."""

    def __init__(self, limits: Limits, most_kept: Callable[[], int]) -> None:
        self._limits = limits
        self._most_kept = most_kept
        self._held = Shares(limits.held_bytes, limits.body_bytes)

    @contextlib.contextmanager
    def holding(self, name: str, names: Collection[str]) -> Iterator[Hold]:
        """Provide a function that counts the bytes of a request to one of ``names``."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if not self._held.take(name, size, names):
                raise RefusedError(unavailable("too many bytes are held", 1.0, close=True))
            held += size

        try:
            yield hold
        finally:
            self._held.give_back(name, held)

    async def read(
        self,
        request: EventRequest,
        headers: Mapping[bytes, bytes],
        scope: Scope,
        receive: Receive,
        hold: Hold,
    ) -> bool:
        """Read the body as it was sent; returns whether it is gzip, which `inflate` is for.

        Raises `RefusedError` for one that is too long or slow, or in another encoding, and
        `AnsweredError`. Then ``request`` has the beginning of it.
        """
        request.length = announced_length(headers)
        try:
            compressed = is_gzip(headers)
            if request.length > self._limits.body_bytes:
                raise self._too_long()
        except RefusedError:
            await self.keep_beginning(request, headers, receive, hold)
            raise
        pieces: list[bytes] = []
        try:
            await self._read_pieces(pieces, scope, receive, hold)
        except RefusedError:
            request.data, request.is_whole = b"".join(pieces), False
            request.length = max(request.length, len(request.data))
            request.data = request.data[: self._most_kept()]
            raise
        request.data = b"".join(pieces)
        return compressed

    def inflate(self, request: EventRequest, hold: Hold) -> None:
        """Replace a gzip body by what it holds; of one that is refused, by its beginning.

        Raises `BodyError`.
        """
        try:
            request.data = inflated(request.data, self._limits.body_bytes)
        except BodyError:
            beginning = inflated_beginning(request.data, self._most_kept())
            if beginning:
                request.data, request.is_whole = beginning, False
            raise
        hold(len(request.data))

    async def keep_beginning(
        self,
        request: EventRequest,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        hold: Hold,
    ) -> None:
        """Read what is kept of a request that is refused before its body was read."""
        request.length, request.is_whole = announced_length(headers), False
        # Who asks first whether to send the body is answered without it.
        if request.is_known and b"expect" not in headers:
            await self._read_beginning(request, receive, hold)

    def _too_long(self) -> RefusedError:
        message = f"the body is longer than {self._limits.body_bytes:,} bytes"
        return RefusedError(error(413, message, close=True))

    async def _read_pieces(
        self, pieces: list[bytes], scope: Scope, receive: Receive, hold: Hold
    ) -> None:
        limit, size = self._limits.body_bytes, 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise AnsweredError if scope.get(REFUSED) else _sender_gone(scope)
                    piece = message.get("body", b"")
                    pieces.append(piece)
                    size += len(piece)
                    if size > limit:
                        raise self._too_long()
                    hold(len(piece))
                    if not message.get("more_body", False):
                        if scope.get(BODY_CUT):
                            raise _sender_gone(scope)
                        return
        seconds = self._limits.body_seconds
        raise RefusedError(error(408, f"the body took longer than {seconds:g} s", close=True))

    async def _read_beginning(self, request: EventRequest, receive: Receive, hold: Hold) -> None:
        """Read as much of a refused body as is kept of one, if it comes within a moment."""
        pieces: list[bytes] = []
        left = self._most_kept()
        with contextlib.suppress(TimeoutError, RefusedError):
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


def _sender_gone(scope: Scope) -> RefusedError:
    """Return the refusal of a body without an end; the client may be gone."""
    is_announced = any(name == b"content-length" for name, _ in scope["headers"])
    end = "Content-Length" if is_announced else "last chunk"
    message = f"the sender went away before the end of the body (its {end})"
    return RefusedError(error(SENDER_GONE, message, code=BODY_INCOMPLETE, close=True))
