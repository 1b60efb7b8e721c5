"""The configuration that a server runs with, as it notes it in its store.

The file may have been changed since the server read it, and so may the folders of definitions. So
the content is noted: of each destination what the file says of settings, subscriptions and filters,
and the files of its definition. Secrets are only named in it, as in the file.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from destinations._version import __version__
from destinations.definition import DefinitionFiles
from destinations.postgres import address_of
from destinations.server.binding import Bound
from destinations.server.config import config_to_show
from destinations.server.config_model import DestinationConfig, ServeConfig
from destinations.store import OpenStore

__all__ = [
    "CONFIGURATION",
    "RunningConfiguration",
    "configuration_note",
    "connections_noted",
    "running_configuration",
]

CONFIGURATION: Final = "configuration"
"""The name of the note; see `OpenStore.note`."""

_NOTED: Final = ("settings", "account", "from", "subscriptions", "filters", "allowOverlap")
_OF_CONNECTIONS: Final = ("subscriptions", "filters", "allowOverlap")
_OF_TENANTS: Final = ("key", "settings")


@dataclass(frozen=True, slots=True)
class RunningConfiguration:
    """The configuration that the latest server of a store has, or had.

    ``since`` is when it took it over, in seconds since 1970, UTC, and ``version`` the version of
    this package that it has. ``definitions`` are those that it loaded, by the destination's name.
    """

    config: ServeConfig
    definitions: Mapping[str, DefinitionFiles]
    since: float
    version: str


def configuration_note(
    config: ServeConfig, bound: Iterable[Bound], now: float
) -> Mapping[str, Any]:
    """Return what a server notes, as JSON; see `running_configuration`."""
    definitions: dict[str, Any] = {}
    numbers: dict[DefinitionFiles, str] = {}
    destinations = []
    for each in bound:
        spec: dict[str, Any] = {"name": each.name, "destination": each.config.destination}
        spec |= {key: each.config.spec[key] for key in _NOTED if key in each.config.spec}
        tenants = each.config.spec.get("receiver", {}).get("tenants")
        if tenants is not None:
            of_tenants = {key: tenants[key] for key in _OF_TENANTS if key in tenants}
            spec["receiver"] = {"tenants": of_tenants}
        if each.files is not None:
            if each.files not in numbers:
                numbers[each.files] = str(len(numbers))
                definitions[numbers[each.files]] = _packed(each.files)
            spec["definition"] = numbers[each.files]
        destinations.append(spec)
    return {
        "path": None if config.path is None else str(config.path),
        "since": now,
        "version": __version__,
        "destinations": destinations,
        "definitions": definitions,
    }


def connections_noted(store: OpenStore) -> Callable[[DestinationConfig], bool]:
    """Return whether the latest server of a store had the same connection for a destination."""
    noted = store.noted(CONFIGURATION) or {"destinations": ()}
    before = {spec["name"]: _connection(spec) for spec in noted["destinations"]}
    return lambda config: before.get(config.name) == _connection(config.spec)


def _connection(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: spec.get(key) for key in _OF_CONNECTIONS}


def running_configuration(
    store: OpenStore, environment: Mapping[str, str]
) -> RunningConfiguration | None:
    """Return the configuration of the server that delivers from a store, or did so last.

    None if it noted none. Settings that cannot be had here are ``absent``. Raises `DefinitionError`
    if this version of the package cannot read it.
    """
    noted = store.noted(CONFIGURATION)
    if noted is None:
        return None
    path = None if noted["path"] is None else Path(noted["path"])
    specs = [dict(spec) for spec in noted["destinations"]]
    numbers = {spec["name"]: spec.pop("definition", None) for spec in specs}
    files = {number: _unpacked(packed) for number, packed in noted["definitions"].items()}
    data = {"sealing": {}, "destinations": specs}
    name = f"the configuration of the server ({path or 'not in a file'})"
    folder = Path() if path is None else path.parent
    config = config_to_show(data, name, folder, environment, address_of(store))
    config = replace(config, path=path)
    definitions = {of: files[number] for of, number in numbers.items() if number is not None}
    return RunningConfiguration(config, definitions, noted["since"], noted["version"])


def _packed(files: DefinitionFiles) -> Mapping[str, str]:
    data = zlib.compress(json.dumps(dict(files.contents)).encode(), 9)
    return {"name": files.name, "path": files.path, "files": base64.b64encode(data).decode()}


def _unpacked(packed: Mapping[str, str]) -> DefinitionFiles:
    contents = json.loads(zlib.decompress(base64.b64decode(packed["files"])))
    return DefinitionFiles.of_contents(packed["name"], packed["path"], contents)
