"""What went wrong with a store's file, as the error that says what can be done about it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from destinations.errors import TemporaryError, UsageError
from destinations.pipeline.queue import StoreDamagedError, StoreFullError

__all__ = ["damaged", "failure", "is_of_the_file"]

_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_HELD: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def failure(what: str, path: Path, error: Exception) -> UsageError:
    """Return the error of somebody who wanted to ``what`` (use, read, write to) a store."""
    if isinstance(error, TemporaryError | StoreDamagedError):
        return error
    cause = error.__cause__ or error
    if _code(cause) == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(cause))
    why = error.strerror if isinstance(error, OSError) else None
    message = f"cannot {what} the store {path}: {why or error}"
    if _code(cause) == sqlite3.SQLITE_NOTADB:
        return StoreDamagedError(f"{message}; it is damaged, or something else than a store")
    if _code(cause) in _FULL or getattr(cause, "errno", None) == errno.ENOSPC:
        return StoreFullError(message)
    return TemporaryError(message) if _code(cause) in _HELD else UsageError(message)


def damaged(path: Path, why: str) -> StoreDamagedError:
    """Return the error that tells of a store whose content is not what was written."""
    return StoreDamagedError(
        f"the store {path} is damaged: {why}. Keep it, and restore a backup with destinations "
        "store restore, or name another store, which remembers nothing"
    )


def is_of_the_file(error: sqlite3.Error) -> bool:
    """Tell whether the file is to blame for an error, and not the statement or its values."""
    is_damage = _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    return is_damage or isinstance(error, sqlite3.OperationalError)


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
