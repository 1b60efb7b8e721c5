"""Mask the secrets of all destinations in everything that a process shows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from destinations.secrets import MASK, Masker, Secret, reveal

__all__ = ["Masks"]


class Masks:
    """A `destinations.secrets.Masker` to which secrets can be added.

    Secrets of an earlier configuration stay masked, as answers may still repeat them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._masker = Masker()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these secrets as well."""
        with self._lock:
            self._known |= set(map(reveal, secrets))
            self._masker = Masker(self._known)

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
