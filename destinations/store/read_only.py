"""A store that is only read: by whoever may read its file, and nothing is left beside it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from destinations.errors import UsageError
from destinations.store.database import Store
from destinations.store.files import is_missing
from destinations.store.reader import Reader, stored_version
from destinations.store.schema import MIGRATIONS

__all__ = ["ReadOnlyStore"]

_OLDEST: Final = 2
"""The version that brought the ledger: what came later can be read as if it were not there."""


class ReadOnlyStore(Store):
    """A store as it is: it is not made, not brought forward, and no lock is taken.

    Raises `UsageError` if there is none, if it is of another version than can be read, and for
    every `transaction`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if is_missing(path):
            raise UsageError(f"there is no store {path}")
        version = stored_version(path)
        if version > len(MIGRATIONS):
            msg = (
                f"cannot use the store {path}: it was written by a newer version of this package; "
                "update the package"
            )
            raise UsageError(msg)
        if version < _OLDEST:
            msg = (
                f"cannot read the store {path}: it is empty, or of an older version; "
                f"destinations store compact --store {path} brings it forward"
            )
            raise UsageError(msg)
        self._read = Reader(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Raises `UsageError`."""
        yield self._refused()

    def _refused(self) -> sqlite3.Connection:
        raise UsageError(f"cannot write to the store {self.path}: it was opened to be read only")

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query finds, of what was committed.

        Raises `UsageError` if the file is gone or cannot be read any more.
        """
        try:
            return self._read.all(query, values)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"cannot read the store {self.path}: {error}") from None

    def close(self) -> None:
        """Closes the file; safe to repeat."""
        self._read.close()
