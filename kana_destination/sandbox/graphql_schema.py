"""The executable schema: the documented types, bound to their resolvers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from operator import attrgetter, itemgetter
from typing import Any, Final, Literal

from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    extend_schema,
    parse,
)

from kana_destination.sandbox.resolvers import ATTRIBUTES, RESOLVERS

__all__ = ["Api", "schema_of"]

Api = Literal["current", "documented"]
"""``documented``: ``UpdateUserInput`` as Kana's input table has it (id, name, metadata);
``current``: with ``email`` and ``billingId`` too, as the example request next to it sends them."""

_ARGUMENT_NAMES: Final = {"id": "identifier", "input": "given"}
# Types whose values are dataclasses; resolvers return all others as dicts.
_MODELS: Final = ("User", "Feature", "Package", "PackageSubscription")


@cache
def schema_of(api: Api) -> GraphQLSchema:
    """Return the schema of one form of the API; it is built once."""
    folder = files("kana_destination.sandbox")
    schema = build_schema((folder / "schema.graphql").read_text("utf-8"))
    if api == "current":
        extension = (folder / "schema.current.graphql").read_text("utf-8")
        schema = extend_schema(schema, parse(extension))
    for type_name, resolvers in RESOLVERS.items():
        fields = _fields_of(schema, type_name)
        for name, resolver in resolvers.items():
            fields.fields[name].resolve = resolver
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            _bind_readers(type_)
    for type_name in ("Query", "Mutation", "Feature"):
        _name_arguments(_fields_of(schema, type_name))
    return schema


def _fields_of(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    found = schema.type_map[name]
    if not isinstance(found, GraphQLObjectType):
        raise TypeError(f"{name} is not an object type of the schema")
    return found


def _bind_readers(type_: GraphQLObjectType) -> None:
    """Read fields without a resolver directly: faster than to find out the kind of each value."""
    names = ATTRIBUTES.get(type_.name, {})
    for name, field in type_.fields.items():
        if field.resolve is None and type_.name in _MODELS:
            field.resolve = _reader(attrgetter(names.get(name, name)))
        elif field.resolve is None:
            field.resolve = _reader(itemgetter(name))


def _reader(get: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda source, _info: get(source)


def _name_arguments(type_: GraphQLObjectType) -> None:
    for field in type_.fields.values():
        for name, argument in field.args.items():
            argument.out_name = _ARGUMENT_NAMES.get(name) or _snake(name)


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
