"""Find lists and objects among the parameters of queries and forms, as far as definitions tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from destinations.segment.mapping.directive import Part
from destinations.segment.mapping.parts import alternatives, members, split

__all__ = ["nested_parameters"]

Kind = Literal["a list", "an object"]

_KINDS: Final[Mapping[str, Kind]] = {"array": "a list", "object": "an object"}


def nested_parameters(
    parameters: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Kind]]:
    """Yield (name, kind) for each parameter that may be a list or an object.

    ``fields`` are the schemas of the payloads that the request is made from.
    """
    for whole in alternatives(parameters):
        made = members(whole.value)
        for name, mapping in made.items() if made is not None else ():
            own = fields if whole.on == "data" else ()
            yield from ((name, kind) for kind in _kinds(mapping, own))
        for schema in _schemas(whole, fields):
            for name, spec in schema.get("properties", {}).items():
                yield from ((name, kind) for kind in _kinds_of_schema(spec))


def _kinds(mapping: Any, fields: Sequence[Mapping[str, Any]]) -> Iterator[Kind]:
    for one in alternatives(mapping):
        found = split(one.value)
        kind = found.directive.gives if found else None
        if isinstance(one.value, list):
            yield "a list"
        elif isinstance(one.value, dict) and found is None:
            yield "an object"
        elif kind is not None and kind in _KINDS:
            yield _KINDS[kind]
        for schema in _schemas(one, fields):
            yield from _kinds_of_schema(schema)


def _schemas(value: Part, fields: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas of what a directive finds in ``payload``, as far as they are declared."""
    found = split(value.value) if value.on == "data" else None
    code = found.part("code") if found and found.directive.gives is None else None
    if found is None or code is None or not isinstance(code.value, str):
        return
    for keys in found.directive.paths(code.value):
        for schema in fields if keys[:1] == ("payload",) else ():
            inner: Any = schema
            for key in keys[1:]:
                inner = inner.get("properties", {}).get(key) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                yield inner


def _kinds_of_schema(schema: Mapping[str, Any]) -> Iterator[Kind]:
    types = schema.get("type")
    for kind in types if isinstance(types, list) else [types]:
        if isinstance(kind, str) and kind in _KINDS:
            yield _KINDS[kind]
