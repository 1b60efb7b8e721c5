"""Types of JSON Schema: what is of a type, and what is turned into one.

The rules are those of ajv with ``coerceTypes: "array"``, which the reference runtime uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from destinations.segment.javascript.json_text import stringify
from destinations.segment.javascript.numbers import (
    number_to_string,
    plain_number,
    to_number,
    whole_number,
)
from destinations.segment.javascript.values import NativeFunction, article, type_name

__all__ = [
    "TYPES",
    "WRONG",
    "Converter",
    "converter",
    "counted",
    "describe",
    "describe_wanted",
    "is_number",
    "takes_whole_numbers",
    "to_whole_number",
]


class _Wrong:
    """The type of :data:`WRONG`."""

    def __repr__(self) -> str:
        return "WRONG"


WRONG: Final = _Wrong()
"""What a converter gives for a value that is not of the type and cannot be turned into it."""

Converter = Callable[[Any], Any]
_LONGEST_TEXT: Final = 60


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe(value: Any) -> str:
    """Return a value for an error message: scalars as JSON, cut when long, others by their type.

    A number that is too large for JavaScript, which JSON would show as null, has its own digits.
    """
    if isinstance(value, dict | list | NativeFunction):
        return article(type_name(value))
    return describe_wanted(value)


def describe_wanted(value: Any) -> str:
    """Return a value of a schema for an error message: as JSON, cut when long."""
    if isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif isinstance(value, float):
        text = number_to_string(value)
    else:
        text = str(stringify(value))
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


def is_number(value: object) -> bool:
    """Return whether ``value`` is a finite number, which JSON Schema does not take booleans for."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _is_integer(value: object) -> bool:
    return is_number(value) and (isinstance(value, int) or float(value).is_integer())  # type: ignore[arg-type]  # it is a number


TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": is_number,
    "integer": _is_integer,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def converter(types: Sequence[str]) -> Converter:
    """Return a function that gives a value in one of ``types`` (in their order), or WRONG.

    Values of one of the types stay; integers of type integer come as ``int``. An array of one
    item stands for the item.
    """
    if len(types) == 1 and types[0] in _FAST:
        return _FAST[types[0]]
    checks = tuple(TYPES[name] for name in types)
    coercions = tuple(_COERCIONS[name] for name in types if name in _COERCIONS)
    only_integers = "integer" in types and "number" not in types
    # Of several types at once no item of an array is, as ajv looks at it: it is coerced right away.
    takes_items = len(set(types) - ({"integer"} if "number" in types else set())) == 1

    def convert(value: Any) -> Any:
        if any(check(value) for check in checks):
            return _as_integer(value) if only_integers else value
        if not coercions:
            return WRONG
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
            if takes_items and any(check(value) for check in checks):
                return _as_integer(value) if only_integers else value
        for coerce in coercions:
            coerced = coerce(value)
            if coerced is not WRONG:
                return coerced
        return WRONG

    return convert


def _as_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) else value


def _to_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_to_string(value)
    return "" if value is None else WRONG


def _to_number(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return int(value or 0)
    if isinstance(value, str) and value:
        whole = whole_number(value)
        if whole is not None:
            return whole
        number = to_number(value)
        return WRONG if math.isnan(number) else plain_number(number)
    return WRONG


def _to_integer(value: Any) -> Any:
    number = _to_number(value)
    if isinstance(number, float):
        # Infinity has no remainder to object to, and so passes in ajv.
        if not (math.isinf(number) or number.is_integer()):
            return WRONG
        return number if math.isinf(number) else int(number)
    return number


def takes_whole_numbers(schema: Mapping[str, Any]) -> bool:
    """Return whether integers are taken only as they were meant: by `to_whole_number`."""
    return bool(schema.get("x-wholeNumber")) and schema.get("type") == "integer"


def to_whole_number(value: Any) -> Any:
    """Return a whole number, or its digits as text, as ``int``; WRONG for anything else.

    Other values can be turned into integers, but a blank was not meant as 0, nor true as 1.
    """
    if isinstance(value, str):
        whole = whole_number(value)
        return WRONG if whole is None else whole
    return _as_integer(value) if _is_integer(value) else WRONG


def _to_boolean(value: Any) -> Any:
    if value is None or value == "false":
        return False
    if value == "true":
        return True
    if isinstance(value, int | float) and value in {0, 1}:
        return bool(value)
    return WRONG


def _to_null(value: Any) -> Any:
    if value == "" or (isinstance(value, int | float) and value == 0):
        return None
    return WRONG


def _to_array(value: Any) -> Any:
    return WRONG if isinstance(value, dict | list) else [value]


_COERCIONS: Final[Mapping[str, Converter]] = {
    "string": _to_text,
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "null": _to_null,
    "array": _to_array,
}

# The types of most fields, without a loop for the values that need nothing done.


def _one_item(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _text(value: Any) -> Any:
    if type(value) is str:
        return value
    value = _one_item(value)
    return value if isinstance(value, str) else _to_text(value)


def _number(value: Any) -> Any:
    if type(value) is int:
        return value
    value = _one_item(value)
    return value if is_number(value) else _to_number(value)


def _integer(value: Any) -> Any:
    if type(value) is int:
        return value
    value = _one_item(value)
    return _as_integer(value) if _is_integer(value) else _to_integer(value)


def _boolean(value: Any) -> Any:
    if value is True or value is False:
        return value
    value = _one_item(value)
    return value if isinstance(value, bool) else _to_boolean(value)


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else WRONG


def _array(value: Any) -> Any:
    return value if isinstance(value, list) else _to_array(value)


_FAST: Final[Mapping[str, Converter]] = {
    "string": _text,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "object": _object,
    "array": _array,
}
