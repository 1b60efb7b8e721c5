"""Pages for operators and their machines: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from destinations.server.replies import Receive, Reply, Scope, Send, error
from destinations.telemetry import CONTENT_TYPE

__all__ = ["Pages"]

_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_TEXT: Final = b"text/plain; charset=utf-8"
_METRICS: Final = CONTENT_TYPE.encode()


class Pages:
    """An ASGI application that serves only these pages; others can ask it for its replies.

    ``unready`` gives the reasons for which no events should be sent here now, ``remarks`` what
    else an operator should know; all three functions may block.
    """

    def __init__(
        self,
        *,
        metrics: Callable[[], bytes],
        unready: Callable[[], Sequence[str]],
        remarks: Callable[[], Sequence[str]],
    ) -> None:
        self._metrics = metrics
        self._unready = unready
        self._remarks = remarks

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            return
        reply = await self.reply(scope["path"], scope["method"])
        if reply is None:
            paths = ", ".join(sorted(_PATHS))
            reply = error(404, f"there is nothing here; the pages are {paths}", close=True)
        await reply.send(send)

    async def reply(self, path: str, method: str) -> Reply | None:
        """Return the answer for a path; None if it is not one of the pages."""
        if path not in _PATHS:
            return None
        if method not in {"GET", "HEAD"}:
            return error(405, "ask with GET", (b"allow", b"GET, HEAD"), close=True)
        if path == "/metrics":
            return Reply(200, await asyncio.to_thread(self._metrics), content_type=_METRICS)
        if path == "/healthz":
            return Reply(200, b"alive\n", content_type=_TEXT)
        reasons = await asyncio.to_thread(self._unready)
        lines = [*(reasons or ["ready"]), *self._remarks()]
        text = "".join(f"{line}\n" for line in lines)
        return Reply(503 if reasons else 200, text.encode(), content_type=_TEXT)
