"""Make the rows of an action's table of fields from the definition that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import ActionDefinition
from destinations.kit.partner_page.flavour import in_one_line

__all__ = ["FieldRow", "field_rows", "first_sources"]

_NO_DEFAULT: Final = object()


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field; ``sources`` are the paths of an event that its default mapping reads first.

    ``required`` is true only if an event without the field ends as invalid. ``default`` is the text
    of the value used if the event has none, empty without such a value.
    """

    key: str
    title: str
    sources: tuple[str, ...]
    required: bool
    description: str
    default: str

    @property
    def cell(self) -> str:
        """Return the event's paths as Markdown; the title if nothing is read by default."""
        return ", ".join(f"`{source}`" for source in self.sources) or self.title

    @property
    def sentence(self) -> str:
        """Return the description, followed by the default unless the description names it."""
        if not self.default or "default" in self.description.lower():
            return self.description
        return f"{self.description} Defaults to `{self.default}`."


def field_rows(action: ActionDefinition) -> list[FieldRow]:
    """Return the fields of ``action`` in the order of its definition."""
    properties: dict[str, dict[str, Any]] = action.fields["properties"]
    # An event without this field is kept, not refused, so for the customer it is optional.
    kept = action.unmapped.missing if action.unmapped else None
    return [
        FieldRow(
            key=key,
            title=spec["title"],
            sources=tuple(dict.fromkeys(filter(None, first_sources(spec.get("default"))))),
            required=key in action.fields.get("required", ()) and key != kept,
            description=in_one_line(spec["description"]),
            default=_default(spec.get("x-otherwise", spec.get("default", _NO_DEFAULT))),
        )
        for key, spec in properties.items()
    ]


def first_sources(mapping: object) -> Iterator[str]:
    """Yield the event paths that a mapping reads first, before any alternatives."""
    if isinstance(mapping, list):
        for item in mapping:
            yield from first_sources(item)
    elif isinstance(mapping, dict):
        for key, value in mapping.items():
            yield from _of_directive(key, value)


def _of_directive(key: str, value: Any) -> Iterator[str]:
    """Yield the paths that one directive reads, or one plain key of an object."""
    if key == "@path" and isinstance(value, str):
        yield value.removeprefix("$").removeprefix(".")
    elif key == "@template" and isinstance(value, str):
        for path in re.findall(r"\{\{\{?\s*([^{}\s]+)\s*\}?\}\}", value):
            yield path.removeprefix("$.")
    elif key == "@if":
        yield from first_sources(value.get("then") if isinstance(value, dict) else None)
    elif key == "@arrayPath" and isinstance(value, list):
        # Paths in the shape are relative to each item.
        yield from first_sources({"@path": value[0]} if isinstance(value[0], str) else value[0])
    elif key not in {"@literal", "_metadata"}:
        yield from first_sources(value)


def _default(mapping: object) -> str:
    """Return the literal fallback of a mapping, as text."""
    if isinstance(mapping, dict):
        other = mapping.get("@if", {}).get("else") if "@if" in mapping else None
        return "" if other is None or isinstance(other, dict | list) else str(other)
    return "" if mapping is _NO_DEFAULT or mapping is None else str(mapping)
