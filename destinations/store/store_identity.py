"""Tell a store that is in its place from a copy that was put there, by a small file next to it.

The store and that file have the same uuid, and two numbers. ``starts`` rises by one at
each start that writes, in the store first: so the file may be one behind, after a crash. The next
start brings it up before it counts itself, so it is never two behind, however many starts are cut.
``writes`` rises with each commit; the file says it without being synced, so it may be behind, but
it never says more than the store, unless the store is older than it was.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from destinations.errors import UsageError
from destinations.store.failures import roll_back
from destinations.store.files import FILE_MODE, make_file, sync

__all__ = [
    "Identity",
    "IdentityFile",
    "begin",
    "check",
    "forget",
    "identity_path",
    "noted_time",
    "restoration_path",
    "stored_identity",
]

_LINE: Final = re.compile(rb"([0-9a-f]{32}) ([0-9]{16}) ([0-9]{16})\n")
_WRITES_AT: Final = 50
"""Where in the line the second number begins."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a store, with its numbers of starts and writes."""

    uuid: str
    starts: int
    writes: int


def identity_path(store: Path) -> Path:
    """Return the identity file of a store."""
    return store.with_name(f"{store.name}.identity")


def restoration_path(store: Path) -> Path:
    """Return where a store is made that is restored from a copy, until it takes its place."""
    return store.with_name(f".{store.name}.restored")


class IdentityFile:
    """The identity file of a store. Its methods are called while no other process can write."""

    def __init__(self, store: Path) -> None:
        self._path = identity_path(store)
        self._handle: int | None = None

    def read(self) -> Identity | None:
        """Return the identity in the file; None if it is missing or cannot be read."""
        try:
            found = _LINE.fullmatch(self._path.read_bytes())
        except FileNotFoundError:
            return None
        return None if found is None else Identity(found[1].decode(), int(found[2]), int(found[3]))

    @property
    def is_there(self) -> bool:
        """Whether there is such a file, whatever it says."""
        return self._path.exists()

    def write(self, identity: Identity) -> None:
        """Write all of it, durably. Raises OSError."""
        line = f"{identity.uuid} {identity.starts:016d} {identity.writes:016d}\n".encode()
        if not self.is_there:
            self._make(line)
            return
        handle = self._open()
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, line)  # less than a sector: all of it, or nothing
        os.ftruncate(handle, len(line))
        os.fsync(handle)

    def _make(self, line: bytes) -> None:
        """Make it under another name: a file that says nothing would be that of another store."""
        self.close()  # of one that was removed
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            new.unlink(missing_ok=True)  # of a process that was killed at this point
            make_file(new)
            new.write_bytes(line)
            sync(new)
            new.replace(self._path)
            sync(self._path.parent)
        finally:
            new.unlink(missing_ok=True)

    def wrote(self, writes: int) -> None:
        """Say how often the store was written by now; where that fails, it stays behind."""
        with contextlib.suppress(OSError):
            handle = self._open()
            os.lseek(handle, _WRITES_AT, os.SEEK_SET)
            os.write(handle, b"%016d" % writes)

    def remove(self) -> None:
        """Remove it, durably. Raises OSError."""
        self.close()
        self._path.unlink(missing_ok=True)
        sync(self._path.parent)

    def close(self) -> None:
        """Close it; safe to repeat."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        return self._handle


def stored_identity(connection: sqlite3.Connection) -> Identity | None:
    """Return the identity in a store; None in one of an earlier version."""
    if not _has_identity(connection):
        return None
    row = connection.execute("SELECT uuid, starts, writes FROM identity").fetchone()
    return None if row is None or not row[0] else Identity(*row)


def noted_time(connection: sqlite3.Connection) -> float | None:
    """Return the time of the store's own clock when it was written last."""
    (noted,) = connection.execute("SELECT max(noted_at) FROM identity").fetchone()
    return None if noted is None else float(noted)


def check(path: Path, stored: Identity | None, file: IdentityFile, *, is_empty: bool) -> None:
    """Raise `UsageError` if the identity file is of another store, or of a later state."""
    said = file.read()
    if stored is None:
        # A file that was begun says 0; what is empty is a new store.
        if is_empty or not file.is_there or (said is not None and said.starts == 0):
            return
        why = "the store is of an earlier version than the file next to it"
    elif said is None:
        why = f"{identity_path(path).name} next to it is missing"
        if file.is_there:
            why = f"{identity_path(path).name} next to it cannot be read"
    elif said.uuid != stored.uuid:
        why = f"{identity_path(path).name} next to it is that of another store"
    elif said.starts not in {stored.starts, stored.starts - 1}:
        why = f"it was started {stored.starts:,} times, and {said.starts:,} times in this place"
    elif said.writes > stored.writes:
        why = f"it is older than what was here: {said.writes - stored.writes:,} commits are missing"
    else:
        return
    if restoration_path(path).exists():
        why = (
            "a restoration in its place was interrupted; run the same destinations store restore "
            f"again ({why})"
        )
    raise UsageError(
        f"{why}. If it was moved here and is used nowhere else: "
        f"destinations store adopt --store {path}. If it is a copy: destinations store restore "
        f"{path} --to {path}"
    )


def forget(connection: sqlite3.Connection, file: IdentityFile) -> None:
    """Let a store start over as the one of its place; an older identity file no longer counts."""
    if _has_identity(connection):
        connection.execute("UPDATE identity SET uuid = '', starts = 0")
    file.remove()


def _has_identity(connection: sqlite3.Connection) -> bool:
    """Return whether a store can say something; one of an earlier version cannot."""
    query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'identity'"
    (found,) = connection.execute(query).fetchone()
    return bool(found)


def begin(connection: sqlite3.Connection, file: IdentityFile) -> None:
    """Count a start, in the store and then in the identity file; no other process can write."""
    stored = stored_identity(connection)
    if stored is None:
        stored = Identity(uuid4().hex, 0, 0)
        file.write(stored)  # first, so that the store is never without it
    else:
        said = file.read()
        if said is not None and said.starts < stored.starts:
            file.write(stored)  # a start was cut; if this one is as well, it is one behind again
    begun = replace(stored, starts=stored.starts + 1)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "INSERT INTO identity (one, uuid, starts, writes) VALUES (1, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET uuid = excluded.uuid, starts = excluded.starts",
            (begun.uuid, begun.starts, begun.writes),
        )
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
    file.write(begun)
