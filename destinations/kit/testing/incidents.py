"""Make a recorded case of a delivery: its event, and the answers that its attempts got."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from destinations._version import __version__
from destinations.definition import DELETION, GraphQLDefinition, Preset
from destinations.definition.graphql_document import alias
from destinations.definition.settings import Settings
from destinations.errors import EventError, UsageError
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    FailureKind,
    Interaction,
    Recorded,
    RecordedAgainst,
    RecordedRequest,
    RecordedResponse,
    Served,
)
from destinations.kit.testing.rerunning import expectation_of, rerun
from destinations.kit.testing.sequence import Delivered
from destinations.kit.testing.subject import Subject
from destinations.outcome import Outcome, State, Status
from destinations.runtime.plan import plan
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import read_json
from destinations.store import Attempt

__all__ = ["Incident", "IncidentCase", "incident_case"]

_HEADERS_THAT_MATTER: Final = ("content-type", "retry-after")

_NOT_MADE: Final = "stopped before its turn"
_ENDS: Final = frozenset({*Outcome, State.HELD})
"""What an attempt comes to if no other follows, unless an operator wants one."""
_DIGITS: Final = (0, 1, 2, 3)
"""The digits of a deadline that is not known: the roundest that fits is taken."""
_MOST_GUESSES: Final = 50
_CHANGED: Final = (
    "if it has changed since, name the former one with --definition DESTINATION; the settings and "
    "subscriptions of a server come from --config FILE"
)


@dataclass(frozen=True, slots=True)
class Incident:
    """A delivery that is to become a case: its event as it came, and its attempts in order.

    ``key`` is its subscription; ``against`` says who answered. Of what an operator sent again, the
    attempts since then count, or with ``until`` the last ones up to the attempt of that number.
    """

    name: str
    description: str
    event: bytes
    key: SubscriptionKey
    attempts: Sequence[Attempt]
    against: RecordedAgainst
    until: int | None = None


@dataclass(frozen=True, slots=True)
class IncidentCase:
    """The case of an incident; ``notes`` are sentences on what of the incident it does not have."""

    case: Case
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to deliver the event again: which attempts it repeats, and by which rules."""

    attempts: Sequence[Attempt]
    served: Served | None
    note: str = ""


def incident_case(subject: Subject, incident: Incident, settings: Settings) -> IncidentCase:
    """Return the case; its requests are made again, with the placeholders of ``settings``.

    It is delivered as by a run where that leads to these requests, and else as by a server, at the
    times of the attempts. Raises `UsageError` if something of it is not kept, or does not lead to
    these requests.
    """
    attempts, notes = _attempts(incident)
    event = _event(incident.event)
    presets = _presets(subject, incident.key)
    destination = subject.bind(settings)
    planned = plan(destination, incident.event, received_at=attempts[0].at).deliveries
    # Other subscriptions of the definition would make requests of their own.
    own = None if len(planned) == 1 or not presets else presets
    at = datetime.fromtimestamp(attempts[0].at, UTC).replace(microsecond=0)
    draft = Case(
        name=incident.name,
        description=incident.description,
        settings=settings,
        clock=at.isoformat().replace("+00:00", "Z"),
        events=(event,),
        interactions=(),
        expected=(),
        subscriptions=own,
        recorded=Recorded(incident.against, __version__),
    )
    failure: UsageError | None = None
    payloads = [one.payload for one in planned if one.key == incident.key]
    # What it adds, if it adds anything, is one of its numbers, or 1 where none is given.
    amounts = sorted({1, *(one for payload in payloads for one in _integers(payload))})
    for way in _ways(subject, attempts, amounts):
        try:
            case = _made(subject, draft, way)
        except UsageError as error:
            failure = failure or error
        else:
            return IncidentCase(case, [*notes, way.note] if way.note else notes)
    assert failure is not None  # noqa: S101 - there is a way at least
    raise failure


def _presets(subject: Subject, key: SubscriptionKey) -> tuple[Preset, ...]:
    """Return the subscriptions of the definition that a delivery is for: none for a deletion.

    Raises `UsageError` if the definition does not have it any more.
    """
    if key.name == DELETION:
        if subject.definition.deletion is None:
            raise UsageError(f"today's definition has no onDelete; {_CHANGED}")
        return ()
    found = tuple(
        one for one in subject.definition.presets if (one.name, one.partner_action) == key
    )
    if not found:
        names = ", ".join(repr(one.name) for one in subject.definition.presets)
        raise UsageError(
            f"there is no subscription {key.name!r} any more; there are: {names}; {_CHANGED}"
        )
    return found


