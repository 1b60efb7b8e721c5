"""Recognise the sidecar files of a store by their names: nothing else may be written there.

SQLite takes a file with such a name for its own, whatever is in it: it would carry out a copy of a
store that is called like its journal, or delete it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from destinations.errors import UsageError
from destinations.store.open_files import close_file, open_file

__all__ = ["check_not_sidecar", "store_of_sidecar"]

_SIDECAR: Final = re.compile(
    r"(?P<store>.+?)(-wal|-shm|-journal|\.lock|\.serving|\.identity|\.backed-up|\.erasures|\.(run|account|oauth2)-\d+)"
)
_SQLITE: Final = b"SQLite format 3\0"


def store_of_sidecar(path: Path) -> Path | None:
    """Return the store, or other database, whose sidecar has this name; None for none."""
    found = _SIDECAR.fullmatch(path.name)
    if found is None:
        return None
    store = path.with_name(found["store"])
    return store if _is_database(store) else None


def _is_database(path: Path) -> bool:
    if not path.is_file():  # a pipe would have to be waited for
        return False
    try:
        handle = open_file(path)
    except OSError:
        return False
    try:
        return os.read(handle, len(_SQLITE)) == _SQLITE
    except OSError:
        return False
    finally:
        close_file(handle)  # this process may have the store open


def check_not_sidecar(path: Path) -> None:
    """Raise `UsageError` where a file is to be written that would belong to a store."""
    store = store_of_sidecar(path)
    if store is not None:
        raise UsageError(
            f"cannot write {path}: a file of this name belongs to the store {store}; "
            "name another one"
        )
