"""A copy of the store that is whole, made while others write to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from destinations.errors import UsageError
from destinations.store import copy_of, is_missing, stored_version

__all__ = ["back_up"]


def back_up(store: Path, target: Path) -> int:
    """Copy the store into the file ``target``, which only its owner can read; return its bytes.

    The copy is of one moment, checked, and takes the place of an earlier one at once or not at all.
    Raises `UsageError` if there is no store, if ``target`` is something else than such a copy, or
    if the copy cannot be written or is damaged.
    """
    if is_missing(store):
        raise UsageError(f"there is no store {store}")
    if not stored_version(store):
        raise UsageError(f"the store {store} is empty")
    if target.exists() and (target.samefile(store) or not _is_store(target)):
        msg = f"{target} is there already and is not a copy of a store; name another file"
        raise UsageError(msg)
    try:
        copy_of(store, target)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"cannot write the backup {target}: {error}") from None
    return target.stat().st_size


def _is_store(path: Path) -> bool:
    """Tell whether a file is a store, of any version, or empty; not another program's database."""
    if not path.is_file():
        return False
    try:
        stored_version(path)
    except UsageError:
        return False
    return True
