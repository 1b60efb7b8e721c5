"""Reads the mapping of a URL: which of its text is the author's, and which comes from where.

A value of an event that is put into a URL as it is chooses where the request goes, with our
credentials. So a URL is known by its pieces, and only those that are the settings' go in unchanged.
Directives that change a text change each piece by itself; what cannot be taken apart is a value as
a whole, which no URL can begin with.
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
    "holds_values",
    "is_fixed",
    "read_address",
]

OF_ONE_EVENT: Final = ("event", "payload")
"""The roots of a request's mappings that are those of one event."""

_PLACEHOLDER: Final = re.compile(r"\{\{\{([^}]+)\}\}\}|\{\{([^}]+)\}\}")


@dataclass(frozen=True, slots=True)
class Roots:
    """What is there to read: ``own`` are the names that hold nothing of an event.

    ``is_inner`` tells that they are those that a ``@transform`` made, and no longer the request's.
    """

    own: frozenset[str] = frozenset({"settings"})
    is_inner: bool = False

    def has(self, source: object) -> bool:
        """Tell whether a mapping certainly reads nothing of an event."""
        if self.is_inner:
            return not isinstance(source, dict | list)
        return not reads(source, *OF_ONE_EVENT)


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
    """Pieces in their order."""

    pieces: tuple[AddressText | AddressValue, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressWhole:
    """A mapping that is taken as a whole; ``of_settings`` tells that it reads nothing else."""

    source: object
    of_settings: bool


@dataclass(frozen=True, slots=True)
class AddressComputed:
    """``@path`` or ``@template`` whose text is that of a mapping, which reads settings alone."""

    directive: str
    text: object
    roots: Roots


@dataclass(frozen=True, slots=True)
class AddressLiquid:
    """A Liquid template, whose output statements are values unless they print own roots alone."""

    template: str
    roots: Roots


@dataclass(frozen=True, slots=True)
class AddressChange:
    """What ``@case`` or ``@replace`` makes of each piece; ``argument`` is without its value."""

    directive: str
    argument: Mapping[str, Any]
    inner: AddressMapping


@dataclass(frozen=True, slots=True)
class AddressWithin:
    """A URL that is made of what ``apply`` of a ``@transform`` gave."""

    apply: object
    inner: AddressMapping


@dataclass(frozen=True, slots=True)
class AddressChoice:
    """One of two URLs, by the condition of an ``@if``."""

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
    """Return the pieces of a URL's mapping; ``roots`` are what it can read."""
    if isinstance(source, str):
        return AddressTemplate((AddressText(source),))
    name, argument = _directive(source)
    read = _READERS.get(name)
    found = None if read is None else read(argument, roots)
    return AddressWhole(source, roots.has(source)) if found is None else found


def holds_values(address: AddressMapping) -> bool:
    """Tell whether values that are not the settings' stand in the text of a URL."""
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


def is_fixed(address: AddressMapping) -> bool:
    """Tell whether a URL is the same for all events."""
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
    """With a shape it gives a list or what the path finds, which can be a URL only as text."""
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
"""How each directive is taken apart; None stands for one that has to be taken as a whole."""


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
