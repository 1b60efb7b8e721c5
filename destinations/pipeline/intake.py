"""From the plan of an event to what is queued: the payload as JSON, and what it adds."""

from __future__ import annotations

from dataclasses import dataclass

from destinations.errors import ResolveError
from destinations.http.json_bytes import encode_json
from destinations.outcome import Result
from destinations.pipeline.dedupe import fingerprints
from destinations.pipeline.queue import (
    Arrival,
    EventSettings,
    QueuedDelivery,
    QueuedEvent,
    SharedEvent,
    Transition,
)
from destinations.pipeline.reconcile import ReconcileRules
from destinations.pipeline.restored import Gap, hold_restored
from destinations.runtime.destination import Destination
from destinations.runtime.plan import Plan, PlannedDelivery

__all__ = ["CommonEvent", "Intake"]


@dataclass(frozen=True, slots=True)
class CommonEvent:
    """The common part of the events of several destinations that came as one.

    ``fingerprints`` are those of the event as it was sent: see `destinations.pipeline.dedupe`.
    """

    fingerprints: tuple[int, int]
    shared: SharedEvent | None = None


class Intake:
    """Takes the events of one destination, from any thread. Events of the ``gap`` are held.

    ``settings`` are those of the destination that come with the events, and stay with them.
    """

    def __init__(
        self,
        destination: Destination,
        gap: Gap | None = None,
        settings: EventSettings | None = None,
    ) -> None:
        self._destination = destination
        self._gap = gap
        self._settings = settings
        self._rules = ReconcileRules(destination)

    @property
    def digest(self) -> str:
        """Names what payloads are made by now; see `Destination.plan_digest`."""
        return self._destination.plan_digest

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
        """Return the arrival that a plan queues; ``digest`` was read before the plan was made.

        ``common`` is what the event has in common with the same event of other destinations.
        """
        if common is not None:
            found, former = common.fingerprints
        else:
            found, former = (0, 0) if plan.event is None else fingerprints(plan.event)
        event = QueuedEvent(message_id, plan.type, plan.user, accepted_at, plan.raw, found)
        event.former = former
        event.shared = None if common is None else common.shared
        event.count = len(plan.deliveries)
        if self._settings is not None:
            event.settings = self._settings.name
        deliveries: list[QueuedDelivery] = []
        ended: list[Transition] = []
        gap = self._gap if self._gap is not None and self._gap.has(plan.event) else None
        for nth, planned in enumerate(plan.deliveries):
            delivery = QueuedDelivery(event, planned.key, nth, plan=digest, line=line)
            result = planned.result
            if result is None:
                result = self.fill(delivery, planned, digest)
                if result is None and gap is not None:
                    delivery.restored = gap.restored
                    ended.append(hold_restored(delivery, gap.restored.why))
                    continue
                if result is None:
                    deliveries.append(delivery)
                    continue
            ended.append(Transition(delivery, result, "plan"))
        return Arrival(event, deliveries, ended, settings=self._settings)

    def fill(
        self, delivery: QueuedDelivery, planned: PlannedDelivery, digest: str
    ) -> Result | None:
        """Give a delivery the payload of a plan; returns its end if that cannot be written."""
        key, payload = planned.key, planned.payload
        assert key is not None  # noqa: S101 - it has a payload
        assert payload is not None  # noqa: S101 - the plan has no result
        try:
            delivery.payload = encode_json(payload)
        except ResolveError as error:
            return Result.invalid(error.message, "PAYLOAD_VALIDATION_FAILED")
        delivery.key = key
        delivery.plan = digest
        delivery.touches = None
        delivery.increment = self._rules.increment(key.action, payload)
        delivery.usage = planned.usage
        return None
