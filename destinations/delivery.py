"""Sends deliveries and settles what becomes of each: the only place that decides on retries.

Never sent twice by mistake: a failure of a request that is not idempotent is tried again only if
it is certain that nothing was applied; otherwise it ends as ``unknown``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from destinations.action import Action, Generated
from destinations.clock import Clock
from destinations.definition import ErrorClass
from destinations.destination import Delivery, Destination
from destinations.errors import IntegrationError, ResolveError
from destinations.outcome import Outcome, Result
from destinations.request import Answer, CompiledRequest, Context, Failure, HttpRequest
from destinations.retry import Outage, next_delay
from destinations.transport import Transport, TransportError

__all__ = ["Courier", "outcome_of"]


@dataclass(slots=True)
class _Item:
    """One event's part of a request, and how it is doing.

    ``attempts`` counts the requests that carried it. ``verdict`` is None as long as nothing is
    known of this event; ``interrupted`` tells that it would have been sent again had the run not
    been stopped.
    """

    context: Context
    parts: Any
    attempts: int = 0
    verdict: Answer | Failure | None = None
    interrupted: bool = False


class Courier:
    """Delivers for one destination; used by several threads at once.

    When ``stop`` is set, nothing more is sent and what waits for another attempt ends as
    ``retrying``. ``draw`` gives numbers from 0 to 1 for the jitter.
    """

    def __init__(
        self,
        destination: Destination,
        transport: Transport,
        clock: Clock,
        *,
        stop: threading.Event | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._destination = destination
        self._transport = transport
        self._clock = clock
        self._stop = stop or threading.Event()
        self._draw = draw
        self._outage = Outage()
        self._lock = threading.Lock()
        self._mask = destination.settings.masker.text
        self.requests_sent = 0

    def deliver(self, deliveries: Sequence[Delivery]) -> list[Result]:
        """One result for each delivery, in order; all are of one action, at most a batch.

        When the partner refuses the credentials, the result's code is ``INVALID_AUTHENTICATION``
        and its outcome ``retrying``: that is no fault of the event.
        """
        action = deliveries[0].subscription.action
        if action.generator is not None:
            return [self._generate(action, delivery) for delivery in deliveries]
        (request,) = action.requests.values()
        results: list[Result | None] = [None] * len(deliveries)
        items: dict[int, _Item] = {}
        for index, delivery in enumerate(deliveries):
            item = self._item(request, delivery, delivery.payload)
            if isinstance(item, Result):
                results[index] = item
            else:
                items[index] = item
        if items:
            self._send(request, list(items.values()))
        for index, item in items.items():
            results[index] = self._settle(request, item)
        return [result for result in results if result is not None]

    def _generate(self, action: Action, delivery: Delivery) -> Result:
        """Runs plugin code: makes its calls and feeds it the answers until it is done."""
        assert action.generator is not None  # noqa: S101 - checked by the caller
        steps: Generated = action.generator(delivery.payload)
        attempts = 0
        repeatable = True
        try:
            call = next(steps)
            while True:
                request = action.requests[call.request]
                item = self._item(request, delivery, call.payload)
                if isinstance(item, Result):
                    return item
                repeatable = repeatable and request.definition.idempotent
                self._send(request, [item])
                attempts += item.attempts
                if not isinstance(item.verdict, Answer):
                    return replace(self._settle(request, item), attempts=attempts)
                call = steps.send(item.verdict)
        except StopIteration as done:
            return Result(Outcome.DELIVERED, done.value or "", attempts=attempts)
        except IntegrationError as error:
            return Result.of_error(Outcome.REJECTED, error, attempts=attempts)
        except Exception as error:  # noqa: BLE001 - a fault of one plugin must fail its event only
            outcome = Outcome.DEAD if repeatable else Outcome.UNKNOWN
            name = action.definition.perform.generator
            reason = self._mask(f"the generator {name!r} failed: {type(error).__name__}: {error}")
            return Result(outcome, reason, "UNKNOWN_ERROR", 500, attempts=attempts)
        finally:
            steps.close()

    def _item(self, request: CompiledRequest, delivery: Delivery, payload: Any) -> _Item | Result:
        context = {
            "event": delivery.event,
            "payload": payload,
            "settings": self._destination.settings,
        }
        try:
            return _Item(context, request.parts(context))
        except ResolveError as error:
            name = request.definition.name
            reason = self._mask(f"the request {name} cannot be made: {error}")
            return Result.invalid(reason, "BAD_REQUEST")

    def _send(self, request: CompiledRequest, items: list[_Item]) -> None:
        """Sends until every item has an answer or a failure that is final."""
        policy = self._destination.definition.transport.retry
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
            items = [item for item in items if _is_worth_retrying(request, item.verdict)]
            now = self._clock.monotonic()
            waits = [
                item.verdict.retry_after
                for item in items
                if isinstance(item.verdict, Failure) and item.verdict.retry_after is not None
            ]
            delay = next_delay(
                policy,
                attempt=attempt,
                elapsed=max(now - began, self._outage.elapsed(now)),
                retry_after=max(waits, default=None),
                draw=self._draw,
            )
            if not items or delay is None:
                return
            if self._clock.wait(delay, self._stop):
                for item in items:
                    item.interrupted = True
                return

    def _attempt(self, request: CompiledRequest, items: Sequence[_Item]) -> None:
        """One HTTP request; leaves every item with a verdict."""
        try:
            message = request.prepare([item.parts for item in items], items[0].context)
        except ResolveError as error:
            for item in items:
                item.verdict = _unsendable(request, error)
            return
        verdicts = self._exchange(request, message, len(items))
        for item, verdict in zip(items, verdicts, strict=True):
            item.attempts += 1
            item.verdict = verdict
        if any(isinstance(verdict, Failure) and verdict.retryable for verdict in verdicts):
            self._outage.failed(self._clock.monotonic())
        else:
            self._outage.recovered()

    def _exchange(
        self, request: CompiledRequest, message: HttpRequest, count: int
    ) -> list[Answer | Failure]:
        with self._lock:
            self.requests_sent += 1
        try:
            response = self._transport.send(message)
        except TransportError as error:
            return [_lost(error)] * count
        return request.read(response, count)

    def _settle(self, request: CompiledRequest, item: _Item) -> Result:
        """The result that an item's final verdict means."""
        verdict = item.verdict
        if verdict is None:
            reason = "the run was stopped before it was sent"
            return Result(Outcome.RETRYING, reason, attempts=item.attempts)
        if isinstance(verdict, Answer):
            return Result(Outcome.DELIVERED, attempts=item.attempts)
        verdict = replace(verdict, message=self._mask(verdict.message))
        if not item.attempts:
            return Result.invalid(verdict.message, "BAD_REQUEST")
        outcome = outcome_of(
            request,
            error_class=verdict.error_class,
            retryable=verdict.retryable,
            nothing_applied=verdict.nothing_applied,
        )
        if outcome is Outcome.DEAD and item.interrupted:
            outcome = Outcome.RETRYING
        return Result.of_error(outcome, verdict.error(), attempts=item.attempts)


