"""Finds destinations: shipped and installed definitions, folders, and the code of plugins.

Entry points tell what is installed. Group ``destinations.definitions`` names packages whose
folders are definitions; group ``destinations.plugins`` names, by the destination's slug, a class
that follows `Plugin` for what data cannot say.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import click

from destinations.definition import is_definition
from destinations.errors import UsageError
from destinations.runtime.destination import Code
from destinations.runtime.entry_points import DEFINITIONS, PLUGINS
from destinations.runtime.store import Store

__all__ = ["Plugin", "RunningSandbox", "TellsItsPage", "find_folder", "find_plugin", "installed"]


class RunningSandbox(Protocol):
    """A stand-in for a partner, serving on this machine."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings that make the destination talk to it."""
        ...

    def snapshot(self) -> Mapping[str, Any]:
        """Return all that the partner holds, in a form of its own, for `holdings` later."""
        ...

    def holdings(
        self, before: Mapping[str, Any]
    ) -> Sequence[tuple[str, Sequence[str], Sequence[Sequence[object]]]]:
        """Return tables of what it held ``before`` and holds now: title, columns and rows."""
        ...

    def is_running(self) -> bool:
        """Tell whether it still serves."""
        ...

    def close(self) -> None:
        """Stop it."""
        ...


class Plugin(Protocol):
    """What a destination adds to its data."""

    def code(self, store: Store | None) -> Code:
        """Return generators and mappers; rules that a customer made come from ``store``."""
        ...

    def commands(self) -> Sequence[click.Command]:
        """Return sub-commands of its own, for ``destinations SLUG ...``."""
        ...

    def start_sandbox(
        self, *, seed: Path | None, port: int = 0, db: Path | None = None, api: str = "current"
    ) -> RunningSandbox:
        """Start the sandbox in a process of its own; raises `DefinitionError` for a bad seed."""
        ...


@runtime_checkable
class TellsItsPage(Protocol):
    """What a plugin may have beside `Plugin`: tables for the destination's documentation page."""

    def page_data(self) -> Mapping[str, object]:
        """Return the tables that the code runs by, as ``data`` in the templates of the page."""
        ...


def installed() -> Iterator[tuple[str, Traversable]]:
    """Yield slug and folder of every definition that an installed package brings, sorted."""
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
    """Return the folder of DESTINATION: the slug of an installed definition, or a path to a folder.

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
