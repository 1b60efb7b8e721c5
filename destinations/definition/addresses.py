"""Split a URL's mapping into pieces: the author's text, settings, and values of events.

An event's value that went into a URL unencoded could choose where the request goes, with our
credentials. So only the author's text and settings go in unchanged. A directive that changes text
changes each piece by itself. A mapping that cannot be split counts as one value, and no URL may
begin with a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.segment.mapping.checks import METADATA_KEY, directive_keys
from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.mapping.roots import reads

__all__ = [
    "OF_ONE_EVENT",
    "AddressChange",
    "AddressChoice",
    "AddressComputed",
    "AddressLiquid",
    "AddressMapping",
    "AddressTemplate",
    "AddressText",
    "AddressValue",
    "AddressWhole",
    "AddressWithin",
    "Roots",
    "beginnings",
    "holds_values",
    "is_fixed",
    "is_relative",
    "read_address",
]

OF_ONE_EVENT: Final = ("event", "payload")
"""The roots of a request's mappings that depend on the event."""

_PLACEHOLDER: Final = re.compile(r"\{\{\{([^}]+)\}\}\}|\{\{([^}]+)\}\}")


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots that a mapping can read; ``own`` are those that do not depend on the event.

    ``is_inner`` tells that they are the keys of a ``@transform``, instead of the request's roots.
    """

    own: frozenset[str] = frozenset({"settings"})
    is_inner: bool = False

    def has(self, source: object) -> bool:
        """Return whether a mapping certainly does not depend on the event."""
        if self.is_inner:
            return not isinstance(source, dict | list)
        return not reads(source, *OF_ONE_EVENT)


@dataclass(frozen=True, slots=True)
class AddressText:
    """Text that stands in the definition."""

    text: str


@dataclass(frozen=True, slots=True)
class AddressValue:
    """The value at a path of the context; ``of_settings`` tells that the operator chose it."""

    path: str
    of_settings: bool


@dataclass(frozen=True, slots=True)
class AddressTemplate:
    """A template: text and values in their order."""

    pieces: tuple[AddressText | AddressValue, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressWhole:
    """A mapping that cannot be split; ``of_settings`` tells that it reads settings alone."""

    source: object
    of_settings: bool


@dataclass(frozen=True, slots=True)
class AddressComputed:
    """A ``@path`` or ``@template`` whose own text comes from a mapping of settings alone."""

    directive: str
    text: object
    roots: Roots


@dataclass(frozen=True, slots=True)
class AddressLiquid:
    """A Liquid template; an output statement is a value unless it reads own roots alone."""

    template: str
    roots: Roots


@dataclass(frozen=True, slots=True)
class AddressChange:
    """A ``@case`` or ``@replace``, applied to each piece; ``argument`` lacks its ``value``."""

    directive: str
    argument: Mapping[str, Any]
    inner: AddressMapping


@dataclass(frozen=True, slots=True)
class AddressWithin:
    """A URL that a ``@transform`` makes from the result of its ``apply``."""

    apply: object
    inner: AddressMapping


@dataclass(frozen=True, slots=True)
class AddressChoice:
    """An ``@if``: one of two URLs."""

    condition: object
    then: AddressMapping
    otherwise: AddressMapping


AddressMapping = (
    AddressTemplate
    | AddressWhole
    | AddressComputed
    | AddressLiquid
    | AddressChange
    | AddressWithin
    | AddressChoice
)


_OF_REQUEST: Final = Roots()


def read_address(source: object, roots: Roots = _OF_REQUEST) -> AddressMapping:
    """Split a URL's mapping into pieces; ``roots`` are the roots it can read."""
    if isinstance(source, str):
        return AddressTemplate((AddressText(source),))
    name, argument = _directive(source)
    read = _READERS.get(name)
    found = None if read is None else read(argument, roots)
    return AddressWhole(source, roots.has(source)) if found is None else found


def holds_values(address: AddressMapping) -> bool:
    """Return whether a URL contains values that do not come from the settings."""
    match address:
        case AddressTemplate():
            pieces = address.pieces
            return any(isinstance(one, AddressValue) and not one.of_settings for one in pieces)
        case AddressWhole():
            return not address.of_settings
        case AddressComputed():
            return True  # what the settings say may be the path of a value
        case AddressLiquid():
            return address.roots.is_inner or not address.roots.has(address.template)
        case AddressChange() | AddressWithin():
            return holds_values(address.inner)
        case AddressChoice():
            return holds_values(address.then) or holds_values(address.otherwise)


def beginnings(
    address: AddressMapping, settings: Mapping[str, object]
) -> Iterator[tuple[str, bool]]:
    """Yield the texts that a URL may begin with, each with whether it is the whole URL.

    ``settings`` are the values of settings that are known. What may be left out is not yielded.
    """
    match address:
        case AddressTemplate():
            text = ""
            for piece in address.pieces:
                if isinstance(piece, AddressText):
                    text += piece.text
                    continue
                keys = split_path(strip_root(piece.path))
                known = settings.get(keys[1]) if piece.of_settings and keys[1:] else None
                if not isinstance(known, str) or len(keys) > len(("settings", "its name")):
                    yield text, False
                    return
                text += known
            yield text, True
        case AddressChoice():
            for branch in (address.then, address.otherwise):
                yield from (found for found in beginnings(branch, settings) if found[0])
        case AddressWhole():
            if address.source is None or isinstance(address.source, bool | int | float):
                yield str(address.source), True


