"""Plan an event: a payload or a result for each subscription that matches it.

All sources use this one function: files, HTTP, deliveries and replays from a store, ``explain``.
"""

from __future__ import annotations

from dataclasses import dataclass

from destinations.clock import unix_time
from destinations.errors import EventError
from destinations.outcome import Outcome, Result
from destinations.runtime.action import Payload, Subscription
from destinations.runtime.amounts import Usage
from destinations.runtime.destination import Destination
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import NOT_JSON, Event, naming_delete, read_event

__all__ = ["Plan", "PlannedDelivery", "plan", "plan_event", "unreadable"]


@dataclass(slots=True)
class PlannedDelivery:
    """One event for one subscription, with the ``payload`` to send or the ``result`` that ends it.

    ``subscription`` is None if the event reaches none. ``usage`` is what it counts for once it is
    delivered, if that can be compared with what the partner counts.
    """

    subscription: Subscription | None
    payload: Payload | None = None
    result: Result | None = None
    usage: Usage | None = None

    @property
    def key(self) -> SubscriptionKey | None:
        """Return the subscription's key."""
        return None if self.subscription is None else self.subscription.key


@dataclass(slots=True)
class Plan:
    """One event with its deliveries, at least one.

    ``raw`` is the event as kept in the store, ``event`` as it came. ``refusal`` is why the event as
    a whole cannot be delivered: it is not a valid event, or lacks what the destination asks of
    every event. It is then the result of the only delivery, and ``event`` is None if it could not
    be read. ``message_id`` and ``user`` may be empty.
    """

    raw: bytes
    event: Event | None
    message_id: str
    type: str
    user: str
    deliveries: list[PlannedDelivery]
    refusal: Result | None = None

    @property
    def adds(self) -> bool:
        """Return whether one of its deliveries adds to a balance, now or once a rule maps it."""
        return any(
            one.subscription is not None
            and one.subscription.action.repeats_users
            and (one.result is None or one.result.outcome is Outcome.UNMAPPED)
            for one in self.deliveries
        )


def unreadable(raw: bytes, reason: str, code: str = NOT_JSON) -> Plan:
    """Return the plan for input that cannot be read as an event."""
    invalid = Result.invalid(reason, code)
    return Plan(raw, None, "", "", "", [PlannedDelivery(None, result=invalid)], invalid)


def plan(
    destination: Destination,
    raw: bytes,
    *,
    only: SubscriptionKey | None = None,
    received_at: float | None = None,
) -> Plan:
    """Plan a raw event; ``only`` restricts the plan to one subscription.

    ``received_at`` is when the event was first received, by default now; it becomes the timestamp
    of an event without one.
    """
    try:
        raw, event = read_event(raw)
    except EventError as error:
        fault = error if destination.deletion is None else naming_delete(error)
        invalid = Result.invalid(fault.message, fault.code)
        return Plan(raw, None, "", "", "", [PlannedDelivery(None, result=invalid)], invalid)
    return plan_event(destination, raw, event, only=only, received_at=received_at)


def plan_event(
    destination: Destination,
    raw: bytes,
    event: Event,
    *,
    only: SubscriptionKey | None = None,
    received_at: float | None = None,
) -> Plan:
    """Plan an event that was read already, as `plan` does; ``raw`` is its JSON."""
    message_id = event.get("messageId") or ""
    if message_id.isspace():  # a blank id identifies nothing, and other events may have the same
        message_id = ""
    user = event.get("userId") or event.get("anonymousId") or ""
    ended = destination.admit(event)
    if ended is not None:
        deliveries = [PlannedDelivery(None, result=ended)]
        refusal = ended if ended.outcome is Outcome.INVALID else None
        return Plan(raw, event, message_id, event["type"], user, deliveries, refusal)
    now = unix_time() if received_at is None else received_at
    prepared = destination.prepare(event, now)
    deliveries = [
        PlannedDelivery(subscription, None, what)
        if isinstance(what, Result)
        else PlannedDelivery(subscription, what)
        for subscription, what in destination.payloads(prepared, only=only)
    ]
    for one in deliveries:
        counted = None if one.subscription is None else one.subscription.action.usage
        if counted is not None and one.payload is not None:
            one.usage = counted.of(prepared, one.payload, destination.settings, now)
    return Plan(raw, event, message_id, event["type"], user, deliveries)
