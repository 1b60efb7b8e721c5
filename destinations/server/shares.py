"""Share what is limited among destinations, so that none can take all of it from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

__all__ = ["Shares"]

_GUARANTEED: Final = 2
"""The whole divided by this is divided among the destinations."""


class Shares:
    """An amount of something, such as requests under way or bytes that are held.

    Half of ``total`` is divided equally among destinations: each can always have its share of it.
    What one takes beyond its share comes from the other half, first come, first served. ``least``
    is the smallest share that is of use; it may make shares larger than half of the whole.
    """

    def __init__(self, total: int, least: int = 1) -> None:
        self._total = total
        self._least = least
        self._taken: Counter[str] = Counter()

    def take(self, name: str, amount: int, names: Collection[str]) -> bool:
        """Take ``amount`` for one of the destinations ``names``; tell whether there was as much."""
        number = max(1, len(names))
        share = min(max(self._total // (_GUARANTEED * number), self._least), self._total // number)
        own = beyond = max(0, self._taken.get(name, 0) + amount - share)
        for other, taken in self._taken.items():
            if other != name:
                # What was taken for a destination that was removed has no share.
                beyond += max(0, taken - share) if other in names else taken
        is_there = not own or beyond <= self._total - share * number
        if is_there:
            self._taken[name] += amount
        return is_there

    def give_back(self, name: str, amount: int) -> None:
        """Give back some of what was taken."""
        self._taken[name] -= amount
        if not self._taken[name]:
            del self._taken[name]
