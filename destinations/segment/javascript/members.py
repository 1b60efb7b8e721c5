"""Read members of values: ``value.key``, ``value[key]``, and an object's keys in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final
from weakref import WeakKeyDictionary

from destinations.segment.javascript import text as js_text
from destinations.segment.javascript.inherited import (
    ARRAY_MEMBERS,
    INHERITED_MEMBERS,
    NUMBER_MEMBERS,
    OBJECT_MEMBERS,
    TEXT_MEMBERS,
)
from destinations.segment.javascript.values import UNDEFINED, NativeFunction, is_truthy

__all__ = ["Getter", "array_index", "entries", "getter", "member", "plain_keys"]

_LARGEST_INDEX: Final = 2**32 - 2
_MOST_STEPS: Final = 32  # each prepared step of a path takes memory for all the steps after it

# Methods with a newer alias report their first name.
_FIRST_NAMES: Final = {"trimLeft": "trimStart", "trimRight": "trimEnd"}

Getter = Callable[[Any], Any]


def array_index(key: str) -> int | None:
    """Return ``key`` as an array index (``"0"``, ``"12"``; not ``"01"``), else None."""
    if not (key.isascii() and key.isdigit()) or (key[0] == "0" and len(key) > 1) or len(key) > 10:
        return None
    index = int(key)
    return index if index <= _LARGEST_INDEX else None


def entries(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return ``Object.entries``: array indices first, ascending, then keys in insertion order."""
    if not any(key and key[0] in "0123456789" and array_index(key) is not None for key in value):
        return value.items()
    return sorted(value.items(), key=lambda entry: _rank(entry[0]))


def _rank(key: str) -> tuple[bool, int]:
    index = array_index(key)
    return (True, 0) if index is None else (False, index)


def member(value: Any, key: str) -> Any:
    """Return ``value[key]`` of a value that is not null or undefined; UNDEFINED if missing."""
    if isinstance(value, dict):
        return value[key] if key in value else _inherited(key, OBJECT_MEMBERS, "Object")
    if isinstance(value, list):
        if (index := array_index(key)) is not None:
            return value[index] if index < len(value) else UNDEFINED
        return len(value) if key == "length" else _inherited(key, ARRAY_MEMBERS, "Array")
    if isinstance(value, str):
        if (index := array_index(key)) is not None:
            unit = js_text.code_unit(value, index)
            return UNDEFINED if unit is None else unit
        return js_text.length(value) if key == "length" else _inherited(key, TEXT_MEMBERS, "String")
    if isinstance(value, NativeFunction):
        return value.name if key == "name" else _inherited(key, OBJECT_MEMBERS, "Function")
    if isinstance(value, bool):
        return _inherited(key, OBJECT_MEMBERS, "Boolean")
    return _inherited(key, NUMBER_MEMBERS, "Number")


def _inherited(key: str, names: frozenset[str], constructor: str) -> Any:
    if key not in names:
        return UNDEFINED
    return NativeFunction(constructor if key == "constructor" else _FIRST_NAMES.get(key, key))


def getter(keys: Sequence[str]) -> Getter:
    """Return a function that follows ``keys`` from a value and stops at the first falsy value.

    That falsy value is the result (``a.b`` of ``{"a": 0}`` is 0), as in
    ``keys.reduce((value, key) => value && value[key])``.
    """
    path = tuple(keys)
    if not path:
        return lambda value: value
    if len(path) > _MOST_STEPS or not INHERITED_MEMBERS.isdisjoint(path):
        return lambda value: _walk(value, path)
    if len(path) == 1:
        get = _one_step(path[0])
    elif len(path) == 2:
        get = _two_steps(path[0], path[1])
    elif len(path) == 3:
        get = _three_steps(path[0], path[1], path[2])
    else:
        get = _many_steps(path)
    _PLAIN_KEYS[get] = path
    return get


_PLAIN_KEYS: Final[WeakKeyDictionary[Getter, tuple[str, ...]]] = WeakKeyDictionary()


def plain_keys(get: Getter) -> tuple[str, ...] | None:
    """Return the keys that a function of `getter` follows; None for any other function.

    Through objects it only looks for keys: what is not there is undefined, and so is all in it.
    """
    return _PLAIN_KEYS.get(get) if isinstance(get, FunctionType) else None


def _walk(value: Any, keys: Sequence[str]) -> Any:
    if value is UNDEFINED:  # mostly something on the way is not there
        return value
    for key in keys:
        if not is_truthy(value):
            break
        value = member(value, key)
    return value


# The functions below walk plain objects, as most paths do, without a call for each step. All
# other values are left to _walk.


def _one_step(key: str) -> Getter:
    path = (key,)

    def get(value: Any) -> Any:
        if type(value) is dict:
            return value.get(key, UNDEFINED)
        return _walk(value, path)

    return get


def _two_steps(first: str, second: str) -> Getter:
    last = (second,)
    both = (first, second)

    def get(value: Any) -> Any:
        if type(value) is not dict:
            return _walk(value, both)
        value = value.get(first, UNDEFINED)
        if type(value) is dict:
            return value.get(second, UNDEFINED)
        return _walk(value, last)

    return get


def _three_steps(first: str, second: str, third: str) -> Getter:
    last = (third,)
    last_two = (second, third)
    all_three = (first, second, third)

    def get(value: Any) -> Any:
        if type(value) is not dict:
            return _walk(value, all_three)
        value = value.get(first, UNDEFINED)
        if type(value) is not dict:
            return _walk(value, last_two)
        value = value.get(second, UNDEFINED)
        if type(value) is dict:
            return value.get(third, UNDEFINED)
        return _walk(value, last)

    return get


def _many_steps(path: tuple[str, ...]) -> Getter:
    steps = tuple((key, path[at:]) for at, key in enumerate(path))

    def get(value: Any) -> Any:
        for key, rest in steps:
            if type(value) is not dict:
                return _walk(value, rest)
            value = value.get(key, UNDEFINED)
        return value

    return get
