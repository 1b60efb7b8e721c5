"""Show deliveries, tenants, connections and how things stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from destinations.console.cursors import make_cursor, read_cursor
from destinations.console.shown import ConnectionShown, Page, SubscriptionShown
from destinations.console.verbs.errors import UnknownError
from destinations.console.verbs.store_verbs import (
    MOST_ON_A_PAGE,
    StoreVerbs,
    check_ids,
    found_tenant,
    none_called,
)
from destinations.errors import DefinitionError, EventError, UsageError
from destinations.operations import (
    DeliveryDetails,
    StoreStatus,
    TenantDetails,
    TenantState,
    TenantStatus,
    delivery_details,
    find_drifts,
    open_ledger,
    server_status,
    store_status,
    tenant_status,
    tenant_statuses,
)
from destinations.pipeline.ledger import LedgerDrift, LedgerEntry, Selection
from destinations.segment.event import read_json
from destinations.server import DestinationConfig, bind_to_show
from destinations.store import (
    Attempt,
    AuditLine,
    OpenStore,
    RefusedCount,
    RefusedEntry,
    RefusedSelection,
    StoredRefused,
)

__all__ = ["ReadingVerbs"]

_LOOK_SECONDS: Final = 0.1
"""For how long a page of deliveries is looked for: what is not found by then is on the next one."""

_MOST_DRIFTS: Final = 1_000


class ReadingVerbs(StoreVerbs):
    """The verbs that change nothing."""

    def deliveries(
        self,
        selection: Selection,
        *,
        cursor: str | None = None,
        limit: int = 50,
        newest_first: bool = True,
    ) -> Page[LedgerEntry]:
        """Return a page of the deliveries of a selection, however many the store has."""
        limit = max(1, min(limit, MOST_ON_A_PAGE))
        # Of the statuses of a set, the order is not always the same, and an age is another time
        # with each page.
        statuses = sorted(selection.statuses) if selection.statuses is not None else None
        lasting = replace(
            selection, statuses=None, since=None, until=None, ended_since=None, ended_until=None
        )
        of = (lasting, statuses, newest_first)
        after = read_cursor(cursor, of)
        found: list[LedgerEntry] = []
        give_up = self._clock.monotonic() + _LOOK_SECONDS
        with self._stores.read() as store:
            self.check_names(store, selection)
            ledger = open_ledger(store)
            while True:
                page = ledger.page(
                    selection, size=limit - len(found), after=after, newest_first=newest_first
                )
                found += page.entries
                after = page.last
                if after is None:
                    return Page(found)
                if len(found) >= limit or self._clock.monotonic() >= give_up:
                    return Page(found, make_cursor(after, of))

    def delivery(self, delivery_id: int) -> DeliveryDetails:
        """Return one delivery with its content, and what can be done with it."""
        with self._stores.read() as store:
            ledger = open_ledger(store)
            check_ids(ledger, [delivery_id])
            return delivery_details(store, ledger, delivery_id)

    def attempts(self, delivery_id: int) -> Sequence[Attempt]:
        """Return the attempts of a delivery that are kept, in the order in which they were made."""
        with self._stores.read() as store:
            check_ids(open_ledger(store), [delivery_id])
            return store.attempts().of(delivery_id)

    def event_names(self, entries: Sequence[LedgerEntry]) -> Mapping[int, str]:
        """Return the names of the events of deliveries, by delivery, as far as they are kept."""
        found: dict[int, str] = {}
        if entries:
            with self._stores.read() as store:
                ledger, recent = open_ledger(store), store.recent()
                for entry in entries:
                    raw = ledger.raw_event(entry.event_id) or recent.event(entry)
                    if raw is not None:
                        found[entry.id] = _event_name(raw)
        return found

    def drifts(self, selection: Selection) -> Sequence[LedgerDrift]:
        """Return the latest balances that were not as expected, the latest first."""
        with self._stores.read() as store:
            self.check_names(store, selection)
            return find_drifts(open_ledger(store), selection)[: -_MOST_DRIFTS - 1 : -1]

    def refused(
        self, selection: RefusedSelection, *, cursor: str | None = None, limit: int = 50
    ) -> Page[RefusedEntry]:
        """Return a page of the events that the receiver refused, the latest first.

        Raises `UnknownError` for a receiver or a tenant that there is not.
        """
        limit = max(1, min(limit, MOST_ON_A_PAGE))
        of = ("refused", replace(selection, since=None))  # an age is another time with each page
        before = read_cursor(cursor, of)
        with self._stores.read() as store:
            refused = store.refused()
            self._check_refused(store, refused, selection)
            found = refused.find(selection, limit=limit + 1, before=before)[::-1]
        more = len(found) > limit
        return Page(found[:limit], make_cursor(found[limit - 1].id, of) if more else None)

    def refused_counts(self) -> Sequence[RefusedCount]:
        """Return how many refused events are kept, by receiver and code."""
        with self._stores.read() as store:
            return store.refused().totals()

    def _check_refused(
        self, store: OpenStore, refused: StoredRefused, selection: RefusedSelection
    ) -> None:
        own = {one.name for one in self.config.destinations}
        own |= {one.name for one in self.config.sources}
        known = {*refused.names, *own}
        if selection.destination is not None and selection.destination not in known:
            message = none_called("source or destination", selection.destination, sorted(known))
            raise UnknownError(message, "destination")
        if selection.tenant is not None:
            found_tenant(store, selection.tenant, selection.destination)

    def siblings(self, entry: LedgerEntry) -> Sequence[LedgerEntry]:
        """Return the deliveries of the event of a delivery, itself included."""
        with self._stores.read() as store:
            return open_ledger(store).of_event(entry)

    def status(self, tenant: str | None = None, destination: str | None = None) -> StoreStatus:
        """Return the numbers of the store, or of one tenant."""
        with self._stores.read() as store:
            self.check_names(store, Selection(destination=destination, tenant=tenant))
            now = self._clock.time()
            return store_status(store, now, server_status(store), tenant, destination)

    def tenants(
        self,
        destination: str | None = None,
        *,
        states: Sequence[TenantState] = (),
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[TenantStatus]:
        """Return a page of the tenants of a destination, or of all; the oldest first."""
        limit = max(1, min(limit, MOST_ON_A_PAGE))
        of = ("tenants", destination, sorted(states))
        after = read_cursor(cursor, of) or 0
        with self._stores.read() as store:
            self.check_names(store, Selection(destination=destination))
            found = tenant_statuses(store, self._clock.time(), destination, states=states)
        rest = [one for one in found if one.tenant.scope.id > after]
        more = len(rest) > limit
        return Page(
            rest[:limit], make_cursor(rest[limit - 1].tenant.scope.id, of) if more else None
        )

    def tenant(self, name: str, destination: str | None = None) -> TenantDetails:
        """Return all that is shown of a tenant, by its name, its id or the beginning of that."""
        with self._stores.read() as store:
            found = found_tenant(store, name, destination)
            return tenant_status(store, found, self._clock.time())

    def connections(self) -> Sequence[ConnectionShown]:
        """Return which events the actions of each destination of the configuration receive."""
        with self._stores.read() as store:
            return [self._connection(store, one) for one in self.config.destinations]

    def _connection(self, store: OpenStore, config: DestinationConfig) -> ConnectionShown:
        try:
            bound = bind_to_show(config, store)
        except (DefinitionError, UsageError) as error:
            fault = self.masker.text(str(error))
            return ConnectionShown(config.name, config.destination, fault=fault)
        definition = bound.definition
        return ConnectionShown(
            config.name,
            definition.slug,
            definition.connection,
            [
                SubscriptionShown(
                    one.name, one.partner_action, one.subscribe, self.masker.value(one.mapping)
                )
                for one in definition.presets
            ],
            () if config.connection is None else config.connection.filters or (),
        )

    def audit(self, *, cursor: str | None = None, limit: int = 50) -> Page[AuditLine]:
        """Return a page of what operators did, the latest first."""
        limit = max(1, min(limit, MOST_ON_A_PAGE))
        before = read_cursor(cursor, ("audit",))
        with self._stores.read() as store:
            lines = store.audit().lines(before=before, limit=limit + 1)
        more = len(lines) > limit
        return Page(lines[:limit], make_cursor(lines[limit - 1].id, ("audit",)) if more else None)


def _event_name(raw: bytes) -> str:
    """Return what an event is called, or the page or screen that it is about; empty for others."""
    try:
        event = read_json(raw, limit=len(raw))
    except EventError:
        return ""
    name = event.get("event") or event.get("name") if isinstance(event, dict) else None
    return name if isinstance(name, str) else ""
