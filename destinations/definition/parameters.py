"""Find lists and objects among the parameters of queries and forms, as far as definitions tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["nested_parameters", "schema_at"]

Kind = Literal["a list", "an object"]

_KINDS: Final[Mapping[str, Kind]] = {"array": "a list", "object": "an object"}
_MADE: Final[Mapping[str, Kind]] = {
    "@arrayPath": "a list",
    "@flatten": "an object",
    "@merge": "an object",
}


def nested_parameters(
    parameters: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Kind]]:
    """Yield (name, kind) for each parameter that may be a list or an object.

    ``fields`` are the schemas of the payloads that the request is made from.
    """
    if any(name.startswith("@") for name in parameters):
        for schema in fields:
            found = schema_at(schema, parameters.get("@path"))
            for name, spec in (found or {}).get("properties", {}).items():
                yield from ((name, kind) for kind in _kinds_of_schema(spec))
        return
    for name, mapping in parameters.items():
        yield from ((name, kind) for kind in _kinds(mapping, fields))


def _kinds(mapping: Any, fields: Sequence[Mapping[str, Any]]) -> Iterator[Kind]:
    if isinstance(mapping, list):
        yield "a list"
    elif isinstance(mapping, dict):
        name = next((name for name in mapping if name.startswith("@")), None)
        if name is None:
            yield "an object"
        else:
            yield from _kinds_of_directive(name, mapping[name], fields)


def _kinds_of_directive(
    name: str, argument: Any, fields: Sequence[Mapping[str, Any]]
) -> Iterator[Kind]:
    if name in _MADE:
        yield _MADE[name]
    elif name in {"@literal", "@excludeWhenNull"}:
        yield from _kinds(argument, fields)
    elif name == "@if" and isinstance(argument, dict):
        for branch in ("then", "else"):
            yield from _kinds(argument.get(branch), fields)
    elif name == "@path":
        for found in filter(None, (schema_at(schema, argument) for schema in fields)):
            yield from _kinds_of_schema(found)


def schema_at(fields: Mapping[str, Any], path: object) -> Mapping[str, Any] | None:
    """Return the schema at a path in ``payload``; None if it is not declared."""
    if not isinstance(path, str):
        return None
    root, *keys = split_path(strip_root(path)) or ("",)
    if root != "payload":
        return None
    found = fields
    for key in keys:
        inner = found.get("properties", {}).get(key)
        if not isinstance(inner, dict):
            return None
        found = inner
    return found


def _kinds_of_schema(schema: Mapping[str, Any]) -> Iterator[Kind]:
    types = schema.get("type")
    for kind in types if isinstance(types, list) else [types]:
        if isinstance(kind, str) and kind in _KINDS:
            yield _KINDS[kind]
