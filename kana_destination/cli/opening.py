"""What the commands share: Kana bound to settings and store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from destinations.account import Account
from destinations.cli.opening import open_definition, open_destination, open_store
from destinations.transport import HttpTransport

__all__ = ["open_account"]


@contextlib.contextmanager
def open_account(settings: Path | None, store: Path | None) -> Iterator[Account]:
    """Kana with the settings of a file and its part of the store."""
    definition, plugin = open_definition("kana")
    opened = open_store(store)
    transport = HttpTransport(definition.transport.timeouts)
    try:
        destination = open_destination(definition, plugin, settings, store=opened)
        with naming_endpoint(destination):
            yield Account(destination, transport, opened)
    finally:
        transport.close()
        opened.close()
