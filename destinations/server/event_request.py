"""A request that brings events, and why it may end early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.pipeline.queue import Scope as QueueScope
from destinations.server.refused_events import Refusal
from destinations.server.replies import Reply, Scope, error

__all__ = [
    "AnsweredError",
    "EventRequest",
    "RefusedError",
    "announced_length",
    "is_gzip",
    "single_headers",
]

_GZIP: Final = frozenset({b"gzip", b"x-gzip"})


class AnsweredError(Exception):
    """The connection has refused the request already, in the middle of its body."""


class RefusedError(Exception):
    """The request ends with this reply."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__()


@dataclass(slots=True)
class EventRequest:
    """A request to a destination or by a source, ``name``: what is known of it so far.

    ``is_known`` says that its sender has proved what is asked for, and ``scope`` where its refused
    events are kept. ``data`` is its body, of ``length`` bytes, and ``events`` how many it counts
    for. ``is_whole`` is false if ``data`` is a part of it, or not as it came.
    """

    name: str
    path: str
    peer: str
    scope: QueueScope | None = None
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


def single_headers(scope: Scope) -> Mapping[bytes, bytes]:
    """Return headers by lower-case name, without those that come twice: either could be meant."""
    headers: dict[bytes, bytes] = {}
    twice: set[bytes] = set()
    for name, value in scope["headers"]:
        if name in headers:
            twice.add(name)
        headers[name] = value
    return {name: value for name, value in headers.items() if name not in twice}


def announced_length(headers: Mapping[bytes, bytes]) -> int:
    """Return the length of the body that a request announces; 0 if it announces none."""
    announced = headers.get(b"content-length", b"")
    return int(announced) if announced.isdigit() else 0


def is_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a body is compressed.

    Raises `RefusedError` for an encoding that is not understood.
    """
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding in _GZIP:
        return True
    if encoding not in {b"identity", b""}:
        accepted = (b"accept-encoding", b"gzip")
        message = "send the body with Content-Encoding gzip, or without one"
        raise RefusedError(error(415, message, accepted, close=True))
    return False
