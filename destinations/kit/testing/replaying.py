"""Replay a case strictly: every request must be made as recorded, and no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from destinations.clock import frozen_at
from destinations.errors import DestinationsError
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    ExpectedOutcome,
    Interaction,
    RecordedRequest,
)
from destinations.kit.testing.case_usage import ask_usage, asked_differences, kept_differences
from destinations.kit.testing.difference import Difference, differences
from destinations.kit.testing.sequence import Delivered, deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.wire import Reply, Wire, http_response
from destinations.outcome import State
from destinations.runtime.usage_questions import Counted

__all__ = ["CaseReport", "clock_seconds", "replay", "reply_of"]


@dataclass(frozen=True, slots=True)
class CaseReport:
    """The result of a replay; it passed if nothing differs."""

    case: str
    events: int
    requests: int
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Return whether everything was as recorded."""
        return not self.differences


class _UnexpectedRequestError(DestinationsError):
    """A request is not the next recorded one; the script keeps the differences."""


class _Script:
    """The interactions of a case in order, and the differences found."""

    def __init__(self, case: Case, stop: threading.Event, clock: StillClock) -> None:
        self._interactions = case.interactions
        self._is_served = case.served is not None
        self._stop = stop
        self._clock = clock
        self.used = 0
        self.differences: list[Difference] = []

    def reply(self, request: RecordedRequest) -> Reply:
        """Return the recorded reply; stop everything at the first request that differs."""
        number = self.used + 1
        if self.used == len(self._interactions):
            found = [Difference(f"request {number}", ABSENT, _line(request))]
        else:
            expected = self._interactions[self.used]
            found = list(_request_differences(f"request {number} ", expected.request, request))
            self._clock.reach(expected.at or 0.0)
        self.used += 1
        if found:
            self.differences += found
            # Later requests would get answers meant for others.
            self._stop.set()
            raise _UnexpectedRequestError(str(found[0]))
        if self._is_served and self.used == len(self._interactions):
            self._stop.set()  # a server would go on for days
        return reply_of(expected)

    def finish(self) -> None:
        """Note the requests that were not made."""
        for number in range(self.used, len(self._interactions)):
            line = _line(self._interactions[number].request)
            self.differences.append(Difference(f"request {number + 1}", line, ABSENT))


def replay(subject: Subject, case: Case) -> CaseReport:
    """Deliver a case's events to the recorded answers, and compare requests and outcomes.

    Then the partner is asked for usage, if the case does that.
    """
    stop = threading.Event()
    destination = subject.bind(case.settings, case.subscriptions)
    transport = HttpTransport(subject.definition.transport.timeouts)
    rows: list[Delivered] = []
    counted: list[Counted] = []
    try:
        with frozen_at(clock_seconds(case.clock)):
            clock = StillClock()
            script = _Script(case, stop, clock)
            with Wire(script.reply):
                rows = deliver_in_sequence(
                    destination,
                    transport,
                    clock,
                    entries_of(case.events),
                    stop=stop,
                    served=case.served,
                )
                if not script.differences:
                    counted = ask_usage(destination, transport, clock, case.usage)
    except _UnexpectedRequestError:
        pass  # noted by the script
    finally:
        transport.close()
    if not script.differences:
        script.finish()
        script.differences += _outcome_differences(case.expected, rows)
        for number, (asked, got) in enumerate(zip(case.usage, counted, strict=True), start=1):
            script.differences += asked_differences(number, asked, got)
    return CaseReport(case.name, len(case.events), script.used, tuple(script.differences))


def clock_seconds(text: str) -> float:
    """Return a case's clock in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def reply_of(interaction: Interaction) -> Reply:
    """Return the wire's reply for a recorded interaction."""
    result = interaction.result
    return result if isinstance(result, str) else http_response(result)


def _line(request: RecordedRequest) -> str:
    return f"{request.method} {request.url}"


def _request_differences(
    place: str, expected: RecordedRequest, got: RecordedRequest
) -> Iterator[Difference]:
    yield from differences(place + "method", expected.method, got.method)
    yield from differences(place + "url", expected.url, got.url)
    sent = {name.lower(): value for name, value in got.headers.items()}
    for name, value in expected.headers.items():
        yield from differences(f"{place}header {name}", value, sent.get(name.lower(), ABSENT))
    yield from differences(place + "json ", expected.json, got.json)
    if expected.body != got.body:
        yield Difference(
            place + "body",
            ABSENT if expected.body is None else expected.body,
            ABSENT if got.body is None else got.body,
        )


def _outcome_differences(
    expected: Sequence[ExpectedOutcome], rows: Sequence[Delivered]
) -> Iterator[Difference]:
    """Yield differences of rows, paired by event and action: a missing one shifts no other."""
    left = list(rows)
    for row in expected:
        place = f"event {row.event}, {row.action or 'no action'} "
        found = next(
            (one for one in left if (one.row.line, _action(one)) == (row.event, row.action)),
            None,
        )
        if found is None:
            yield Difference(place.rstrip(), row.outcome.value, ABSENT)
            continue
        left.remove(found)
        yield from _row_differences(place, row, found)
    for extra in left:
        place = f"event {extra.row.line}, {_action(extra) or 'no action'}"
        yield Difference(place, ABSENT, extra.row.result.outcome.value)


def _action(row: Delivered) -> str | None:
    return None if row.row.key is None else row.row.key.action


def _row_differences(place: str, expected: ExpectedOutcome, got: Delivered) -> Iterator[Difference]:
    result = got.row.result
    is_as_held = expected.outcome is State.HELD and got.is_held
    if expected.outcome is not result.outcome and not is_as_held:
        shown = f"{result.outcome.value}: {result.reason}" if result.reason else result.outcome
        yield Difference(place + "outcome", expected.outcome.value, str(shown))
        return
    if expected.reason is not None and expected.reason != result.reason:
        yield Difference(place + "reason", expected.reason, result.reason)
    if expected.code is not None and expected.code != result.code:
        yield Difference(place + "code", expected.code, result.code)
    if expected.payload is not ABSENT:
        yield from differences(place + "payload ", expected.payload, got.payload)
    if expected.usage is not None:
        yield from kept_differences(place, expected.usage, got.usage)
