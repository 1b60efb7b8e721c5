"""Record a case: deliver events for real once, then make the case with placeholders.

Only answers come from the real delivery, with secrets masked by value. The requests of the case are
made with placeholders in place of the secrets, so the case holds no secret and nothing computed
from one (Base64, signatures).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from destinations._version import __version__
from destinations.clock import WallClock, frozen_at
from destinations.definition.settings import Settings
from destinations.errors import (
    EventError,
    TransportError,
    UnsendableError,
    UsageError,
)
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport, Transport
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    FailureKind,
    Interaction,
    Recorded,
    RecordedAgainst,
    RecordedResponse,
)
from destinations.kit.testing.difference import Difference
from destinations.kit.testing.replaying import clock_seconds
from destinations.kit.testing.rerunning import action_of, expectation_of, rerun
from destinations.kit.testing.sequence import Delivered, deliver_in_sequence
from destinations.kit.testing.stand_ins import PacedClock
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.wire import failure_kind
from destinations.pipeline.reading import Entry
from destinations.secrets import Masker
from destinations.segment.event import read_json

__all__ = ["Draft", "record"]

# The headers of an answer that the runtime reads, and those that explain the body to people.
_HEADERS_THAT_MATTER: Final = ("content-type", "retry-after")


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a new case: name, description, and lines that should be events.

    ``now`` is the time of the case's clock, which stands still. ``against`` says who answers.
    """

    name: str
    description: str
    entries: Sequence[Entry]
    now: datetime
    against: RecordedAgainst


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A real request, masked, and its result."""

    shown: str
    result: RecordedResponse | FailureKind


class _RecordingTransport:
    """Passes requests on and records them with their results, masked."""

    def __init__(self, inner: Transport, settings: Settings) -> None:
        self._inner = inner
        self._settings = settings
        self.exchanges: list[_Exchange] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport.send`."""
        if request.for_token:  # a case has the place of a token only
            return self._inner.send(request)
        try:
            # A case has the whole answer.
            response = self._inner.send(replace(request, only=None))
        except UnsendableError:
            raise
        except TransportError as error:
            self._keep(request, failure_kind(error))
            raise
        self._keep(request, self._recorded(response))
        return response

    def close(self) -> None:
        """See `destinations.http.transport.Transport.close`."""
        self._inner.close()

    @property
    def _masker(self) -> Masker:
        return self._settings.masker  # which knows new tokens as well

    def _keep(self, request: HttpRequest, result: RecordedResponse | FailureKind) -> None:
        shown = self._masker.text(f"{request.method} {request.url}")
        self.exchanges.append(_Exchange(shown, result))

    def _recorded(self, response: HttpResponse) -> RecordedResponse:
        headers = {
            name: self._masker.foreign(response.headers[name])
            for name in _HEADERS_THAT_MATTER
            if name in response.headers
        }
        try:
            text = self._masker.foreign(response.body.decode("utf-8"))
        except UnicodeDecodeError:
            msg = "an answer is not UTF-8 text, which a case cannot hold"
            raise UsageError(msg) from None
        value = _parsed(text)
        if isinstance(value, dict | list):
            return RecordedResponse(response.status, headers, json=value)
        return RecordedResponse(response.status, headers, body=text or None)


def record(
    subject: Subject,
    draft: Draft,
    *,
    settings: Settings,
    shown_settings: Settings,
    reaching: Subject | None = None,
    clock: WallClock | None = None,
) -> Case:
    """Deliver the draft's lines with ``settings``; return the case, which has ``shown_settings``.

    ``reaching`` is the same destination, whose requests go to a sandbox; see `Subject.reaching`.

    Events are delivered one after another, with real waits if the partner asks for them, or those
    of ``clock``. Raises `UsageError` if placeholders lead to other requests or outcomes.
    """
    now = draft.now.astimezone(UTC).replace(microsecond=0)
    text = now.isoformat().replace("+00:00", "Z")
    events = tuple(_events(draft.entries, settings.masker))
    transport = _RecordingTransport(HttpTransport(subject.definition.transport.timeouts), settings)
    try:
        with frozen_at(clock_seconds(text)):
            rows = deliver_in_sequence(
                (reaching or subject).bind(settings, with_tokens=True),
                transport,
                clock or PacedClock(),
                _numbered(draft.entries),
            )
    finally:
        transport.close()
    interactions, again, _ = rerun(
        subject,
        shown_settings,
        events,
        [exchange.result for exchange in transport.exchanges],
        text,
        beyond="placeholders in place of the secrets lead to another request",
    )
    found = [
        *_missing_requests(transport.exchanges, interactions),
        *_outcome_differences(rows, again),
    ]
    if found:
        lines = "\n".join(f"  {difference}" for difference in found)
        msg = f"placeholders in place of the secrets lead to another result:\n{lines}"
        raise UsageError(msg)
    return Case(
        name=draft.name,
        description=draft.description,
        settings=shown_settings,
        clock=text,
        events=events,
        interactions=tuple(interactions),
        expected=tuple(map(expectation_of, again)),
        recorded=Recorded(draft.against, __version__),
    )


def _numbered(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the non-empty lines, numbered like the events of a case."""
    lines = [entry for entry in entries if entry.data]
    for number, entry in enumerate(lines, start=1):
        yield Entry(number, entry.data, entry.truncated)


def _events(entries: Sequence[Entry], masker: Masker) -> Iterator[Mapping[str, Any] | str]:
    """Return each line as an object, or as text if it is not one."""
    for entry in entries:
        if not entry.data:
            continue
        try:
            value = read_json(entry.data)
        except EventError:
            value = None
        if isinstance(value, dict):
            yield masker.value(value)
            continue
        try:
            yield masker.text(entry.data.decode("utf-8"))
        except UnicodeDecodeError:
            msg = f"line {entry.line} is not UTF-8 text, which a case cannot hold"
            raise UsageError(msg) from None


def _missing_requests(
    exchanges: Sequence[_Exchange], interactions: Sequence[Interaction]
) -> Iterator[Difference]:
    """Yield requests that placeholders do not lead to. Bodies may differ, as with a signature."""
    for number, exchange in enumerate(exchanges[len(interactions) :], start=len(interactions) + 1):
        yield Difference(f"request {number}", exchange.shown, ABSENT)


def _outcome_differences(
    rows: Sequence[Delivered], again: Sequence[Delivered]
) -> Iterator[Difference]:
    before = [_ended(row) for row in rows]
    after = [_ended(row) for row in again]
    for one, other in zip(before, after, strict=False):
        if one != other:
            place = f"event {one.event}, {one.action or 'no action'}"
            yield Difference(place, one.outcome, other.outcome)


class _Ended(NamedTuple):
    """The outcome of an event for an action, by the event's number in the case."""

    event: int
    action: str | None
    outcome: str


def _ended(row: Delivered) -> _Ended:
    return _Ended(row.row.line, action_of(row), row.row.result.outcome.value)


def _parsed(text: str) -> Any:
    """Return ``text`` parsed as JSON if YAML can hold that value, else unchanged."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # not JSON, an infinite number, or a lone surrogate
        return text
    return value
