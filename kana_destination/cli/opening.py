"""What the commands share: Kana bound to settings and store."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from destinations.account import Account
from destinations.cli.opening import open_definition, open_destination, open_store
from destinations.errors import IntegrationError, UsageError
from destinations.http.transport import HttpTransport
from destinations.operations import Selection, count_classes
from destinations.outcome import Outcome
from destinations.store import Store

__all__ = ["kept_unmapped", "open_account", "served_option", "tell_of_others"]


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


def kept_unmapped(store: Store) -> int:
    """How many events that runs have kept no rule has mapped yet."""
    rows = store.all(
        "SELECT count(*) FROM kept_events WHERE account LIKE 'kana %' AND outcome = 'unmapped'"
    )
    return int(rows[0][0])


def tell_of_others(store: Store, served: Sequence[str]) -> None:
    """Hints at unmapped events that a server has accepted under a name that nobody has given."""
    found: Counter[str] = Counter()
    for name, _, _, number in count_classes(store, Selection(outcome=Outcome.UNMAPPED)):
        found[name] += number
    for name, number in found.items():
        if name not in served:
            what = "1 unmapped event waits" if number == 1 else f"{number:,} unmapped events wait"
            click.echo(
                f"{what} in the server's destination {name!r}; if that is Kana, say so with "
                f"--destination {name}.",
                err=True,
            )
