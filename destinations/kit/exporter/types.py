"""Write ``generated-types.ts``, as the command-line tool of Segment's repository writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.kit.exporter.literals import member

__all__ = ["types_source"]

_HEAD: Final = "// Generated file. DO NOT MODIFY IT BY HAND.\n"
_TYPES: Final[Mapping[str, str]] = {
    "string": "string",
    "text": "string",
    "password": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "datetime": "string | number",
}


def types_source(name: str, fields: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the file with the interface ``name``."""
    return f"{_HEAD}\nexport interface {name} {_object(fields, 0, is_open=False)}\n"


def _object(fields: Mapping[str, Mapping[str, Any]], indent: int, *, is_open: bool) -> str:
    if not fields and not is_open:
        return "{}"
    space = " " * (indent + 2)
    lines = []
    for key, field in fields.items():
        lines += _comment(field.get("description"), space)
        optional = "" if field.get("required") is True else "?"
        lines.append(f"{space}{member(key)}{optional}: {_type(field, indent + 2)}")
    if is_open:
        lines.append(f"{space}[k: string]: unknown")
    return "{\n" + "\n".join(lines) + "\n" + " " * indent + "}"


def _comment(description: str | None, space: str) -> list[str]:
    if not description:
        return []
    text = description.replace("*/", "* /")
    return [
        f"{space}/**",
        *(f"{space} * {line}".rstrip() for line in text.split("\n")),
        f"{space} */",
    ]


def _type(field: Mapping[str, Any], indent: int) -> str:
    kind = field["type"]
    if kind == "object":
        properties = field.get("properties")
        found = (
            _object({}, indent, is_open=True)
            if properties is None
            else _object(properties, indent, is_open=bool(field.get("additionalProperties")))
        )
    else:
        found = _TYPES[kind]
    if field.get("multiple"):
        found = f"({found})[]" if " | " in found else f"{found}[]"
    return f"{found} | null" if field.get("allowNull") else found
