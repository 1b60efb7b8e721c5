"""Do what several commands begin with: name a destination, read its settings, name the store."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from destinations.cli.store_type import STORE, STORE_METAVAR
from destinations.definition import DestinationDefinition
from destinations.definition.connection import connect, read_connection
from destinations.definition.document import Document
from destinations.definition.secret_sources import SourceError
from destinations.definition.settings import read_present_settings, read_settings
from destinations.opening import BoundDestination, bind_destination
from destinations.runtime.installed import InstalledDestination, installed
from destinations.runtime.plugins import Plugin
from destinations.runtime.store import Store

__all__ = [
    "Overrides",
    "bind_to_file",
    "bind_to_show",
    "connect_to_file",
    "connection_option",
    "destination_argument",
    "installed_destinations",
    "optional_destination_argument",
    "settings_of_file",
    "settings_option",
    "store_option",
]


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """Return the completions of a DESTINATION in a shell: names, or else folders."""
    slugs = installed().destinations
    found = [CompletionItem(slug) for slug in slugs if slug.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


destination_argument = click.argument(
    "destination", metavar="DESTINATION", shell_complete=_complete
)

optional_destination_argument = click.argument(
    "destination", metavar="[DESTINATION]", required=False, shell_complete=_complete
)

settings_option = click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read settings from FILE (YAML or JSON); ${NAME} is replaced from the environment.",
)


connection_option = click.option(
    "--connection",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Use the subscriptions of FILE (YAML or JSON) in place of the definition's presets.",
)


store_option = click.option(
    "--store",
    type=STORE,
    metavar=STORE_METAVAR,
    help="Use the store FILE or postgresql://...; by default this user's own.",
)


_NO_FILE: Final = Document("settings (--settings FILE)", {}, {})


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings that win over those of a file; the ``free`` ones only fill in what it lacks."""

    values: Mapping[str, Any] = field(default_factory=dict)
    free: Container[str] = ()

    @property
    def own(self) -> Mapping[str, Any]:
        """The settings that win."""
        return {name: value for name, value in self.values.items() if name not in self.free}

    def applied_to(self, document: Document) -> Document:
        """Return the settings of a file with these."""
        values = {**self.values, **document.data, **self.own}
        return Document(document.name, values, document.lines)


def bind_to_file(
    definition: DestinationDefinition,
    plugin: Plugin | None,
    settings: Path | None,
    *,
    overrides: Overrides | None = None,
    store: Store | None = None,
) -> BoundDestination:
    """Return the destination, bound to the settings of a file."""
    return bind_destination(definition, plugin, settings_of_file(settings, overrides), store)


def settings_of_file(settings: Path | None, overrides: Overrides | None = None) -> Document:
    """Return the settings that `bind_to_file` binds; the file may be one that is read once."""
    over = overrides or Overrides()
    document = _NO_FILE
    if settings is not None:
        document = read_settings(settings, os.environ, replaced=over.own)
    return over.applied_to(document)


def bind_to_show(
    definition: DestinationDefinition,
    plugin: Plugin | None,
    settings: Path | None,
    *,
    overrides: Overrides | None = None,
    store: Store | None = None,
) -> BoundDestination:
    """Return the destination as `bind_to_file` does, for requests that are only shown.

    Settings that are not there have their names as values; says why those of the file are not.
    """
    over = overrides or Overrides()
    document = _NO_FILE
    absent: Mapping[str, SourceError] = {}
    if settings is not None:
        document, absent = read_present_settings(settings, os.environ, replaced=over.own)
    for key, error in absent.items():
        click.echo(f"note: {document.name}: {key} is shown as <{key}>: {error}", err=True)
    return bind_destination(definition, plugin, over.applied_to(document), store, absent=absent)


def connect_to_file(definition: DestinationDefinition, path: Path) -> DestinationDefinition:
    """Return a definition with the subscriptions of a file; prints what can match no event.

    Raises `DefinitionError` with every issue of the file.
    """
    connected = connect(definition, read_connection(path))
    for warning in connected.warnings[len(definition.warnings) :]:
        click.echo(f"warning: {warning}", err=True)
    return connected


def installed_destinations() -> Mapping[str, InstalledDestination]:
    """Return the destinations that are installed, by slug; reports which of them cannot be used."""
    known = installed()
    for issue in (*known.issues, *known.conflicts.values()):
        click.echo(f"warning: {issue}", err=True)
    return known.destinations
