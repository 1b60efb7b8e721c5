"""Escape an event's values in fields that declare ``x-escape``.

The partner reads such a field as markup. The mapping's own text stays unchanged, so a mapping may
contain markup; the event's values are escaped, so they are only text to the partner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from destinations.definition.request_model import JsonSchema

__all__ = ["Escaping"]

_FIRST_MARK: Final = 0xFDD0
"""The first of 32 noncharacters of Unicode, which no text is meant to contain."""

Mapped = Any


class Escaping:
    """The fields of an action that declare ``x-escape``, with their tables of characters.

    Before mapping, each such character in the event is replaced with one placeholder; afterwards,
    each placeholder is replaced with its escape. So a mapping that changes the case or measures the
    length of text never sees or damages an escape.
    """

    def __init__(self, fields: JsonSchema) -> None:
        properties: Mapping[str, Mapping[str, Any]] = fields["properties"]
        declared = {
            name: spec["x-escape"] for name, spec in properties.items() if spec.get("x-escape")
        }
        characters = sorted({one for escapes in declared.values() for one in escapes})
        marks = {one: chr(_FIRST_MARK + at) for at, one in enumerate(characters)}
        self.is_needed: Final = bool(declared)
        """Whether a field declares ``x-escape``."""
        self._characters = frozenset(characters)
        self._marking = str.maketrans(marks)
        self._escapes = {
            name: str.maketrans({mark: escapes.get(one, one) for one, mark in marks.items()})
            for name, escapes in declared.items()
        }

    def changes(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event contains a character to escape."""
        return self.is_needed and self._holds(event)

    def _holds(self, value: Any) -> bool:
        if isinstance(value, str):
            return not self._characters.isdisjoint(value)
        if isinstance(value, dict):
            return any(self._holds(one) for pair in value.items() for one in pair)
        if isinstance(value, list):
            return any(map(self._holds, value))
        return False

    def resolve(
        self, mapping: Callable[[Mapping[str, Any]], Mapped], event: Mapping[str, Any]
    ) -> Mapped:
        """Resolve ``mapping`` with the event's values escaped; raises `ResolveError` as it does."""
        mapped = mapping(event)
        if not self.changes(event) or not isinstance(mapped, dict):
            return mapped
        marked = mapping(_translated(event, self._marking))
        if not isinstance(marked, dict):
            return mapped
        escaped = dict(mapped)
        for name, table in self._escapes.items():
            escaped.pop(name, None)
            if name in marked:
                escaped[name] = _translated(marked[name], table)
        return escaped


def _translated(value: Any, table: dict[int, Any]) -> Any:
    """Return a copy of a JSON value with all texts and keys translated."""
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, dict):
        return {key.translate(table): _translated(item, table) for key, item in value.items()}
    if isinstance(value, list):
        return [_translated(item, table) for item in value]
    return value
