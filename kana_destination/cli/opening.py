"""Open an account at Kana with settings and store."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from destinations import (
    HttpTransport,
    IntegrationError,
    OpenDestination,
    OpenStore,
    UsageError,
    open_definition,
    open_store,
    server,
)
from destinations.cli.accounts import choose_account
from destinations.cli.opening import bind_to_file
from destinations.cli.store_place import StorePlace
from destinations.operations import find_tenant
from destinations.pipeline.queue import Scope
from destinations.postgres import StoreAddress
from destinations.runtime.account_identity import identity_of
from destinations.secrets import shown_url
from kana_destination.plugin import SLUG

__all__ = ["configured_accounts", "open_account", "open_named", "open_place"]


def open_named(place: StorePlace, *, existing: bool = False) -> OpenStore:
    """Open the store of a place, to read and change it; see `destinations.open_store`."""
    return open_store(place.address if place.options else None, existing=existing)


@contextlib.contextmanager
def configured_accounts(place: StorePlace, store: OpenStore) -> Iterator[list[OpenDestination]]:
    """Open the accounts at Kana that the configuration of a place has, only to ask Kana.

    Raises `DefinitionError` if it cannot be used here, as without the server's secrets.
    """
    path = place.config_path
    partners = [] if path is None else server.partners_of(path, os.environ, store, SLUG)
    with contextlib.ExitStack() as stack:
        found = []
        for one in partners:
            timeouts = one.destination.definition.transport.timeouts
            http = HttpTransport(timeouts, allow_private=one.allow_private)
            stack.callback(http.close)
            # Nothing is delivered, so no account of the store is needed.
            found.append(OpenDestination(one.destination, store, 0, one.identity, http))
        yield found


@contextlib.contextmanager
def open_place(
    place: StorePlace, tenant: str | None, **given: Any
) -> Iterator[tuple[OpenDestination, Scope | None]]:
    """Open an account: that of a settings file, or that of a customer of an endpoint.

    ``given`` are the other arguments of `open_account`. Of a customer the scope is returned, too.
    Raises `UsageError` for options that do not fit together, and for an unknown tenant.
    """
    if tenant is None:
        with open_account(store=place.address, **given) as opened:
            yield opened, None
        return
    if any(one is not None for one in given.values()):
        raise click.UsageError(
            "--tenant cannot be used with --settings, --account, --same-account or --new-account"
        )
    if place.config_path is None:
        with place.read() as store:
            find_tenant(store, tenant)  # that one exists is the first question
        raise click.UsageError(
            "--tenant needs --config FILE, the configuration of the server: it names the sealing "
            "key, without which the key of a customer cannot be read"
        )
    with place.change() as store:
        found = find_tenant(store, tenant)
        partner = server.configured_tenant(place.config_path, os.environ, store, found)
        timeouts = partner.destination.definition.transport.timeouts
        account = store.accounts().of_scope(found.scope).id
        with (
            contextlib.closing(
                HttpTransport(timeouts, allow_private=partner.allow_private)
            ) as http,
            _named_endpoint(
                OpenDestination(partner.destination, store, account, partner.identity, http)
            ) as opened,
        ):
            yield opened, found.scope


@contextlib.contextmanager
def open_account(
    settings: Path | None, store: StoreAddress | None, account: str | None, *, same: bool | None
) -> Iterator[OpenDestination]:
    """Open the account that a settings file names, and its part of the store.

    ``account`` and ``same`` are those of `destinations.cli.accounts.account_options`. If a request
    fails within, raises `UsageError` that names the endpoint.
    """
    definition, plugin = open_definition(SLUG)
    with (
        open_store(store) as opened,
        contextlib.closing(HttpTransport(definition.transport.timeouts)) as transport,
    ):
        bound = bind_to_file(definition, plugin, settings, store=opened)
        destination = bound.destination
        identity = identity_of(destination, account or bound.account)
        known = choose_account(opened.accounts(), identity, same=same)
        with _named_endpoint(
            OpenDestination(destination, opened, known, identity, transport)
        ) as found:
            yield found


@contextlib.contextmanager
def _named_endpoint(opened: OpenDestination) -> Iterator[OpenDestination]:
    """Let a request that fails name the endpoint, in a `UsageError`."""
    try:
        yield opened
    except IntegrationError as error:
        endpoint = shown_url(opened.destination.endpoint)
        raise UsageError(f"{endpoint}: {error.message}") from None
