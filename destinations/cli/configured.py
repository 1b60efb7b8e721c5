"""Do what commands begin with that show what a server with a configuration would send."""

from __future__ import annotations

from pathlib import Path

import click

from destinations.errors import UsageError, did_you_mean
from destinations.postgres import StoreAddress, open_complete
from destinations.server import DestinationConfig, ServeConfig
from destinations.store import OpenStore, check_not_lost, check_store_path, is_missing

__all__ = ["configured_destination", "open_to_read", "say_what_is_named"]


def configured_destination(config: ServeConfig, path: Path, name: str | None) -> DestinationConfig:
    """Return the destination of a name, or the only one; raises `UsageError` if there is none."""
    known = [one.name for one in config.destinations]
    if name is None:
        if len(known) > 1:
            msg = f"{path} has {len(known)} destinations; say which with --destination NAME: "
            raise UsageError(msg + ", ".join(known))
        return config.destinations[0]
    for one in config.destinations:
        if one.name == name:
            return one
    msg = f"{path} has no destination {name!r}; it has: {', '.join(known)}"
    raise UsageError(msg + did_you_mean(name, known))


def open_to_read(address: StoreAddress) -> OpenStore | None:
    """Return a store, read-only; None if there is no file yet.

    Raises `UsageError` for what is not a store or not complete, or for a file that was lost.
    """
    if isinstance(address, Path):
        check_store_path(address)
        check_not_lost(address)
        if is_missing(address):
            return None
    return open_complete(address)


def say_what_is_named(path: Path, config: DestinationConfig) -> None:
    """Say which settings of a destination are not there, and are shown by their names."""
    for key, why in config.absent.items():
        click.echo(f"note: {path}: {config.name}: {key} is shown as <{key}>: {why}", err=True)
