"""What several commands do first: find a destination, read its settings, compile it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings, read_settings
from destinations.errors import UsageError
from destinations.plugins import Plugin, find_folder, find_plugin
from destinations.runtime.destination import Destination
from destinations.store import Store, default_path, is_missing

__all__ = [
    "destination_argument",
    "open_definition",
    "open_destination",
    "open_store",
    "settings_option",
    "store_option",
]

destination_argument = click.argument("destination", metavar="DESTINATION")

settings_option = click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML or JSON with the settings; ${NAME} in it is taken from the environment.",
)


store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The SQLite file for what outlives a run; by default one for this user.",
)


def open_definition(name: str) -> tuple[DestinationDefinition, Plugin | None]:
    """The checked definition of DESTINATION, and its plugin if it has one."""
    definition = load_definition(find_folder(name))
    return definition, find_plugin(definition.slug)


def open_destination(
    definition: DestinationDefinition,
    plugin: Plugin | None,
    settings: Path | None,
    *,
    overrides: Mapping[str, str] | None = None,
    store: Store | None = None,
    account: str | None = None,
) -> Destination:
    """The destination, bound to the settings of a file; ``overrides`` win over the file."""
    if settings is None:
        document = Document("settings (--settings FILE)", {}, {})
    else:
        document = read_settings(settings, os.environ, replaced=overrides or {})
    merged = Document(document.name, {**document.data, **(overrides or {})}, document.lines)
    checked = check_settings(definition, merged)
    code = plugin.code(store) if plugin is not None else None
    return Destination(definition, checked, code, account=account)


def open_store(path: Path | None, *, existing: bool = False) -> Store:
    """The store in a file, or this user's own.

    With ``existing``, for what has nothing to put there, a file that somebody names is not made:
    raises `UsageError` if it is missing.
    """
    if existing and path is not None and is_missing(path):
        raise UsageError(f"there is no store {path}: look for a slip in the path")
    return Store(path if path is not None else default_path())
