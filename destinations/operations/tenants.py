"""Show the customers of a partner who send with keys of their own; name and pause them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from destinations.errors import UsageError
from destinations.operations.interrupted import open_ledger
from destinations.operations.pauses import paused_actions
from destinations.operations.times import shown_time
from destinations.pipeline.ledger import ScopeTotals
from destinations.pipeline.queue import Scope
from destinations.store import (
    MERGED,
    KeptConnection,
    OpenStore,
    Tenant,
    TenantNumbers,
    Tenants,
    begins_id,
    erased_name,
    erasures_stored,
    latest_of,
    tenant_name,
)

__all__ = [
    "MergedInto",
    "TenantDetails",
    "TenantFigures",
    "TenantState",
    "TenantStatus",
    "call_tenant",
    "count_tenants",
    "erased_at",
    "find_earlier_merge",
    "find_merged",
    "find_tenant",
    "pause_tenant",
    "place_of_tenant",
    "resume_tenant",
    "tenant_status",
    "tenant_statuses",
]

KeyState = Literal["proven", "unchecked", "refused"]
TenantState = Literal["proven", "unchecked", "refused", "paused"]
"""How a tenant stands; one that an operator paused may have a key of any state."""


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """A tenant with its numbers: ``queue`` waits, ``held`` needs an operator.

    ``today`` counts what was delivered today (UTC).
    """

    tenant: Tenant
    numbers: TenantNumbers

    @property
    def key(self) -> KeyState:
        """The state of its key: whether the partner took it, never did, or refuses it now."""
        if self.tenant.refused_since is not None:
            return "refused"
        return "unchecked" if self.tenant.proven_at is None else "proven"

    @property
    def state(self) -> TenantState:
        """How it stands: paused, or else the state of its key."""
        return "paused" if self.tenant.paused_at is not None else self.key

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; times are in seconds since 1970, UTC."""
        tenant = self.tenant
        return {
            "id": tenant.id,
            "name": tenant.name,
            "destination": tenant.scope.name,
            "noted_at": tenant.noted_at,
            "key": self.key,
            "proven_at": tenant.proven_at,
            "refused_since": tenant.refused_since,
            "paused_at": tenant.paused_at,
            "connection": tenant.connection,
            "connection_fault": tenant.connection_fault or None,
            "queue": self.numbers.queue,
            "held": self.numbers.held,
            "delivered_today": self.numbers.delivered_today,
        }


@dataclass(frozen=True, slots=True)
class TenantFigures:
    """The number of tenants of a destination, and of those that are in no good state."""

    all: int = 0
    refused: int = 0
    unchecked: int = 0
    paused: int = 0

    def to_json(self) -> dict[str, int]:
        """Return them as JSON values."""
        return {
            "all": self.all,
            "refused": self.refused,
            "unchecked": self.unchecked,
            "paused": self.paused,
        }


def find_tenant(store: OpenStore, text: str, destination: str | None = None) -> Tenant:
    """Return a tenant by its name, or by its id or the beginning of it.

    Raises `UsageError` if there is none, or more than one; it says what became of one that was
    merged or erased.
    """
    try:
        return Tenants(store.database).find(text, destination)
    except UsageError:
        if _has(store, text):
            raise
        merged = find_merged(store, text, destination)
        if merged is not None:
            became = f"it was merged into {merged.into.shown} at {merged.shown_at}"
        elif (at := erased_at(store, text, destination)) is not None:
            became = f"it was erased at {shown_time(at)}"
        else:
            raise
        raise UsageError(f"unknown tenant {text!r}: {became}") from None


def erased_at(store: OpenStore, text: str, destination: str | None = None) -> float | None:
    """Return when the tenant of this id was erased, in seconds since 1970; None if none was.

    Its name and the beginning of its id tell nothing: only a digest of the whole id is kept.
    """
    times = [
        one.at / 1000
        for one in store.database.at_once(erasures_stored)
        if one.destination
        and destination in {None, one.destination}
        and one.is_of(erased_name(Scope(0, one.destination, text)))
    ]
    return max(times, default=None)


class MergedInto(NamedTuple):
    """A tenant that was merged: its former id, the tenant that it is part of, and when.

    ``at`` is in seconds since 1970.
    """

    id: str
    into: Tenant
    at: float

    @property
    def shown_at(self) -> str:
        """The time as it is shown to operators."""
        return shown_time(self.at)


def find_merged(store: OpenStore, text: str, destination: str | None = None) -> MergedInto | None:
    """Return what became of a tenant by its former name, its id, or the beginning of that.

    None if no tenant that was called like it was merged, or several were, into different ones.
    """
    notes = store.notes_with_prefix(MERGED)
    tenants = {one.scope.full_name: one for one in Tenants(store.database).all()}
    into = {
        full_name.removeprefix(MERGED): f"{_destination_of(full_name)}/{note['into']}"
        for full_name, note in notes.items()
    }
    found = []
    for full_name, note in notes.items():
        name, gone = _destination_of(full_name), full_name.rpartition("/")[2]
        is_meant = text in {gone, note["name"]} or begins_id(gone, text)
        if not is_meant or destination not in {None, name}:
            continue
        latest = latest_of(full_name.removeprefix(MERGED), into, tenants)
        if latest in tenants:
            found.append(MergedInto(gone, tenants[latest], note["at"]))
    # A name may have gone from one to the next.
    is_one = len({one.into.scope.id for one in found}) == 1
    return max(found, key=lambda one: one.at) if is_one else None


