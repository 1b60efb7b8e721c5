"""Delivers: makes the requests of an action and settles what becomes of each event.

The only place that decides on outcomes. A request that is not idempotent and whose answer was
lost ends as ``unknown``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from destinations.clock import Clock
from destinations.definition import ErrorClass, RetryPolicy
from destinations.errors import IntegrationError, ResolveError, RetryableError, UsageError
from destinations.http import Answer, CompiledRequest, Failure
from destinations.http.transport import Transport
from destinations.outcome import Again, Outcome, Result
from destinations.runtime.action import Action, Call, Done, Payload
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.sending import Item, Sender

__all__ = ["Courier", "outcome_of"]

T = TypeVar("T")


class _Ended(Exception):  # noqa: N818 - no error: how an event's way ends within a generator
    """A request of a generator did not come to an answer."""

    def __init__(self, result: Result, failure: Failure | None = None) -> None:
        self.result = result
        self.failure = failure
        super().__init__(result.reason)


class Courier:
    """Delivers for one destination; used by several threads at once.

    When ``stop`` is set, nothing more is sent and what waits for another attempt ends as
    ``retrying``. ``memory`` keeps answers that are asked once; see `Sender`.
    ``policy`` is that of the definition unless one is given.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, half of it with a default
        self,
        destination: Destination,
        transport: Transport,
        clock: Clock,
        *,
        stop: threading.Event | None = None,
        memory: MutableMapping[str, Any] | None = None,
        policy: RetryPolicy | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._destination = destination
        policy = policy or destination.definition.transport.retry
        self._sender = Sender(
            policy, transport, clock, stop=stop or threading.Event(), memory=memory, draw=draw
        )
        self._mask = destination.settings.masker.text

    @property
    def requests_sent(self) -> int:
        """How many HTTP requests were made."""
        return self._sender.requests_sent

    def deliver(self, deliveries: Sequence[Delivery]) -> list[Result]:
        """One result for each delivery, in order; all are of one action, at most a batch.

        When the partner refuses the credentials, the result's code is ``INVALID_AUTHENTICATION``
        and its outcome ``retrying``: that is no fault of the event.
        """
        action = deliveries[0].subscription.action
        if action.generator is not None:
            return [self._generate(action, delivery) for delivery in deliveries]
        (request,) = action.requests.values()
        results: dict[int, Result] = {}
        items: dict[int, Item] = {}
        for index, delivery in enumerate(deliveries):
            try:
                items[index] = self._item(request, delivery.event, delivery.payload)
            except _Ended as ended:
                results[index] = ended.result
        if items:
            self._sender.send(request, list(items.values()))
        results |= {index: self._settle(request, item) for index, item in items.items()}
        return [results[index] for index in range(len(deliveries))]

    def ask(self, name: str, payloads: Sequence[Payload]) -> list[Answer | Failure]:
        """What the partner answers to an idempotent request, for each payload.

        They travel in batches; one whose answer another's failure hid is asked for alone.
        """
        request = self._destination.requests[name]
        items = []
        for payload in payloads:
            try:
                items.append(self._item(request, {}, payload))
            except _Ended as ended:
                failure = Failure(
                    *(ended.result.reason, "invalid", 400),
                    retryable=False,
                    nothing_applied=True,
                    whole_request=False,
                )
                items.append(Item({}, None, verdict=failure))
        made = [item for item in items if item.verdict is None]
        for batch in _batches(made, request.definition.batch_size):
            self._sender.send(request, batch)
            # Where the partner spoke of some, the failure of one may have hidden the others; where
            # it spoke of none, asking again would be asked of a partner that does not answer.
            if any(_is_clear(item.verdict) for item in batch):
                for item in batch:
                    if not _is_clear(item.verdict):
                        self._sender.send(request, [item])
        return [self._masked(item.verdict or _NOT_ASKED) for item in items]

    def perform(self, steps: Generator[Call, Answer, T]) -> T:
        """Runs a plugin's code outside of any event and returns what it comes to.

        Raises `IntegrationError` for a request that fails.
        """
        try:
            return self._drive(steps, {}, [])
        except _Ended as ended:
            if ended.failure is not None:
                error = ended.failure.error()
                error.message = self._mask(error.message)
                error.args = (error.message,)
                raise error from None
            raise UsageError(ended.result.reason) from None

    def _masked(self, verdict: T) -> T:
        """A failure without the secrets that the partner may have repeated in its message."""
        if isinstance(verdict, Failure):
            return replace(verdict, message=self._mask(verdict.message))
        return verdict

    def _generate(self, action: Action, delivery: Delivery) -> Result:
        """Delivers through plugin code."""
        assert action.generator is not None  # noqa: S101 - checked by the caller
        made: list[tuple[CompiledRequest, Item]] = []
        try:
            done: Done = self._drive(action.generator(delivery.payload), delivery.event, made)
            result = Result(Outcome.DELIVERED, done.note, manual=done.manual)
        except _Ended as ended:
            result = ended.result
        except RetryableError as error:
            result = Result.of_error(Outcome.DEAD, error)
        except IntegrationError as error:
            result = Result.of_error(Outcome.REJECTED, error)
        except Exception as error:  # noqa: BLE001 - a fault of one plugin must fail its event only
            repeatable = all(request.definition.idempotent for request, _ in made)
            outcome = Outcome.DEAD if repeatable else Outcome.UNKNOWN
            name = action.definition.perform.generator
            reason = self._mask(f"the generator {name!r} failed: {type(error).__name__}: {error}")
            result = Result(outcome, reason, "UNKNOWN_ERROR", 500)
        if result.outcome is not Outcome.DELIVERED and any(map(_was_applied_once, made)):
            # Sent again, the event would make that request a second time.
            result = replace(result, outcome=Outcome.UNKNOWN)
        return replace(result, attempts=sum(item.attempts for _, item in made))

    def _drive(
        self,
        steps: Generator[Call, Answer, T],
        event: Mapping[str, Any],
        made: list[tuple[CompiledRequest, Item]],
    ) -> T:
        """Makes a generator's calls and feeds it the answers until it is done."""
        try:
            call = next(steps)
            while True:
                request = self._destination.requests[call.request]
                item = self._item(request, event, call.payload)
                made.append((request, item))
                self._sender.send(request, [item])
                if not isinstance(item.verdict, Answer):
                    raise _Ended(self._settle(request, item), item.verdict)
                call = steps.send(item.verdict)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            steps.close()

    def _item(self, request: CompiledRequest, event: Mapping[str, Any], payload: Any) -> Item:
        context = {"event": event, "payload": payload, "settings": self._destination.settings}
        try:
            return Item(context, request.parts(context))
        except ResolveError as error:
            name = request.definition.name
            reason = self._mask(f"the request {name} cannot be made: {error}")
            raise _Ended(Result.invalid(reason, "BAD_REQUEST")) from None

    def _settle(self, request: CompiledRequest, item: Item) -> Result:
        """The result that an item's final verdict means."""
        verdict = item.verdict
        if verdict is None:
            reason = "the run was stopped before it was sent"
            return Result(Outcome.RETRYING, reason, attempts=item.attempts)
        if isinstance(verdict, Answer):
            return Result(Outcome.DELIVERED, attempts=item.attempts)
        verdict = self._masked(verdict)
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
        result = Result.of_error(outcome, verdict.error(), attempts=item.attempts)
        return replace(result, again=_again(verdict))


_NOT_ASKED: Final = Failure("not asked", "unavailable", 0, retryable=True, nothing_applied=True)


def _batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _is_clear(verdict: Answer | Failure | None) -> bool:
    """Whether this is the partner's word on this very item."""
    return isinstance(verdict, Answer) or (verdict is not None and not verdict.whole_request)


def _again(failure: Failure) -> Again | None:
    """What a failure says on trying again; None if that would be of no use."""
    if not (failure.retryable or failure.error_class == "authentication"):
        return None
    return Again(failure.retry_after, failure.attempts, failure.whole_request)


def _was_applied_once(made: tuple[CompiledRequest, Item]) -> bool:
    """Whether a request that must not be repeated has been carried out."""
    request, item = made
    return isinstance(item.verdict, Answer) and not request.definition.idempotent


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
