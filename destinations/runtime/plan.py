"""What an event comes to: for each subscription that takes it a payload, or its end.

Every way of an event begins here, whether it is read from a file, received over HTTP, taken from a
store to be sent or replayed, or only explained.
"""

from __future__ import annotations

from dataclasses import dataclass

from destinations.clock import unix_time
from destinations.errors import EventError
from destinations.outcome import Outcome, Result
from destinations.runtime.action import Payload, Subscription, SubscriptionKey
from destinations.runtime.destination import Destination
from destinations.segment.event import Event, read_event

__all__ = ["Plan", "PlannedDelivery", "plan", "unreadable"]


@dataclass(slots=True)
class PlannedDelivery:
    """One event for one subscription: ``payload`` is to be sent, unless ``result`` is its end.

    ``subscription`` is None where the event reaches none.
    """

    subscription: Subscription | None
    payload: Payload | None = None
    result: Result | None = None

    @property
    def key(self) -> SubscriptionKey | None:
        """What the subscription is known by."""
        return None if self.subscription is None else self.subscription.key


@dataclass(slots=True)
class Plan:
    """One event with its deliveries, at least one.

    ``raw`` is the event as it is kept, ``event`` as it came. ``refusal`` is why the event as a
    whole cannot be delivered: it is no event, or lacks what the destination asks of every event.
    Then that is the result of its one delivery, and ``event`` is None if it could not be read.
    ``message_id`` and ``user`` may be empty.
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
        """Whether a delivery of it adds to an amount, now or once a rule maps it."""
        return any(
            one.subscription is not None
            and one.subscription.action.repeats_users
            and (one.result is None or one.result.outcome is Outcome.UNMAPPED)
            for one in self.deliveries
        )


def unreadable(raw: bytes, reason: str) -> Plan:
    """Return the plan of what is no event for a reason of its input."""
    invalid = Result.invalid(reason, "malformed_input")
    return Plan(raw, None, "", "", "", [PlannedDelivery(None, result=invalid)], invalid)


def plan(
    destination: Destination,
    raw: bytes,
    *,
    only: SubscriptionKey | None = None,
    received_at: float | None = None,
) -> Plan:
    """Return what the raw event comes to; ``only`` restricts it to one subscription.

    ``received_at`` is when it was received first, now by default: an event that does not say when
    it happened has happened then.
    """
    try:
        raw, event = read_event(raw)
    except EventError as error:
        invalid = Result.invalid(error.message, error.code)
        return Plan(raw, None, "", "", "", [PlannedDelivery(None, result=invalid)], invalid)
    message_id = event.get("messageId") or ""
    if message_id.isspace():  # it names nothing, and others would have the same
        message_id = ""
    user = event.get("userId") or event.get("anonymousId") or ""
    ended = destination.admit(event)
    if ended is not None:
        deliveries = [PlannedDelivery(None, result=ended)]
        refusal = ended if ended.outcome is Outcome.INVALID else None
        return Plan(raw, event, message_id, event["type"], user, deliveries, refusal)
    prepared = destination.prepare(event, unix_time() if received_at is None else received_at)
    deliveries = [
        PlannedDelivery(subscription, None, what)
        if isinstance(what, Result)
        else PlannedDelivery(subscription, what)
        for subscription, what in destination.payloads(prepared, only=only)
    ]
    return Plan(raw, event, message_id, event["type"], user, deliveries)
