"""Know who was erased from a store: it notes that itself, and so does a file next to a file.

A copy of a file that is restored in its place loses them again by what is noted next to it. A
database has nothing next to it: what is put back there has whom it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from destinations.store import (
    Erasure,
    OpenStore,
    SqliteStore,
    erasures_stored,
    read_erasures_file,
    write_erasures_file,
)

__all__ = ["known_erasures", "note_erasures"]


def known_erasures(store: OpenStore) -> Sequence[Erasure]:
    """Return who was erased before, by the store and the file next to it."""
    stored = store.database.at_once(erasures_stored)
    noted = read_erasures_file(store.path) if isinstance(store, SqliteStore) else ()
    return list({one.id: one for one in (*noted, *stored)}.values())


def note_erasures(store: OpenStore, erasures: Iterable[Erasure]) -> None:
    """Note erasures next to a file, before they are done; durable. Raises as writing it does."""
    if isinstance(store, SqliteStore):
        write_erasures_file(store.path, list(erasures))