def outcome_of(
    request: CompiledRequest, *, error_class: ErrorClass, retryable: bool, nothing_applied: bool
) -> Outcome:
    """What a failure of ``request`` means for an event once it is not tried again.

    Unless the request is idempotent or certainly changed nothing, sending it again could apply it
    twice, and so could anybody who is told that it failed: that is ``unknown``.
    """
    if not (request.definition.idempotent or nothing_applied):
        return Outcome.UNKNOWN
    if error_class == "authentication":
        return Outcome.RETRYING
    return Outcome.DEAD if retryable else Outcome.REJECTED


def _is_worth_retrying(request: CompiledRequest, verdict: Answer | Failure | None) -> bool:
    return (
        isinstance(verdict, Failure)
        and verdict.retryable
        and (request.definition.idempotent or verdict.nothing_applied)
    )


def _is_refused_as_a_whole(items: Sequence[_Item]) -> bool:
    """Whether the partner refused the request without looking at its single events."""
    return all(
        isinstance(verdict := item.verdict, Failure)
        and verdict.whole_request
        and verdict.nothing_applied
        and not verdict.retryable
        and verdict.error_class not in {"authentication", "permission"}
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


def _unsendable(request: CompiledRequest, error: ResolveError) -> Failure:
    message = f"the request {request.definition.name} cannot be made: {error}"
    return Failure(message, "invalid", 400, retryable=False, nothing_applied=True)
