"""Collect the figures of a store for `destinations status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from destinations.operations.interrupted import delivers, open_ledger
from destinations.operations.locks import ServerStatus
from destinations.operations.pauses import (
    MissingToken,
    RefusedCredentials,
    missing_tokens,
    paused_actions,
    pauses_of_servers,
    refused_credentials,
    stopped_destinations,
)
from destinations.operations.tenants import (
    TenantFigures,
    TenantStatus,
    count_tenants,
    find_tenant,
)
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.lease import Worker
from destinations.pipeline.ledger import ScopeTotals, summed
from destinations.pipeline.queue import Scope
from destinations.store import OpenStore, RefusedCount, SqliteStore, TenantNumbers, Tenants

__all__ = [
    "StoreStatus",
    "count_waiting",
    "place_of",
    "queue_length",
    "store_status",
]

_WAITING = (State.READY, State.SENDING, State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """A store; ``size`` is in bytes, with its journal.

    ``served`` says whether a server delivers from it now, None if unknown; ``names`` are the
    server's destinations. No process delivers for the scopes ``idle`` now. ``paused`` has the
    paused actions of each destination with their reasons, ``stopped`` the destinations that an
    operator has paused, and since when; ``refused`` are those whose credentials a partner refuses,
    ``tokenless`` those that get no access token.
    The customers of a destination who send with keys of their
    own (``tenants``) are one of the ``scopes`` together, see
    `destinations.pipeline.ledger.summed`. If it is the status of one customer only, that is
    ``tenant``, and the paused actions are its own. ``workers`` are as `OpenStore.workers` has them.
    ``refused_events`` counts the events that the receiver refused and keeps, which are no
    deliveries.
    """

    path: str
    size: int
    engine: str
    served: bool | None
    names: frozenset[str]
    scopes: tuple[ScopeTotals, ...]
    idle: frozenset[int] = frozenset()
    paused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stopped: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, RefusedCredentials] = field(default_factory=dict)
    tenants: Mapping[str, TenantFigures] = field(default_factory=dict)
    tenant: TenantStatus | None = None
    workers: Sequence[Worker] | None = None
    refused_events: Sequence[RefusedCount] = ()
    tokenless: Mapping[str, MissingToken] = field(default_factory=dict)

    def to_json(self, now: float) -> dict[str, Any]:
        """Return the status as JSON values; durations are in seconds."""
        return {
            "path": self.path,
            "size": self.size,
            "engine": self.engine,
            "served": self.served,
            "workers": None if self.workers is None else [asdict(one) for one in self.workers],
            "refused": [asdict(one) for one in self.refused_events],
            "destinations": [
                {
                    "name": one.destination,
                    "account": one.account,
                    "tenant": one.tenant or None,
                    "source": "serve" if one.served else "run",
                    "served": one.served and one.destination in self.names,
                    "queue": queue_length(one),
                    "counts": _in_order(one.counts),
                    "today": _in_order(one.today),
                    "paused": dict(self.paused.get(one.destination, {})) if one.served else {},
                    "credentials_refused": self._refusal(one, self.refused),
                    "token_missing": self._refusal(one, self.tokenless),
                    "paused_at": self.stopped.get(one.destination) if one.served else None,
                    "tenant_status": None if self.tenant is None else self.tenant.to_json(),
                    "tenants": self.tenants[one.destination].to_json() if one.tenants else None,
                    "oldest": None if one.oldest is None else max(0.0, now - one.oldest),
                    "next_retry": None if one.next_at is None else max(0.0, one.next_at - now),
                }
                for one in self.scopes
            ],
        }

    @staticmethod
    def _refusal(
        one: ScopeTotals, noted: Mapping[str, RefusedCredentials] | Mapping[str, MissingToken]
    ) -> Mapping[str, Any] | None:
        found = noted.get(one.destination) if one.served and not one.tenants else None
        return None if found is None else asdict(found)


def store_status(
    store: OpenStore,
    now: float,
    serving: ServerStatus,
    tenant: str | None = None,
    destination: str | None = None,
) -> StoreStatus:
    """Return the status of the store at ``now`` (seconds since 1970, UTC).

    With ``tenant`` that of one customer of a partner only, of this ``destination`` if given; raises
    `UsageError` if it is unknown.
    """
    totals = open_ledger(store).totals(now)
    found = None if tenant is None else find_tenant(store, tenant, destination)
    if found is None:
        totals = summed(totals)
    else:
        totals = [one for one in totals if one.id == found.scope.id]
    scopes = [one for one in totals if one.counts or one.served]
    if found is None:
        paused, status = pauses_of_servers(store, scopes), None
    else:
        paused = {found.scope.name: paused_actions(store, found.scope.full_name)}
        numbers = Tenants(store.database).numbers(now).get(found.scope.id, TenantNumbers())
        status = TenantStatus(found, numbers)
    return StoreStatus(
        place_of(store),
        store.database.size,
        store.engine,
        serving.running,
        serving.names or frozenset(),
        tuple(scopes),
        frozenset(
            one.id
            for one in scopes
            if not delivers(store, Scope(one.id, one.destination), served=one.served)
        ),
        paused,
        stopped_destinations(store),
        refused_credentials(store),
        count_tenants(store),
        status,
        store.workers(),
        store.refused().totals(None if found is None else found.scope.id),
        missing_tokens(store),
    )


def _in_order(counts: Mapping[Status, int]) -> dict[str, int]:
    """Return counts by status, always in one order."""
    return {one.value: counts[one] for one in (*State, *Outcome) if one in counts}


def queue_length(totals: ScopeTotals) -> int:
    """Return how many deliveries of a scope wait for a process to deliver them."""
    return sum(totals.counts.get(state, 0) for state in _WAITING)


def count_waiting(store: OpenStore, now: float) -> Mapping[str, int]:
    """Return how many deliveries without an outcome each of a server's destinations has.

    Held deliveries are included.
    """
    found: dict[str, int] = {}
    for one in store.ledger().totals(now):
        waiting = queue_length(one) + one.counts.get(State.HELD, 0)
        if one.served and waiting:
            found[one.destination] = found.get(one.destination, 0) + waiting
    return found


def place_of(store: OpenStore) -> str:
    """Return the place of a store as text: the whole path of a file, or the address."""
    return str(store.path.resolve()) if isinstance(store, SqliteStore) else store.shown
