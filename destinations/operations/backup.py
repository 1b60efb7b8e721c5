"""A copy of the store that is whole, made while others write to it.

The time of it is noted in a file next to the store, and not in it: a backup only reads.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from destinations.clock import unix_time
from destinations.errors import TemporaryError, UsageError
from destinations.store import (
    FILE_MODE,
    check_not_sidecar,
    copy_of,
    identity_path,
    is_full,
    is_missing,
    stored_version,
)

__all__ = ["back_up", "backed_up_at", "note_backup"]


def back_up(store: Path, target: Path) -> int:
    """Copy the store into the file ``target``, which only its owner can read; return its bytes.

    The copy is of one moment, checked, and takes the place of an earlier one at once or not at all.
    It is marked as a backup: it can be read like a store, and is never written to. Raises
    `UsageError` if there is no store, if ``target`` is something else than such a copy, or if the
    copy cannot be written; that one is a `TemporaryError` on a full disk, and a `StoreDamagedError`
    if the store is damaged.
    """
    if is_missing(store):
        raise UsageError(f"there is no store {store}")
    if not stored_version(store):
        raise UsageError(f"the store {store} is empty")
    check_not_sidecar(target)
    if target.exists() and (target.samefile(store) or not _is_copy(target)):
        msg = f"{target} is there already and is not a copy of a store; name another file"
        raise UsageError(msg)
    try:
        copy_of(store, target, marked_at=unix_time())
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else None
        kind = TemporaryError if is_full(error) else UsageError
        raise kind(f"cannot write the backup {target}: {why or error}") from None
    return target.stat().st_size


def note_backup(store: Path, now: float) -> None:
    """Note that the store was backed up at ``now``, in seconds since 1970.

    Raises OSError.
    """
    handle = os.open(_note_path(store), os.O_WRONLY | os.O_CREAT, FILE_MODE)
    try:
        # Always of one length, and less than a sector: an earlier note is replaced, or stays.
        os.write(handle, b"%012d\n" % now)
        os.fsync(handle)
    finally:
        os.close(handle)


def backed_up_at(store: Path) -> float:
    """Return when the store was backed up last, in seconds since 1970; 0 if not known."""
    with contextlib.suppress(OSError, ValueError):
        return float(_note_path(store).read_text("ascii"))
    return 0.0


def _note_path(store: Path) -> Path:
    store = store.resolve()  # a link to a store is that store
    return store.with_name(f"{store.name}.backed-up")


def _is_copy(path: Path) -> bool:
    """Return whether a file is a copy of a store, of any version, or empty.

    Not one in its place, nor another program's database.
    """
    if not path.is_file() or identity_path(path).exists():
        return False
    try:
        stored_version(path)
    except UsageError:
        return False
    return True
