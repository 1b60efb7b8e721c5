"""Take events that a connection which does not fit now is to plan, until one fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from destinations.pipeline.intake import CommonEvent, Intake
from destinations.pipeline.queue import Arrival, EventSettings, QueuedDelivery, Transition
from destinations.pipeline.restored import Gap, hold_restored
from destinations.runtime.destination import Destination, not_taken
from destinations.runtime.plan import Plan
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import Event
from destinations.segment.fql import check_fql, compile_fql

__all__ = ["PostponedIntake"]


class PostponedIntake(Intake):
    """Queues an event for each of ``subscriptions`` that may receive it, without a payload.

    They are those of a connection that does not fit the definition; without any, those of the
    ``destination``. Nothing is claimed meanwhile. Each delivery is planned by its key when the
    connection, or the definition, is another one; so none may be ended before.
    """

    def __init__(
        self,
        destination: Destination,
        subscriptions: Sequence[Mapping[str, Any]] | None,
        gap: Gap | None = None,
        settings: EventSettings | None = None,
    ) -> None:
        super().__init__(destination, gap, settings)
        self._base = destination
        self._held_since = gap
        self._routes = (
            [(one.key, one.fql.matches) for one in destination.subscriptions]
            if subscriptions is None
            else [_route(one) for one in subscriptions if one.get("enabled", True)]
        )

    @property
    def digest(self) -> str:
        """Names nothing: what is queued is planned again."""
        return ""

    def arrival(
        self,
        plan: Plan,
        digest: str,
        *,
        message_id: str,
        accepted_at: float,
        line: int = 0,
        common: CommonEvent | None = None,
    ) -> Arrival:
        """Return the arrival of an event; see `Intake.arrival`."""
        arrival = super().arrival(
            plan, digest, message_id=message_id, accepted_at=accepted_at, line=line, common=common
        )
        if plan.event is None or self._base.admit(plan.event) is not None:
            return arrival
        event, prepared = arrival.event, self._base.prepare(plan.event, accepted_at)
        keys = [key for key, may_receive in self._routes if may_receive(prepared)]
        waiting = [QueuedDelivery(event, key, nth, line=line) for nth, key in enumerate(keys)]
        event.count = max(1, len(waiting))
        arrival.deliveries, arrival.ended = waiting, []
        if not keys:
            arrival.ended = [
                Transition(QueuedDelivery(event, None, line=line), not_taken(), "plan")
            ]
        elif self._held_since is not None and self._held_since.has(plan.event):
            restored = self._held_since.restored
            for one in waiting:
                one.restored = restored
            arrival.deliveries = []
            arrival.ended = [hold_restored(one, restored.why) for one in waiting]
        return arrival


def _route(given: Mapping[str, Any]) -> tuple[SubscriptionKey, Callable[[Event], bool]]:
    """Return the key of a subscription, and whether it may receive an event."""
    key, text = SubscriptionKey(given["name"], given["partnerAction"]), given["subscribe"]
    return key, _any_event if check_fql(text) else compile_fql(text).matches


def _any_event(event: Event) -> bool:  # noqa: ARG001 - a test of events
    return True