def _attempts(incident: Incident) -> tuple[Sequence[Attempt], list[str]]:
    """Return the attempts that the case has, and what is to be said of the others."""
    until = math.inf if incident.until is None else incident.until
    kept = [one for one in incident.attempts if one.error != _NOT_MADE and one.number <= until]
    ends = (at for at, one in enumerate(kept[:-1], start=1) if one.outcome in _ENDS)
    begin = max(ends, default=0)
    notes = []
    if begin:
        last = kept[begin - 1]
        notes.append(
            f"An operator sent the delivery again after attempt {last.number}, which came to "
            f"{last.outcome}: the case begins after it. --attempt {last.number} makes the case of "
            "what was before."
        )
    found = [one for one, after in _pairs(kept[begin:]) if not _is_split(one, after)]
    if not found:
        msg = (
            "no attempt of this delivery is kept that a case could be made of: it was not sent, or "
            "keepAttempts keeps none of it"
        )
        raise UsageError(msg)
    return found, notes


def _pairs(attempts: Sequence[Attempt]) -> Iterator[tuple[Attempt, Attempt | None]]:
    return zip(attempts, [*attempts[1:], None], strict=False)


def _is_split(attempt: Attempt, after: Attempt | None) -> bool:
    """Return whether an attempt would not be made for the delivery alone.

    A batch that was refused is sent again in parts.
    """
    return (
        attempt.kind == "send"
        and attempt.deliveries > 1
        and attempt.outcome is None
        and after is not None
        and after.request == attempt.request
        and after.deliveries < attempt.deliveries
    )


def _ways(subject: Subject, attempts: Sequence[Attempt], amounts: Sequence[int]) -> Iterator[_Way]:
    """Yield the ways to repeat an incident, beginning with the one that has the most of it."""
    sent = [one for one in attempts if one.kind != "question"]
    if not any(one.kind == "send" for one in sent):  # refused before it was sent
        yield _Way(attempts, Served(asks=True))
        return
    lost = next((at for at, one in enumerate(attempts) if _is_lost(one)), len(attempts))
    is_asked = any(one.kind == "question" for one in attempts[lost:])
    if is_asked:
        yield _Way(attempts, Served(asks=True))
        yield from _with_balance_before(subject, attempts, lost, amounts)
    else:
        asked = [one for one in attempts[:lost] if one.kind == "question"]
        if any(_is_failed(one) for one in asked):  # it had to wait for the balance before
            yield _Way(attempts, Served(asks=True))
        note = _without(asked)
        yield _Way(sent, None, note)
        yield _Way(sent, Served(), note)
    if is_asked or lost < len(attempts) - 1:
        ended = attempts[-1].outcome
        note = (
            f"The case ends with attempt {attempts[lost].number}, whose answer was lost, and not "
            f"as {ended}: what came after it depends on other deliveries, or on settings of the "
            "server for lost answers, which a case does not have."
        )
        before = [one for one in attempts[: lost + 1] if one.kind != "question"]
        left_out = _without([one for one in attempts[:lost] if one.kind == "question"])
        note = f"{note} {left_out}".rstrip()
        yield _Way(before, None, note)
        yield _Way(before, Served(), note)


def _is_failed(question: Attempt) -> bool:
    return question.status is None or question.status >= 300 or bool(question.error_class)


def _without(asked: Sequence[Attempt]) -> str:
    """Return a sentence on the questions that a case does not have; empty if there are none."""
    if not asked:
        return ""
    numbers = ", ".join(str(one.number) for one in asked)
    which = (
        f"attempt {numbers}, which asks" if len(asked) == 1 else f"attempts {numbers}, which ask"
    )
    return f"The case leaves out {which} for the balance before: it is sent without asking."


