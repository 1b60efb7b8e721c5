"""Open an account at Kana with settings and store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from destinations import (
    HttpTransport,
    IntegrationError,
    OpenDestination,
    UsageError,
    open_definition,
    open_store,
)
from destinations.cli.accounts import choose_account
from destinations.cli.opening import bind_to_file
from destinations.runtime.account_identity import identity_of
from destinations.secrets import shown_url
from kana_destination.plugin import SLUG

__all__ = ["open_account"]


@contextlib.contextmanager
def open_account(
    settings: Path | None, store: Path | None, account: str | None, *, same: bool | None
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
        try:
            yield OpenDestination(destination, opened, known, identity, transport)
        except IntegrationError as error:
            raise UsageError(f"{shown_url(destination.endpoint)}: {error.message}") from None
