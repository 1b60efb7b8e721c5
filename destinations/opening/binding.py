"""Find a definition with its plugin, and bind it to settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings, settings_to_show
from destinations.errors import SettingsError, UsageError
from destinations.runtime.account_identity import checked_name
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plugins import Plugin, find_plugin, plugin_code
from destinations.runtime.store import Store

__all__ = ["BoundDestination", "bind_destination", "check_written", "open_definition"]

_ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class BoundDestination:
    """A destination bound to settings; ``account`` is the name that the settings give it.

    ``named`` are the settings that have a name in place of a value: it can send nothing then.
    """

    destination: Destination
    account: str | None
    named: frozenset[str] = frozenset()


def open_definition(name: str) -> tuple[DestinationDefinition, Plugin | None]:
    """Return the checked definition of a destination, and its plugin if it has one.

    Raises `UsageError` if it is unknown or its plugin cannot be loaded, `DefinitionError` with the
    definition's issues.
    """
    folder = find_folder(name)
    definition = load_definition(folder)
    return definition, find_plugin(definition.slug, folder)


def check_written(definition: DestinationDefinition) -> None:
    """Raise `UsageError` for a definition that leaves requests open."""
    if definition.pending_requests:
        pending = ", ".join(definition.pending_requests)
        raise UsageError(f"{definition.name} cannot run: these requests are not written: {pending}")


def bind_destination(
    definition: DestinationDefinition,
    plugin: Plugin | None,
    document: Document,
    store: Store | None = None,
    *,
    absent: Collection[str] | None = None,
) -> BoundDestination:
    """Return the destination, bound to the settings in a document.

    Its key ``account`` names the account, unless the destination has such a setting. With
    ``absent``, the settings whose values cannot be had, requests are only shown: see
    `settings_to_show`. Raises `SettingsError` with every issue.
    """
    values = dict(document.data)
    account = None
    if _ACCOUNT not in definition.settings["properties"]:
        account = _account(document.name, values.pop(_ACCOUNT, None))
    given, named = Document(document.name, values, document.lines), frozenset[str]()
    if absent is None:
        checked = check_settings(definition, given)
    else:
        checked, named = settings_to_show(definition, given, absent)
    destination = Destination(definition, checked, plugin_code(plugin, store))
    issues = [] if named else destination.request_issues()
    if issues:
        raise SettingsError([document.issue("", issue) for issue in issues])
    return BoundDestination(destination, account, named)


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
