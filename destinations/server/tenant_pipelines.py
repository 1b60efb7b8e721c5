"""Deliver for the customers of a partner: make the pipeline of each when its turn has come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from destinations.clock import WallClock
from destinations.http.transport import Transport
from destinations.operations import StoredPauses, check_account
from destinations.pipeline.breaker import BreakerState, CircuitBreaker, SharedBreaker
from destinations.pipeline.fair_share import FairShare
from destinations.pipeline.observer import Observer, Observers
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.prefetch import Room
from destinations.pipeline.queue import DurableQueue, Scope
from destinations.pipeline.rate_limit import rate_limited
from destinations.pipeline.reconcile import longest_settling, longest_way
from destinations.pipeline.retry import RetryPolicy
from destinations.pipeline.shared_limits import ClusterBreaker, SharedLimits
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.server.binding import Bound
from destinations.server.tenants import ServedTenants
from destinations.store import ChangedTenants, OpenStore, Tenants, TenantStore
from destinations.telemetry import log_tenant

__all__ = ["TenantPipelines"]

_LOG = logging.getLogger(__name__)

_REQUESTS: Final = 2
"""The requests of one tenant that may be under way at once."""

_SETTINGS: Final = 20
"""Of one tenant, how many settings that came with events are at hand; others are read again."""

_ROOM: Final = Room(available=50, most=300, roomy=100, size=256 * 1024, page=50, of_a_user=25)
"""What a tenant may hold in memory: there may be tens of thousands of them."""


class _TenantObserver(Observers):
    """Tells what happens to one tenant's deliveries under the name of the destination.

    Log lines name the tenant. That a key is refused, or an action pauses, concerns it alone.
    """

    def __init__(self, inner: Observer, tenants: ServedTenants, scope: Scope) -> None:
        super().__init__([inner])
        self._tenants = tenants
        self._scope = scope

    def credentials(self, destination: str, state: str, reason: str = "") -> None:  # noqa: ARG002 - it is the tenant's
        """Look at the key again that a delivery was refused with."""
        if state == "refused":
            self._tenants.doubt(self._scope)

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """Note nothing: the endpoint's breaker is told of by itself."""

    def paused(self, destination: str, action: str, reason: str) -> None:
        """Tell whose action pauses."""
        shown = self._tenants.shown(self._scope)
        if reason:
            _LOG.error(
                "action %s of tenant %s of %s paused: the partner takes the key, refuses requests; "
                "destinations resume %s --tenant %s tries again",
                *(action, shown, destination, destination, self._scope.tenant),
            )
        super().paused(destination, action, reason and f"tenant {shown}: {reason}")

    def _tell(self, name: str, *values: object) -> None:
        # It may be named, or get another name, at any time.
        with log_tenant(self._tenants.shown(self._scope)):
            super()._tell(name, *values)


@dataclass(frozen=True, slots=True)
class TenantPipelines:
    """All that the pipelines of the tenants of one destination share."""

    bound: Bound
    tenants: ServedTenants
    store: OpenStore
    queue: DurableQueue
    transport: Transport
    policy: RetryPolicy
    clock: WallClock
    observer: Observer
    stop: threading.Event
    limits: SharedLimits | None = None

    def share(self) -> FairShare:
        """Return the share by which they take turns."""
        name = self.bound.name
        endpoint = self._breaker(name, lambda state, why: self.observer.breaker(name, state, why))
        return FairShare(
            name,
            lambda scope: self._make(scope, endpoint),
            most=self.bound.destination.definition.transport.concurrency,
            breaker=endpoint,
            changed=ChangedTenants(self.store.database, name),
            failed=self._failed,
            waiting=lambda: Tenants(self.store.database).waiting(name),
            scope_of=self.tenants.scope_of,
        )

    def _breaker(self, name: str, notify: Callable[[BreakerState, str], None]) -> CircuitBreaker:
        """Return a breaker, which all processes share if several deliver."""
        if self.limits is None:
            return CircuitBreaker(self.policy.draw, notify)
        return ClusterBreaker(self.policy.draw, notify, self.limits.gate(name))

    def _failed(self, scope: Scope, error: Exception) -> None:
        shown = self.tenants.shown(scope)
        _LOG.error("tenant %s of %s cannot be delivered to: %s", shown, scope.name, error)

    def _make(self, scope: Scope, endpoint: CircuitBreaker) -> Pipeline:
        account = self.store.accounts().of_scope(scope)
        slug = self.bound.identity.slug
        # The scope is in the store: a command that asks for the lock after this finds it there.
        check_account(self.store, account.id, f"{slug} at {account.shown}")
        destination = self.tenants.bound(scope)
        definition = destination.definition
        losses = self.bound.config.delivery.losses
        longest, way = longest_settling(definition, losses), longest_way(definition)
        self.queue.recover([scope], longest, self.policy.longest_wait, way)
        answers = TenantStore(self.store, scope.tenant).answers(identity_of(destination).partner)
        transport = rate_limited(
            *(self.transport, definition.transport.rate_limit, self.clock, self.stop),
            *(self.limits, scope.full_name),
        )

        def sender_of(one: Destination) -> Sender:
            return Sender(one, transport, stop=self.stop, answers=answers, clock=self.clock)

        @lru_cache(maxsize=_SETTINGS)
        def with_settings(settings: str) -> tuple[Destination, Sender]:
            found = self.tenants.bound_with(scope, settings)
            return found, sender_of(found)

        most = min(_REQUESTS, definition.transport.concurrency)
        pauses = StoredPauses(self.store, scope.full_name)
        pauses.write({})  # all is tried again
        own = self._breaker(scope.full_name, lambda _state, _why: None)
        return Pipeline(
            scope,
            destination,
            sender_of(destination),
            self.queue,
            policy=self.policy,
            options=PipelineOptions(
                most,
                losses=losses,
                pauses=pauses,
                room=_ROOM,
            ),
            clock=self.clock,
            observer=_TenantObserver(self.observer, self.tenants, scope),
            source=self.queue.source(scope),
            breaker=SharedBreaker(endpoint, own),
            with_settings=with_settings,
        )
