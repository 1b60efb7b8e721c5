"""The nodes of mappings that are written as code, told from those that stay compiled resolvers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.segment.fast_path.checks import Miss
from destinations.segment.javascript.inherited import OBJECT_MEMBERS
from destinations.segment.javascript.json_form import as_json_form
from destinations.segment.javascript.members import array_index
from destinations.segment.javascript.values import is_truthy
from destinations.segment.mapping.checks import METADATA_KEY, directive_keys
from destinations.segment.mapping.cleaning import without_undefined
from destinations.segment.mapping.compiler import Compiler
from destinations.segment.mapping.nodes import Place, Resolver
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = [
    "Choice",
    "Items",
    "choice_of",
    "is_plain_object",
    "is_scalar",
    "items_of",
    "plain_path",
    "resolver_of",
]

_MOST_STEPS: Final = 32
_LARGEST_NUMBER: Final = 10**300


@dataclass(frozen=True, slots=True)
class Choice:
    """An ``@if``; what is missing in it is None, as is the ``else`` that counts as missing."""

    subject: Any
    asks_blank: bool
    then: Any
    otherwise: Any


@dataclass(frozen=True, slots=True)
class Items:
    """An ``@arrayPath`` with a shape: the keys that lead to the items, and the shape."""

    keys: tuple[str, ...]
    shape: Mapping[str, Any]


def _directive(node: Any) -> tuple[str, Any] | None:
    """Return the directive that a node is, with its argument."""
    if not isinstance(node, dict) or not all(isinstance(key, str) for key in node):
        return None
    names = directive_keys(node)
    if len(names) != 1 or any(key not in names and key != METADATA_KEY for key in node):
        return None
    return names[0], node[names[0]]


def is_scalar(node: Any) -> bool:
    """Whether a node is text, a number that can be written, true, false or null."""
    if isinstance(node, int | float):
        return abs(node) < _LARGEST_NUMBER  # not true for NaN either
    return node is None or isinstance(node, str)


def is_plain_object(node: Any) -> bool:
    """Whether a node is an object with members, none of which is named like a directive."""
    return isinstance(node, dict) and all(
        isinstance(key, str) and not key.startswith("@") for key in node
    )


def plain_path(node: Any) -> tuple[str, ...] | None:
    """Return the keys of an ``@path`` through objects only; None for every other node."""
    directive = _directive(node)
    if directive is None or directive[0] != "@path" or not isinstance(directive[1], str):
        return None
    return _plain_keys(directive[1])


def _plain_keys(path: str) -> tuple[str, ...] | None:
    keys = split_path(strip_root(path))
    if not 0 < len(keys) <= _MOST_STEPS:
        return None
    # These are found where no object has them: items of arrays, lengths, methods.
    if any(
        key == "length" or key in OBJECT_MEMBERS or array_index(key) is not None for key in keys
    ):
        return None
    return keys


def choice_of(node: Any) -> Choice | None:
    """Return the ``@if`` of a node; None for every other, and for one without condition."""
    directive = _directive(node)
    if directive is None or directive[0] != "@if" or not isinstance(directive[1], dict):
        return None
    argument = directive[1]
    name = "exists" if "exists" in argument else "blank"
    # A `then` that is null gives null, and one that is missing nothing.
    if not is_truthy(argument.get(name)) or argument.get("then", "") is None:
        return None
    otherwise = argument.get("else")
    return Choice(
        argument[name],
        name == "blank",
        argument.get("then"),
        otherwise if is_truthy(otherwise) else None,
    )


def items_of(node: Any) -> Items | None:
    """Return the ``@arrayPath`` that a node is, if it has a shape; None for every other node."""
    directive = _directive(node)
    if directive is None or directive[0] != "@arrayPath" or not isinstance(directive[1], list):
        return None
    argument = directive[1]
    if len(argument) < 2 or not argument[1] or not is_plain_object(argument[1]):
        return None
    keys = _plain_keys(argument[0]) if isinstance(argument[0], str) else None
    return None if keys is None else Items(keys, argument[1])


def resolver_of(node: Any) -> Resolver:
    """Compile the resolver of a node; it raises Miss for a result that JSON cannot hold."""
    compiler = Compiler()
    resolver = compiler.value(node, Place())
    if not compiler.needs_cleaning:
        return resolver

    def resolve(data: Any) -> Any:
        value = without_undefined(resolver(data))
        if as_json_form(value) is not value:
            raise Miss
        return value

    return resolve
