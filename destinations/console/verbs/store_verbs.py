"""Give verbs what all of them need: the store, the time, secrets to mask, and the audit log."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from destinations.clock import SystemClock, WallClock
from destinations.console.operators import Operator
from destinations.console.shown import PauseState
from destinations.console.stores import Stores
from destinations.console.verbs.errors import StaleDecisionError, UnknownError
from destinations.errors import DefinitionError, TemporaryError, UsageError, did_you_mean
from destinations.operations import (
    find_tenant,
    known_destinations,
    open_ledger,
    shown_content,
    unknown_names,
)
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import ServeConfig, bind_to_show, config_masker
from destinations.store import OpenStore, StoredLedger, Tenant

__all__ = [
    "LARGEST_ID",
    "MOST_ON_A_PAGE",
    "StoreVerbs",
    "check_ids",
    "check_version",
    "found_tenant",
    "ids_of",
    "none_called",
]

_LOG = logging.getLogger(__name__)

LARGEST_ID: Final = 2**63 - 1
MOST_ON_A_PAGE: Final = 200
_LONGEST: Final = 100


class StoreVerbs:
    """The base of all verbs; see `Verbs`."""

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

    def shown_json(self, data: bytes | None) -> Any:
        """Return an event or a payload as JSON values, masked; as text where it is no JSON."""
        return shown_content(data, self.masker)

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
        ids = ids_of(entries)
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

    def check_names(self, store: OpenStore, selection: Selection) -> None:
        """Raise `UnknownError` if a filter names what neither store nor configuration has."""
        own = self.config.destinations
        for one in unknown_names(
            open_ledger(store),
            *(selection.destination, selection.account, selection.subscription),
            configured={*known_destinations(store), *(each.name for each in own)},
        ):
            configured = _configured_names(self.config, store, selection.destination)
            known = sorted({*one.known, *configured.get(one.what, ())})
            if one.name not in known:
                raise UnknownError(none_called(one.what, one.name, known), one.what)
        if selection.tenant:
            found_tenant(store, selection.tenant, selection.destination)

    def _tenant(self, store: OpenStore, destination: str, tenant: str | None) -> Tenant | None:
        known = known_destinations(store)
        if destination not in known:
            raise UnknownError(none_called("destination", destination, known), "destination")
        return None if tenant is None else found_tenant(store, tenant, destination)


_NAMED: Final = 10
"""How many names a message lists."""


def none_called(what: str, name: str, known: Sequence[str]) -> str:
    """Return a sentence that says that there is nothing of a name, with what there is."""
    listed = ", ".join(known[:_NAMED]) or "none"
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    near = did_you_mean(name, known)
    return f"there is no {what} {name[:_LONGEST]!r}; there are: {listed}{more}{near}"


def _configured_names(
    config: ServeConfig, store: OpenStore, destination: str | None
) -> Mapping[str, Sequence[str]]:
    """Return the accounts and subscriptions of destinations that may have got no event yet."""
    accounts, subscriptions = [], []
    for one in config.destinations:
        if destination in {None, one.name}:
            accounts += [] if one.account is None else [one.account]
            with contextlib.suppress(DefinitionError, UsageError):
                presets = bind_to_show(one, store).definition.presets
                subscriptions += [preset.name for preset in presets]
    return {"account": accounts, "subscription": subscriptions}


def found_tenant(store: OpenStore, name: str, destination: str | None) -> Tenant:
    """Return the tenant of a name or id; raises `UnknownError` if there is none."""
    try:
        return find_tenant(store, name, destination)
    except TemporaryError:
        raise
    except UsageError as error:
        raise UnknownError(str(error), "tenant") from None


def check_ids(ledger: StoredLedger, ids: Sequence[int]) -> None:
    """Raise `UnknownError` for an id that no delivery has."""
    for one in dict.fromkeys(ids):
        if not 0 < one <= LARGEST_ID or not ledger.has(one):
            raise UnknownError(f"there is no delivery {one}", "delivery")


def check_version(version: str, seen: str | None, what: str) -> None:
    """Raise `StaleDecisionError` if another version was seen."""
    if seen is not None and seen != version:
        raise StaleDecisionError(f"{what} has changed since it was shown: look at it again")


def ids_of(entries: Sequence[LedgerEntry]) -> Sequence[int]:
    """Return the ids of deliveries."""
    return [one.id for one in entries]
