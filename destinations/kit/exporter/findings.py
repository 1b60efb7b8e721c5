"""Collect what of a definition Segment's framework cannot say, with its place in the YAML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from destinations.definition.document import Document
from destinations.errors import DefinitionError, Issue
from destinations.kit.exporter.dotted_keys import paths_with
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["DESTINATION", "Findings", "RefusedExportError", "lost_names", "lost_numbers"]

_LOST: Final = "__proto__"

DESTINATION = "destination"
"""The stem of the file that describes the destination; those of actions are their slugs."""


class RefusedExportError(DefinitionError):
    """A definition is valid, and ``issues`` are what cannot be said at Segment."""

    def __init__(self, issues: Iterable[Issue]) -> None:
        super().__init__(issues)
        self.args = (f"{self}\n{_PARTIAL}",)


_PARTIAL: Final = (
    "Nothing is written. Add --partial to export the rest: an action that cannot be performed fails"
    " there with the status 501"
)


@dataclass(slots=True)
class Findings:
    """The findings of one export.

    What is ``refused`` stops it, unless it is partial. What is ``left_out`` is checked or done
    elsewhere, and only told.
    """

    documents: Mapping[str, Document]
    refused: list[Issue] = field(default_factory=list)
    left_out: list[Issue] = field(default_factory=list)

    def refuse(self, stem: str, path: str, message: str) -> Issue:
        """Note what cannot be said at all, at a JSON pointer of the file ``stem``; once each."""
        return self._add(self.refused, stem, path, message)

    def leave_out(self, stem: str, path: str, message: str) -> None:
        """Note what is not carried over and changes nothing of what is sent."""
        self._add(self.left_out, stem, path, message)

    def _add(self, found: list[Issue], stem: str, path: str, message: str) -> Issue:
        issue = self.documents[stem].issue(path, message)
        if issue not in found:
            found.append(issue)
        return issue


_PRECISE_BITS: Final = 53
_MOST_BITS: Final = 1024
"""The bits of numbers of JavaScript: those that they keep, and those of the largest one."""


def lost_numbers(data: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the places of whole numbers that JavaScript reads as other ones, and why."""
    if isinstance(data, int) and _is_other(data):
        yield place, f"JavaScript reads {data} as another number: write it as text"
    elif isinstance(data, Mapping):
        for key, one in data.items():
            if key != "examples":
                yield from lost_numbers(one, place + pointer(key))
    elif isinstance(data, list | tuple):
        for at, one in enumerate(data):
            yield from lost_numbers(one, place + pointer(at))


def _is_other(number: int) -> bool:
    bits = number.bit_length()
    return bits > _MOST_BITS or number % (1 << max(bits - _PRECISE_BITS, 0)) != 0


def lost_names(mapping: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the places of names that the framework's mappings take for the prototype, and why."""
    yield from _lost_keys(mapping, place)
    for at in paths_with(_is_lost, mapping):
        message = f"Segment's framework finds the prototype at {_LOST}: read another name"
        yield place + at, message


def _is_lost(path: str) -> bool:
    return _LOST in split_path(strip_root(path))


def _lost_keys(mapping: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(mapping, Mapping):
        for key, one in mapping.items():
            at = place + pointer(key)
            if key == _LOST:
                yield at, f"Segment's framework loses the name {key}: choose another one"
            yield from _lost_keys(one, at)
    elif isinstance(mapping, list | tuple):
        for number, one in enumerate(mapping):
            yield from _lost_keys(one, place + pointer(number))
