"""Make a recorded case of a delivery: its event, and the answers that its attempts got."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from destinations._version import __version__
from destinations.definition import GraphQLDefinition
from destinations.definition.graphql_document import alias
from destinations.definition.settings import Settings
from destinations.errors import EventError, UsageError
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    FailureKind,
    Recorded,
    RecordedAgainst,
    RecordedRequest,
    RecordedResponse,
)
from destinations.kit.testing.rerunning import expectation_of, rerun
from destinations.kit.testing.subject import Subject
from destinations.runtime.plan import plan
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import read_json
from destinations.store import Attempt

__all__ = ["Incident", "incident_case"]

_HEADERS_THAT_MATTER: Final = ("content-type", "retry-after")
_MOST_REPEATED: Final = 100
"""So often the last answer is given again, as a case has no end but an outcome."""

_NOT_MADE: Final = "stopped before its turn"


@dataclass(frozen=True, slots=True)
class Incident:
    """A delivery that is to become a case: its event as it came, and its attempts in order.

    ``key`` is its subscription; ``against`` says who answered.
    """

    name: str
    description: str
    event: bytes
    key: SubscriptionKey
    attempts: Sequence[Attempt]
    against: RecordedAgainst


def incident_case(subject: Subject, incident: Incident, settings: Settings) -> Case:
    """Return the case; its requests are made again, with the placeholders of ``settings``.

    Raises `UsageError` if something of it is not kept, or does not lead to these requests.
    """
    attempts = [
        one
        for one in incident.attempts
        if one.kind == "send" and one.error != _NOT_MADE and _is_own(one)
    ]
    results = [_result(subject, one) for one in attempts]
    if not results:
        msg = "no attempt of this delivery is kept that a case could be made of"
        raise UsageError(msg)
    at = datetime.fromtimestamp(incident.attempts[0].at, UTC).replace(microsecond=0)
    clock = at.isoformat().replace("+00:00", "Z")
    event = _event(incident.event)
    presets = tuple(
        one for one in subject.definition.presets if (one.name, one.partner_action) == incident.key
    )
    if not presets:
        names = ", ".join(repr(one.name) for one in subject.definition.presets)
        msg = f"there is no subscription {incident.key.name!r} any more; there are: {names}"
        raise UsageError(msg)
    destination = subject.bind(settings)
    planned = plan(destination, incident.event, received_at=incident.attempts[0].at).deliveries
    # Other subscriptions of the definition would make requests of their own.
    own = None if len(planned) == 1 else presets
    interactions, rows = rerun(
        subject,
        settings,
        [event],
        [*results, *[results[-1]] * _MOST_REPEATED],
        clock,
        presets=own,
        beyond="the case does not end",
    )
    if len(interactions) < len(results):
        kept, made = len(results), len(interactions)
        msg = (
            f"today's definition makes {made} of the {kept} requests of the incident: it has "
            "changed since, or has other settings; name them with --config"
        )
        raise UsageError(msg)
    for attempt, interaction in zip(attempts, interactions, strict=False):
        if not _is_same(attempt, interaction.request):
            msg = (
                f"today's definition makes another request than attempt {attempt.number}: it has "
                "changed since, or the process that delivered remembered an answer"
            )
            raise UsageError(msg)
    return Case(
        name=incident.name,
        description=incident.description,
        settings=settings,
        clock=clock,
        events=(event,),
        interactions=tuple(interactions),
        expected=tuple(map(expectation_of, rows)),
        subscriptions=own,
        recorded=Recorded(incident.against, __version__),
    )


def _is_own(attempt: Attempt) -> bool:
    """Return whether an attempt would be made for the delivery alone, too.

    A batch that was refused is sent again in parts.
    """
    return attempt.deliveries == 1 or attempt.outcome is not None


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
