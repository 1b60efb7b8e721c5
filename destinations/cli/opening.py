"""Do what several commands begin with: find a destination, read its settings, open the store."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings, read_settings
from destinations.errors import SettingsError, UsageError
from destinations.operations import check_migration
from destinations.runtime.destination import Destination
from destinations.runtime.identity import checked_name
from destinations.runtime.plugins import Plugin, find_folder, find_plugin, installed
from destinations.runtime.store import Store
from destinations.store import (
    SqliteStore,
    check_not_lost,
    check_store_path,
    default_path,
    is_missing,
)

__all__ = [
    "OpenedDestination",
    "destination_argument",
    "open_definition",
    "open_destination",
    "open_store",
    "settings_option",
    "store_option",
]


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """Return the completions of a DESTINATION in a shell: names, or else folders."""
    found: list[CompletionItem] = []
    with contextlib.suppress(UsageError):
        found = [CompletionItem(slug) for slug, _ in installed() if slug.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


destination_argument = click.argument(
    "destination", metavar="DESTINATION", shell_complete=_complete
)

settings_option = click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read settings from FILE (YAML or JSON); ${NAME} is replaced from the environment.",
)


store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Use the store FILE; by default this user's own.",
)

_ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class OpenedDestination:
    """A destination bound to settings; ``account`` is the name that the settings give it."""

    destination: Destination
    account: str | None


def open_definition(name: str) -> tuple[DestinationDefinition, Plugin | None]:
    """Return the checked definition of DESTINATION, and its plugin if it has one."""
    definition = load_definition(find_folder(name))
    return definition, find_plugin(definition.slug)


def open_destination(
    definition: DestinationDefinition,
    plugin: Plugin | None,
    settings: Path | None,
    *,
    overrides: Mapping[str, str] | None = None,
    store: Store | None = None,
) -> OpenedDestination:
    """Return the destination, bound to the settings of a file; ``overrides`` win over the file.

    The key ``account`` of the file names the account, unless the destination has such a setting.
    """
    if settings is None:
        document = Document("settings (--settings FILE)", {}, {})
    else:
        document = read_settings(settings, os.environ, replaced=overrides or {})
    values = {**document.data, **(overrides or {})}
    account = None
    if _ACCOUNT not in definition.settings["properties"]:
        account = _account(document.name, values.pop(_ACCOUNT, None))
    checked = check_settings(definition, Document(document.name, values, document.lines))
    code = plugin.code(store) if plugin is not None else None
    destination = Destination(definition, checked, code)
    issues = destination.request_issues()
    if issues:
        raise SettingsError([document.issue("", issue) for issue in issues])
    return OpenedDestination(destination, account)


def _account(file: str, given: object) -> str | None:
    """Return the name that settings give their account; raises `UsageError` if it is invalid."""
    if given is None:
        return None
    if not isinstance(given, str):
        raise UsageError(f"{file}: account must be a name")
    try:
        return checked_name(given)
    except UsageError as error:
        raise UsageError(f"{file}: account must be a name: {error}") from None


def open_store(path: Path | None, *, existing: bool = False) -> SqliteStore:
    """Return the store in a file, or this user's own.

    With ``existing``, for commands that have nothing to store, a missing file is not made: raises
    `UsageError`.
    """
    if existing and path is not None:
        check_store_path(path)
        check_not_lost(path)
        if is_missing(path):
            raise UsageError(f"there is no store {path}: check the path")
    path = default_path() if path is None else path
    check_migration(path)
    return SqliteStore(path)
