"""Reads errors by the definition's rules, first match wins, and else by the HTTP status.

The default by status is that of Segment's framework (retried are 408, 423, 429 and 5xx except
501), with one difference that keeps a request from being applied twice: only a 429, and a 401,
since credentials are looked at before anything else, count as proof that nothing was applied. What
else proves it at a partner is for its definition to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from destinations.definition import AnswerRule, ErrorClass, ErrorCondition, ErrorRule
from destinations.http.answer import Answer, Failure
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation import compile_schema

__all__ = ["ErrorReader", "Signal"]


@dataclass(frozen=True, slots=True)
class Signal:
    """What an error says of itself; ``code`` and ``exception`` are GraphQL's extensions.

    ``root_field`` is the key of the one that failed, of several.
    """

    status: int
    message: str
    code: str | None = None
    exception: str | None = None
    body: Any = None
    root_field: str | None = None


_Test = Callable[[Signal], bool]


class ErrorReader:
    """The error rules of one request, compiled: its answers, its own rules, the destination's."""

    def __init__(
        self,
        answers: Sequence[AnswerRule],
        rules: Iterable[ErrorRule],
    ) -> None:
        self._answers = [(answer.name, _compile(answer.when)) for answer in answers]
        self._rules = [(rule, _compile(rule.when)) for rule in rules]

    def read(
        self, signal: Signal, *, whole_request: bool, retry_after: float | None = None
    ) -> Answer | Failure:
        """The answer that this error is, or the failure that it means."""
        matched = self.match(signal, whole_request=whole_request, retry_after=retry_after)
        if matched is not None:
            return matched
        error_class, retryable, proof = _by_status(signal.status)
        return Failure(
            message=_shown(signal),
            error_class=error_class,
            status=signal.status,
            retryable=retryable,
            nothing_applied=proof,
            whole_request=whole_request,
            retry_after=retry_after,
        )

    def match(
        self, signal: Signal, *, whole_request: bool, retry_after: float | None = None
    ) -> Answer | Failure | None:
        """The same by the definition alone; None if it says nothing of such an error."""
        for name, holds in self._answers:
            if holds(signal):
                return Answer(name)
        for rule, holds in self._rules:
            if holds(signal):
                return Failure(
                    message=_shown(signal),
                    error_class=rule.error_class,
                    status=signal.status,
                    retryable=rule.retryable,
                    nothing_applied=rule.nothing_applied,
                    whole_request=whole_request,
                    retry_after=retry_after,
                    attempts=rule.attempts,
                )
        return None


def _shown(signal: Signal) -> str:
    """The message for people, with the status where it is what tells of the error."""
    if 200 <= signal.status < 300:
        return signal.message
    return f"HTTP {signal.status}" + (f": {signal.message}" if signal.message else "")


def _by_status(status: int) -> tuple[ErrorClass, bool, bool]:
    """Error class, retryable, nothing applied."""
    match status:
        case 401:
            return "authentication", False, True
        case 403:
            return "permission", False, False
        case 404:
            return "not_found", False, False
        case 408:
            return "timeout", True, False
        case 423:
            return "conflict", True, False
        case 429:
            return "rate_limit", True, True
        case 501:
            return "invalid", False, False
    if 300 <= status < 500:  # 3xx are not followed
        return "invalid", False, False
    return ("unavailable", True, False) if status >= 500 else ("internal", False, False)


def _compile(condition: ErrorCondition) -> _Test:
    tests: list[_Test] = []
    if condition.status is not None:
        statuses = frozenset(condition.status)
        tests.append(
            lambda signal: signal.status in statuses or f"{signal.status // 100}xx" in statuses
        )
    if condition.code is not None:
        tests.append(lambda signal: signal.code == condition.code)
    if condition.exception is not None:
        tests.append(lambda signal: signal.exception == condition.exception)
    if condition.root_field is not None:
        tests.append(lambda signal: signal.root_field == condition.root_field)
    if condition.message is not None:
        is_found = compile_pattern(condition.message)
        tests.append(lambda signal: is_found(signal.message))
    if condition.body is not None:
        fits = compile_schema(dict(condition.body)).is_valid
        tests.append(lambda signal: fits(signal.body))
    return lambda signal: all(test(signal) for test in tests)
