"""The effective configuration: what the file says and what it leaves out, with secrets masked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from destinations.console.pages.configuration_keys import (
    NOT_SET,
    KeyShown,
    keys_of_destination,
    sections,
)
from destinations.console.pages.templating import json_shown
from destinations.console.pages.visit import Answered, Shown, Visit
from destinations.console.shown import ConnectionShown
from destinations.errors import DestinationsError
from destinations.pages import EMPTY, Html, element, joined
from destinations.secrets import MASK, Masker, Secret, shown_url
from destinations.server import DestinationConfig, bind_to_show

__all__ = ["DestinationShown", "configuration", "settings_shown"]


@dataclass(frozen=True, slots=True)
class DestinationShown:
    """A destination of the configuration, ready to be shown."""

    name: str
    facts: Sequence[tuple[str, object]]
    settings: Sequence[tuple[str, str]]
    connection: ConnectionShown
    mappings: Sequence[tuple[str, str]]
    filters: str


def configuration(visit: Visit) -> Answered:
    """Show the configuration as the server understands it."""
    config, masker = visit.verbs.config, visit.verbs.masker
    connections = {one.destination: one for one in visit.verbs.connections()}
    return Shown(
        "configuration.html",
        {
            "path": "" if config.path is None else str(config.path),
            "sections": [(one.title, _key_rows(one.keys, masker)) for one in sections(config)],
            "warnings": [masker.text(text) for text in config.warnings],
            "destinations": [
                _destination(one, connections[one.name], masker) for one in config.destinations
            ],
        },
    )


def _destination(
    config: DestinationConfig, connection: ConnectionShown, masker: Masker
) -> DestinationShown:
    return DestinationShown(
        config.name,
        [
            *((name, masker.text(text)) for name, text in _facts(config, connection)),
            *_key_rows(keys_of_destination(config), masker),
        ],
        settings_shown(config, masker),
        connection,
        [
            (one.name, json_shown(masker.value(one.mapping)))
            for one in connection.subscriptions
            if one.mapping
        ],
        json_shown(masker.value(_plain(connection.filters))) if connection.filters else "",
    )


def _facts(config: DestinationConfig, connection: ConnectionShown) -> Iterator[tuple[str, str]]:
    yield "connection", connection.version or "the presets of the definition"
    if config.is_posted_to:
        yield "events at", f"/v1/{config.name}"


def _key_rows(keys: Iterable[KeyShown], masker: Masker) -> Sequence[tuple[str, Html]]:
    """Return keys with their values; what the file does not have is said to be a default."""
    return [
        (
            one.key,
            joined(
                [
                    masker.text(one.value),
                    EMPTY
                    if one.is_given or one.value == NOT_SET
                    else element("span", " default", class_="note"),
                ]
            ),
        )
        for one in keys
    ]


def settings_shown(config: DestinationConfig, masker: Masker) -> Sequence[tuple[str, str]]:
    """Return the settings of a destination: of a secret only that it is there, or why not."""
    try:
        bound = bind_to_show(config, None)
    except DestinationsError as error:
        return [("fault", masker.text(str(error)))]
    found = []
    for name, value in bound.settings.items():
        if name in config.absent:
            text = f"not known to this process: {config.absent[name]}"
        elif isinstance(value, Secret) or name in bound.definition.secret_settings:
            text = MASK
        elif isinstance(value, str):
            text = shown_url(value) if "://" in value else value
        else:
            text = json_shown(_plain(value))
        found.append((name, masker.text(text)))
    return found


def _plain(value: Any) -> Any:
    """Return a value of a configuration as JSON values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
