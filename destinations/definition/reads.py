"""Find what a mapping reads and can never find: wrong roots, unknown fields, broken templates.

A mapping is walked with the `Shape` of the data at its place. Wherever it reads a path, the path is
followed through the shape. What an event may hold is never known completely, so in an open shape
only a key that is nearly a known one is an issue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.errors import did_you_mean
from destinations.segment.javascript.text import trim
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import METADATA_KEY, directive_keys
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["Shape", "unreadable"]


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys of data, each with the shape of its value; None for a value that can be anything.

    ``what`` names a key in messages, such as ``field``. ``elsewhere`` are keys of other places,
    each with the message for it. An open shape may have more keys than these. ``of_url`` tells that
    templates may begin a path with ``$.``, as those of URLs may.
    """

    what: str
    keys: Mapping[str, Shape | None]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False
    of_url: bool = False

    def issue(self, path: tuple[str, ...]) -> str | None:
        """Return why nothing is found at ``path``; None if something can be."""
        if not path:
            return None
        key, *rest = path
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


def _is_near(key: str, known: Mapping[str, object]) -> bool:
    """Return whether a key is probably a mistyped known one.

    ``trait`` is a mistyped ``traits``, but ``user`` no mistyped ``userId``: it ends too early.
    """
    names = [
        name
        for name in known
        if not name.casefold().startswith(key.casefold()) or len(name) - len(key) == 1
    ]
    return bool(did_you_mean(key, names))


Found = tuple[str, str]
"""A JSON pointer and a message."""


def unreadable(mapping: object, place: str, shape: Shape | None) -> Iterator[Found]:
    """Yield (path, message) for all that a mapping reads in vain from data of this shape.

    ``place`` is the JSON pointer of the mapping, which `compile_value` accepts.
    """
    if isinstance(mapping, list):
        for at, item in enumerate(mapping):
            yield from unreadable(item, place + pointer(at), shape)
    elif isinstance(mapping, dict):
        names = directive_keys(mapping)
        if names and all(key in names or key == METADATA_KEY for key in mapping):
            yield from _of_directive(names[0], mapping[names[0]], place + pointer(names[0]), shape)
            return
        for key, item in mapping.items():
            yield from unreadable(item, place + pointer(key), shape)


def _of_directive(name: str, argument: Any, place: str, shape: Shape | None) -> Iterator[Found]:
    if name == "@path" and isinstance(argument, str):
        yield from _at(split_path(strip_root(argument)), place, shape)
    elif name == "@arrayPath" and isinstance(argument, list) and argument:
        path, *inner = argument
        yield from _of_directive("@path", path, place + pointer(0), shape)
        for item in inner:  # paths in it begin at an item of the array
            yield from unreadable(item, place + pointer(1), None)
    elif name == "@template":
        yield from _of_template(argument, place, shape)
    elif name == "@liquid" and isinstance(argument, str):
        yield from _of_liquid(argument, place, shape)
    elif name == "@transform" and isinstance(argument, dict):
        apply = argument.get("apply")
        yield from unreadable(apply, place + "/apply", shape)
        yield from unreadable(argument.get("mapping"), place + "/mapping", _made(apply))
    else:
        yield from unreadable(argument, place, shape)


def _at(path: tuple[str, ...], place: str, shape: Shape | None) -> Iterator[Found]:
    message = None if shape is None else shape.issue(path)
    if message is not None:
        yield place, message


def _made(apply: object) -> Shape | None:
    """Return the shape that the ``apply`` of a ``@transform`` makes; None for a directive's."""
    if not isinstance(apply, dict) or any(key.startswith(("@", "__")) for key in apply):
        return None
    return Shape("key of apply", dict.fromkeys(apply))


_TRIPLE: Final = re.compile(r"\{\{\{([^}]+)\}\}\}")
_DOUBLE: Final = re.compile(r"\{\{([^}]+)\}\}")
_TAG: Final = re.compile(r"\{%-?\s*(\w+)[^{}]*%\}")
_FILTER: Final = re.compile(r"\|\s*[A-Za-z_]\w*")


def _of_template(argument: object, place: str, shape: Shape | None) -> Iterator[Found]:
    """Yield the issues of a template, or of those that an ``@if`` chooses from."""
    if isinstance(argument, str):
        yield from ((place, message) for message in _template_issues(argument, shape))
        return
    names = directive_keys(argument) if isinstance(argument, dict) else []
    inner = argument[names[0]] if isinstance(argument, dict) and names else None
    if names == ["@literal"]:
        yield from _of_template(inner, place + "/@literal", shape)
    elif names == ["@if"] and isinstance(inner, dict):
        for key, item in inner.items():
            walk = _of_template if key in {"then", "else"} else unreadable
            yield from walk(item, place + "/@if" + pointer(key), shape)
    else:
        yield from unreadable(argument, place, shape)


def _template_issues(template: str, shape: Shape | None) -> Iterator[str]:
    tag = _TAG.search(template)
    if tag is not None:
        yield f"has the Liquid tag {tag[0]}, which @template prints as it is; use @liquid"
    paths = _TRIPLE.findall(template)
    rest = _TRIPLE.sub("", template)
    paths += _DOUBLE.findall(rest)
    rest = _DOUBLE.sub("", rest)
    for text in map(trim, paths):
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
    if "{{" in rest or ("}}" in rest and rest.count("}") > rest.count("{")):
        part = "{{ without }}" if "{{" in rest else "}} without {{"
        yield f"has {part}, which is printed as it is: write a placeholder as {{{{userId}}}}"


_LONGEST_LIQUID: Final = 1000  # longer templates are refused before they are read


def _of_liquid(template: str, place: str, shape: Shape | None) -> Iterator[Found]:
    # Deferred, because the library is an extra and slow to import; compile_value has found it.
    from destinations.segment.mapping.liquid import LiquidError, liquid_reads  # noqa: PLC0415 - an extra

    if len(template) > _LONGEST_LIQUID:
        return
    try:
        reads = liquid_reads(template)
    except LiquidError:
        return  # a warning of the compiled mapping
    yield from ((place, message) for message in reads.filter_issues)
    for path in reads.paths:
        yield from _at(path, place, shape)
