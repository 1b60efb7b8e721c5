"""Turn faults of a store's file into errors that say what can be done about them."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from destinations.errors import StoreDamagedError, StoreFullError, TemporaryError, UsageError
from destinations.pipeline.output import FULL
from destinations.store.write_health import ENOUGH_BYTES, free_bytes

__all__ = ["AT_LIMIT", "damaged", "failure", "is_full", "is_of_the_file", "roll_back"]

AT_LIMIT: Final = "the store has reached its size limit"
_NO_SPACE: Final = "no space left on its disk"

_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_NOT_WRITTEN: Final = FULL | {errno.EIO}
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_HELD: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def failure(what: str, path: Path, error: Exception, *, is_limited: bool = False) -> UsageError:
    """Return the error for a failure to ``what`` (use, read, write to) a store.

    ``is_limited`` says that its size has a limit, which may be what is reached.
    """
    if isinstance(error, TemporaryError | StoreDamagedError):
        return error
    cause = error.__cause__ or error
    if _code(cause) == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(cause))
    why = error.strerror if isinstance(error, OSError) else None
    message = f"cannot {what} the store {path}: {why or error}"
    if _code(cause) == sqlite3.SQLITE_NOTADB:
        return StoreDamagedError(f"{message}; it is damaged, or something else than a store")
    if is_full(cause):
        return _full(message, path, cause, is_limited=is_limited)
    return TemporaryError(message) if _code(cause) in _HELD else UsageError(message)


def _full(message: str, path: Path, cause: BaseException, *, is_limited: bool) -> StoreFullError:
    """Say whether the disk is full: SQLite has the same words for a limit, or worse ones."""
    free = free_bytes(path)
    is_small = free is not None and free < ENOUGH_BYTES
    if getattr(cause, "errno", None) in _NO_ROOM or (_code(cause) in _FULL and is_small):
        if isinstance(cause, sqlite3.Error) and message.endswith(f": {cause}"):
            message = f"{message.removesuffix(str(cause))}{_NO_SPACE} ({cause})"
        return StoreFullError(message, "the disk of the store is full")
    if _code(cause) == sqlite3.SQLITE_FULL:
        return StoreFullError(message, AT_LIMIT if is_limited else "the store is full")
    return StoreFullError(message, "the store cannot be written")


def damaged(path: Path, why: str) -> StoreDamagedError:
    """Return the error for a store whose content was changed or damaged."""
    return StoreDamagedError(
        f"the store {path} is damaged: {why}. Keep it, and restore a backup with destinations "
        "store restore, or name another store, which remembers nothing"
    )


def is_full(error: BaseException) -> bool:
    """Return whether room was missing for a file, or its disk failed: that may be temporary."""
    return _code(error) in _FULL or getattr(error, "errno", None) in _NOT_WRITTEN


def is_of_the_file(error: sqlite3.Error) -> bool:
    """Return whether the file is to blame for an error, and not the statement or its values."""
    is_damage = _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    return is_damage or isinstance(error, sqlite3.OperationalError)


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction without effect, if it is not ended yet.

    SQLite ends it by itself where the disk is full or fails. Ending it again would be another
    error, which hides the first one.
    """
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