def _with_balance_before(
    subject: Subject, attempts: Sequence[Attempt], lost: int, amounts: Sequence[int]
) -> Iterator[_Way]:
    """Yield ways with an answer to the question about the balance before, where it is not kept.

    That is kept of a share of the deliveries only. The answer is made of the later one: the same,
    or with one number less the amount; which of them fits is seen by what the event ends as.
    """
    if any(one.kind == "question" for one in attempts[:lost]):
        return
    asked = next(one for one in attempts[lost:] if one.kind == "question")
    answer = _result(subject, asked)
    if not isinstance(answer, RecordedResponse) or not isinstance(answer.json, dict):
        return
    note = (
        "The balance before the request is not kept: the case has the one that fits what the "
        "partner said afterwards."
    )
    lowered = (value for amount in amounts for value in _lowered(answer.json, amount))
    for value in (answer.json, *itertools.islice(lowered, _MOST_GUESSES)):
        before = replace(
            asked,
            at=attempts[0].at,
            outcome=None,
            deliveries=1,
            item=0,
            request_body=b"",
            answer_body=json.dumps(value).encode(),
        )
        yield _Way([before, *attempts], Served(asks=True), note)


def _integers(value: Any) -> Iterator[int]:
    """Yield the integers other than 0 in a JSON value."""
    if isinstance(value, int) and not isinstance(value, bool) and value:
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _integers(one)


