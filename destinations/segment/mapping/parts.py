"""Find the parts of mappings, as their directives define them, without an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_in, directive_keys
from destinations.segment.mapping.compiler import ROOT_DIRECTIVE
from destinations.segment.mapping.directive import Directive, Part, Role
from destinations.segment.mapping.directives import DIRECTIVES

__all__ = ["Split", "alternatives", "beyond_segment", "members", "paths_read", "split"]


class Split(NamedTuple):
    """A mapping that is a directive; the places of its parts begin at the mapping."""

    directive: Directive
    parts: Sequence[Part]

    def part(self, role: Role) -> Part | None:
        """Return the first part of this role, if there is one."""
        return next((part for part in self.parts if part.role == role), None)

    def results(self) -> Sequence[Part]:
        """Return the parts of which the value of one is the result, unchanged."""
        return [part for part in self.parts if part.role == "result"]


def split(mapping: object) -> Split | None:
    """Return a mapping's directive and its parts; None for a mapping that is not a directive."""
    found = directive_in(mapping)
    if found is None or found[0] not in DIRECTIVES:
        return None
    directive, place = DIRECTIVES[found[0]], pointer(found[0])
    parts = directive.parts(found[1])
    return Split(directive, [part._replace(place=place + part.place) for part in parts])


def alternatives(mapping: object) -> Iterator[Part]:
    """Yield the values and directives of which a mapping gives one, each with its place in it.

    A directive that gives parts of it unchanged does not count itself.
    """
    found = split(mapping)
    results = found.results() if found else ()
    if not results:
        yield Part("", mapping, "result")
    for part in results:
        for inner in alternatives(part.value):
            on = inner.on if part.on == "data" else part.on
            yield Part(part.place + inner.place, inner.value, "result", on)


def beyond_segment(mapping: object) -> Iterator[tuple[str, str]]:
    """Yield the place and the name of each directive that Segment's runtime does not have."""
    found = split(mapping)
    if found is not None:
        if not found.directive.in_segment:
            yield "", found.directive.name
        for part in found.parts:
            yield from ((part.place + place, name) for place, name in beyond_segment(part.value))
    elif isinstance(mapping, dict | list):
        items = mapping.items() if isinstance(mapping, dict) else enumerate(mapping)
        for key, item in items:
            yield from ((pointer(key) + place, name) for place, name in beyond_segment(item))


def members(mapping: object) -> Mapping[str, Any] | None:
    """Return the members of a mapping that gives an object of its own; None for any other."""
    if not isinstance(mapping, dict) or directive_keys(mapping) or ROOT_DIRECTIVE in mapping:
        return None
    return mapping


def paths_read(mapping: object) -> Sequence[str]:
    """Return the paths that a mapping reads from its data, such as ``properties.name``, each once.

    Those of directives within a path, and of the items of an array, are not known without an event.
    """
    return list(dict.fromkeys(_paths_read(mapping)))


def _paths_read(mapping: object) -> Iterator[str]:
    found = split(mapping)
    if found is None:
        inner = mapping.values() if isinstance(mapping, dict) else mapping
        if isinstance(inner, Iterable) and not isinstance(inner, str):
            for item in inner:
                yield from _paths_read(item)
        return
    for part in found.parts:
        if part.on != "data":
            continue
        yield from _paths_read(part.value)
        for one in alternatives(part.value) if part.role == "code" else ():
            if isinstance(one.value, str):
                paths = found.directive.paths(one.value)
                yield from (".".join(key.replace(".", "\\.") for key in path) for path in paths)
