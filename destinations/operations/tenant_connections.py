"""Give customers of a partner connections of their own, and plan by them."""

from __future__ import annotations

from destinations.definition import DestinationDefinition
from destinations.definition.connection import Connection, connect
from destinations.definition.document import Document
from destinations.store import KeptConnection, OpenStore, Tenant, Tenants

__all__ = ["connect_tenant", "connected_as_tenant", "disconnect_tenant"]


def connect_tenant(
    store: OpenStore,
    tenant: Tenant,
    connection: Connection,
    definition: DestinationDefinition,
    now: float,
) -> DestinationDefinition:
    """Give a tenant a connection of its own, and return the definition with it.

    ``definition`` has the connection of the configuration, if there is one. A running server takes
    it over within a second, also for what waits. Raises `DefinitionError` with every issue of a
    connection that does not fit; then nothing is changed.
    """
    connected = connect(definition, connection)
    kept = KeptConnection(connection.document.data, connection.version, now)
    Tenants(store.database).connect(tenant, kept)
    return connected


def disconnect_tenant(store: OpenStore, tenant: Tenant) -> bool:
    """Let a tenant have the connection of the configuration; returns whether it had its own."""
    if tenant.connection is None:
        return False
    Tenants(store.database).connect(tenant, None)
    return True


def connected_as_tenant(
    store: OpenStore, tenant: Tenant, definition: DestinationDefinition
) -> DestinationDefinition:
    """Return a definition with the connection of a tenant, if it has one of its own.

    Raises `DefinitionError` with every issue of one that does not fit.
    """
    kept = Tenants(store.database).connection(tenant)
    if kept is None:
        return definition
    document = Document(f"the connection of tenant {tenant.shown}", kept.data, {})
    return connect(definition, Connection.checked(document))
