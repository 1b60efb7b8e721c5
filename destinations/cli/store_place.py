"""Find the store that a command works on, and open it."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from destinations import server
from destinations.cli.store_type import STORE, STORE_METAVAR
from destinations.errors import UsageError
from destinations.operations import check_migration, shown_time
from destinations.postgres import StoreAddress, open_at, open_complete
from destinations.secrets import REPLACE_KEY, Masker
from destinations.store import (
    MOVED_TO,
    OpenStore,
    check_not_lost,
    check_store_path,
    default_path,
    is_missing,
)

__all__ = ["StorePlace", "asking_place_options", "place_options"]

_STORE = click.option(
    "--store",
    type=STORE,
    metavar=STORE_METAVAR,
    help="Use the store FILE or postgresql://...; by default that of --config, else your own.",
)


_MASKED = "its secrets are not needed; those that are there are masked."


@dataclass(frozen=True, slots=True)
class StorePlace:
    """The place of a store that must exist, and its server's configuration if one was given.

    ``options`` repeats the command-line options that name the store, for hints with another
    command; it is empty for this user's own. ``config_path`` is where the configuration was read,
    without its secrets. The methods raise `UsageError` if the store is missing or cannot be used.
    """

    address: StoreAddress
    config: server.ServeConfig | None
    options: str = ""
    config_path: Path | None = None

    def read(self) -> OpenStore:
        """Open the store read-only: no file is made, and no write permission is needed."""
        self.check()
        store = open_complete(self.address)
        moved = store.noted(MOVED_TO)
        if moved is not None:
            click.echo(f"warning: the store {self.address} was moved to {moved}", err=True)
        return store

    def masker(self, store: OpenStore) -> Masker:
        """Return what masks the secrets in what is shown of the open store.

        They are those that the configuration names, or that of the server that delivers from the
        store, as far as they can be had here. Of runs none are known.
        """
        config = self.configuration(store)
        return Masker() if config is None else server.config_masker(config, os.environ)

    def configuration(self, store: OpenStore) -> server.ServeConfig | None:
        """Return the configuration, or that of the server that delivers from the open store."""
        if self.config is not None:
            return self.config
        running = server.running_configuration(store, os.environ)
        return None if running is None else running.config

    def change(self) -> OpenStore:
        """Open the store to change it."""
        self.check()
        check_migration(self.address)
        return open_at(self.address)

    def file(self, what: str) -> Path:
        """Return the path of the store; raises `UsageError` with ``what`` if it is not a file."""
        if not isinstance(self.address, Path):
            raise UsageError(what)
        return self.address

    def delivering(self, destination: str, *, served: bool) -> str:
        """Return the command that delivers to a destination of the server, or of runs."""
        if served:
            return f"destinations serve{self.options if self.config else ' --config FILE'}"
        where = f" --store {shlex.quote(str(self.address))}" if self.options else ""
        return f"destinations run {shlex.quote(destination)} --settings FILE{where}"

    def pause(self, destination: str, action: str, reason: str, tenant: str = "") -> str:
        """Return a line that says why an action pauses, and how to resume it.

        With ``tenant``, an id, it is of this customer alone.
        """
        return (
            f"{destination}: {action} pauses: {reason}. Its events wait until the definition or "
            f"the settings change, or until: {self._resume(destination, tenant)}"
        )

    def stopped(self, destination: str, since: float, tenant: str = "") -> str:
        """Return a line that says since when a destination is paused, and how to resume it.

        With ``tenant``, an id, it is this customer of it.
        """
        what = f"tenant {tenant} of {destination}" if tenant else destination
        return (
            f"{what} is paused since {shown_time(since)}: its events wait until: "
            f"{self._resume(destination, tenant)}"
        )

    def refused(self, destination: str, since: float, cure: str = REPLACE_KEY) -> str:
        """Return a line that says since when credentials are refused, and the ``cure``."""
        return (
            f"{destination}: the partner refuses the credentials since {shown_time(since)}: its "
            f"events wait. {cure[:1].upper()}{cure[1:]}. Try the same key again with: "
            f"{self._resume(destination, '')}"
        )

    def without_token(self, destination: str, since: float, reason: str) -> str:
        """Return a line that says since when there is no access token, and why."""
        return f"{destination}: its events wait since {shown_time(since)}: {reason}"

    def _resume(self, destination: str, tenant: str) -> str:
        of = f" --tenant {shlex.quote(tenant)}" if tenant else ""
        return f"destinations resume {shlex.quote(destination)}{of}{self.options}"

    def check(self) -> None:
        """Raise `UsageError` if there is no file; opening a database says whether it is a store."""
        if not isinstance(self.address, Path):
            return
        check_store_path(self.address)
        check_not_lost(self.address)
        if not is_missing(self.address):
            return
        if not self.options:
            msg = (
                f"there is no store {self.address} yet: the first run makes it; use --store FILE "
                "for another one, or --config FILE for a server's"
            )
            raise UsageError(msg, topic="--store")
        of_config = self.config is not None and self.address == self.config.store.address
        hint = "its server makes it when it starts" if of_config else "check the path"
        raise UsageError(f"there is no store {self.address}: {hint}", topic="--store")


def place_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add --store and --config; the command gets both as ``place``."""
    return _with_place(command, _MASKED, pipes=True)


def asking_place_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the same for a command that may ask partners."""
    return _with_place(command, "its secrets are read only to ask a partner.", pipes=False)


def _with_place(command: Callable[..., int], secrets: str, *, pipes: bool) -> Callable[..., int]:
    @functools.wraps(command)
    def run(*arguments: Any, store: StoreAddress | None, config: Path | None, **given: Any) -> int:
        if config is not None and config.is_fifo() and not pipes:
            raise UsageError(
                f"--config {config} is a pipe, which can be read only once; this command reads it "
                "again to ask partners: name a regular file"
            )
        read = None if config is None else server.read_config(config, os.environ, secrets=False)
        address = store or (default_path() if read is None else read.store.address)
        named = {"--store": store, "--config": config}
        options = [f" {name} {shlex.quote(str(one))}" for name, one in named.items() if one]
        place = StorePlace(address, read, "".join(options), config)
        return command(*arguments, place=place, **given)

    of_config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Use the store of the server that FILE configures; {secrets}",
    )
    return _STORE(of_config(run))
