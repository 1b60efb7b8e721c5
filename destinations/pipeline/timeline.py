"""Count rows by the time at which they got their outcome, in a size that does not grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from destinations.outcome import Outcome, State, Status

__all__ = ["Timeline"]

_MOST: Final = 400
"""The steps between the first row and the last; with more of them, each becomes longer."""

_BY_NAME: Final[Mapping[str, Status]] = {one.value: one for one in (*Outcome, *State)}
# Milliseconds. Each is a multiple of the one before, so steps can be added up.
_STEPS: Final = (
    *(100, 200, 1_000, 2_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000),
    *(7_200_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000),
)


class Timeline:
    """Rows of a run by time and outcome, or state. One thread at a time.

    Times are in seconds since 1970. A step lasts 0.1 seconds at first, and longer the longer the
    run is; the first one begins at a multiple of its length.
    """

    def __init__(self) -> None:
        self._size = 0
        self._counts: dict[int, Counter[Status]] = {}

    @property
    def step(self) -> float:
        """The seconds of one step."""
        return _STEPS[self._size] / 1000

    @property
    def began(self) -> float:
        """When the first step began; 0 if there is none."""
        return min(self._counts, default=0) * _STEPS[self._size] / 1000

    def add(self, statuses: Sequence[Status], now: float) -> None:
        """Count rows that have these outcomes since now."""
        if not statuses:
            return
        at = round(now * 1000) // _STEPS[self._size]
        counts = self._counts.get(at)
        if counts is None:
            counts = self._counts[at] = Counter()
            counts.update(statuses)
            self._shorten()
        else:
            counts.update(statuses)

    def replace(self, old: Status, new: Status) -> None:
        """Count a row that had an outcome as one with another, at about its time."""
        for at in sorted(self._counts, reverse=True):
            if self._counts[at][old]:
                self._counts[at][old] -= 1
                self._counts[at][new] += 1
                return

    def values(self) -> Mapping[Status, Sequence[int]]:
        """Return the counts of each outcome and state that occurred, one for each step."""
        if not self._counts:
            return {}
        first, last = min(self._counts), max(self._counts)
        none: Counter[Status] = Counter()
        steps = [self._counts.get(at, none) for at in range(first, last + 1)]
        found = {status for counts in steps for status in +counts}
        return {one: [counts[one] for counts in steps] for one in _BY_NAME.values() if one in found}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        counts = {status.value: list(numbers) for status, numbers in self.values().items()}
        return {"began": self.began, "step": self.step, "counts": counts}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Return what `to_json` returned."""
        timeline = cls()
        step = round(found["step"] * 1000)
        timeline._size = _STEPS.index(step)
        first = round(found["began"] * 1000) // step
        for name, numbers in found["counts"].items():
            status = _BY_NAME[name]
            for at, number in enumerate(numbers, first):
                if number:
                    timeline._counts.setdefault(at, Counter())[status] = number
        return timeline

    def _shorten(self) -> None:
        """Add steps up until there are few enough; a clock that jumped may have made many."""
        while max(self._counts) - min(self._counts) >= _MOST and self._size < len(_STEPS) - 1:
            self._size += 1
            times = _STEPS[self._size] // _STEPS[self._size - 1]
            merged: dict[int, Counter[Status]] = {}
            for at, counts in self._counts.items():
                merged.setdefault(at // times, Counter()).update(counts)
            self._counts = merged
