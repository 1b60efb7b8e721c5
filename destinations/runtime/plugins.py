"""Find destinations: installed definitions, folders, and plugins.

Entry points list what is installed. Group ``destinations.definitions`` names packages whose folders
are definitions. Group ``destinations.plugins`` names, by the destination's slug, a class with the
methods of `Plugin`, for what data cannot express.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import click

from destinations.definition import is_definition
from destinations.errors import UsageError
from destinations.runtime.destination import Code
from destinations.runtime.entry_points import DEFINITIONS, PLUGINS
from destinations.runtime.store import Store

__all__ = [
    "Holdings",
    "Plugin",
    "RunningSandbox",
    "TellsItsPage",
    "find_folder",
    "find_plugin",
    "installed",
]


class Holdings(NamedTuple):
    """A table of a partner's data; each row has a value for each column."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


class RunningSandbox(Protocol):
    """A stand-in for a partner, serving on this machine."""

    @property
    def url(self) -> str:
        """Return the URL where it listens."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Return the settings that connect the destination to it."""
        ...

    def snapshot(self) -> Mapping[str, Any]:
        """Return the partner's data in a private form, for a later `holdings`."""
        ...

    def holdings(self, before: Mapping[str, Any]) -> Sequence[Holdings]:
        """Return tables that compare its data ``before`` with now."""
        ...

    def is_running(self) -> bool:
        """Return whether it is still serving."""
        ...

    def close(self) -> None:
        """Stop it."""
        ...


class Plugin(Protocol):
    """The code of a destination, beside its definition."""

    def code(self, store: Store | None) -> Code:
        """Return generators and mappers; ``store`` holds the rules of customers."""
        ...

    def commands(self) -> Sequence[click.Command]:
        """Return the plugin's own commands, for ``destinations SLUG ...``."""
        ...

    def start_sandbox(
        self, *, seed: Path | None, port: int = 0, db: Path | None = None, api: str = "current"
    ) -> RunningSandbox:
        """Start the sandbox in a separate process; raises `DefinitionError` for an invalid seed."""
        ...


@runtime_checkable
class TellsItsPage(Protocol):
    """A plugin that adds tables to the destination's documentation page."""

    def page_data(self) -> Mapping[str, object]:
        """Return the tables that the code uses, available as ``data`` in the page's templates."""
        ...


def installed() -> Iterator[tuple[str, Traversable]]:
    """Yield (slug, folder) of every definition in installed packages, sorted."""
    found: dict[str, Traversable] = {}
    for entry_point in importlib.metadata.entry_points(group=DEFINITIONS):
        try:
            package = importlib.resources.files(entry_point.value)
        except ModuleNotFoundError:
            msg = (
                f"the definitions in {entry_point.value} are not installed; in a checkout, run "
                "pip install --editable . or start the command destinations instead of python -m"
            )
            raise UsageError(msg) from None
        for folder in package.iterdir():
            if folder.is_dir() and is_definition(folder):
                found.setdefault(folder.name, folder)
    return iter(sorted(found.items()))


def find_folder(destination: str) -> Traversable:
    """Return the folder of DESTINATION: an installed definition's slug, or the path of a folder.

    Raises `UsageError` if it is neither.
    """
    known = dict(installed())
    if destination in known:
        return known[destination]
    path = Path(destination).resolve()
    if path.is_dir() and is_definition(path):
        return path
    if path.is_dir():
        msg = f"the folder {destination} holds no destination.yaml"
    else:
        names = ", ".join(known) or "none"
        msg = f"unknown destination {destination!r}: neither installed ({names}) nor a folder"
    raise UsageError(msg)


def find_plugin(slug: str) -> Plugin | None:
    """Return the installed plugin for a destination; None if it is pure data."""
    for entry_point in importlib.metadata.entry_points(group=PLUGINS, name=slug):
        plugin: Plugin = entry_point.load()()
        return plugin
    return None
