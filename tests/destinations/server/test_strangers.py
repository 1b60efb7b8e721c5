"""What strangers can make a receiver do: little, and nothing to other destinations."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from destinations.server import Limits, Receiver, app

Serve = Callable[..., Any]

SIGNATURE_SECRET = "the-secret-that-signs"
EVENT = {"type": "track", "event": "E", "userId": "u1", "messageId": "m1"}
RAW = json.dumps(EVENT).encode()


def _hex(data: bytes) -> bytes:
    return hmac.new(SIGNATURE_SECRET.encode(), data, hashlib.sha1).hexdigest().encode()


class _Slow:
    """Senders of bodies that do not come, each with some bytes, in the loop of a test."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.statuses: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()

    async def begin(self, number: int, piece: bytes, path: str = "/v1/one") -> None:
        """Let so many senders begin; return when each waits, or has its answer."""
        waiting = asyncio.Semaphore(0)

        async def send_one() -> None:
            pieces = [piece]

            async def receive() -> dict[str, Any]:
                if pieces:
                    return {"type": "http.request", "body": pieces.pop(), "more_body": True}
                waiting.release()
                await self._over.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                if "status" in message:
                    self.statuses.append(message["status"])

            await self._receiver(_scope(path, (b"x-signature", b"0" * 40)), receive, send)
            waiting.release()

        for _ in range(number):
            self._tasks.append(asyncio.create_task(send_one()))
        for _ in range(number):
            await waiting.acquire()

    async def end(self) -> None:
        """Let all of them hang up."""
        self._over.set()
        await asyncio.gather(*self._tasks)


def _scope(path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": path, "headers": list(headers)}


async def _post(receiver: Receiver, path: str, body: bytes, *headers: tuple[bytes, bytes]) -> int:
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.append(message["status"])

    await receiver(_scope(path, *headers), receive, send)
    return int(statuses[0])


@pytest.mark.parametrize(
    ("limits", "piece", "number"),
    [
        (Limits(body_seconds=300), b"[", 510),
        (Limits(body_seconds=300, held_bytes=4_000_000), b"[" * 250_000, 20),
    ],
    ids=["requests", "bytes"],
)
def test_slow_bodies_of_strangers(serve: Serve, limits: Limits, piece: bytes, number: int) -> None:
    """However many are sent to one destination, events to another are taken at once."""
    receiver = serve(signatures=[SIGNATURE_SECRET], limits=limits).receiver

    async def play() -> tuple[int, int, int, Sequence[int]]:
        slow = _Slow(receiver)
        await slow.begin(number, piece)
        other = await _post(receiver, "/v1/two", RAW)
        signed = (b"x-signature", _hex(RAW))
        own = await _post(receiver, "/v1/one", RAW, signed)
        refused = list(slow.statuses)
        await slow.end()
        return other, own, await _post(receiver, "/v1/one", RAW, signed), refused

    other, own, later, refused = asyncio.run(play())
    assert set(refused) == {503}
    assert (other, own, later) == (200, 503, 200)


def test_no_signature(serve: Serve) -> None:
    """Who has none is answered before the body has come."""
    running = serve(signatures=[SIGNATURE_SECRET])
    answer = running.raw(b"POST /v1/one HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"missing X-Signature" in answer


@pytest.mark.parametrize(
    "body",
    [b"[" * 500_000, b"[" + b"[]," * 100_000, b'{"batch":[{}' + b",{}" * 100_000 + b"]}", b"7"],
    ids=["nested", "cut", "batch", "number"],
)
def test_bodies_of_strangers_are_not_read(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """A wrong signature is found on the bytes; what they hold is nobody's business."""

    def read(_: bytes) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(app, "read_body", read)
    running = serve(signatures=[SIGNATURE_SECRET])
    answer = running.post(body, X_Signature="0" * 40)
    assert (answer.status_code, answer.json()["message"]) == (401, "wrong X-Signature")


def test_a_signed_event_within_another(serve: Serve) -> None:
    """Whoever saw a signed event cannot hide it in one of his own, which nobody signed."""
    running = serve(signatures=[SIGNATURE_SECRET])
    signature = _hex(RAW).decode()
    batch = b'{"batch": [' + RAW + b"], "
    assert running.post(batch + b'"x": 1}', X_Signature=signature).status_code == 200
    forged = batch + b'"type": "track", "userId": "u2", "event": "F"}'
    assert running.post(forged, X_Signature=signature).status_code == 401
    assert [event.message_id for event in running.inboxes["one"].taken] == ["m1"]
