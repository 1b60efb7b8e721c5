"""Reads the configuration of ``destinations serve`` from YAML, JSON or TOML."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from destinations.definition.document import Document, pointer, read_document
from destinations.definition.schema_faults import schema_faults
from destinations.errors import DefinitionError, Fault
from destinations.receiver.server import is_loopback
from destinations.secrets import Secret
from destinations.service.model import (
    DeliveryConfig,
    DestinationConfig,
    ListenConfig,
    ReceiverConfig,
    ServeConfig,
    StoreConfig,
)
from destinations.service.sources import NAME_IT, SourceError, Sources, names_a_secret

__all__ = ["read_config"]

_CAPITAL: Final = re.compile("[A-Z]")
_SECRET_PLACE: Final = re.compile(r"/destinations/\d+/receiver/(keys|signatureSecrets)/\d+")


def read_config(path: Path, environment: Mapping[str, str]) -> ServeConfig:
    """The configuration in a file, by its ending TOML, else YAML or JSON.

    Raises `DefinitionError` with every fault, also if the file cannot be read.
    Whether the settings fit their destinations is not looked at.
    """
    document = _read(path)
    faults = [_without_secrets(fault) for fault in schema_faults(document, "serve")]
    if faults:
        raise DefinitionError(faults)
    reader = _Reader(document, path.resolve().parent, environment)
    config = reader.config()
    faults = [*reader.faults, *_names(document), *_strangers(document, config)]
    if faults:
        raise DefinitionError(faults)
    return config


def _read(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise DefinitionError([Fault(message, file=str(path))]) from None
    except UnicodeDecodeError:
        raise DefinitionError([Fault("is not UTF-8", file=str(path))]) from None
    if path.suffix.lower() != ".toml":
        return read_document(text, name=str(path))
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError([Fault(f"not TOML: {error}", file=str(path))]) from None
    document = Document(str(path), data, {})
    faults = list(_no_json(document, data, ""))
    if faults:
        raise DefinitionError(faults)
    return document


def _no_json(document: Document, value: object, place: str) -> Iterator[Fault]:
    """What TOML has and JSON has not: dates, and numbers that are none."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _no_json(document, item, place + pointer(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _no_json(document, item, place + pointer(index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield document.fault(place, "must be a finite number")
    elif not isinstance(value, str | int | float | bool):
        yield document.fault(place, "must be a text, a number, true or false; put a date in quotes")


def _without_secrets(fault: Fault) -> Fault:
    """A fault where a secret should be named, without what stands there."""
    return replace(fault, message=NAME_IT) if _SECRET_PLACE.match(fault.path) else fault


class _Reader:
    """Makes the typed configuration of a document that fits the schema; collects faults."""

    def __init__(self, document: Document, folder: Path, environment: Mapping[str, str]) -> None:
        self.faults: list[Fault] = []
        self._document = document
        self._folder = folder
        self._sources = Sources(environment, folder)

    def config(self) -> ServeConfig:
        data = self._document.data
        queue = data.get("queue", {})
        return ServeConfig(
            listen=ListenConfig(**_fields(data.get("listen", {}))),
            store=StoreConfig(
                **{**_fields(data["store"]), "path": self._folder / data["store"]["path"]}
            ),
            destinations=tuple(
                self._destination(spec, pointer("destinations", index))
                for index, spec in enumerate(data["destinations"])
            ),
            **_fields(queue),
            **_fields({key: data[key] for key in ("drainSeconds",) if key in data}),
        )

    def _destination(self, spec: Mapping[str, Any], place: str) -> DestinationConfig:
        receiver, settings = spec.get("receiver", {}), spec.get("settings", {})
        return DestinationConfig(
            name=spec["name"],
            destination=self._where(spec["destination"]),
            settings=self._settings(settings, place + "/settings"),
            in_text=frozenset(key for key, value in settings.items() if not names_a_secret(value)),
            receiver=ReceiverConfig(
                self._secrets(receiver, "keys", place + "/receiver"),
                self._secrets(receiver, "signatureSecrets", place + "/receiver"),
            ),
            delivery=DeliveryConfig(**_fields(spec.get("delivery", {}))),
        )

    def _where(self, destination: str) -> str:
        """A name stays; a folder is relative to the configuration's own."""
        is_path = destination.startswith(".") or "/" in destination or "\\" in destination
        return str(self._folder / destination) if is_path else destination

    def _settings(self, given: Mapping[str, Any], place: str) -> Document:
        values: dict[str, Any] = {}
        for key, value in given.items():
            try:
                values[key] = self._sources.value(value)
            except SourceError as error:
                self._fault(place + pointer(key), error)
        lines = {
            path.removeprefix(place): line
            for path, line in self._document.lines.items()
            if path == place or path.startswith(place + "/")
        }
        if self._document.lines:  # where there are no settings: the destination
            lines.setdefault("", self._document.lines[place.removesuffix("/settings")])
        return Document(self._document.name, values, lines)

    def _secrets(self, spec: Mapping[str, Any], key: str, place: str) -> tuple[Secret, ...]:
        found = []
        for index, given in enumerate(spec.get(key, ())):
            try:
                found.append(self._sources.secret(given))
            except SourceError as error:
                self._fault(place + pointer(key, index), error)
        return tuple(found)

    def _fault(self, place: str, error: SourceError) -> None:
        self.faults.append(self._document.fault(place, str(error)))


def _fields(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the file as the names of fields: ``maxBytes`` is ``max_bytes``."""
    return {_CAPITAL.sub(lambda m: "_" + m.group().lower(), key): spec[key] for key in spec}


def _names(document: Document) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, spec in enumerate(document.data["destinations"]):
        if spec["name"] in seen:
            place = pointer("destinations", index, "name")
            yield document.fault(place, f"the name {spec['name']!r} occurs twice")
        seen.add(spec["name"])


def _strangers(document: Document, config: ServeConfig) -> Iterator[Fault]:
    """Destinations that whoever reaches the port could post to."""
    host = config.listen.host
    if is_loopback(host):
        return
    for index, spec in enumerate(document.data["destinations"]):
        if not spec.get("receiver"):
            message = (
                f"lacks keys or signatureSecrets in receiver: others than this machine reach {host}"
            )
            yield document.fault(pointer("destinations", index), message)
