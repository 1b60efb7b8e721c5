"""From a raw event to what the queue is given: which deliveries it needs, and which end at once."""

from __future__ import annotations

import uuid

from destinations.outcome import Outcome, Result
from destinations.queue import Incoming, Planned
from destinations.runtime.destination import Destination
from destinations.segment.event import EventError, check_event, read_json

__all__ = ["plan"]


def plan(destination: Destination, raw: bytes) -> Incoming:
    """What one raw event, as it was received, comes to.

    An event without a ``messageId`` gets one of its own: it is not recognised when it comes again.
    Raises `EventError` for what is no event, and for one that the destination takes under no
    circumstances, such as an anonymous one.
    """
    event = check_event(read_json(raw))
    deliveries: list[Planned] = []
    refused = destination.admit(event)
    if refused is not None and refused.outcome is Outcome.INVALID:
        raise EventError(
            refused.code or "BAD_REQUEST", refused.reason.removeprefix("400 Bad Request: ")
        )
    if refused is not None:
        deliveries.append(Planned("", refused))
    else:
        for action, what in destination.deliveries(event):
            deliveries.append(Planned(action or "", what if isinstance(what, Result) else None))
    return Incoming(
        raw=raw,
        message_id=event.get("messageId") or f"none:{uuid.uuid4()}",
        type=event["type"],
        user=event.get("userId") or event.get("anonymousId") or "",
        deliveries=deliveries,
    )
