"""Remember which rows of a queue were seen, in a few bits each."""

from __future__ import annotations

from typing import Final

__all__ = ["RowSet"]

_BITS: Final = 12
"""The bits of an event's id that are its place in a chunk; ids of an input are consecutive."""


class RowSet:
    """Rows by the id of their event and their number among its rows."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[int, int], bytearray] = {}

    def add(self, event_id: int, nth: int) -> None:
        """Note a row."""
        key = nth, event_id >> _BITS
        chunk = self._chunks.get(key)
        if chunk is None:
            chunk = self._chunks[key] = bytearray(1 << (_BITS - 3))
        place = event_id & ((1 << _BITS) - 1)
        chunk[place >> 3] |= 1 << (place & 7)

    def has(self, event_id: int, nth: int) -> bool:
        """Return whether a row was noted."""
        chunk = self._chunks.get((nth, event_id >> _BITS))
        place = event_id & ((1 << _BITS) - 1)
        return chunk is not None and bool(chunk[place >> 3] & (1 << (place & 7)))
