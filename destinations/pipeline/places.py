"""Places of entries: an input may be several files, whose lines are counted through."""

from __future__ import annotations

import bisect
from typing import NamedTuple

__all__ = ["Place", "Places"]


class Place(NamedTuple):
    """A line, from 1, of a file; ``file`` is empty where the input is a single file.

    ``number`` says which file of the input it is, from 0.
    """

    file: str
    line: int
    number: int = 0

    def __str__(self) -> str:
        """Return it in words: ``line 12`` or ``b.ndjson:12``."""
        return f"{self.file}:{self.line}" if self.file else f"line {self.line}"


class Places:
    """Finds the place of a line that is counted through all files of an input.

    An input that is a single file needs no name for it: then its lines are what they are.
    One thread may add a file while others look for the places of lines that were read before.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._starts: list[int] = []

    @property
    def are_several(self) -> bool:
        """Whether there is more than one file."""
        return bool(self._names)

    def begin(self, name: str, after: int) -> None:
        """Note that a file follows the line ``after`` of the input."""
        self._names.append(name)
        self._starts.append(after)

    def find(self, line: int) -> Place:
        """Return the place of a line."""
        number = bisect.bisect_left(self._starts, line) - 1
        if number < 0:
            return Place("", line)
        return Place(self._names[number], line - self._starts[number], number)
