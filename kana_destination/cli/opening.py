"""What the commands share: Kana bound to settings and store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from destinations.account import Account
from destinations.cli.opening import open_definition, open_destination, open_store
from destinations.errors import IntegrationError, UsageError
from destinations.transport import HttpTransport

__all__ = ["open_account", "served_option"]


served_option = click.option(
    "--destination",
    "served",
    multiple=True,
    default=("kana",),
    metavar="NAME",
    help="What the server's configuration calls Kana; kana by default, may be repeated.",
)


@contextlib.contextmanager
def open_account(settings: Path | None, store: Path | None) -> Iterator[Account]:
    """Kana with the settings of a file and its part of the store.

    Raises `UsageError` that names the endpoint for a request that fails within.
    """
    definition, plugin = open_definition("kana")
    opened = open_store(store)
    transport = HttpTransport(definition.transport.timeouts)
    try:
        destination = open_destination(definition, plugin, settings, store=opened)
        try:
            yield Account(destination, transport, opened)
        except IntegrationError as error:
            raise UsageError(f"{destination.endpoint}: {error.message}") from None
    finally:
        transport.close()
        opened.close()