_SCHEMES: Final = ("http://", "https://")
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]", re.IGNORECASE)


def is_relative(beginning: str, *, is_whole: bool) -> bool:
    """Return whether no URL of HTTP has this beginning; ``is_whole`` tells that nothing follows."""
    if is_whole:
        return not _ABSOLUTE.match(beginning)
    text = beginning.lower()
    return not any(text.startswith(one) or one.startswith(text) for one in _SCHEMES)


def is_fixed(address: AddressMapping) -> bool:
    """Return whether a URL is the same for all events."""
    match address:
        case AddressChoice():
            is_same = not reads(address.condition, *OF_ONE_EVENT)
            return is_same and is_fixed(address.then) and is_fixed(address.otherwise)
        case AddressWithin():
            return not reads(address.apply, *OF_ONE_EVENT)
        case AddressChange():
            return is_fixed(address.inner)
    return not holds_values(address)


def _directive(source: object) -> tuple[str, Any]:
    if isinstance(source, dict):
        names = directive_keys(source)
        if names and all(key in names or key == METADATA_KEY for key in source):
            return names[0], source[names[0]]
    return "", None


def _path(argument: object, roots: Roots) -> AddressMapping | None:
    if isinstance(argument, str):
        return AddressTemplate((_value(argument, roots),))
    return _computed("@path", argument, roots)


def _array_path(argument: object, roots: Roots) -> AddressMapping | None:
    """Split an ``@arrayPath``; with a shape, only a text found at the path can be a URL."""
    return _path(argument[0], roots) if isinstance(argument, list) and argument else None


def _template(argument: object, roots: Roots) -> AddressMapping | None:
    if isinstance(argument, str):
        return AddressTemplate(tuple(_pieces(argument, roots)))
    name, inner = _directive(argument)
    if name == "@if" and isinstance(inner, dict):  # one of two templates
        branches = {key: {"@template": inner.get(key) or ""} for key in ("then", "else")}
        return _if({**inner, **branches}, roots)
    if name == "@literal":
        return _template(inner, roots)
    return _computed("@template", argument, roots)


def _computed(name: str, text: object, roots: Roots) -> AddressMapping | None:
    is_of_settings = roots.has(text)
    return AddressComputed(name, text, roots) if is_of_settings else None


def _liquid(argument: object, roots: Roots) -> AddressMapping | None:
    return AddressLiquid(argument, roots) if isinstance(argument, str) else None


def _if(argument: object, roots: Roots) -> AddressMapping | None:
    if not isinstance(argument, dict):
        return None
    then, otherwise = (read_address(argument.get(key) or "", roots) for key in ("then", "else"))
    condition = {key: argument[key] for key in ("exists", "blank") if key in argument}
    return AddressChoice({"@if": {**condition, "then": True, "else": False}}, then, otherwise)


def _changed(name: str, argument: object, roots: Roots) -> AddressMapping | None:
    if not isinstance(argument, dict) or not argument.get("value"):
        return None
    rest = {key: argument[key] for key in argument if key != "value"}
    return AddressChange(name, rest, read_address(argument["value"], roots))


def _transform(argument: object, roots: Roots) -> AddressMapping | None:
    if not (isinstance(argument, dict) and argument.get("mapping")):
        return None
    apply = argument.get("apply")
    names = apply if isinstance(apply, dict) else {}
    if any(key.startswith(("@", "__")) for key in names):  # a directive says what there is
        names = {}
    own = frozenset(
        key for key, value in names.items() if not holds_values(read_address(value, roots))
    )
    return AddressWithin(apply, read_address(argument["mapping"], Roots(own, is_inner=True)))


_READERS: Final[Mapping[str, Callable[[Any, Roots], AddressMapping | None]]] = {
    "@literal": read_address,
    "@excludeWhenNull": read_address,
    "@path": _path,
    "@arrayPath": _array_path,
    "@template": _template,
    "@liquid": _liquid,
    "@if": _if,
    "@case": lambda argument, roots: _changed("@case", argument, roots),
    "@replace": lambda argument, roots: _changed("@replace", argument, roots),
    "@transform": _transform,
}
"""Splits each directive; None for one that cannot be split."""


def _pieces(template: str, roots: Roots) -> Iterator[AddressText | AddressValue]:
    end = 0
    for found in _PLACEHOLDER.finditer(template):
        if found.start() > end:
            yield AddressText(template[end : found.start()])
        yield _value((found[1] or found[2]).strip(), roots)
        end = found.end()
    if end < len(template):
        yield AddressText(template[end:])


def _value(path: str, roots: Roots) -> AddressValue:
    keys = split_path(strip_root(path))
    return AddressValue(path, of_settings=bool(keys) and keys[0] in roots.own)
