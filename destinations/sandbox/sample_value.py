"""Make values that fit a JSON Schema, for payloads and answers without an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.sandbox.patterns import text_with

__all__ = ["sample"]

_FORMATS: Final = {
    "date": "2024-01-15",
    "date-like": "2024-01-15T12:00:00.000Z",
    "date-time": "2024-01-15T12:00:00.000Z",
    "email": "sample@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "6f1e0e9c-6a1b-4d5e-8f43-0a4b9c6d2e10",
}
_MAX_DEPTH: Final = 12


def sample(schema: Mapping[str, Any], name: str = "value", *, depth: int = 0) -> Any:
    """Return a value for ``schema`` from its ``examples``, ``const`` or ``enum``, else by its type.

    Objects have all declared properties. The caller must check that the value fits, as keywords
    that exclude values (``not``, conditions) are ignored.
    """
    given = [*schema.get("examples", ()), *schema.get("enum", ())]
    if "const" in schema or given:
        return schema.get("const", given[0] if given else None)
    for key in ("oneOf", "anyOf"):
        if schema.get(key) and depth < _MAX_DEPTH:
            return sample({**schema, key: (), **schema[key][0]}, name, depth=depth + 1)
    return _of_type(schema, name, depth)


def _of_type(schema: Mapping[str, Any], name: str, depth: int) -> Any:
    match _type(schema):
        case "string":
            return _text(schema, name)
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "array":
            return _array(schema, name, depth)
        case "null":
            return None
    return _object(schema, depth)


def _type(schema: Mapping[str, Any]) -> str:
    found = schema.get("type", "object")
    if isinstance(found, list):
        return next((str(one) for one in found if one != "null"), "null")
    return str(found)


def _text(schema: Mapping[str, Any], name: str) -> str:
    text = _FORMATS.get(schema.get("format", ""))
    if text is None and "pattern" in schema:
        text = text_with(schema["pattern"])
    if text is None:
        text = f"sample-{name}"
    text = text.ljust(schema.get("minLength", 0), "x")
    return text[: schema.get("maxLength", len(text))]


def _number(schema: Mapping[str, Any]) -> int | float:
    """Return 1 if that fits, else the bound that it exceeds."""
    found: int | float = 1
    for key, step in (("minimum", 0), ("exclusiveMinimum", 1)):
        found = max(found, schema[key] + step) if key in schema else found
    for key, step in (("maximum", 0), ("exclusiveMaximum", -1)):
        found = min(found, schema[key] + step) if key in schema else found
    return found


def _array(schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
    items, count = schema.get("items"), max(1, schema.get("minItems", 1))
    count = min(count, schema.get("maxItems", count))
    if depth >= _MAX_DEPTH or not isinstance(items, Mapping):
        return [f"sample-{name}"] * count
    return [sample(items, name, depth=depth + 1)] * count


def _object(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth >= _MAX_DEPTH:
        return {}
    properties: Mapping[str, Any] = schema.get("properties", {})
    found = {
        key: sample(spec, key, depth=depth + 1)
        for key, spec in properties.items()
        if isinstance(spec, Mapping)
    }
    # A required but undeclared property may have any value.
    return found | {key: f"sample-{key}" for key in schema.get("required", ()) if key not in found}
