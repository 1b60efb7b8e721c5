"""Try an event, or a new configuration, without sending or changing anything."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from destinations.console.planning import LAST, plan_changes
from destinations.console.verbs.errors import UnknownError
from destinations.console.verbs.store_verbs import StoreVerbs, found_tenant
from destinations.errors import did_you_mean
from destinations.operations import connected_as_tenant
from destinations.runtime.destination import Destination
from destinations.runtime.explain import explain
from destinations.server import DestinationConfig, bind_to_show
from destinations.store import OpenStore, TenantStore

__all__ = ["TryingVerbs"]


class TryingVerbs(StoreVerbs):
    """The verbs that show what would happen."""

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
        found = found_tenant(store, tenant, destination)
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
