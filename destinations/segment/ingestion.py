"""Complete events as Segment's HTTP API does, before destinations see them.

See https://segment.com/docs/connections/spec/common/ (timestamps) and the HTTP API's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from destinations.segment.event import ID_FIELDS, Event

__all__ = ["Sending", "completed", "sent_event"]

_LARGEST_ID: Final = 2**64
"""No database has larger ones, and thousands of digits cannot be written as text."""

_METADATA: Final = "_metadata"
_ATTEMPTS: Final = "retryCount"
"""How often analytics.js has tried to send an event, which it notes in its metadata."""

_MERGED: Final = ("context", "integrations")


@dataclass(frozen=True, slots=True)
class Sending:
    """The facts that hold for all events of one request.

    ``type`` is that of its path, None where each event has its own. ``beside`` is what stood beside
    the batch: ``context``, ``integrations`` and ``sentAt``. ``received_at`` is when it came. With
    ``context_traits``, traits in the context of identify calls are the user's.
    """

    received_at: datetime
    type: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    context_traits: bool = False


def sent_event(value: object, sending: Sending) -> object:
    """Return an event as its sender meant it: with its type, and what stood beside the batch.

    Of ``context`` and ``integrations`` the event's own keys win. Ids that are whole numbers become
    text: several SDKs, such as Ruby's, send the ids of a database as they are. What is no object
    stays as it is; the write key goes, and how often an SDK has tried.
    """
    if not isinstance(value, dict):
        return value
    event: Event = {key: item for key, item in value.items() if key != "writeKey"}
    if _METADATA in event:
        event = _without_attempts(event)
    if sending.type is not None:
        event["type"] = sending.type
    for key in ID_FIELDS:
        number = event.get(key)
        if type(number) is int and abs(number) <= _LARGEST_ID:  # which true and false are not
            event[key] = str(number)
    for key in _MERGED:
        shared, own = sending.beside.get(key), event.get(key)
        if shared and isinstance(own, dict | None):
            event[key] = {**shared, **(own or {})}
    if sending.beside.get("sentAt") and not event.get("sentAt"):
        event["sentAt"] = sending.beside["sentAt"]
    if sending.context_traits and event.get("type") == "identify":
        return _with_context_traits(event)
    return event


def _without_attempts(event: Event) -> Event:
    metadata = event[_METADATA]
    if not isinstance(metadata, dict):
        return event
    others = {key: item for key, item in event.items() if key != _METADATA}
    kept = {key: item for key, item in metadata.items() if key != _ATTEMPTS}
    return {**others, _METADATA: kept} if kept else others


def _with_context_traits(event: Event) -> Event:
    context, traits = event.get("context"), event.get("traits")
    found = context.get("traits") if isinstance(context, dict) else None
    if isinstance(found, dict) and isinstance(traits, dict | None):
        return {**event, "traits": {**found, **(traits or {})}}
    return event


def completed(event: Event, message_id: str, sending: Sending) -> Event:
    """Return a sent event with its ``messageId``, ``receivedAt`` and ``timestamp``.

    ``timestamp`` is the sender's, set right by how far its clock is off, which ``sentAt`` shows;
    the sender's own is ``originalTimestamp`` then. Without one it is when the event came. A time
    that cannot be read stays as it is.
    """
    found = {**event, "messageId": message_id, "receivedAt": _received(sending.received_at)}
    original = event.get("originalTimestamp") or event.get("timestamp")
    if not original:
        found["timestamp"] = found["receivedAt"]
        return found
    found["originalTimestamp"] = found["timestamp"] = original
    at, sent_at = _time(original), _time(event.get("sentAt"))
    if at is not None and sent_at is not None:
        try:
            found["timestamp"] = _text(at - (sent_at - sending.received_at))
        except OverflowError:
            return found
    return found


def _time(value: object) -> datetime | None:
    """Return a time in ISO 8601, in UTC where it names no zone; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


@lru_cache(maxsize=8)
def _received(at: datetime) -> str:
    return _text(at)  # once for all events of a request


def _text(time: datetime) -> str:
    in_utc = time.astimezone(UTC)
    rounded = in_utc + timedelta(microseconds=500)
    return rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")
