"""Escapes what a mapping takes of an event for a field that declares ``x-escape``.

The partner reads such a field as markup. What the mapping itself says stays as it is, so that a
mapping may hold markup; what comes of the event is text, and means nothing to the partner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from destinations.definition.request_model import JsonSchema

__all__ = ["Escaping"]

_FIRST_MARK: Final = 0xFDD0
"""Where Unicode's noncharacters begin, which no text for others holds: 32 in a row."""

Mapped = Any


class Escaping:
    """The fields of an action that declare ``x-escape``, by which characters become what.

    The mapping sees an event in which each of these characters is one mark, and the marks of what
    it gives become what the field says. So whatever a mapping does with text between, such as
    changing its case or looking at its length, does nothing to an escape.
    """

    def __init__(self, fields: JsonSchema) -> None:
        properties: Mapping[str, Mapping[str, Any]] = fields["properties"]
        declared = {
            name: spec["x-escape"] for name, spec in properties.items() if spec.get("x-escape")
        }
        characters = sorted({one for escapes in declared.values() for one in escapes})
        marks = {one: chr(_FIRST_MARK + at) for at, one in enumerate(characters)}
        self._characters = frozenset(characters)
        self._marking = str.maketrans(marks)
        self._escapes = {
            name: str.maketrans({mark: escapes.get(one, one) for one, mark in marks.items()})
            for name, escapes in declared.items()
        }

    def changes(self, event: Mapping[str, Any]) -> bool:
        """Tell whether there is anything to escape in an event."""
        return bool(self._escapes) and self._holds(event)

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
        """Return what ``mapping`` makes of an event, escaped; raises `ResolveError` as it does."""
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
    """Return a copy of a JSON value with its texts translated, and its keys."""
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, dict):
        return {key.translate(table): _translated(item, table) for key, item in value.items()}
    if isinstance(value, list):
        return [_translated(item, table) for item in value]
    return value
