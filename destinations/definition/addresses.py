"""Reads the mapping of a URL: which of its text is the author's, and which comes from where.

A value of an event that is put into a URL as it is chooses where the request goes, with our
credentials. So a URL is known by its pieces, and only those that are the settings' go in unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.mapping.roots import reads

__all__ = [
    "OF_ONE_EVENT",
    "AddressChoice",
    "AddressTemplate",
    "AddressText",
    "AddressValue",
    "holds_values",
    "is_fixed",
    "read_address",
]

OF_ONE_EVENT: Final = ("event", "payload")
"""The roots of a request's mappings that are those of one event."""

_PLACEHOLDER: Final = re.compile(r"\{\{\{([^}]+)\}\}\}|\{\{([^}]+)\}\}")


@dataclass(frozen=True, slots=True)
class AddressText:
    """Text that the definition says."""

    text: str


@dataclass(frozen=True, slots=True)
class AddressValue:
    """What stands at a path of the context; ``of_settings`` tells that the operator chose it."""

    path: str
    of_settings: bool


@dataclass(frozen=True, slots=True)
class AddressTemplate:
    """Pieces in their order; with ``opaque`` a mapping of settings that is taken as a whole."""

    pieces: tuple[AddressText | AddressValue, ...] = ()
    opaque: object = None


@dataclass(frozen=True, slots=True)
class AddressChoice:
    """One of two URLs, by the condition of an ``@if``."""

    condition: object
    then: AddressTemplate | AddressChoice
    otherwise: AddressTemplate | AddressChoice


def read_address(source: object) -> AddressTemplate | AddressChoice | None:
    """Return the pieces of a URL's mapping; None if values of an event cannot be told apart in it.

    That is so for anything but text, ``@literal``, ``@path``, ``@template``, and ``@if`` around
    them, unless it reads settings alone.
    """
    if isinstance(source, str):
        return AddressTemplate((AddressText(source),))
    name, argument = _directive(source)
    if name == "@literal" and isinstance(argument, str):
        return AddressTemplate((AddressText(argument),))
    if name == "@path" and isinstance(argument, str):
        return AddressTemplate((_value(argument),))
    if name == "@template" and isinstance(argument, str):
        return AddressTemplate(tuple(_pieces(argument)))
    if name == "@if" and isinstance(argument, dict):
        then, otherwise = (read_address(argument.get(key) or "") for key in ("then", "else"))
        if then is None or otherwise is None:
            return None
        condition = {key: argument[key] for key in ("exists", "blank") if key in argument}
        return AddressChoice({"@if": {**condition, "then": True, "else": False}}, then, otherwise)
    return None if reads(source, *OF_ONE_EVENT) else AddressTemplate(opaque=source)


def holds_values(address: AddressTemplate | AddressChoice) -> bool:
    """Tell whether values that are not the settings' stand in the text of a URL."""
    if isinstance(address, AddressChoice):
        return holds_values(address.then) or holds_values(address.otherwise)
    return any(isinstance(one, AddressValue) and not one.of_settings for one in address.pieces)


def is_fixed(address: AddressTemplate | AddressChoice) -> bool:
    """Tell whether a URL is the same for all events."""
    if isinstance(address, AddressChoice) and reads(address.condition, *OF_ONE_EVENT):
        return False
    return not holds_values(address)


def _directive(source: object) -> tuple[str, Any]:
    if isinstance(source, dict):
        names = [name for name in source if isinstance(name, str) and name.startswith("@")]
        if len(names) == 1:
            return names[0], source[names[0]]
    return "", None


def _pieces(template: str) -> Iterator[AddressText | AddressValue]:
    end = 0
    for found in _PLACEHOLDER.finditer(template):
        if found.start() > end:
            yield AddressText(template[end : found.start()])
        yield _value((found[1] or found[2]).strip())
        end = found.end()
    if end < len(template):
        yield AddressText(template[end:])


def _value(path: str) -> AddressValue:
    keys = split_path(strip_root(path))
    return AddressValue(path, of_settings=bool(keys) and keys[0] == "settings")
