"""The worker that is meant: an engine that delivers over HTTP from a queue in the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from destinations.engine import Engine, EngineOptions
from destinations.http.transport import HttpTransport
from destinations.queue import QueueOptions, Scope, SqliteQueue
from destinations.runtime.destination import Destination
from destinations.server.binding import Bound
from destinations.server.worker import Resources
from destinations.store import Capabilities

__all__ = ["EngineWorker", "open_engine"]


def open_engine(bound: Bound, resources: Resources) -> EngineWorker:
    """The queue and the engine of one destination; see `destinations.server.worker.OpenWorker`."""
    return EngineWorker(bound, resources)


class EngineWorker:
    """See `destinations.server.worker.Worker`."""

    def __init__(self, bound: Bound, resources: Resources) -> None:
        destination, delivery = bound.destination, bound.config.delivery
        definition = destination.definition
        # By its name here as well: the accounts of two customers may differ in their keys alone.
        account = f"{bound.name}: {destination.account}"
        self.inbox = SqliteQueue(
            resources.store,
            resources.writer,
            Scope(bound.name, account, definition.version, destination.account),
            _batch_sizes(destination),
            adding=_adding(destination),
            options=QueueOptions(
                max_open=resources.config.max_events, settle_after=delivery.settle_after_seconds
            ),
        )
        self._transport = HttpTransport(
            definition.transport.timeouts, allow_private=delivery.allow_private
        )
        self._engine = Engine(
            bound.name,
            destination,
            self.inbox,
            self._transport,
            options=EngineOptions(
                deadline=delivery.deadline_seconds, settle_after=delivery.settle_after_seconds
            ),
            watcher=resources.watcher,
            memory=Capabilities(resources.store, destination.account),
        )

    def start(self) -> None:
        """See `destinations.server.worker.Worker.start`."""
        self._engine.start()

    def stop(self, drain_seconds: float) -> None:
        """See `destinations.server.worker.Worker.stop`."""
        self._engine.stop(drain_seconds)
        self._transport.close()


def _adding(destination: Destination) -> Collection[str]:
    """The actions of which one request may carry several events of a user."""
    actions = (subscription.action for subscription in destination.subscriptions)
    return {action.definition.slug for action in actions if action.repeats_users}


def _batch_sizes(destination: Destination) -> Mapping[str, int]:
    """How many events one request carries, by action."""
    actions = (subscription.action for subscription in destination.subscriptions)
    return {action.definition.slug: action.batch_size for action in actions}
