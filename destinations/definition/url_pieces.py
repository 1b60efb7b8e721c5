"""Split a URL's mapping into pieces: the author's text, settings, and values of events.

An event's value that went into a URL unencoded could choose where the request goes, with our
credentials. So only the author's text and settings go in unchanged. A directive that changes text
changes each piece by itself. A mapping that cannot be split counts as one value, and no URL may
begin with a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from destinations.segment.json_pointer import with_value
from destinations.segment.mapping.directive import Directive, Part
from destinations.segment.mapping.parts import Split, members, split
from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.mapping.roots import reads
from destinations.segment.mapping.templates import split_template

__all__ = [
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
    "chosen_urls",
    "holds_values",
    "is_fixed",
    "is_relative",
    "read_address",
    "varies",
]

_OF_ONE_EVENT: Final = ("event", "payload", "answers")
"""The roots of a request's mappings that depend on the event."""

_OF_ONE_QUESTION: Final = ("usage", "page")
"""The roots that depend on what is asked; they are also words that stand in many addresses."""


def varies(source: object) -> bool:
    """Return whether a part of a request depends on its event, or on what is asked with it."""
    return reads(source, *_OF_ONE_EVENT) or _has_directive_that_asks(source)


def _has_directive_that_asks(source: object) -> bool:
    """Return whether a directive may read what is asked; text beside directives is only text."""
    if isinstance(source, Mapping):
        if split(source) is not None:
            return reads(source, *_OF_ONE_QUESTION)
        return any(map(_has_directive_that_asks, source.values()))
    return isinstance(source, list | tuple) and any(map(_has_directive_that_asks, source))


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots that a mapping can read; ``own`` are those that do not depend on the event.

    ``is_inner`` says that they are the keys of a ``@transform``, instead of the request's roots.
    """

    own: frozenset[str] = frozenset({"settings"})
    is_inner: bool = False

    def has(self, source: object) -> bool:
        """Return whether a mapping certainly does not depend on the event."""
        if self.is_inner:
            return not isinstance(source, dict | list)
        return not varies(source)


@dataclass(frozen=True, slots=True)
class AddressText:
    """Text that stands in the definition."""

    text: str


@dataclass(frozen=True, slots=True)
class AddressValue:
    """The value at a path of the context; ``of_settings`` says that the operator chose it."""

    path: str
    of_settings: bool


@dataclass(frozen=True, slots=True)
class AddressTemplate:
    """A template: text and values in their order."""

    pieces: tuple[AddressText | AddressValue, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressWhole:
    """A mapping that cannot be split; ``of_settings`` says that it reads only settings."""

    source: object
    of_settings: bool


@dataclass(frozen=True, slots=True)
class AddressComputed:
    """A directive such as ``@path`` or ``@template``, whose text at a place is only of settings."""

    source: object
    place: str
    roots: Roots


@dataclass(frozen=True, slots=True)
class AddressLiquid:
    """A Liquid template; an output statement is a value unless it reads only own roots."""

    template: str
    roots: Roots


@dataclass(frozen=True, slots=True)
class AddressChange:
    """A directive that changes text, such as ``@case``; it is applied to each piece of ``inner``.

    ``place`` is that of the text in ``source``.
    """

    source: object
    place: str
    inner: AddressMapping


@dataclass(frozen=True, slots=True)
class AddressWithin:
    """A URL that a ``@transform`` makes from the result of a mapping, its root.

    The result of ``source`` is that root.
    """

    source: object
    root: object
    inner: AddressMapping


@dataclass(frozen=True, slots=True)
class AddressChoice:
    """A directive that chooses one of several URLs, such as ``@if``.

    The result of ``source`` is the key of the chosen one in ``branches``; undefined if it is none.
    """

    source: object
    branches: Mapping[str, AddressMapping]


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
_CHOSEN: Final = frozenset({"setting", "urls"})


def chosen_urls(source: object) -> tuple[str, Mapping[str, object]] | None:
    """Return the setting that chooses a URL, and the URLs by its values; None for any other URL."""
    if not isinstance(source, Mapping) or source.keys() != _CHOSEN:
        return None
    setting, urls = source["setting"], source["urls"]
    is_choice = isinstance(setting, str) and isinstance(urls, Mapping)
    return (setting, urls) if is_choice else None


def read_address(source: object, roots: Roots = _OF_REQUEST) -> AddressMapping:
    """Split a URL's mapping into pieces; ``roots`` are the roots it can read."""
    if isinstance(source, str):
        return AddressTemplate((AddressText(source),))
    chosen = None if roots.is_inner else chosen_urls(source)
    if chosen is not None:
        setting, urls = chosen
        path = "$.settings." + setting.replace(".", r"\.")
        return AddressChoice({"@path": path}, {k: read_address(v, roots) for k, v in urls.items()})
    found = split(source)
    address = None if found is None else _of_directive(source, found, roots)
    return AddressWhole(source, roots.has(source)) if address is None else address


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
            return any(map(holds_values, address.branches.values()))


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
            for branch in address.branches.values():
                yield from (found for found in beginnings(branch, settings) if found[0])
        case AddressWhole():
            if address.source is None or isinstance(address.source, bool | int | float):
                yield str(address.source), True


