"""Removing empty values before a payload is checked.

A null goes where the type does not allow it, ``''`` where the type is not a string. What the schema
gives no type stays as it is, as do the insides of arrays; at the root ``''`` always goes. Nothing
goes where only a whole number is taken (``x-wholeNumber``): an empty amount is not an absent one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.validation.kinds import takes_whole_numbers

__all__ = ["Cleaner", "compile_cleaner", "compile_root_cleaner"]

Cleaner = Callable[[Any], Any]
"""Gives the value without what is empty in it; UNDEFINED if it is empty itself."""


def compile_root_cleaner(schema: Any) -> Cleaner:
    """Return the cleaner of a member of the payload itself with this schema.

    Fields of type array come as arrays: any other value except null becomes the one item.
    """
    clean = compile_cleaner(schema)
    kept_empty = _keeps_empty(schema)
    is_array = isinstance(schema, dict) and schema.get("type") == "array"

    def clean_member(value: Any) -> Any:
        if clean is not None:
            value = clean(value)
        if value == "" and not kept_empty:
            return UNDEFINED
        if (
            is_array
            and not isinstance(value, list)
            and value is not None
            and value is not UNDEFINED
        ):
            return [value]  # as Segment does
        return value

    return clean_member


def _keeps_empty(schema: Any) -> bool:
    """Return whether empty values of a field are judged like all others, and not taken out."""
    return isinstance(schema, dict) and takes_whole_numbers(schema)


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _cleaners(properties: Mapping[str, Any]) -> dict[str, Cleaner]:
    found = {key: compile_cleaner(schema) for key, schema in properties.items()}
    return {key: cleaner for key, cleaner in found.items() if cleaner is not None}


def compile_cleaner(schema: Any) -> Cleaner | None:
    """Return the cleaner of a value with this schema; None if nothing is ever removed from it."""
    if not isinstance(schema, dict) or not (schema.get("type") or schema.get("enum")):
        return None
    if _keeps_empty(schema):
        return None
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else types
    keeps_null, keeps_empty_text = "null" in types, "string" in types
    clean_object = _object_cleaner(schema)
    clean_array = _array_cleaner(schema)

    def clean(value: Any) -> Any:
        if value is None:
            return None if keeps_null else UNDEFINED
        if value == "":
            return "" if keeps_empty_text else UNDEFINED
        if clean_object is not None and isinstance(value, dict):
            return clean_object(value)
        if clean_array is not None and isinstance(value, list):
            return clean_array(value)
        return value

    return clean


def _object_cleaner(schema: Mapping[str, Any]) -> Cleaner | None:
    cleaners = tuple(_cleaners(_properties(schema)).items())
    if not cleaners:
        return None

    def clean(value: dict[str, Any]) -> dict[str, Any]:
        result = value
        for key, cleaner in cleaners:
            if key not in value:
                continue
            cleaned = cleaner(value[key])
            if cleaned is not value[key]:
                result = dict(value) if result is value else result
                if cleaned is UNDEFINED:
                    del result[key]
                else:
                    result[key] = cleaned
        return result

    return clean


def _array_cleaner(schema: Mapping[str, Any]) -> Cleaner | None:
    cleaner = compile_cleaner(schema.get("items"))
    if cleaner is None:
        return None

    def clean(value: list[Any]) -> list[Any]:
        kept = [item for item in value if cleaner(item) is not UNDEFINED]
        return value if len(kept) == len(value) else kept

    return clean
