"""A copy of the store that is whole, made while others write to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from destinations.errors import UsageError
from destinations.store import Reader, is_missing, stored_version

__all__ = ["back_up"]


def back_up(store: Path, target: Path) -> int:
    """Copies the store into the file ``target``, which only its owner can read; returns its bytes.

    The copy is of one moment, checked, and takes the place of an earlier one at once or not at all.
    Raises `UsageError` if there is no store, if ``target`` is something else than such a copy, or
    if the copy cannot be written or is damaged.
    """
    if is_missing(store):
        raise UsageError(f"there is no store {store}")
    if not stored_version(store):
        raise UsageError(f"the store {store} is empty")
    if target.exists() and (target.samefile(store) or not _is_store(target)):
        msg = f"{target} is there already and is no copy of a store; name another file"
        raise UsageError(msg)
    try:
        # mkstemp makes it readable for its owner alone.
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UsageError(f"cannot write the backup {target}: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        _copy(store, temporary)
        _sync(temporary)
        size = temporary.stat().st_size
        temporary.replace(target)
        _sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"cannot write the backup {target}: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return size


def _is_store(path: Path) -> bool:
    """Also one of another version, and an empty file; but not another program's database."""
    if not path.is_file():
        return False
    try:
        stored_version(path)
    except UsageError:
        return False
    return True


def _copy(store: Path, temporary: Path) -> None:
    with (
        contextlib.closing(Reader(store)) as reader,
        contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as copy,
    ):
        # In one step: with several, every write of somebody else would begin the copy anew.
        reader.run(lambda source: source.backup(copy))
        # One file by itself: the store turns the journal on again when it opens it.
        copy.execute("PRAGMA journal_mode = DELETE")
        faults = [fault for (fault,) in copy.execute("PRAGMA integrity_check")]
    if faults != ["ok"]:
        raise sqlite3.DatabaseError(f"the copy is damaged: {'; '.join(faults[:3])}")


def _sync(path: Path) -> None:
    """Makes a file or the names in a directory durable, where the system can."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
