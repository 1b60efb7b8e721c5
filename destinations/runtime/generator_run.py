"""One event's way through a plugin's code, from one request to the next."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Generic, TypeVar

from destinations.http import Answer
from destinations.runtime.action import Call

__all__ = ["GeneratorRun"]

T = TypeVar("T")
R = TypeVar("R")


class GeneratorRun(Generic[T, R]):
    """A generator that is driven step by step, so that the requests of several can be joined.

    ``call`` is the request that it waits for, None once it is over; then `result` returns what it
    came to. ``made`` are the requests so far, as the driver notes them. ``event`` returns the event
    that they are made for.
    """

    def __init__(
        self,
        start: Callable[[], Generator[Call, Answer, T]],
        event: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.event: Final = event
        self.made: list[R] = []
        self.call: Call | None = None
        self._error: Exception | None = None
        self._value: T
        try:
            self._steps = start()
            self._go_on(None)
        except Exception as error:  # noqa: BLE001 - the result of only this event
            self._error = error

    def answer(self, answer: Answer) -> None:
        """Give the generator the answer to its request."""
        try:
            self._go_on(answer)
        except Exception as error:  # noqa: BLE001 - the result of only this event
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End with an error, as the request has no answer."""
        self.call, self._error = None, error
        self._steps.close()

    def result(self) -> T:
        """Return the generator's result, or raise its exception."""
        if self._error is not None:
            raise self._error
        return self._value

    def _go_on(self, answer: Answer | None) -> None:
        try:
            self.call = next(self._steps) if answer is None else self._steps.send(answer)
        except StopIteration as stop:
            self.call, self._value = None, stop.value
