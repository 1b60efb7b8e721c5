"""Find what a mapping reads and can never find: wrong roots, unknown fields, broken templates.

A mapping is walked with the `Shape` of the data at its place. Wherever it reads a path, the path is
followed through the shape. What an event may hold is never known completely, so in an open shape
only a key that is nearly a known one is an issue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from destinations.errors import did_you_mean
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.directive import Directive, Part
from destinations.segment.mapping.directives.liquid import read_liquid
from destinations.segment.mapping.parts import Split, alternatives, members, split
from destinations.segment.mapping.paths import split_path, strip_root
from destinations.segment.mapping.templates import split_template

__all__ = ["Found", "Shape", "single_braces", "unreadable"]


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys of data, each with the shape of its value; None for a value that can be anything.

    ``what`` names a key in messages, such as ``field``. ``elsewhere`` are keys of other places,
    each with the message for it. An open shape may have more keys than these. ``of_url`` says that
    templates may begin a path with ``$.``, as those of URLs may. ``scalar`` is the type of a value
    that has no keys, such as ``a string``; empty for an object. A list has ``items``, of this shape
    each, if ``is_list``. What must not be read as a whole says ``whole`` why.
    """

    what: str
    keys: Mapping[str, Shape | None]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False
    of_url: bool = False
    scalar: str = ""
    is_list: bool = False
    items: Shape | None = None
    whole: str = ""

    def issue(self, path: tuple[str, ...]) -> str | None:
        """Return why nothing is found at ``path``; None if something can be."""
        if not path:
            return self.whole or None
        key, *rest = path
        if self.scalar:
            return (
                None if _is_of_text(key) else f"reads {key!r} of {self.scalar}, which has no keys"
            )
        if self.is_list:
            return self._issue_in_list(key, tuple(rest))
        if key in self.keys:
            inner = self.keys[key]
            return None if inner is None else inner.issue(tuple(rest))
        if key in self.elsewhere:
            return self.elsewhere[key]
        near = did_you_mean(key, self.keys)
        if not self.is_open:
            known = ", ".join(self.keys) or "none"
            return f"unknown {self.what} {key!r}; known: {known}{near}"
        return f"unknown {self.what} {key!r}{near}" if _is_near(key, self.keys) else None

    def _issue_in_list(self, key: str, rest: tuple[str, ...]) -> str | None:
        if key.isdigit():
            return None if self.items is None else self.items.issue(rest)
        if key == "length":
            return None
        return f"reads {key!r} of a list: say of which item, such as [0].{key}"


def _is_near(key: str, known: Mapping[str, object]) -> bool:
    """Return whether a key is probably a mistyped known one.

    ``trait`` is a mistyped ``traits`` and ``userid`` a mistyped ``userId``, but ``user`` is
    neither, as it ends too early.
    """
    names = [
        name
        for name in known
        if not name.casefold().startswith(key.casefold()) or len(name) - len(key) <= 1
    ]
    return bool(did_you_mean(key, names))


def _is_of_text(key: str) -> bool:
    """Return whether a string of JavaScript has this key: its length, or one of its characters."""
    return key == "length" or key.isdigit()


Found = tuple[str, str]
"""A JSON pointer and a message."""


def unreadable(mapping: object, place: str, shape: Shape | None) -> Iterator[Found]:
    """Yield (path, message) for all that a mapping reads in vain from data of this shape.

    ``place`` is the JSON pointer of the mapping, which `compile_value` accepts.
    """
    found = split(mapping)
    if found is not None:
        yield from _of_directive(found, place, shape)
    elif isinstance(mapping, list):
        for at, item in enumerate(mapping):
            yield from unreadable(item, place + pointer(at), shape)
    elif isinstance(mapping, dict):
        for key, item in mapping.items():
            yield from unreadable(item, place + pointer(key), shape)


def _of_directive(directive: Split, place: str, shape: Shape | None) -> Iterator[Found]:
    shapes = {"data": shape, "item": None, "root": _made(directive.part("root"))}
    for part in directive.parts:
        yield from unreadable(part.value, place + part.place, shapes[part.on])
        for one in alternatives(part.value) if part.role == "code" else ():
            if isinstance(one.value, str):
                issues = _of_code(directive.directive, one.value, shape)
                yield from ((place + part.place + one.place, message) for message in issues)


def _made(root: Part | None) -> Shape | None:
    """Return the shape of what a root's mapping makes; None for a directive's."""
    made = None if root is None else members(root.value)
    return None if made is None else Shape("key of apply", dict.fromkeys(made))


def _of_code(directive: Directive, code: str, shape: Shape | None) -> Iterator[str]:
    if directive.name == "@template":
        yield from _template_issues(code, shape)
        return
    if directive.name == "@liquid":
        liquid = read_liquid(code)
        yield from liquid.filter_issues if liquid else ()
        yield from _single_braces(_LIQUID.sub("", code), shape)
    for path in directive.paths(code):
        message = None if shape is None else shape.issue(path)
        if message is not None:
            yield message


_TAG: Final = re.compile(r"\{%-?\s*(\w+)[^{}]*%\}")
_FILTER: Final = re.compile(r"\|\s*[A-Za-z_]\w*")


def _template_issues(template: str, shape: Shape | None) -> Iterator[str]:
    tag = _TAG.search(template)
    if tag is not None:
        yield f"has the Liquid tag {tag[0]}, which @template prints as it is; use @liquid"
    pieces = split_template(template)
    rest = "".join(pieces[0::2])
    for text in pieces[1::2]:
        found = _FILTER.search(text)
        if found is not None:
            yield (
                f"has the Liquid filter {found[0]!r}, but @template only fills in paths, so"
                f" {{{{{text}}}}} is empty; use @liquid"
            )
        elif text.startswith("$.") and not (shape is not None and shape.of_url):
            yield f"{{{{{text}}}}} is always empty: write {{{{{strip_root(text)}}}}}, without $."
        else:
            message = None if shape is None else shape.issue(split_path(strip_root(text)))
            if message is not None:
                yield message
    yield from _single_braces(rest, shape)
    if "{{" in rest or ("}}" in rest and rest.count("}") > rest.count("{")):
        part = "{{ without }}" if "{{" in rest else "}} without {{"
        yield f"has {part}, which is printed as it is: write a placeholder as {{{{userId}}}}"


_SINGLE: Final = re.compile(r"(?<!\{)\{\s*((?:\$\.)?([A-Za-z_]\w*)((?:\.[\w\\-]+)*))\s*\}(?!\})")


def _single_braces(rest: str, shape: Shape | None) -> Iterator[str]:
    for placeholder, meant in single_braces(rest, shape):
        shown = re.sub(r"\s", "", placeholder)
        yield f"has {shown}, which is printed as it is; did you mean {meant}?"


def single_braces(text: str, shape: Shape | None) -> Iterator[tuple[str, str]]:
    """Yield placeholders in single braces of a known root, each with what was meant.

    A single word, such as ``{name}``, may be the partner's own placeholder, unless it is written as
    only keys of events are.
    """
    for found in _SINGLE.finditer(text):
        path, root, below = found.groups()
        is_meant = bool(below) or not root.islower()
        if shape is not None and root in shape.keys and is_meant:
            yield found[0], f"{{{{{strip_root(path)}}}}}"


_LIQUID: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
