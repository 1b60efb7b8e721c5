"""Find the definitions of today by which deliveries are planned again."""

from __future__ import annotations

from collections.abc import Callable, Collection

from destinations.definition.connection import connect
from destinations.definition.settings import named_settings
from destinations.errors import UsageError
from destinations.opening import open_definition
from destinations.operations import connected_as_tenant
from destinations.pipeline.ledger import LedgerEntry
from destinations.runtime.destination import Destination
from destinations.runtime.plugins import plugin_code
from destinations.server.config_model import ServeConfig
from destinations.store import OpenStore, Tenants, TenantStore

__all__ = ["todays_destinations"]


def todays_destinations(
    store: OpenStore, definition: str | None, served: ServeConfig | None
) -> Callable[[LedgerEntry], Destination]:
    """Return a function that finds a delivery's destination; it needs no settings to plan.

    ``definition`` takes the place of the one that a destination has in the configuration
    ``served``. The function raises `UsageError` for a destination that is not known any more.
    """
    found: dict[tuple[str, str], Destination] = {}
    configured = {one.name: one for one in served.destinations} if served else {}

    def find(entry: LedgerEntry) -> Destination:
        name = entry.destination
        own = None if definition is not None else configured.get(name)
        wanted = definition or (name if own is None else own.destination)
        # Two destinations may have one definition, with connections of their own.
        if (name, entry.tenant) not in found:
            try:
                loaded, plugin = open_definition(wanted)
            except UsageError as error:
                if wanted != name:
                    raise
                raise UsageError(_nameless(entry, configured, error)) from None
            if own is not None and own.connection is not None:
                loaded = connect(loaded, own.connection)
            # Each customer of a partner has rules of their own, and may have a connection.
            tenant = Tenants(store.database).get(name, entry.tenant) if entry.tenant else None
            if tenant is not None:
                loaded = connected_as_tenant(store, tenant, loaded)
            rules = TenantStore(store, entry.tenant) if entry.tenant else store
            code = plugin_code(plugin, rules)
            found[name, entry.tenant] = Destination(loaded, named_settings(loaded), code)
        return found[name, entry.tenant]

    return find


def _nameless(entry: LedgerEntry, configured: Collection[str], error: UsageError) -> str:
    """Return the error for a delivery whose destination was removed or renamed."""
    name = entry.destination
    hint = (
        "name its definition with --definition DESTINATION, or select deliveries of other "
        f"destinations than {name!r}"
    )
    if configured:
        names = ", ".join(map(repr, configured))
        where = f"the configuration has no destination {name!r}, only {names}"
    else:
        where, hint = str(error), f"use the server's configuration with --config FILE, or {hint}"
    return f"delivery {entry.id} is of {name!r}: {where}; {hint}"
