"""Write the receiver's answers."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.http.json_bytes import encode_json
from destinations.statuses import CODES

__all__ = [
    "BODY_CUT",
    "CHALLENGE",
    "REFUSED",
    "Application",
    "Message",
    "Receive",
    "Reply",
    "Scope",
    "Send",
    "error",
    "unavailable",
]

# The types of ASGI (https://asgi.readthedocs.io).
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


CHALLENGE: Final = (b"www-authenticate", b'Basic realm="events"')
"""The header of an answer to who has no valid key."""

_NO_CONTENT: Final = 204

BODY_CUT: Final = "destinations.body_is_cut"
"""The key that the scope of a request has whose sender closed its side before the body's end."""

REFUSED: Final = "destinations.is_refused"
"""The key that the scope of a request has whose connection was answered and is about to end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer; ``body`` is written as JSON unless it is bytes."""

    status: int
    body: object
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"

    async def send(self, send: Send) -> None:
        """Send the reply."""
        data = self.body if isinstance(self.body, bytes) else encode_json(self.body)
        headers = list(self.headers)
        if self.status != _NO_CONTENT:  # which has no length either (RFC 9110, 8.6)
            length = str(len(data)).encode()
            headers[:0] = [(b"content-type", self.content_type), (b"content-length", length)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": data})


def error(
    status: int, message: str, *headers: tuple[bytes, bytes], code: str = "", close: bool = False
) -> Reply:
    """Return a reply with ``message``, which Segment shows to its customer, and ``code``.

    Without a ``code`` it is the name of the status, such as ``BAD_REQUEST``. ``close`` ends the
    connection: what is left of the body is not read.
    """
    more = ((b"connection", b"close"),) if close else ()
    body = {"message": message, "code": code or CODES[status]}
    return Reply(status, body, (*headers, *more))


def unavailable(message: str, retry_after: float, *, close: bool = False) -> Reply:
    """Return a 503: the sender may try again after ``retry_after`` seconds."""
    seconds = str(max(1, math.ceil(retry_after))).encode()
    return error(503, message, (b"retry-after", seconds), close=close)
