"""Mask the secrets of all destinations in everything that a process shows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from destinations.secrets import MASK, Masker, Secret, reveal

__all__ = ["Masks"]


_FORMER: Final = 50
"""Each takes some 60 KB of memory, and a server may run for years."""


class Masks:
    """A `destinations.secrets.Masker` whose secrets can be exchanged.

    The last 50 secrets of earlier configurations stay masked, as answers and senders may still
    repeat them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._current: frozenset[str] = frozenset()
        self._former: list[str] = []
        self._masker = Masker()
        self.exchange(secrets)

    def exchange(self, secrets: Iterable[str]) -> None:
        """Mask these secrets, and the last ones that they replace."""
        with self._lock:
            current = frozenset(map(reveal, secrets))
            replaced = sorted(self._current - current)
            former = [each for each in self._former if each not in current]
            self._current, self._former = current, [*former, *replaced][-_FORMER:]
            self._masker = self._masker.exchanged([*self._current, *self._former])

    def text(self, text: str) -> str:
        """Return ``text`` with every secret masked."""
        return self._masker.text(text)

    def foreign(self, text: str) -> str:
        """Mask text that did not come from us; see `destinations.secrets.Masker.foreign`."""
        return self._masker.foreign(text)

    def plain(self, value: Any) -> Any:
        """Return a JSON value with secrets masked; objects of other types become text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(item) for item in value]
        return self.text(str(value))
