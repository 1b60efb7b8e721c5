"""Which store the commands on a server's deliveries are about, and how it is opened."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from destinations.errors import UsageError
from destinations.server import ServeConfig, read_config
from destinations.store import ReadOnlyStore, Store, default_path, is_missing

__all__ = ["Place", "confirmed", "place_options", "yes_option"]

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

_OPTIONS = (
    click.option(
        "--store",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The SQLite file; by default that of --config, else this user's own.",
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration of the server: says where its store is. Needs none of its secrets.",
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A store that has to be there already, and the configuration of its server, if it was given.

    ``options`` are those of the command line that said where it is, as text to be used again with
    another command; empty for this user's own. The methods raise `UsageError` if it is not
    there or cannot be used.
    """

    path: Path
    config: ServeConfig | None
    options: str = ""

    def read(self) -> ReadOnlyStore:
        """The store, to be read: nothing is made, and no right to write is needed."""
        self.check()
        return ReadOnlyStore(self.path)

    def change(self) -> Store:
        """The store, to be changed."""
        self.check()
        return Store(self.path)

    def check(self) -> None:
        """Raises `UsageError` if there is no store."""
        if not is_missing(self.path):
            return
        if not self.options:
            msg = (
                f"there is no store {self.path} yet: it is made by the first run of a file; that "
                "of a server is named with --config FILE or --store FILE"
            )
            raise UsageError(msg)
        of_config = self.config is not None and self.path == self.config.store.path
        hint = "its server makes it when it starts" if of_config else "look for a slip in the path"
        raise UsageError(f"there is no store {self.path}: {hint}")


def place_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds --store and --config; the command gets both as ``place``."""

    @functools.wraps(command)
    def run(*arguments: Any, store: Path | None, config: Path | None, **given: Any) -> int:
        read = None if config is None else read_config(config, {}, secrets=False)
        path = store or (read.store.path if read is not None else default_path())
        named = {"--store": store, "--config": config}
        options = [f" {name} {shlex.quote(str(one))}" for name, one in named.items() if one]
        return command(*arguments, place=Place(path, read, "".join(options)), **given)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def confirmed(question: str) -> bool:
    """Whether a person says yes; raises `UsageError` if there is nobody to ask."""
    try:
        if click.confirm(question, err=True):
            return True
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            msg = "nobody answered, so nothing was changed; --yes does it without a question"
            raise UsageError(msg) from None
        raise
    click.echo("Nothing was changed.", err=True)
    return False
