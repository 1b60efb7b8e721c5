"""One request to a stand-in: from the wire to the answer, with or without a fault."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from destinations.http.answer import HttpResponse
from destinations.sandbox.arrivals import Arrivals
from destinations.sandbox.faults import (
    WHOLE_REQUEST,
    FaultRule,
    Faults,
    InjectedError,
    RequestFacts,
)
from destinations.sandbox.log import RequestLog, RequestRecord
from destinations.sandbox.wire import JSON, WireRequest, json_response
from destinations.statuses import PHRASES

__all__ = ["Exchange", "ReadRequest", "ServedAccount", "exchange"]

R = TypeVar("R", bound=RequestRecord)

_NO_FAULT: Final = FaultRule()


class ReadRequest(ABC, Generic[R]):
    """A request that a stand-in has read; ``facts`` are what fault rules know of it.

    ``refusal`` is the answer to one that cannot be run, else None.
    """

    facts: RequestFacts
    refusal: HttpResponse | None

    @abstractmethod
    def run(self, rule: FaultRule) -> HttpResponse:
        """Run it; return the answer, with the errors of the rule and without what it omits."""

    @abstractmethod
    def repeat(self) -> None:
        """Run it once more, or late; nobody gets an answer."""

    @abstractmethod
    def fail(self, error: InjectedError) -> HttpResponse:
        """Return the answer of the partner to a request that failed as a whole."""

    @abstractmethod
    def record(self, status: int | None, *, fault: bool) -> R:
        """Return what the log keeps; ``status`` and ``fault`` are those of `RequestRecord`."""


@dataclass(slots=True, eq=False)
class ServedAccount(ABC, Generic[R]):
    """An account at the partner, with faults and a log of its own.

    ``arrivals`` are requests that fault rules delay or repeat.
    """

    requests: RequestLog[R] = field(default_factory=RequestLog)
    faults: Faults = field(default_factory=Faults)
    arrivals: Arrivals[ReadRequest[R]] = field(default_factory=Arrivals)

    @abstractmethod
    def read(self, number: int, request: WireRequest) -> ReadRequest[R]:
        """Read the request with this number, from 1."""

    def arrive(self) -> int:
        """Run the late and repeated requests that fault rules still hold back; return how many."""
        late = self.arrivals.take()
        for request in late:
            request.repeat()
        return len(late)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The result of a request; ``answer`` is None if the connection closes without an answer.

    ``rule`` says how to send the answer: delayed, in drips or cut.
    """

    answer: HttpResponse | None
    rule: FaultRule


def exchange(
    served: ServedAccount[R], wire: WireRequest, wait: Callable[[float], object]
) -> Exchange:
    """Serve one request and log it; call ``wait`` with the seconds that a rule holds it back."""
    number = served.requests.begin()
    request = served.read(number, wire)
    rule = served.faults.take(request.facts) or _NO_FAULT
    if rule.hold:
        wait(rule.hold)
    for late in served.arrivals.take(number):
        late.repeat()
    made = request.refusal
    if made is None:
        if rule.runs:
            made = request.run(rule)
        for after in (*rule.again, *(() if rule.late is None else (rule.late,))):
            served.arrivals.add(number + 1 + after, request)
        for repeated in served.arrivals.take(number + 1) if 0 in rule.again else ():
            repeated.repeat()
    answer = _answer(rule, request, made)
    status = None if answer is None else answer.status
    served.requests.end(request.record(status, fault=rule is not _NO_FAULT))
    return Exchange(answer, rule)


def _answer(
    rule: FaultRule, request: ReadRequest[R], made: HttpResponse | None
) -> HttpResponse | None:
    if rule.drop is not None or rule.late is not None:
        return None
    if rule.status is not None or rule.body is not None:
        return _scripted(rule)
    if WHOLE_REQUEST in rule.errors:
        return request.fail(rule.errors[WHOLE_REQUEST])
    return json_response(None) if made is None else made


def _scripted(rule: FaultRule) -> HttpResponse:
    status = rule.status or 200
    headers = {} if rule.retry_after is None else {"retry-after": rule.retry_after}
    if rule.body is None:
        phrase = PHRASES.get(status, f"HTTP {status}")
        return json_response({"message": phrase}, status, headers)
    is_json = rule.body.lstrip()[:1] in ("{", "[")
    kind = JSON if is_json else "text/html; charset=utf-8"
    return HttpResponse(
        status, {"content-type": kind, **headers}, rule.body.encode("utf-8", "replace")
    )