def _lowered(value: Any, amount: int) -> Iterator[Any]:
    """Yield copies of a JSON value, in each of which another integer is less by an amount."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield value - amount
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, one in items:
        for lowered in _lowered(one, amount):
            found = copy.copy(value)
            found[key] = lowered
            yield found


def _is_lost(attempt: Attempt) -> bool:
    return attempt.kind == "send" and attempt.outcome in {State.UNKNOWN, State.HELD}


def _made(subject: Subject, draft: Case, way: _Way) -> Case:
    """Return the case of an incident in one way; raises `UsageError` if it ends differently."""
    attempts = way.attempts
    results = [_result(subject, one) for one in attempts]
    served = way.served
    began = attempts[0].at
    times = [round(max(0.0, one.at - began), 3) or None for one in attempts] if served else []
    failure: UsageError | None = None
    for deadline in [None, *_deadlines(times)]:
        if served is not None:
            served = replace(served, deadline=deadline)
        interactions, rows, _ = rerun(
            subject,
            draft.settings,
            draft.events,
            results,
            draft.clock,
            presets=draft.subscriptions,
            served=served,
            times=times,
            beyond="the case does not end",
        )
        try:
            _check(attempts, interactions, rows)
        except UsageError as error:
            failure = failure or error
            continue
        return replace(
            draft,
            interactions=tuple(interactions),
            expected=tuple(map(expectation_of, rows)),
            served=served,
        )
    assert failure is not None  # noqa: S101 - it was tried once at least
    raise failure


def _deadlines(times: Sequence[float | None]) -> Iterator[float]:
    """Yield deadlines that would end a delivery with its last attempt, and not before.

    The deadline runs from the first attempt, or from a later one that began to wait.
    """
    seconds = [one or 0.0 for one in times]
    if len(seconds) < 2:
        return
    for began in seconds[:-1]:
        for digits in _DIGITS:
            unit = 10.0**-digits
            deadline = round(math.floor((seconds[-1] - began) / unit) * unit, digits)
            if deadline > seconds[-2] - began:
                yield deadline
                break


def _check(
    attempts: Sequence[Attempt], interactions: Sequence[Interaction], rows: Sequence[Delivered]
) -> None:
    """Raise `UsageError` if the event was not delivered as in its incident."""
    for attempt, interaction in zip(attempts, interactions, strict=False):
        if not _is_same(attempt, interaction.request):
            msg = (
                f"today's definition makes another request than attempt {attempt.number}, after "
                f"the same answers: {interaction.request.method} {interaction.request.url}. The "
                "process that delivered may have remembered an answer, which a case cannot; "
                f"{_CHANGED}"
            )
            raise UsageError(msg)
    ends = ", ".join(row.row.result.outcome.value for row in rows)
    if len(interactions) < len(attempts):
        kept, made = len(attempts), len(interactions)
        msg = (
            f"today's definition makes {made} of the {kept} requests of the incident and ends as "
            f"{ends}; {_CHANGED}"
        )
        raise UsageError(msg)
    wanted = attempts[-1].outcome
    if wanted is not None and _known(wanted) not in {row.row.result.outcome for row in rows}:
        msg = (
            f"today's definition ends as {ends} after the answers of the incident, which came to "
            f"{wanted}; {_CHANGED}"
        )
        raise UsageError(msg)


def _known(status: Status) -> Status:
    """Return a status as a case has it: what an operator is to decide is ``unknown`` there."""
    return State.UNKNOWN if status is State.HELD else status


def _is_same(attempt: Attempt, request: RecordedRequest) -> bool:
    """Return whether a request is that of an attempt, as far as settings make no difference."""
    if attempt.method != request.method:
        return False
    kept = _parsed((attempt.request_body or b"").decode("utf-8", "replace"))
    if attempt.deliveries > 1 or not isinstance(kept, dict) or not isinstance(request.json, dict):
        return True
    return bool(kept.get("query") == request.json.get("query"))


def _event(raw: bytes) -> Mapping[str, Any]:
    try:
        event = read_json(raw, limit=len(raw))
    except EventError as error:
        msg = f"its event cannot be read: {error}"
        raise UsageError(msg) from None
    if not isinstance(event, dict):
        msg = "its event is not an object"
        raise UsageError(msg)
    return event


def _result(subject: Subject, attempt: Attempt) -> RecordedResponse | FailureKind:
    """Return the answer of an attempt as it would be for the delivery alone."""
    place = f"attempt {attempt.number}"
    if attempt.is_erased:
        msg = f"{place} was erased: it had data of a user who was erased"
        raise UsageError(msg)
    if attempt.status is None:
        return _failure(attempt)
    if attempt.is_answer_cut:
        msg = f"the answer of {place} is not kept whole: it has {attempt.answer_bytes:,} bytes"
        raise UsageError(msg)
    headers = {
        name: attempt.answer_headers[name]
        for name in _HEADERS_THAT_MATTER
        if name in attempt.answer_headers
    }
    try:
        text = (attempt.answer_body or b"").decode("utf-8")
    except UnicodeDecodeError:
        msg = f"the answer of {place} is not UTF-8 text, which a case cannot hold"
        raise UsageError(msg) from None
    value = _parsed(text)
    if attempt.deliveries > 1:
        value = _of_delivery(subject, attempt, value)
    if isinstance(value, dict | list):
        return RecordedResponse(attempt.status, headers, json=value)
    return RecordedResponse(attempt.status, headers, body=text or None)


def _failure(attempt: Attempt) -> FailureKind:
    is_timeout = attempt.error_class == "timeout"
    if attempt.error_class == "invalid":
        msg = f"attempt {attempt.number} has no answer that a case can hold: {attempt.error}"
        raise UsageError(msg)
    if attempt.error.startswith("no connection"):
        return "connectTimeout" if is_timeout else "refused"
    return "timeout" if is_timeout else "lost"


def _of_delivery(subject: Subject, attempt: Attempt, value: Any) -> Any:
    """Return of the answer to a batch what it says about one delivery.

    Raises `UsageError` where that is not known.
    """
    request = subject.definition.requests.get(attempt.request)
    if isinstance(value, dict) and request is not None:
        if isinstance(request.call, GraphQLDefinition):
            return _of_alias(value, attempt.item)
        if request.call.failed_items is None:  # type: ignore[union-attr]
            return value
    is_refused = attempt.status is not None and attempt.status >= 300
    if is_refused and value is ABSENT:
        return value
    msg = (
        f"attempt {attempt.number} carried {attempt.deliveries:,} deliveries, and its answer does "
        "not tell them apart in a way that a case could repeat"
    )
    raise UsageError(msg)


def _of_alias(value: Mapping[str, Any], item: int) -> Any:
    """Return a GraphQL answer with the root fields of one item, as those of the first."""
    own, first = alias(item), alias(0)

    def renamed(name: str) -> str | None:
        if name == own or name.startswith(f"{own}_"):
            return first + name[len(own) :]
        return None

    found = dict(value)
    if isinstance(data := value.get("data"), dict):
        found["data"] = {new: one for key, one in data.items() if (new := renamed(key))}
    if isinstance(errors := value.get("errors"), list):
        found["errors"] = list(filter(None, (_of_item(one, renamed) for one in errors)))
    return found


def _of_item(error: Any, renamed: Any) -> Any:
    path = error.get("path") if isinstance(error, dict) else None
    if not isinstance(path, list) or not path or not isinstance(path[0], str):
        return error
    name = renamed(path[0])
    return None if name is None else {**error, "path": [name, *path[1:]]}


def _parsed(text: str) -> Any:
    """Return text as JSON if YAML can hold that value, else `ABSENT`."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return ABSENT
    return value
