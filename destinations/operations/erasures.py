"""Know who was erased from a store: it notes that itself, and so does a file beside it.

A copy that is restored in its place loses them again by what is noted there. Of a database the file
is in the state folder of the user who erased them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from destinations.errors import UsageError
from destinations.operations.seen import state_path
from destinations.store import (
    Erasure,
    OpenStore,
    SqliteStore,
    erasures_stored,
    make_folder,
    read_erasures_file,
    write_erasures_file,
)

__all__ = ["known_erasures", "note_erasures"]


def known_erasures(store: OpenStore) -> Sequence[Erasure]:
    """Return who was erased before, by the store and the file beside it."""
    stored = store.database.at_once(erasures_stored)
    path = _path(store)
    noted = () if path is None else read_erasures_file(path)
    return list({one.id: one for one in (*noted, *stored)}.values())


def note_erasures(store: OpenStore, erasures: Iterable[Erasure]) -> None:
    """Note erasures beside a store, before they are done; durable.

    Raises as writing the file does, for a store that is one; for a database, where it can be done.
    """
    path = _path(store)
    if isinstance(store, SqliteStore):
        write_erasures_file(store.path, list(erasures))
    elif path is not None:
        with contextlib.suppress(OSError, UsageError):
            make_folder(path.parent)
            write_erasures_file(path, list(erasures))


def _path(store: OpenStore) -> Path | None:
    return store.path if isinstance(store, SqliteStore) else state_path(store)
