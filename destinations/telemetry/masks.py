"""The secrets of all destinations of a process, kept out of everything that it shows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from destinations.secrets import MASK, Masker, Secret

__all__ = ["Masks"]


class Masks:
    """Like a `destinations.secrets.Masker` that learns of more secrets while it is used.

    Those that a configuration had before stay masked: what was sent with them may still come back.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._masker = Masker()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Masks these too, from now on."""
        with self._lock:
            # `str.join` gives the value of what shows itself as ***.
            self._known |= {"".join(secret) for secret in secrets}
            self._masker = Masker(self._known)

    def text(self, text: str) -> str:
        """``text`` with every secret replaced."""
        return self._masker.text(text)

    def foreign(self, text: str) -> str:
        """Mask a text of somebody else; see `destinations.secrets.Masker.foreign`."""
        return self._masker.foreign(text)

    def plain(self, value: Any) -> Any:
        """Return a JSON value without secrets: objects of other kinds as their text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(item) for item in value]
        return self.text(str(value))
