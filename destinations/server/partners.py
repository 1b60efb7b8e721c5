"""Tell which destinations of a configuration can be asked about what a store has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from destinations.definition import load_definition
from destinations.errors import (
    DefinitionError,
    SecretMissingError,
    TemporaryError,
    UsageError,
    unknown_name,
)
from destinations.operations import Partner
from destinations.operations.tokens import stored_tokens
from destinations.pipeline.ledger import ScopeTotals
from destinations.runtime.account_identity import identity_of
from destinations.runtime.installed import find_folder
from destinations.runtime.plugins import plugin_code
from destinations.server.binding import Bound, bind
from destinations.server.config import read_config
from destinations.server.config_model import ServeConfig
from destinations.server.keys import KeyRefusedError
from destinations.server.tenant_destinations import TenantDestinations
from destinations.store import (
    OpenStore,
    SealedValues,
    Tenant,
    Tenants,
    TenantSecrets,
    TenantStore,
)

__all__ = ["configured_partner", "configured_partners", "configured_tenant", "partners_of"]


def configured_partners(
    path: Path,
    environment: Mapping[str, str],
    store: OpenStore,
    scopes: Collection[ScopeTotals],
) -> Sequence[Partner]:
    """Return the destinations of a configuration that may deliver to the accounts of scopes.

    Only their secrets are read. Raises `TemporaryError` if one is not there, and `UsageError` if
    the configuration cannot be used.
    """
    served = {one.destination for one in scopes if one.served}
    of_runs = {one.destination for one in scopes if not one.served}
    config = read_config(path, environment, secrets=False)
    names = {
        one.name
        for one in config.destinations
        if one.name in served
        or (of_runs and load_definition(find_folder(one.destination)).slug in of_runs)
    }
    try:
        config, bound = _bound(path, environment, store, names)
    except DefinitionError as error:
        kind = TemporaryError if isinstance(error, SecretMissingError) else UsageError
        raise kind(
            f"the partner cannot be asked about deliveries of the user that are unknown: {error}\n"
            "Nothing was changed. Repeat this command with the environment and the files that the "
            "server has, or start the server, so that it asks the partner"
        ) from None
    tenants = {(one.destination, one.tenant) for one in scopes if one.tenant}
    return [
        *(_partner(each) for each in bound if each.config.receiver.tenants is None),
        *(
            _of_tenant(each, config, store, tenant)
            for each in bound
            if each.config.receiver.tenants is not None
            for tenant in Tenants(store.database).all(each.name)
            if (each.name, tenant.id) in tenants
        ),
    ]


def deleting_scopes(
    path: Path, environment: Mapping[str, str], scopes: Collection[ScopeTotals]
) -> Sequence[ScopeTotals]:
    """Return the scopes whose partners can be asked to delete a user, each account once.

    No secret is read. A server's destination goes before runs to the same account. Raises
    `UsageError` if the configuration cannot be used.
    """
    config = read_config(path, environment, secrets=False)
    loaded = {
        one.name: load_definition(find_folder(one.destination)) for one in config.destinations
    }
    deleting = {name: one.slug for name, one in loaded.items() if one.deletion is not None}
    served = [one for one in scopes if one.served and one.destination in deleting]
    accounts = {one.partner_account for one in served if not one.tenant}
    slugs = set(deleting.values())
    of_runs = [
        one
        for one in scopes
        if not one.served and one.destination in slugs and one.partner_account not in accounts
    ]
    return [*served, *of_runs]


def partners_of(
    path: Path, environment: Mapping[str, str], store: OpenStore, slug: str
) -> Sequence[Partner]:
    """Return the destinations of a configuration with one definition, but those of customers.

    Only their secrets are read. Raises `DefinitionError`, and `SecretMissingError` if one is not
    there.
    """
    config = read_config(path, environment, secrets=False)
    names = {
        one.name
        for one in config.destinations
        if one.receiver.tenants is None
        and load_definition(find_folder(one.destination)).slug == slug
    }
    _, bound = _bound(path, environment, store, names) if names else (None, ())
    return [_partner(each) for each in bound]


def configured_partner(
    path: Path, environment: Mapping[str, str], store: OpenStore, name: str
) -> Partner:
    """Return a destination of a configuration by its name; only its secrets are read.

    Raises `UsageError` if the configuration cannot be used or has no such destination, or if its
    customers have accounts of their own, and `TemporaryError` if a secret is not there.
    """
    config = read_config(path, environment, secrets=False)
    known = {one.name: one for one in config.destinations}
    if name not in known:
        raise UsageError(f"{path}: " + unknown_name("destination", name, known))
    if known[name].receiver.tenants is not None:
        raise UsageError(
            f"{name} has accounts of its customers (receiver.tenants): say which with --tenant"
        )
    try:
        _, (bound,) = _bound(path, environment, store, {name})
    except DefinitionError as error:
        kind = TemporaryError if isinstance(error, SecretMissingError) else UsageError
        raise kind(f"{name} of {path} cannot be asked: {error}") from None
    return _partner(bound)


def configured_tenant(
    path: Path, environment: Mapping[str, str], store: OpenStore, tenant: Tenant
) -> Partner:
    """Return the partner as one customer has it, with the key of that customer.

    Raises `UsageError` if the configuration cannot be used, or lets no customers send to the
    destination of the tenant, and `TemporaryError` if a secret is not there.
    """
    try:
        config, bound = _bound(path, environment, store, {tenant.scope.name})
    except DefinitionError as error:
        kind = TemporaryError if isinstance(error, SecretMissingError) else UsageError
        msg = f"the key of the tenant {tenant.shown} cannot be read with {path}: {error}"
        raise kind(msg) from None
    for each in bound:
        if each.config.receiver.tenants is not None:
            return _of_tenant(each, config, store, tenant)
    raise UsageError(f"{path} has no destination {tenant.scope.name!r} with receiver.tenants")


def _bound(
    path: Path, environment: Mapping[str, str], store: OpenStore, names: Collection[str]
) -> tuple[ServeConfig, Sequence[Bound]]:
    """Return a configuration, and of its destinations those with these names."""
    config = read_config(path, environment, secrets=names)
    chosen = tuple(one for one in config.destinations if one.name in names)
    bound = bind(replace(config, destinations=chosen), store)
    if any(each.has_tokens for each in bound):
        if config.sealing is None:
            raise UsageError(
                f"{path}: the key of sealing cannot be read here: the partner is asked with an "
                "access token, which the store keeps sealed"
            )
        tokens = stored_tokens(store, SealedValues(store.database, config.sealing.sealer()))
        for each in bound:
            each.destination.keep_tokens(tokens)
    return config, bound


def _partner(bound: Bound) -> Partner:
    return Partner(
        bound.name,
        bound.destination,
        bound.identity,
        bound.config.delivery.losses,
        bound.config.delivery.allow_private,
    )


def _of_tenant(bound: Bound, config: ServeConfig, store: OpenStore, tenant: Tenant) -> Partner:
    """Return the partner as a customer has it; raises `UsageError` for a key that cannot be used.

    The settings are those by which a server asks about the key.
    """
    assert config.sealing is not None  # noqa: S101 - the configuration demands it
    tenants = bound.config.receiver.tenants
    assert tenants is not None  # noqa: S101 - that is why it is called
    sealed = SealedValues(store.database, config.sealing.sealer())
    destinations = TenantDestinations(
        bound.destination,
        bound.config.settings,
        tenants.key,
        secrets=TenantSecrets(store.database, sealed),
        code=lambda of: plugin_code(bound.plugin, TenantStore(store, of)),
        connection=Tenants(store.database).connection,
    )
    try:
        destination = destinations.of(tenant).destination
    except KeyRefusedError as error:
        msg = f"the settings of the tenant {tenant.shown} do not fit: {error.message}"
        raise UsageError(msg) from None
    partner = _partner(bound)
    return replace(
        partner, destination=destination, identity=identity_of(destination), tenant=tenant.id
    )
