"""Rows that a corrected event may replace are kept, however many they are."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest

from destinations.outcome import Outcome, Result
from destinations.pipeline.replaceable import Replaceable
from destinations.pipeline.report import Replaced, Row
from destinations.runtime.subscription_key import SubscriptionKey

KEY = SubscriptionKey("Counts", "count")


def _row(line: int, key: SubscriptionKey | None = KEY) -> Row:
    return Row(line, key, Result(Outcome.REJECTED, f"why {line}", "BAD"), f"m{line}")


@pytest.mark.parametrize("in_memory", [1, 3, 100])
def test_every_row_comes_back(in_memory: int) -> None:
    """In order, from memory and from the file: what was replaced before it came, or after."""
    kept = Replaceable(in_memory)
    kept.replace(Replaced("m1", 7))
    for line in range(10):
        kept.add(Replaced(f"m{line}", 7), _row(line, None if line % 2 else KEY))
    kept.replace(Replaced("m8", 7))
    kept.replace(Replaced("m2", 8))
    kept.replace(Replaced("m3", 7, is_refused=True))
    found = list(kept)
    assert [row for row, _ in found] == [
        _row(line, None if line % 2 else KEY) for line in range(10)
    ]
    assert [row.line for row, is_replaced in found if is_replaced] == [1, 8]
    kept.close()


class _Full:
    """A file that takes so many bytes."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.data = b""

    def seek(self, place: int, whence: int = 0) -> int:
        return len(self.data) if whence else place

    def write(self, data: Any) -> int:
        piece = bytes(data[: max(0, self._room - len(self.data))])
        if not piece:
            raise OSError(28, "No space left on device")
        self.data += piece
        return len(piece)

    def truncate(self, size: int) -> None:
        self.data = self.data[:size]

    def __iter__(self) -> Any:
        return iter(self.data.splitlines(keepends=True))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("room", [None, 0, 250, 600])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, room: int | None) -> None:
    """What cannot be written down stays in memory: no row is lost, none comes twice."""

    def made(**_: object) -> _Full:
        if room is None:
            raise OSError(28, "No space left on device")
        return _Full(room)

    monkeypatch.setattr(tempfile, "TemporaryFile", made)
    kept = Replaceable(2)
    for line in range(20):
        kept.add(Replaced(f"m{line}", 7), _row(line))
    assert [row for row, _ in kept] == [_row(line) for line in range(20)]
