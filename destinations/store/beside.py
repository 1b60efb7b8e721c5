"""Tells which files beside a store belong to it, by their names: nothing else may be written there.

SQLite takes a file with such a name for its own, whatever is in it: it would carry out a copy of a
store that is called like its journal, or delete it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from destinations.errors import UsageError

__all__ = ["check_not_beside_store", "store_beside"]

_BESIDE: Final = re.compile(
    r"(?P<store>.+?)(-wal|-shm|-journal|\.lock|\.serving|\.identity|\.(run|account)-\d+)"
)
_SQLITE: Final = b"SQLite format 3\0"


def store_beside(path: Path) -> Path | None:
    """Return the store, or other database, that a file of this name belongs to; None for none."""
    found = _BESIDE.fullmatch(path.name)
    if found is None:
        return None
    store = path.with_name(found["store"])
    try:
        with store.open("rb") as file:
            is_database = file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return None
    return store if is_database else None


def check_not_beside_store(path: Path) -> None:
    """Raise `UsageError` where a file is to be written that would belong to a store."""
    store = store_beside(path)
    if store is not None:
        raise UsageError(
            f"cannot write {path}: a file of this name belongs to the store {store}; "
            "name another one"
        )
