"""Sends requests until each event's part of them has an answer or a failure that is final.

Never sent twice by mistake: a failure of a request that is not idempotent is tried again only if
it is certain that nothing was applied.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from destinations.clock import Clock
from destinations.definition import RetryPolicy
from destinations.errors import ResolveError
from destinations.http import Answer, CompiledRequest, Context, Failure, HttpRequest
from destinations.http.transport import Transport, TransportError, UnsendableError
from destinations.runtime.retry import Outage, next_delay

__all__ = ["Item", "Sender"]


@dataclass(slots=True)
class Item:
    """One event's part of a request, and how it is doing.

    ``parts`` is what the request's templates made of ``context``. ``attempts`` counts the requests
    that carried it. ``verdict`` is None as long as nothing is known of this event; ``interrupted``
    tells that it would have been sent again had the run not been stopped.
    """

    context: Context
    parts: Any
    attempts: int = 0
    verdict: Answer | Failure | None = None
    interrupted: bool = False


class Sender:
    """Sends for one destination; used by several threads at once.

    When ``stop`` is set, nothing more is sent. ``memory`` keeps the answers of requests that are
    remembered, by name. ``draw`` gives numbers from 0 to 1 for the jitter.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        transport: Transport,
        clock: Clock,
        *,
        stop: threading.Event,
        memory: MutableMapping[str, Any] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._transport = transport
        self._clock = clock
        self._stop = stop
        self._memory: MutableMapping[str, Any] = {} if memory is None else memory
        self._draw = draw
        self._outage = Outage()
        self._lock = threading.Lock()
        self.requests_sent = 0

    def send(self, request: CompiledRequest, items: list[Item]) -> None:
        """Leaves every item with its final verdict, or None where a stop came first."""
        if request.definition.remember:
            self._send_once(request, items)
        else:
            self._send(request, items)

    def _send_once(self, request: CompiledRequest, items: list[Item]) -> None:
        name = request.definition.name
        with self._lock:
            known = name in self._memory
            answer = self._memory[name] if known else None
        if known:
            for item in items:
                item.verdict = Answer("ok", answer)
            return
        self._send(request, items)
        for item in items:
            if isinstance(item.verdict, Answer) and item.verdict.name == "ok":
                with self._lock:
                    self._memory[name] = item.verdict.data

    def _send(self, request: CompiledRequest, items: list[Item]) -> None:
        began = self._clock.monotonic()
        attempt = 0
        while items and not self._stop.is_set():
            attempt += 1
            self._attempt(request, items)
            if attempt == 1 and len(items) > 1 and _is_refused_as_a_whole(items):
                # One event that the partner cannot read must not take the others with it.
                for item in items:
                    item.verdict = None  # that of the others may not be its own
                middle = len(items) // 2
                self._send(request, items[:middle])
                self._send(request, items[middle:])
                return
            items = [item for item in items if _is_worth_retrying(request, item.verdict, attempt)]
            now = self._clock.monotonic()
            delay = next_delay(
                self._policy,
                attempt=attempt,
                elapsed=max(now - began, self._outage.elapsed(now)),
                retry_after=_retry_after(items),
                draw=self._draw,
            )
            if not items or delay is None:
                return
            if self._clock.wait(delay, self._stop):
                for item in items:
                    item.interrupted = True
                return

    def _attempt(self, request: CompiledRequest, items: Sequence[Item]) -> None:
        """One HTTP request; leaves every item with a verdict."""
        try:
            message = request.prepare([item.parts for item in items], items[0].context)
            verdicts = self._exchange(request, message, len(items))
        except (ResolveError, UnsendableError) as error:
            for item in items:
                item.verdict = _unsendable(request, error)
            return
        for item, verdict in zip(items, verdicts, strict=True):
            item.attempts += 1
            item.verdict = verdict
        # A single event that has to wait says nothing of the partner; a request that fails does.
        if all(_is_of_an_outage(verdict) for verdict in verdicts):
            self._outage.failed(self._clock.monotonic())
        else:
            self._outage.recovered()

    def _exchange(
        self, request: CompiledRequest, message: HttpRequest, count: int
    ) -> list[Answer | Failure]:
        try:
            response = self._transport.send(message)
        except UnsendableError:
            raise
        except TransportError as error:
            verdicts: list[Answer | Failure] = [_lost(error)] * count
        else:
            verdicts = request.read(response, count)
        with self._lock:
            self.requests_sent += 1
        return verdicts


def _retry_after(items: Sequence[Item]) -> float | None:
    """The longest wait that the partner asked for, in seconds."""
    waits = [
        item.verdict.retry_after
        for item in items
        if isinstance(item.verdict, Failure) and item.verdict.retry_after is not None
    ]
    return max(waits, default=None)


def _is_of_an_outage(verdict: Answer | Failure) -> bool:
    return isinstance(verdict, Failure) and verdict.retryable and verdict.whole_request


def _is_worth_retrying(
    request: CompiledRequest, verdict: Answer | Failure | None, attempt: int
) -> bool:
    """Whether an item may be sent again after attempt number ``attempt``."""
    return (
        isinstance(verdict, Failure)
        and verdict.retryable
        and (verdict.attempts is None or attempt < verdict.attempts)
        and (request.definition.idempotent or verdict.nothing_applied)
    )


def _is_refused_as_a_whole(items: Sequence[Item]) -> bool:
    """Whether the partner refused the request without looking at its single events."""
    return all(
        isinstance(verdict := item.verdict, Failure)
        and verdict.whole_request
        and verdict.nothing_applied
        and not verdict.retryable
        and verdict.error_class == "invalid"
        for item in items
    )


def _lost(error: TransportError) -> Failure:
    return Failure(
        error.message,
        "timeout" if error.timeout else "unavailable",
        0,
        retryable=True,
        nothing_applied=not error.sent,
    )


def _unsendable(request: CompiledRequest, error: ResolveError | UnsendableError) -> Failure:
    message = f"the request {request.definition.name} cannot be made: {error}"
    return Failure(message, "invalid", 400, retryable=False, nothing_applied=True)
