"""Read a long list while its answer arrives, and keep only the items that are wanted.

The list of a partner's users may have 100 MB, of which an event needs two or three items. The whole
answer, and an object for each item, would take more memory than everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import jiter

__all__ = ["ListReader", "ReadItems", "Selection"]

_BLOCK_BYTES: Final = 256 * 1024
"""The bytes that are read before their items are; a shorter answer is read as a whole."""

_TAIL_BYTES: Final = 64 * 1024
_MOST_TRIES: Final = 8
"""Where a block may end: before one of the last objects that begin with the key of the first."""

_KEY: Final = rb'\{\s*("(?:[^"\\]|\\.)*")\s*:'


@dataclass(frozen=True, slots=True)
class Selection:
    """The items of a list that are wanted: those of which ``keys_of`` returns one of ``keys``.

    ``keys_of`` is a function of a module, so that the selections of several events can be joined.
    """

    keys_of: Callable[[Any], Iterable[Hashable]]
    keys: frozenset[Hashable]

    def takes(self, item: Any) -> bool:
        """Return whether an item is wanted; one that ``keys_of`` cannot read is."""
        try:
            return not self.keys.isdisjoint(self.keys_of(item))
        except (Exception, SystemExit):  # noqa: BLE001 - the error is one of the events that read the item
            return True

    def covers(self, other: Selection | None) -> bool:
        """Return whether this one takes all items that the other takes; None takes all."""
        return other is not None and self.keys_of == other.keys_of and self.keys >= other.keys

    @staticmethod
    def joined(selections: Iterable[Selection | None]) -> Selection | None:
        """Return a selection that covers all of these; None, which takes all items, if need be."""
        joined: Selection | None = None
        for one in selections:
            if one is None or (joined is not None and joined.keys_of != one.keys_of):
                return None
            joined = one if joined is None else replace(one, keys=joined.keys | one.keys)
        return joined


@dataclass(frozen=True, slots=True)
class ReadItems:
    """The wanted items of a list that are not in an answer's body any more, as they were read.

    ``path`` leads to the list, which begins with these items.
    """

    path: tuple[str, ...]
    items: list[Any]

    def put_back(self, body: Any) -> None:
        """Put the items at the beginning of their list; raises `ValueError` without a list."""
        found = body
        for name in self.path:
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, list):
            raise ValueError("the list is there twice")  # noqa: TRY004 - of the partner
        found[:0] = self.items


class ListReader:
    """The body of an answer with a list, of which all but the last items are read as they arrive.

    A place between two items is certain: what is before it is read as JSON, which fails within a
    text, and within an object or list of an item. An answer of another form is kept as it is, until
    it is complete.
    """

    def __init__(self, path: tuple[str, ...], only: Selection) -> None:
        opening = rb"\s*" + b"".join(
            rb"\{\s*" + re.escape(f'"{name}"'.encode()) + rb"\s*:\s*" for name in path
        )
        self._opening: Final = re.compile(opening + rb"\[(?=\s*" + _KEY + rb")")
        self._between = self._opening
        self._path = path
        self._only = only
        self._kept = bytearray()
        self._start: int | None = None
        self._next = _BLOCK_BYTES
        self._items: list[Any] = []

    def feed(self, piece: bytes) -> None:
        """Add the next piece of the body."""
        self._kept += piece
        if len(self._kept) >= self._next:
            self._next = len(self._kept) * 2
            if self._start is None:
                found = self._opening.match(self._kept)
                if found is None:
                    self._next = 1 << 62
                    return
                self._start = found.end()
                key = re.escape(found[1])
                self._between = re.compile(rb"\}\s*,(?=\s*\{\s*" + key + rb"\s*:)")
            self._read(self._start)

    def close(self) -> tuple[bytes, ReadItems | None]:
        """Return the rest of the body, as an answer of its own, and the items that were read."""
        items = ReadItems(self._path, self._items) if self._start is not None else None
        return bytes(self._kept), items

    def _read(self, start: int) -> None:
        for end in self._ends(start):
            try:
                items = jiter.from_json(b"[%b]" % bytes(self._kept[start:end]), allow_inf_nan=False)
            except ValueError:
                continue
            self._items += filter(self._only.takes, items)
            del self._kept[start : self._kept.index(b",", end) + 1]
            self._next = len(self._kept) + _BLOCK_BYTES
            return

    def _ends(self, start: int) -> Iterator[int]:
        """Yield places where an item may end, the last one first."""
        tail = max(start, len(self._kept) - _TAIL_BYTES)
        found = [match.start() + 1 for match in self._between.finditer(self._kept, tail)]
        yield from found[: -_MOST_TRIES - 1 : -1]
