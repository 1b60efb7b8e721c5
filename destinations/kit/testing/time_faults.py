"""Play what time does to events: a window that ends, and a key that the partner has forgotten.

The clock is ours, and stands still but for waits. So an event is as old as a fault needs it, and
an answer may be lost for as long as a partner remembers a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from destinations.definition import IdempotencyKey, RequestDefinition, Window
from destinations.kit.testing.case import RecordedRequest, Served
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.ways import Played, Stage, Way
from destinations.kit.testing.wire import Reply
from destinations.outcome import Outcome, State, Status

__all__ = ["TimeFaultResult", "play_key_fault", "play_window_fault", "time_fault_names"]

_SECOND: Final = 1.0
_BEFORE_THE_END: Final = 600.0
"""How long before the end of a key an event is sent again: more than any wait between attempts."""

Found = Iterator[tuple[str, object, object]]


@dataclass(frozen=True, slots=True)
class TimeFaultResult:
    """The results of the events, how often they were sent, and what differs."""

    played: Played
    sent: int
    differences: Sequence[tuple[str, object, object]]


@dataclass(frozen=True, slots=True)
class _WindowFault:
    """A time at which an event is sent, and how it ends: None as its window says.

    ``limit`` names the end of the window from which ``seconds`` count. After the ``first`` answer
    it is two seconds later. The event is sent ``sent`` times.
    """

    limit: str
    seconds: float
    outcome: Status | None
    sent: int
    first: Reply | None = None


_WINDOW: Final[Mapping[str, _WindowFault]] = {
    "event before the end of its window": _WindowFault("grace", -_SECOND, Outcome.DELIVERED, 1),
    "event after the end of its window": _WindowFault("grace", _SECOND, None, 0),
    "time-out before sending, then the end of its window": _WindowFault(
        "grace", -_SECOND, None, 1, "connectTimeout"
    ),
    "time-out after sending, then the end of its window": _WindowFault(
        "grace", -_SECOND, State.UNKNOWN, 1, "timeout"
    ),
    "event after the beginning of its window": _WindowFault("ahead", _SECOND, Outcome.DELIVERED, 1),
    "event before the beginning of its window": _WindowFault("ahead", -_SECOND, None, 0),
}

_ENDED: Final = "time-out after sending, then the end of its key"
_LASTS: Final = "time-out after sending, then again before the end of its key"


def time_fault_names(
    window: Window | None, key: IdempotencyKey | None, *, is_repeatable: bool = False
) -> Iterator[str]:
    """Yield the names of the faults that a request can meet, by the keys of its definition.

    Where all may be made again, it does not count for how long a key is known.
    """
    for name, fault in _WINDOW.items():
        if window is not None and getattr(window, fault.limit) is not None:
            yield name
    if key is not None and not is_repeatable:
        yield from (_LASTS, _ENDED)


def play_window_fault(name: str, stage: Stage) -> TimeFaultResult:
    """Deliver when the partner takes the event, and when it does not, and compare the outcome."""
    fault, window = _WINDOW[name], stage.action.window
    assert window is not None  # noqa: S101 - its fault has a name
    limit = window.grace if fault.limit == "grace" else -(window.ahead or 0.0)
    clock = StillClock(stage.time_in(window) + (limit or 0.0) + fault.seconds)
    undisturbed = stage.scripted(())
    is_first = True

    def reply(at: int, request: str, attempt: int) -> Reply:
        nonlocal is_first
        if is_first and fault.first is not None:
            is_first = False
            clock.reach(clock.now + 2 * _SECOND)
            return fault.first
        return undisturbed(at, request, attempt)

    played = stage.play(reply, clock=clock, in_window=True)
    sent = played.sent[0] if played.sent else 0
    outside = State.HELD if window.then == "hold" else Outcome.REJECTED
    expected = fault.outcome or outside
    found = list(_outcomes(played, expected))
    if sent != fault.sent:
        found.append(("times sent", fault.sent, sent))
    return TimeFaultResult(played, sent, found)


def play_key_fault(
    name: str, stage: Stage, way: Way, request: RequestDefinition, *, is_halfway: bool
) -> TimeFaultResult:
    """Lose an answer, and go on while the partner knows the key, or when it does not any more.

    ``is_halfway`` says that an earlier request of the event must not be made again.
    """
    key = request.idempotency_key
    assert key is not None  # noqa: S101 - its fault has a name
    ends = name == _ENDED
    early = min(_BEFORE_THE_END, key.seconds / 2)
    clock = StillClock()
    undisturbed, place = stage.scripted(way.after), len(way.after)

    def reply(at: int, request_name: str, attempt: int) -> Reply:
        if at == place and attempt == 1:
            clock.reach(clock.now + (key.seconds + _SECOND if ends else key.seconds - early))
            return "timeout"
        return undisturbed(at, request_name, attempt)

    # By the rules of a server, as the time of a run would be over before that of most keys.
    played = stage.play(reply, clock=clock, served=Served())
    sent = played.sent[place] if place < len(played.sent) else 0
    goes_again = not ends and not is_halfway
    expected = Outcome.DELIVERED if goes_again else State.UNKNOWN
    found = list(_outcomes(played, expected))
    if goes_again and sent < 2:
        found.append(("times sent", "more than once", sent))
    elif not goes_again and sent != 1:
        found.append(("times sent", 1, sent))
    elif goes_again:
        found += _other_keys(key, played.requests[place])
    return TimeFaultResult(played, sent, found)


def _outcomes(played: Played, expected: Status) -> Found:
    for result in played.results:
        if result.outcome is not expected:
            yield "outcome", expected.value, f"{result.outcome.value} ({result.reason})"


def _other_keys(key: IdempotencyKey, made: Sequence[RecordedRequest]) -> Found:
    """Yield that a request was sent again with another key: the partner takes it for a new one."""
    first, *others = (_keys_of(key, one) for one in made)
    for other in others:
        if other != first:
            yield "keys of the request that is sent again", first, other


def _keys_of(key: IdempotencyKey, request: RecordedRequest) -> Sequence[str]:
    """Return the keys of a request, of as many events as it has, in order."""
    if key.field is None:
        name = (key.header or "").lower()
        return [value for header, value in request.headers.items() if header.lower() == name]
    if request.body is not None:  # a form
        return [value for name, value in parse_qsl(request.body) if name == key.field]
    return sorted(_members(request.json, key.field))


def _members(value: Any, name: str) -> Iterator[str]:
    """Yield the texts of all members of this name, however deep."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == name and isinstance(item, str):
                yield item
            else:
                yield from _members(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _members(item, name)
