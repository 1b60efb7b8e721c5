"""Tell what a run would do, without asking or telling the partner anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from destinations.outcome import Effect, Outcome, Result
from destinations.pipeline.memory_queue import MemoryQueue
from destinations.pipeline.pipeline import Job, Pipeline
from destinations.pipeline.queue import (
    History,
    Queue,
    QueuedDelivery,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = ["WOULD_BE_SENT", "DryPipeline", "DryQueue"]

WOULD_BE_SENT: Final = Result(Outcome.DELIVERED, "would be sent")


class DryQueue(MemoryQueue):
    """Earlier results, and those that this run would have; nothing is written.

    ``known`` is the queue of earlier runs with its scope; None without earlier runs.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[SubscriptionKey],
        known: tuple[Queue, Scope] | None,
    ) -> None:
        super().__init__(name, keys)
        self._known = known

    def history(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:
        """Return the history of messages; see `Queue.history`."""
        found = dict(super().history(scope, message_ids))
        if self._known is not None:
            queue, of_runs = self._known
            others = [one for one in message_ids if one not in found]
            found |= queue.history(of_runs, others)
        return found

    def deletion_since(self, scope: Scope, user: str, delivery: int) -> int | None:  # noqa: ARG002 - that of earlier runs
        """Return the deletion of a user in earlier runs; see `Queue.deletion_since`."""
        if self._known is None:
            return None
        queue, of_runs = self._known
        return queue.deletion_since(of_runs, user, delivery)

    def came_since(self, user: str, deletion: int) -> int | None:
        """Return what came of a user in earlier runs; see `Queue.came_since`."""
        return None if self._known is None else self._known[0].came_since(user, deletion)

    def known_elsewhere(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:  # noqa: ARG002 - that of earlier runs
        """Return the histories of messages in other queues; see `Queue.known_elsewhere`."""
        if self._known is None:
            return {}
        queue, of_runs = self._known
        return queue.known_elsewhere(of_runs, message_ids)


class DryPipeline(Pipeline):
    """A pipeline in which everything that is claimed ends as `WOULD_BE_SENT`."""

    def _prepare(
        self,
        deliveries: Sequence[QueuedDelivery],
        now: float,
        round_: Round,
    ) -> Job | None:
        planned = self._planned(deliveries, round_)
        for delivery in self._in_window(planned, now, round_) if planned else ():
            transition = Transition(delivery, WOULD_BE_SENT, "plan", effect=Effect.APPLIED)
            round_.transitions.append((self.scope, transition))
        return None