_SCHEMES: Final = ("http://", "https://")
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]", re.IGNORECASE)


def is_relative(beginning: str, *, is_whole: bool) -> bool:
    """Return whether no URL of HTTP has this beginning; ``is_whole`` says that nothing follows."""
    if is_whole:
        return not _ABSOLUTE.match(beginning)
    text = beginning.lower()
    return not any(text.startswith(one) or one.startswith(text) for one in _SCHEMES)


def is_fixed(address: AddressMapping) -> bool:
    """Return whether a URL is the same for all events."""
    match address:
        case AddressChoice():
            is_same = not varies(address.source)
            return is_same and all(map(is_fixed, address.branches.values()))
        case AddressWithin():
            return not varies(address.root)
        case AddressChange():
            return is_fixed(address.inner)
    return not holds_values(address)


def _of_directive(source: object, found: Split, roots: Roots) -> AddressMapping | None:
    """Split a directive; None for one that cannot be split."""
    code, text, root = (found.part(role) for role in ("code", "text", "root"))
    results = found.results()
    if code is not None:
        return _of_code(source, found.directive, code, roots)
    if text is not None and text.value:
        return AddressChange(source, text.place, read_address(text.value, roots))
    if root is not None:
        return _within(source, root, results[0], roots)
    if len(results) == 1 and found.part("input") is None:
        return read_address(results[0].value, roots)
    for part in results:
        source = with_value(source, part.place, part.place)
    branches = {part.place: read_address(part.value or "", roots) for part in results}
    return AddressChoice(source, branches) if results else None


def _of_code(
    source: object, directive: Directive, code: Part, roots: Roots
) -> AddressMapping | None:
    """Split a directive that reads a path or a template, which may be computed."""
    if isinstance(code.value, str):
        if directive.name == "@liquid":
            return AddressLiquid(code.value, roots)
        is_template = directive.name == "@template"
        pieces = split_template(code.value) if is_template else ["", code.value, ""]
        return AddressTemplate(
            tuple(
                _value(piece, roots) if at % 2 else AddressText(piece)
                for at, piece in enumerate(pieces)
                if at % 2 or piece
            )
        )
    chosen = split(code.value)
    results = [part for part in chosen.results() if part.on == "data"] if chosen else []
    if results:  # of a path that is one of two, say, each is read by itself
        inner = code.value
        for part in results:
            read = with_value(source, code.place, part.value or "")
            inner = with_value(inner, part.place, read)
        return read_address(inner, roots)
    return AddressComputed(source, code.place, roots) if roots.has(code.value) else None


def _within(source: object, root: Part, result: Part, roots: Roots) -> AddressMapping | None:
    if not result.value:
        return None
    own = frozenset(
        key
        for key, value in (members(root.value) or {}).items()
        if not holds_values(read_address(value, roots))
    )
    inner = read_address(result.value, Roots(own, is_inner=True))
    return AddressWithin(with_value(source, result.place, {"@path": ""}), root.value, inner)


def _value(path: str, roots: Roots) -> AddressValue:
    keys = split_path(strip_root(path))
    return AddressValue(path, of_settings=bool(keys) and keys[0] in roots.own)
