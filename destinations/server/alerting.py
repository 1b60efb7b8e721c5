"""Watch a server for alerts: read its figures, and choose the process that tells people."""

from __future__ import annotations

import shlex
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from destinations.clock import WallClock
from destinations.errors import DestinationsError, TemporaryError
from destinations.operations import (
    RefusedCredentials,
    StoredAlerts,
    find_tenant,
    refused_credentials,
)
from destinations.outcome import Status
from destinations.pipeline.lease import Session
from destinations.pipeline.ledger import ScopeTotals, Tally
from destinations.pipeline.observer import Observer
from destinations.pipeline.shared_limits import SharedLimits
from destinations.server.config_model import ServeConfig
from destinations.store import OpenStore
from destinations.telemetry import Observation, StoreFigures, TenantCounts
from destinations.telemetry.alerts import AlertRule, AlertWatch, Figures, Sink, SinkSender

__all__ = ["Alerting", "BreakerTimes"]

_DAY: Final = 86_400


class BreakerTimes(Observer):
    """Knows since when circuit breakers are not closed."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: dict[str, float] = {}
        self._of_others: dict[str, float] = {}

    def breaker(self, destination: str, state: str, reason: str) -> None:  # noqa: ARG002 - of logs
        """See `Observer.breaker`."""
        if state == "closed":
            self._since.pop(destination, None)
        else:
            self._since.setdefault(destination, self._now())

    def since(self, limits: SharedLimits | None, names: Sequence[str]) -> Mapping[str, float]:
        """Return since when the breakers of these destinations are not closed, of any process."""
        found = {name: at for name, at in dict(self._since).items() if name in names}
        if limits is None:
            return found
        others = {name for name in names if limits.gate(name).look() is not None}
        for name in others - found.keys():
            found[name] = self._of_others.setdefault(name, self._now())
        self._of_others = {name: at for name, at in self._of_others.items() if name in others}
        return found


class Alerting:
    """The alerts of one server, from `start` to `close`."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        store: OpenStore,
        observation: Observation,
        *,
        clock: WallClock,
        breakers: BreakerTimes,
        store_figures: Callable[[], StoreFigures],
        tenant_counts: Callable[[], TenantCounts],
        session: Session | None = None,
        limits: SharedLimits | None = None,
    ) -> None:
        self._store = store
        self._ledger = store.ledger()
        self._clock = clock
        self._breakers = breakers
        self._store_figures = store_figures
        self._tenant_counts = tenant_counts
        self._session = session
        self._limits = limits
        self._names: Sequence[str] = ()
        self._mask = observation.masked
        self._watch = AlertWatch(
            StoredAlerts(store),
            gather=self._gather,
            is_chief=self._is_chief,
            make_sender=self._sender,
            tell=observation.alert_message,
            clock=clock,
        )
        observation.follow_alerts(lambda: self._watch.open)

    def configure(self, config: ServeConfig) -> None:
        """Use this configuration from now on."""
        self._names = [one.name for one in config.destinations]
        path = "" if config.path is None else f" --config {shlex.quote(str(config.path))}"
        self._watch.options = path
        self._watch.configure(config.alerts, self._names)

    def start(self) -> None:
        """Begin to look."""
        self._watch.start()

    def close(self) -> None:
        """Stop; safe to repeat."""
        self._watch.close()

    def _sender(self, sink: Sink) -> SinkSender:
        server = socket.gethostname()
        return SinkSender(sink, server=server, mask=self._mask, now=self._clock.time)

    def _is_chief(self) -> bool:
        """Return whether this process tells people: of those that deliver, the oldest one alive.

        Raises `DestinationsError` if it cannot be known.
        """
        if self._session is None:
            return True
        token, error = self._session.token, self._session.last_error
        if token is None and error is not None:
            raise TemporaryError(f"the lease is not renewed: {error}")
        if token is None:
            return False
        workers = self._store.workers() or ()
        servers = [one.id for one in workers if one.state == "alive" and not one.is_run]
        return token == min(servers, default=token)

    def _gather(self, rules: Sequence[AlertRule]) -> Figures:
        """Return the figures of now; what the store has may be missing."""
        now = self._clock.time()
        unwritable = self._store.database.health.why
        kinds = {rule.condition.kind for rule in rules}
        try:
            figures = self._store_figures() if "storeFull" in kinds else None
            given = self._of_store(rules, now)
        except DestinationsError as error:
            return Figures(now, is_read=False, unwritable=unwritable or str(error))
        return Figures(now, store=figures, unwritable=unwritable, **given)

    def _of_store(self, rules: Sequence[AlertRule], now: float) -> Mapping[str, Any]:
        kinds = {rule.condition.kind for rule in rules}
        tenants = self._tenants(rules)
        subscriptions = {rule.subscription for rule in rules if rule.subscription}
        refused: Mapping[str, RefusedCredentials] = {}
        if kinds & {"credentials", "breaker"}:
            refused = refused_credentials(self._store)
        yesterday = int(now // _DAY) - 1
        return {
            "tallies": _folded(
                self._ledger.tallies(yesterday, served=True), tenants, subscriptions
            ),
            "totals": self._totals(tenants, now) if "queueAge" in kinds else (),
            "drifts": self._ledger.drifts() if "drift" in kinds else (),
            "breakers": (
                self._breakers.since(self._limits, self._names) if "breaker" in kinds else {}
            ),
            "refused": refused,
            "refused_tenants": self._refused_tenants() if "credentials" in kinds else {},
            "parts": sorted([*tenants.values(), *subscriptions]),
        }

    def _refused_tenants(self) -> Mapping[str, int]:
        return {name: counts["refused"] for name, counts in self._tenant_counts().items()}

    def _totals(self, tenants: Mapping[tuple[str, str], str], now: float) -> Sequence[ScopeTotals]:
        totals = [one for one in self._ledger.totals(now) if one.served]
        for one in totals:
            # Rules call them as the configuration does; the others are only added up.
            one.tenant = tenants.get((one.destination, one.tenant), one.tenant)
        return totals

    def _tenants(self, rules: Sequence[AlertRule]) -> Mapping[tuple[str, str], str]:
        """Return how rules call tenants, by their destination and id; those that there are."""
        found = {}
        for rule in rules:
            if rule.tenant is not None and rule.destination is not None:
                try:
                    tenant = find_tenant(self._store, rule.tenant, rule.destination)
                except DestinationsError:  # it may come, or it was erased
                    continue
                found[rule.destination, tenant.scope.tenant] = rule.tenant
        return found


def _folded(
    tallies: Sequence[Tally],
    tenants: Mapping[tuple[str, str], str],
    subscriptions: set[str],
) -> Sequence[Tally]:
    """Return tallies added up over all tenants and subscriptions that no rule names.

    There may be thousands of tenants.
    """
    sums: Counter[tuple[str, str, str, Status, int]] = Counter()
    for one in tallies:
        tenant = tenants.get((one.destination, one.tenant), "")
        subscription = one.subscription if one.subscription in subscriptions else ""
        sums[one.destination, tenant, subscription, one.status, one.day] += one.count
    return [
        Tally(destination, tenant, subscription, status, day, count)
        for (destination, tenant, subscription, status, day), count in sums.items()
    ]
