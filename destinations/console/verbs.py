"""Do what operators ask, whether by a page or by the API: one method for each verb.

With ``dry_run`` nothing is changed. ``seen`` is the version of what the operator saw, as
`Verbs.delivery` or a dry run gives it: if it is another by now, nothing is changed and
`StaleDecisionError` is raised. So of two who decide on the same delivery, one succeeds and the
other is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Literal

from destinations.clock import SystemClock, WallClock
from destinations.console.cursors import make_cursor, read_cursor
from destinations.console.operators import Operator
from destinations.console.planning import LAST, plan_changes
from destinations.console.shown import (
    Changed,
    ConnectionShown,
    Page,
    PauseChanged,
    PauseState,
    ReplayedDelivery,
    ReplayedPart,
    ReplayShown,
    SubscriptionShown,
    Targets,
)
from destinations.console.stores import Stores
from destinations.errors import (
    DefinitionError,
    TemporaryError,
    UsageError,
    did_you_mean,
)
from destinations.operations import (
    REPLAYED,
    DeliveryDetails,
    PlannedReplay,
    StoreStatus,
    TenantDetails,
    TenantState,
    TenantStatus,
    choose,
    connected_as_tenant,
    delivery_details,
    drop,
    find_tenant,
    known_destinations,
    open_ledger,
    pause_destination,
    pause_tenant,
    paused_actions,
    plan_replay,
    proposed,
    recover_interrupted,
    refused_credentials,
    replay,
    resolve,
    resume_all,
    server_status,
    shown_content,
    split,
    stopped_destinations,
    store_status,
    tenant_status,
    tenant_statuses,
    unserved_destinations,
    version_of_all,
    why_not_dropped,
    why_not_resolved,
)
from destinations.outcome import Outcome, Result, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import QueuedDelivery
from destinations.runtime.destination import Destination
from destinations.runtime.explain import explain
from destinations.server import (
    DestinationConfig,
    ServeConfig,
    bind_to_show,
    config_masker,
    todays_destinations,
)
from destinations.store import Attempt, AuditLine, OpenStore, StoredLedger, Tenant, TenantStore

__all__ = [
    "LARGEST_ID",
    "MOST_ON_A_PAGE",
    "MOST_TARGETS",
    "Decision",
    "StaleDecisionError",
    "UnknownError",
    "Verbs",
]

_LOG = logging.getLogger(__name__)

LARGEST_ID: Final = 2**63 - 1
MOST_ON_A_PAGE: Final = 200
MOST_TARGETS: Final = 10_000
"""The most deliveries that one request changes."""

_LOOK_SECONDS: Final = 0.1
"""For how long a page of deliveries is looked for: what is not found by then is on the next one."""
_SHOWN: Final = 100
"""The replays that are shown one by one."""

Decision = Literal["applied", "not_applied", "as_shown"]
"""What is decided on a lost answer; ``as_shown`` is what the balances show."""

_DROPPABLE: Final[frozenset[Status]] = frozenset(
    {
        *(State.READY, State.HELD, Outcome.DEAD, Outcome.REJECTED, Outcome.INVALID),
        Outcome.UNMAPPED,
    }
)
_NOTHING_SHOWN: Final = "the balances do not show whether it was applied"
_SINCE: Final = "it has changed in the meantime"


class UnknownError(UsageError):
    """There is nothing of this id or name."""


class StaleDecisionError(UsageError):
    """The delivery is not as the operator saw it, or cannot be decided on like that any more."""


class Verbs:
    """See the module; any thread may call the methods, which raise `UsageError`.

    ``config`` is the configuration of the server; its settings may be absent.
    """

    def __init__(
        self, stores: Stores, config: ServeConfig, *, clock: WallClock | None = None
    ) -> None:
        self.config = config
        self._stores = stores
        self._clock = clock or SystemClock()
        self.masker = config_masker(config, os.environ)

    @property
    def now(self) -> float:
        """The time, in seconds since 1970, UTC."""
        return self._clock.time()

    def reading(self) -> AbstractContextManager[OpenStore]:
        """Give the store, to be read."""
        return self._stores.read()

    # -- deliveries ----------------------------------------------------------------------------

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
        # Of the statuses of a set, the order is not always the same.
        statuses = sorted(selection.statuses) if selection.statuses is not None else None
        of = (replace(selection, statuses=None), statuses, newest_first)
        after = read_cursor(cursor, of)
        found: list[LedgerEntry] = []
        give_up = self._clock.monotonic() + _LOOK_SECONDS
        with self._stores.read() as store:
            self._check_tenant(store, selection)
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
            _check_ids(ledger, [delivery_id])
            return delivery_details(store, ledger, delivery_id)

    def attempts(self, delivery_id: int) -> Sequence[Attempt]:
        """Return the attempts of a delivery that are kept, in the order in which they were made."""
        with self._stores.read() as store:
            _check_ids(open_ledger(store), [delivery_id])
            return store.attempts().of(delivery_id)

    def siblings(self, entry: LedgerEntry) -> Sequence[LedgerEntry]:
        """Return the deliveries of the event of a delivery, itself included."""
        with self._stores.read() as store:
            return open_ledger(store).of_event(entry)

    def shown_json(self, data: bytes | None) -> Any:
        """Return an event or a payload as JSON values, masked; as text where it is no JSON."""
        return shown_content(data, self.masker)

    # -- decisions -----------------------------------------------------------------------------

    def drop(
        self,
        operator: Operator,
        targets: Targets,
        reason: str,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> Changed:
        """Give deliveries up for good; ``reason`` stays in the ledger."""
        reason = reason.strip()
        if not reason:
            raise UsageError("the reason is empty: expected why the deliveries are dropped")
        with self._opened(dry_run=dry_run) as store:
            ledger = open_ledger(store)
            chosen = _chosen(ledger, targets, _DROPPABLE)
            version = _check_seen(chosen, seen)
            found, skipped = _split(targets, chosen, why_not_dropped, "dropped")
            if dry_run or not found:
                return Changed(_ids(found), 0, version, skipped, dry_run=dry_run)
            with self._audited(store, operator, "drop", found) as done:
                recover_interrupted(store, ledger, found)
                done.append(drop(ledger, found, reason=reason, now=self._clock.time()))
            return _changed(found, done[0], version, skipped)

    def resolve(
        self,
        operator: Operator,
        targets: Targets,
        decision: Decision,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> Changed:
        """Decide on deliveries whose answers were lost: whether the partner has applied them."""
        with self._opened(dry_run=dry_run) as store:
            ledger = open_ledger(store)
            chosen = _chosen(ledger, targets, frozenset({State.HELD, State.UNKNOWN}))
            version = _check_seen(chosen, seen)

            def why_not(entry: LedgerEntry) -> str:
                why = why_not_resolved(entry)
                if why or decision != "as_shown" or proposed(entry) is not None:
                    return why
                return f"{_NOTHING_SHOWN}: look it up at the partner, and decide by that"

            found, skipped = _split(targets, chosen, why_not, "resolved")
            if dry_run or not found:
                return Changed(_ids(found), 0, version, skipped, dry_run=dry_run)
            by_verdict: dict[bool, list[LedgerEntry]] = {}
            for one in found:
                is_applied = proposed(one) if decision == "as_shown" else decision == "applied"
                by_verdict.setdefault(bool(is_applied), []).append(one)
            with self._audited(store, operator, "resolve", found, decision=decision) as done:
                recover_interrupted(store, ledger, found)
                now = self._clock.time()
                done += [
                    resolve(ledger, entries, applied=applied, now=now)
                    for applied, entries in by_verdict.items()
                ]
            return _changed(found, sum(done), version, skipped)

    def replay(
        self,
        operator: Operator,
        targets: Targets,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> ReplayShown:
        """Plan events again with today's definition, and send what is different in its turn.

        A dry run shows what would become of each.
        """
        with self._opened(dry_run=dry_run) as store:
            ledger = open_ledger(store)
            chosen = _chosen(ledger, targets, REPLAYED)
            version = _check_seen(chosen, seen)
            find = todays_destinations(store, None, self.config)
            planned = [plan_replay(ledger, find(one), one) for one in chosen]
            if targets.ids and not dry_run:
                for each in planned:
                    if each.refused:
                        msg = f"delivery {each.entry.id} cannot be replayed: {each.refused}"
                        raise StaleDecisionError(msg)
            shown = self._replay_shown(ledger, planned, version)
            changing = [one.entry for one in planned if one.changes]
            if dry_run or not changing:
                return replace(shown, dry_run=dry_run)
            with self._audited(store, operator, "replay", changing) as done:
                made = replay(ledger, planned, now=self._clock.time())
                done.append(made.reopened + made.ended)
            if not done[0]:
                raise StaleDecisionError(_changed_since(changing))
            return replace(
                shown,
                reopened=made.reopened,
                ended=made.ended,
                added=made.added,
                changed_since=made.changed_since,
                unserved=unserved_destinations(store, planned),
            )

    def _replay_shown(
        self, ledger: StoredLedger, planned: Sequence[PlannedReplay], version: str
    ) -> ReplayShown:
        changes: Counter[tuple[str, str]] = Counter()
        for one in planned:
            if one.replan is None:
                changes[one.entry.status.value, "not replayed"] += 1
                continue
            changes[one.entry.status.value, _becomes(one.replan.result)] += 1
            for _, result in one.replan.added:
                changes["no delivery", _becomes(result)] += 1
        return ReplayShown(
            dry_run=False,
            count=len(planned),
            deliveries=[self._replayed(ledger, one) for one in planned[:_SHOWN]],
            changes=changes,
            version=version,
            refused=sum(bool(one.refused) for one in planned),
            unchanged=sum(not one.refused and not one.changes for one in planned),
        )

    def _replayed(self, ledger: StoredLedger, one: PlannedReplay) -> ReplayedDelivery:
        parts = []
        if one.replan is not None:
            parts = [
                self._part(delivery, result)
                for delivery, result in (
                    (one.replan.delivery, one.replan.result),
                    *one.replan.added,
                )
            ]
        return ReplayedDelivery(
            one.entry,
            self.masker.text(one.refused),
            one.changes,
            self.shown_json(ledger.payload(one.entry)),
            parts[0] if parts else None,
            parts[1:],
        )

    def _part(self, delivery: QueuedDelivery, result: Result | None) -> ReplayedPart:
        name = "" if delivery.key is None else delivery.key.name
        if result is None:
            return ReplayedPart(
                name, delivery.action, "sent", payload=self.shown_json(delivery.payload)
            )
        reason = self.masker.text(result.reason)
        return ReplayedPart(name, delivery.action, result.outcome.value, reason)

    # -- pauses --------------------------------------------------------------------------------

    def pause_state(self, destination: str, tenant: str | None = None) -> PauseState:
        """Return whether a destination, or a tenant of it, is paused."""
        with self._stores.read() as store:
            return _pause_state(store, destination, self._tenant(store, destination, tenant))

    def pause(
        self,
        operator: Operator,
        destination: str,
        tenant: str | None = None,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> PauseChanged:
        """Deliver nothing for a destination, or a tenant of it, until it is resumed."""
        with self._opened(dry_run=dry_run) as store:
            found = self._tenant(store, destination, tenant)
            state = _pause_state(store, destination, found)
            _check_version(state.version, seen, f"the destination {destination}")
            shown = PauseChanged(
                *(destination, state.tenant),
                paused=True,
                changed=state.paused_at is None,
                dry_run=dry_run,
            )
            if dry_run or not shown.changed:
                return shown
            with self._audited(store, operator, "pause", (), state) as done:
                now = self._clock.time()
                if found is None:
                    pause_destination(store, destination, now)
                else:
                    pause_tenant(store, found, now)
                done.append(1)
            return shown

    def resume(
        self,
        operator: Operator,
        destination: str,
        tenant: str | None = None,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> PauseChanged:
        """Deliver again for a destination, or a tenant of it, also by actions that paused."""
        with self._opened(dry_run=dry_run) as store:
            found = self._tenant(store, destination, tenant)
            state = _pause_state(store, destination, found)
            _check_version(state.version, seen, f"the destination {destination}")
            shown = PauseChanged(
                *(destination, state.tenant),
                paused=False,
                changed=state.is_paused,
                dry_run=dry_run,
                actions=state.actions,
                credentials="" if state.credentials is None else state.credentials.reason,
            )
            if dry_run:
                return shown
            with self._audited(store, operator, "resume", (), state) as audited:
                done = resume_all(store, destination, found)
                audited.append(1)
            return replace(shown, changed=bool(done), tenants=done.tenants)

    # -- how things stand ----------------------------------------------------------------------

    def status(self, tenant: str | None = None, destination: str | None = None) -> StoreStatus:
        """Return the numbers of the store, or of one tenant."""
        with self._stores.read() as store:
            if tenant is not None:
                _found_tenant(store, tenant, destination)
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
            found = tenant_statuses(store, self._clock.time(), destination, states=states)
        rest = [one for one in found if one.tenant.scope.id > after]
        more = len(rest) > limit
        return Page(
            rest[:limit], make_cursor(rest[limit - 1].tenant.scope.id, of) if more else None
        )

    def tenant(self, name: str, destination: str | None = None) -> TenantDetails:
        """Return all that is shown of a tenant, by its name, its id or the beginning of that."""
        with self._stores.read() as store:
            found = _found_tenant(store, name, destination)
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

    # -- trying --------------------------------------------------------------------------------

    def explain(self, destination: str, event: Any, tenant: str | None = None) -> dict[str, Any]:
        """Return every step of an event, as JSON; nothing is sent, and secrets are masked.

        ``event`` is what a sender would post, as JSON values. With ``tenant``, as for that
        customer.
        """
        data = json.dumps(event).encode()
        with self._stores.read() as store, self._bound(store, destination, tenant) as bound:
            masker = bound.settings.masker
            found: dict[str, Any] = self.masker.value(masker.value(explain(bound, data).to_json()))
            return found

    def plan(
        self,
        configuration: str,
        *,
        destination: str | None = None,
        events: Sequence[Any] | None = None,
        last: int = LAST,
    ) -> dict[str, Any]:
        """Return what a new configuration, given as text, would change; see `plan_changes`."""
        with self._stores.read() as store:
            found: dict[str, Any] = self.masker.value(
                plan_changes(
                    *(store, self.config, configuration, self._clock.time()),
                    destination=destination,
                    events=events,
                    last=last,
                    clock=self._clock,
                )
            )
            return found

    @contextlib.contextmanager
    def _bound(
        self, store: OpenStore, destination: str, tenant: str | None
    ) -> Iterator[Destination]:
        config = self._configured(destination)
        if tenant is None:
            yield bind_to_show(config, store)
            return
        found = _found_tenant(store, tenant, destination)
        yield bind_to_show(
            config,
            TenantStore(store, found.id),
            connected=lambda definition: connected_as_tenant(store, found, definition),
        )

    def _configured(self, name: str) -> DestinationConfig:
        for one in self.config.destinations:
            if one.name == name:
                return one
        known = [one.name for one in self.config.destinations]
        msg = f"the configuration has no destination {name!r}; it has: {', '.join(known)}"
        raise UnknownError(msg + did_you_mean(name, known))

    @contextlib.contextmanager
    def changing(
        self, operator: Operator, verb: str, *, destination: str, tenant: str = "", **more: str
    ) -> Iterator[OpenStore]:
        """Give the store to a page of a plugin that changes what is its own; the audit has it."""
        with self._stores.change() as store:
            state = PauseState(destination, tenant, None, {}, "")
            with self._audited(store, operator, verb, (), state, **more) as done:
                yield store
                done.append(1)

    # -- what they have in common --------------------------------------------------------------

    def _opened(self, *, dry_run: bool) -> AbstractContextManager[OpenStore]:
        return self._stores.read() if dry_run else self._stores.change()

    @contextlib.contextmanager
    def _audited(
        self,
        store: OpenStore,
        operator: Operator,
        verb: str,
        entries: Sequence[LedgerEntry],
        state: PauseState | None = None,
        **more: str,
    ) -> Iterator[list[int]]:
        """Write who changes what; the numbers that the caller adds are those of what was done."""
        if state is None:
            names = {(one.destination, one.tenant) for one in entries}
            destination, tenant = names.pop() if len(names) == 1 else ("", "")
        else:
            destination, tenant = state.destination, state.tenant
        ids = _ids(entries)
        audit, done = store.audit(), list[int]()
        line = audit.begin(
            at=self._clock.time(),
            operator=operator.name,
            via=operator.via,
            address=operator.address,
            verb=verb,
            destination=destination,
            tenant=tenant,
            ids=ids,
            more=more,
        )
        try:
            yield done
        except UsageError:
            done[:] = [0]
            raise
        finally:
            if done:
                audit.end(line, sum(done))
            _LOG.info(
                "operator changed deliveries" if entries else "operator changed destination",
                extra={
                    "operator": operator.name,
                    "via": operator.via,
                    "address": operator.address,
                    "verb": verb,
                    "destination": destination,
                    "deliveries": len(ids),
                    "done": sum(done),
                    **more,
                },
            )

    def _check_tenant(self, store: OpenStore, selection: Selection) -> None:
        if selection.tenant:
            _found_tenant(store, selection.tenant, selection.destination)

    def _tenant(self, store: OpenStore, destination: str, tenant: str | None) -> Tenant | None:
        known = known_destinations(store)
        if destination not in known:
            msg = (
                f"there is no destination {destination!r}; there are: {', '.join(known) or 'none'}"
            )
            raise UnknownError(msg + did_you_mean(destination, known))
        return None if tenant is None else _found_tenant(store, tenant, destination)


def _found_tenant(store: OpenStore, name: str, destination: str | None) -> Tenant:
    try:
        return find_tenant(store, name, destination)
    except TemporaryError:
        raise
    except UsageError as error:
        raise UnknownError(str(error)) from None


def _check_ids(ledger: StoredLedger, ids: Sequence[int]) -> None:
    """Raise `UnknownError` for an id that no delivery has."""
    for one in dict.fromkeys(ids):
        if not 0 < one <= LARGEST_ID or not ledger.has(one):
            raise UnknownError(f"there is no delivery {one}")


def _chosen(
    ledger: StoredLedger, targets: Targets, statuses: frozenset[Status]
) -> list[LedgerEntry]:
    """Return the deliveries that are meant; without statuses, those of these ``statuses``."""
    if bool(targets.ids) == (targets.selection is not None):
        raise UsageError("expected either ids or a selection of deliveries")
    if len(targets.ids) > MOST_TARGETS:
        raise UsageError(f"{len(targets.ids):,} ids are given: expected at most {MOST_TARGETS:,}")
    if targets.ids:
        _check_ids(ledger, targets.ids)
        return choose(ledger, targets.ids, Selection())
    assert targets.selection is not None  # noqa: S101 - looked at above
    selection = targets.selection
    if selection == Selection():  # such as by a program whose variable was empty
        raise UsageError(
            "the selection is empty: expected at least one of its keys, such as outcome, as all "
            "deliveries of a store are never changed at once"
        )
    if selection.statuses is None:
        selection = replace(selection, statuses=statuses)
    return choose(ledger, (), selection, most=MOST_TARGETS)


def _split(
    targets: Targets,
    chosen: Sequence[LedgerEntry],
    why_not: Callable[[LedgerEntry], str],
    done: str,
) -> tuple[list[LedgerEntry], Mapping[str, int]]:
    """Return what can be changed, and why the rest cannot; of given ids, all must be changeable."""
    try:
        return split(chosen, why_not, done, strict=bool(targets.ids))
    except UsageError as error:
        raise StaleDecisionError(str(error)) from None


def _check_seen(chosen: Sequence[LedgerEntry], seen: str | None) -> str:
    """Return the version of what is chosen; raises `StaleDecisionError` if another was seen."""
    version = version_of_all(chosen)
    what = f"delivery {chosen[0].id}" if len(chosen) == 1 else "what is chosen"
    _check_version(version, seen, what)
    return version


def _check_version(version: str, seen: str | None, what: str) -> None:
    if seen is not None and seen != version:
        raise StaleDecisionError(f"{what} has changed since it was shown: look at it again")


def _changed(
    found: Sequence[LedgerEntry], done: int, version: str, skipped: Mapping[str, int]
) -> Changed:
    if not done:
        raise StaleDecisionError(_changed_since(found))
    if done < len(found):
        skipped = {**skipped, _SINCE: len(found) - done}
    return Changed(_ids(found), done, version, skipped)


def _changed_since(found: Sequence[LedgerEntry]) -> str:
    what = (
        f"delivery {found[0].id} has" if len(found) == 1 else f"all {len(found):,} deliveries have"
    )
    return f"{what} changed in the meantime: look again"


def _ids(entries: Sequence[LedgerEntry]) -> Sequence[int]:
    return [one.id for one in entries]


def _becomes(result: Result | None) -> str:
    return "sent" if result is None else result.outcome.value


def _pause_state(store: OpenStore, destination: str, tenant: Tenant | None) -> PauseState:
    refused = None
    if tenant is None:
        at = stopped_destinations(store).get(destination)
        actions = paused_actions(store, destination)
        refused = refused_credentials(store).get(destination)
    else:
        at, actions = tenant.paused_at, paused_actions(store, tenant.scope.full_name)
    seen = repr((destination, tenant and tenant.id, at, sorted(actions.items()), refused))
    version = hashlib.blake2b(seen.encode(), digest_size=8).hexdigest()
    own = "" if tenant is None else tenant.id
    return PauseState(destination, own, at, actions, version, refused)
