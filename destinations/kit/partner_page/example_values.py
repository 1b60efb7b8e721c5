"""Give the fields of a made sample values as a customer's events have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["example_value"]

_BY_FORMAT: Final[Mapping[str, str]] = {
    "email": "ada@example.com",
    "uri": "https://www.example.com",
    "date-time": "2024-01-15T09:30:00Z",
    "date-like": "2024-01-15T09:30:00Z",
    "date": "2024-01-15",
}
_BY_TYPE: Final[Mapping[str, Any]] = {
    "integer": 1,
    "number": 9.5,
    "boolean": True,
    "array": [],
    "object": {},
}
# The last words of a field's name, the longest first.
_BY_NAME: Final[Mapping[str, str]] = {
    "first name": "Ada",
    "last name": "Lovelace",
    "company name": "Example Company",
    "plan name": "Pro",
    "product name": "Desk Lamp",
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "+1 202 555 0142",
    "city": "London",
    "country": "GB",
    "language": "en",
    "currency": "USD",
    "plan": "pro",
    "company": "Example Company",
    "url": "https://www.example.com",
}


def example_value(key: str, spec: Mapping[str, Any]) -> Any:
    """Return a value of the field ``key``: its first example, else one of its format or name."""
    if spec.get("examples"):
        return spec["examples"][0]
    if "enum" in spec:
        return spec["enum"][0]
    kind = spec.get("type")
    kind = str(kind[0] if isinstance(kind, list) else kind)
    items = spec.get("items")
    if kind == "array" and isinstance(items, dict) and items:
        return [example_value(re.sub("s$", "", key), items)]
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    return _BY_FORMAT.get(spec.get("format", "")) or _by_name(key)


def _by_name(key: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-. ]+", " ", key).lower().split()
    name = " ".join(words)
    for end, value in _BY_NAME.items():
        if name == end or name.endswith(f" {end}"):
            return value
    if words[-1:] == ["id"]:
        return "_".join([*words[:-1], "0042"])
    return " ".join(words).capitalize()
