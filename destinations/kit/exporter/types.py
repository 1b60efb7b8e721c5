"""Write ``generated-types.ts``, as the command-line tool of Segment's repository writes it.

That tool makes JSON Schemas of the fields and TypeScript of those, and some of what fields say is
lost on the way: null for lists and for objects with properties, that a datetime of the top is a
list, and ``required`` of all properties of an object where one is required under conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.kit.exporter.literals import text

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
_CONSTANTS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (bool, "boolean"),
    ((int, float), "number"),
    (str, "string"),
)
"""The types of constants, in the order in which their tool names several of a field."""

_SPACE: Final = (
    "\t\n\v\f\r \N{NO-BREAK SPACE}\N{ZERO WIDTH NO-BREAK SPACE}\N{OGHAM SPACE MARK}"
    "\N{EN QUAD}\N{EM QUAD}\N{EN SPACE}\N{EM SPACE}\N{THREE-PER-EM SPACE}\N{FOUR-PER-EM SPACE}"
    "\N{SIX-PER-EM SPACE}\N{FIGURE SPACE}\N{PUNCTUATION SPACE}\N{THIN SPACE}\N{HAIR SPACE}"
    "\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}\N{NARROW NO-BREAK SPACE}"
    "\N{MEDIUM MATHEMATICAL SPACE}\N{IDEOGRAPHIC SPACE}"
)
"""What JavaScript trims."""


def types_source(name: str, fields: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the file with the interface ``name``."""
    return f"{_HEAD}\nexport interface {name} {_object(fields, 0)}\n"


def _object(
    fields: Mapping[str, Mapping[str, Any]], indent: int, parent: Mapping[str, Any] | None = None
) -> str:
    """Return the type of an object; ``parent`` is the field that has these as properties."""
    is_open = parent is not None and bool(parent.get("additionalProperties"))
    if not fields and not is_open:
        return "{}"
    is_lax = parent is not None and _is_lax(fields)
    space = " " * (indent + 2)
    lines = []
    for key, field in fields.items():
        lines += _comment(field.get("description"), space)
        optional = "" if field.get("required") is True and not is_lax else "?"
        kind = _type(field, indent + 2, is_top=parent is None)
        lines.append(f"{space}{_member(key)}{optional}: {kind}")
    if is_open:
        lines.append(f"{space}[k: string]: unknown")
    return "{\n" + "\n".join(lines) + "\n" + " " * indent + "}"


def _is_lax(properties: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a property is required under conditions."""
    return any(isinstance(one.get("required"), Mapping) for one in properties.values())


def _has_rules(properties: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether an object has an object with such a property: then it is of any type there."""
    return not _is_lax(properties) and any(
        one["type"] == "object" and _is_lax(one.get("properties") or {})
        for one in properties.values()
    )


def _member(key: str) -> str:
    """Return a name; Prettier leaves letters of all alphabets unquoted, but none beyond 0xFFFF."""
    is_name = key.replace("$", "_").isidentifier() and max(key) <= "\uffff"
    return key if is_name else text(key)


def _comment(description: str | None, space: str) -> list[str]:
    if not description:
        return []
    lines = description.replace("*/", "* /").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [
        f"{space}/**",
        *(f"{space} * {line}".rstrip(_SPACE) for line in lines),
        f"{space} */",
    ]


def _type(field: Mapping[str, Any], indent: int, *, is_top: bool) -> str:
    kind = field["type"]
    is_list = bool(field.get("multiple"))
    properties = field.get("properties") if kind == "object" else None
    if properties is not None and not _has_rules(properties):
        found = _object(properties, indent, field)
    elif kind == "object":
        found = _object({}, indent, {"additionalProperties": True})
    else:
        found = _TYPES[kind]
    if kind == "datetime" and is_top:
        # Their tool gives this type by hand, and does not think of lists.
        return f"{found} | null" if field.get("allowNull") else found
    if is_list:
        found = f"({found})[]" if kind == "datetime" else f"{found}[]"
    elif kind == "datetime" or (field.get("allowNull") and properties is None):
        return f"{found} | null" if field.get("allowNull") else found
    other = next(
        (name for kinds, name in _CONSTANTS if isinstance(field.get("default"), kinds)), ""
    )
    return _both(other, found, indent, is_object=kind == "object") if other else found


def _both(other: str, found: str, indent: int, *, is_object: bool) -> str:
    """Return the type of a field whose default is a constant of type ``other``.

    Their tool reads both types, and of an object that is no list only that of the default.
    """
    order = [name for _, name in _CONSTANTS]
    if found in order:
        return " & ".join(sorted({other, found}, key=order.index))
    if not is_object:
        return f"{other} & {found}"
    if not found.endswith("[]"):
        return other
    space = "\n" + " " * (indent + 2)
    return f"{other} &{space}" + found.replace("\n", "\n  ")
