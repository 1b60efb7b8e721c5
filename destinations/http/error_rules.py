"""Read errors by the definition's rules (the first match wins), else by the HTTP status.

The default by status is that of Segment's framework (it retries 408, 423, 429 and 5xx except 501),
with two differences. So that no request is applied twice, a status proves that nothing was applied
only if it refuses a request before anything is done; a definition may declare more for its partner.
And a status about the URL, the document or the key is not a verdict on an event: see `Concern`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from destinations.definition import AnswerRule, ErrorClass, ErrorCondition, ErrorRule
from destinations.http.answer import WITHOUT_REASON, Answer, Concern, Failure
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation import compile_schema

__all__ = ["ErrorReader", "Signal", "StatusMeaning", "meaning_of_status", "of_one"]

_FORBIDDEN: Final = 403
_UNREAD: Final = frozenset({307, 308, 413})
"""Statuses of redirected and too long requests: certainly not applied, whatever a rule says."""

_OF_THE_ADDRESS: Final = frozenset({404, 405, 410, 415})
"""Statuses of a wrong URL: proof that nothing was applied, if it is the same for every event."""

_OF_THE_DOCUMENT: Final = frozenset({"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"})


@dataclass(frozen=True, slots=True)
class Signal:
    """The content of an error; ``code`` and ``exception`` are GraphQL's extensions.

    ``root_field`` is the key of the root field that failed, if there are several.
    """

    status: int
    message: str
    code: str | None = None
    exception: str | None = None
    body: Any = None
    root_field: str | None = None


_Test = Callable[[Signal], bool]


class ErrorReader:
    """The error rules of one request, compiled: its answers, its own rules, the destination's.

    ``fixed_address`` says that its URL is the same for every event. ``request`` is its name, and
    the first ``own`` of the rules are its own.
    """

    def __init__(
        self,
        answers: Sequence[AnswerRule],
        rules: Iterable[ErrorRule],
        *,
        fixed_address: bool = False,
        request: str = "",
        own: int = 0,
    ) -> None:
        self._fixed_address = fixed_address
        self._answers = [(answer.name, _compile(answer.when)) for answer in answers]
        self._rules = [
            (
                rule,
                _compile(rule.when),
                f"requests.{request}.errorRules[{number}]"
                if number < own
                else f"errorRules[{number - own}]",
            )
            for number, rule in enumerate(rules)
        ]

    def read(
        self, signal: Signal, *, whole_request: bool, retry_after: float | None = None
    ) -> Answer | Failure:
        """Return the answer or the failure that this error stands for."""
        matched = self.match(signal, whole_request=whole_request, retry_after=retry_after)
        if matched is not None:
            return matched
        meaning = meaning_of_status(signal.status)
        proof = meaning.proof or (self._fixed_address and signal.status in _OF_THE_ADDRESS)
        rule = ErrorRule(ErrorCondition(), meaning.error_class, meaning.retryable, proof)
        return self._failure(signal, rule, whole_request=whole_request, retry_after=retry_after)

    def match(
        self, signal: Signal, *, whole_request: bool, retry_after: float | None = None
    ) -> Answer | Failure | None:
        """Return the result by the definition's rules; None if none of them matches."""
        for name, holds in self._answers:
            if holds(signal):
                return Answer(name)
        for rule, holds, place in self._rules:
            if holds(signal):
                failure = self._failure(
                    signal, rule, whole_request=whole_request, retry_after=retry_after
                )
                return replace(failure, rule=place)
        return None

    def failure_of(self, rule: ErrorRule, status: int) -> Failure:
        """Return what one of the rules makes of an answer to a whole request with this status."""
        signal = Signal(status, "", rule.when.code)
        return self._failure(signal, rule, whole_request=True, retry_after=None)

    def _failure(
        self, signal: Signal, rule: ErrorRule, *, whole_request: bool, retry_after: float | None
    ) -> Failure:
        return Failure(
            message=_shown(signal),
            error_class=rule.error_class,
            status=signal.status,
            retryable=rule.retryable,
            nothing_applied=rule.nothing_applied
            or (rule.repeat_means is not None and not whole_request)
            or (whole_request and signal.status in _UNREAD),
            whole_request=whole_request,
            retry_after=retry_after,
            attempts=rule.attempts,
            concerns=self._concern(signal, rule, whole_request=whole_request),
            wait_for=rule.wait_for,
            is_there=None if rule.repeat_means is None else "event",
        )

    def _concern(self, signal: Signal, rule: ErrorRule, *, whole_request: bool) -> Concern:
        if rule.error_class == "authentication":
            return "key"
        if rule.retryable or not whole_request:
            return "event"
        if rule.concerns is not None:
            return rule.concerns
        if rule.error_class == "permission" and signal.status == _FORBIDDEN:
            return "key"
        is_redirect = 300 <= signal.status < 400
        if self._fixed_address and (is_redirect or signal.status in _OF_THE_ADDRESS):
            return "request"
        return "request" if signal.code in _OF_THE_DOCUMENT else "event"


def _shown(signal: Signal) -> str:
    """Return the message to show, with the HTTP status unless that was a success."""
    if 200 <= signal.status < 300:
        return signal.message or WITHOUT_REASON
    return f"HTTP {signal.status}" + (f": {signal.message}" if signal.message else "")


def of_one(verdict: Answer | Failure, count: int, *, is_refused: bool = False) -> Answer | Failure:
    """Return what a verdict on a whole request of ``count`` events says about each of them.

    That the partner has an event already is only said of a single one. ``is_refused`` says that
    the partner applies all events of a request or none, and answered that it did not.
    """
    if not isinstance(verdict, Failure):
        return verdict
    if verdict.is_there is not None and count > 1:
        verdict = replace(verdict, is_there="batch")
    elif verdict.is_there is not None:
        verdict = replace(verdict, nothing_applied=True, whole_request=False)
    is_lost = verdict.error_class == "timeout"
    return replace(verdict, nothing_applied=True) if is_refused and not is_lost else verdict


class StatusMeaning(NamedTuple):
    """The meaning of an HTTP status; ``proof`` says that certainly nothing was applied."""

    error_class: ErrorClass
    retryable: bool
    proof: bool


def meaning_of_status(status: int) -> StatusMeaning:
    """Return the meaning of an HTTP error status that no rule of the definition reads.

    A 429, for example, is a rate limit: it is tried again, and nothing was applied.
    """
    match status:
        case 401:
            return StatusMeaning("authentication", retryable=False, proof=True)
        case 403:
            return StatusMeaning("permission", retryable=False, proof=True)
        case 404:
            return StatusMeaning("not_found", retryable=False, proof=False)
        case 408:
            return StatusMeaning("timeout", retryable=True, proof=False)
        case 423:
            return StatusMeaning("conflict", retryable=True, proof=False)
        case 429:
            return StatusMeaning("rate_limit", retryable=True, proof=True)
        case 501:
            return StatusMeaning("invalid", retryable=False, proof=False)
    if 300 <= status < 500:  # 3xx are not followed
        return StatusMeaning("invalid", retryable=False, proof=False)
    if status >= 500:
        return StatusMeaning("unavailable", retryable=True, proof=False)
    return StatusMeaning("internal", retryable=False, proof=False)


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