def _destination_of(full_name: str) -> str:
    """Return the destination of the merged tenant that a note is about."""
    return full_name.removeprefix(MERGED).rpartition("/")[0]


def find_earlier_merge(
    store: OpenStore, gone: str, kept: str, destination: str | None = None
) -> MergedInto | None:
    """Return what became of the tenant ``gone`` if it is a part of ``kept`` already; else None."""
    earlier = find_merged(store, gone, destination)
    if earlier is None or gone == kept:
        return None
    into = find_merged(store, kept, destination)
    try:
        kept_now = Tenants(store.database).find(kept, destination)
    except UsageError:
        if into is None:
            return None
        kept_now = into.into
    if kept_now.scope.id != earlier.into.scope.id:
        return None
    # Another tenant may be called like it now; the one that it is part of may have its name.
    is_other = any(
        gone in {one.id, one.name} and one.scope.id != kept_now.scope.id
        for one in Tenants(store.database).all(destination)
    )
    return None if is_other else earlier


def _has(store: OpenStore, text: str) -> bool:
    return any(text in {one.id, one.name} for one in Tenants(store.database).all())


def place_of_tenant(store: OpenStore, tenant: Tenant) -> tuple[str, str]:
    """Return the destination of a tenant, and the name that selects its account at the partner."""
    (label,) = (one.label for one in store.ledger().totals(0.0) if one.id == tenant.scope.id)
    return tenant.scope.name, label


def tenant_statuses(
    store: OpenStore,
    now: float,
    destination: str | None = None,
    *,
    states: Sequence[TenantState] = (),
) -> Sequence[TenantStatus]:
    """Return the tenants of a destination, or of all, the oldest first; of these ``states`` only.

    However many there are, the store is asked twice.
    """
    tenants = Tenants(store.database)
    numbers = tenants.numbers(now)
    found = [
        TenantStatus(one, numbers.get(one.scope.id, TenantNumbers()))
        for one in tenants.all(destination)
    ]
    return [one for one in found if not states or one.state in states]


def count_tenants(store: OpenStore) -> Mapping[str, TenantFigures]:
    """Return how many tenants each destination has; none of those without any."""
    counts: dict[str, dict[str, int]] = {}
    for one in Tenants(store.database).all():
        status = TenantStatus(one, TenantNumbers())
        own = counts.setdefault(one.scope.name, {"all": 0})
        own["all"] += 1
        # One that is paused and refused counts as both.
        for state in {status.key, status.state} - {"proven"}:
            own[state] = own.get(state, 0) + 1
    return {name: TenantFigures(**own) for name, own in counts.items()}


@dataclass(frozen=True, slots=True)
class TenantDetails:
    """All that is shown of one tenant: never its keys, of which only the number is told.

    ``totals`` are its deliveries, ``documents`` counts what the plugin keeps of it, by slug and
    kind; ``paused`` has the paused actions with their reasons. ``connection`` is its own, if it has
    one.
    """

    status: TenantStatus
    totals: ScopeTotals
    keys: int
    documents: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, str] = field(default_factory=dict)
    connection: KeptConnection | None = None

    def to_json(self, now: float) -> dict[str, Any]:
        """Return it as JSON values; ``oldest`` is in seconds, times are since 1970, UTC."""
        oldest = self.totals.oldest
        return {
            **self.status.to_json(),
            "account": self.totals.account,
            "keys": self.keys,
            "counts": dict(self.totals.counts),
            "today": dict(self.totals.today),
            "oldest": None if oldest is None else max(0.0, now - oldest),
            "documents": dict(self.documents),
            "paused_actions": dict(self.paused),
            "connected_at": None if self.connection is None else self.connection.at,
            "connection_data": None if self.connection is None else self.connection.data,
        }


def tenant_status(store: OpenStore, tenant: Tenant, now: float) -> TenantDetails:
    """Return all that is shown of a tenant at ``now`` (seconds since 1970, UTC)."""
    tenants = Tenants(store.database)
    (totals,) = (one for one in open_ledger(store).totals(now) if one.id == tenant.scope.id)
    return TenantDetails(
        TenantStatus(tenant, tenants.numbers(now).get(tenant.scope.id, TenantNumbers())),
        totals,
        tenants.count_keys(tenant),
        tenants.count_documents(tenant),
        paused_actions(store, tenant.scope.full_name),
        tenants.connection(tenant),
    )


def call_tenant(store: OpenStore, tenant: Tenant, name: str | None) -> None:
    """Give a tenant a name, or take it away; raises `UsageError` for one that cannot be used."""
    Tenants(store.database).call(tenant, None if name is None else tenant_name(name))


def pause_tenant(store: OpenStore, tenant: Tenant, now: float) -> bool:
    """Let a server deliver nothing for a tenant; its events are accepted. False if it was paused.

    A running server notices within a second.
    """
    if tenant.paused_at is not None:
        return False
    Tenants(store.database).pause(tenant, now)
    return True


def resume_tenant(store: OpenStore, tenant: Tenant) -> bool:
    """Let a server deliver again for a tenant; returns whether it was paused."""
    if tenant.paused_at is None:
        return False
    Tenants(store.database).pause(tenant, None)
    return True
