"""Make a file that was copied or moved usable as a store where it is.

In one that is restored from a copy, nothing is sent as if nothing had happened since.
"""

from __future__ import annotations

import contextlib
import glob
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from destinations.clock import Clock, SystemClock
from destinations.errors import TemporaryError, UsageError
from destinations.operations.erasures import known_erasures
from destinations.operations.locks import lock_server
from destinations.operations.moving import await_no_workers
from destinations.postgres import PostgresAddress, open_at
from destinations.store import (
    MOVED_TO,
    Erased,
    Erasure,
    SqliteStore,
    apply_erasures,
    check_store_path,
    copied_at,
    copy_of,
    erasures_stored,
    fold_log,
    has_log_of_another,
    identity_path,
    is_backup,
    is_full,
    is_missing,
    is_newer,
    latest_acceptance,
    make_file,
    make_folder,
    mark_restored,
    note_gap,
    read_erasures_file,
    read_once,
    restoration_path,
    stored_uuid,
    stored_version,
    sync,
    unmark,
    why_newer,
    write_erasures_file,
)

__all__ = ["Restoration", "adopt", "restore", "restore_in_place"]


@dataclass(frozen=True, slots=True)
class Restoration:
    """The number of ``open`` deliveries of a copy; events accepted after ``copied_at`` are unknown.

    ``is_backup`` says that the copy says when it was made; else that is when its latest event was
    accepted. ``erased`` is what was erased of users who were erased after the copy was made.
    """

    open: int
    copied_at: float
    is_backup: bool
    erased: Erased = field(default_factory=Erased)


def adopt(path: Path) -> None:
    """Make a store that was moved usable where it is now; it must be used nowhere else.

    It gets another uuid, so that what stayed where it came from is recognised as another one.
    Raises `TemporaryError` if a process delivers from it, `UsageError` for a backup.
    """
    with lock_server(path):
        SqliteStore(path, adopt=True).close()


def restore(backup: Path, target: Path, now: float, *, hold_gap: bool = True) -> Restoration:
    """Make a store of a copy: a backup, or any other copy of a store's file.

    The store and its identity file are new, whatever was in that place before. All that was open is
    marked, and events of the time from the copy until ``now`` are held, unless ``hold_gap`` is
    False. No partner is asked. Users who were erased from what was in that place are erased from
    the copy before it can be opened there. Raises `UsageError` if it is not a copy of a store, or
    cannot be written, as another backup, and `TemporaryError` on a full disk, or if a process
    delivers from the target.
    """
    check_store_path(target)
    check_store_path(backup)
    if is_missing(backup):
        raise UsageError(f"there is no backup {backup}")
    if has_log_of_another(backup):
        msg = (
            f"cannot restore {backup}: the log of another file is next to it; remove the files "
            f"{backup.name}-wal and {backup.name}-shm"
        )
        raise UsageError(msg)
    version = stored_version(backup)
    if not version:
        raise UsageError(f"the backup {backup} is empty")
    if is_newer(version):
        raise UsageError(f"cannot restore {backup}: {why_newer(version)}")
    target = target.resolve()
    if _is_other_backup(backup, target):
        msg = (
            f"cannot restore {backup} to {target}: that is a backup itself, and nothing writes to "
            "one; name another file, or move it away"
        )
        raise UsageError(msg)
    is_new = False

    def make(path: Path) -> None:
        """Make an empty file: no process makes a new store there, even if this one is killed."""
        nonlocal is_new
        is_new = is_missing(path)
        make_file(path)

    try:
        make_folder(target.parent)
        with lock_server(target, make):
            try:
                return _restore(backup, target, now, hold_gap=hold_gap)
            except BaseException:
                if is_new and not target.stat().st_size:
                    target.unlink()
                raise
    except (OSError, sqlite3.Error) as error:
        kind = TemporaryError if is_full(error) else UsageError
        raise kind(f"cannot restore {backup} to {target}: {error}") from None


def restore_in_place(
    address: PostgresAddress, now: float, *, hold_gap: bool = True, clock: Clock | None = None
) -> Restoration:
    """Say of a database that it was put back to the time of its latest event; see `restore`.

    Servers that have seen a later state deliver from it again. Raises `TemporaryError` while a
    process delivers from it or receives.
    """
    with open_at(address) as store:
        await_no_workers(store, clock or SystemClock())
    from destinations.postgres.store import PostgresStore  # noqa: PLC0415 - with an extra

    with PostgresStore(address, alone=True) as store:
        store.queue().recover(store.accounts().scopes(), 0.0)
        erased = apply_erasures(store.database, store.uuid, known_erasures(store), now)
        with store.database.transaction() as connection:
            since = latest_acceptance(connection) or now
            waiting = mark_restored(connection, since)
            note_gap(connection, since, now, held=hold_gap)
            connection.execute(
                "UPDATE identity SET starts = max(starts + 1, ?)", (round(time.time()),)
            )
        return Restoration(waiting, since, is_backup=False, erased=erased)


def _is_other_backup(backup: Path, target: Path) -> bool:
    """Return whether a target is a backup, and neither this one nor in the place of a store.

    One that was copied over a store has that store's identity file next to it.
    """
    if not is_backup(target) or identity_path(target).exists():
        return False
    return not target.samefile(backup)


def _restore(backup: Path, target: Path, now: float, *, hold_gap: bool) -> Restoration:
    made = restoration_path(target)
    _remove(made)  # of a process that was killed
    try:
        made_at = copied_at(backup)
        copy_of(backup, made)
        unmark(made)
        erasures = _known_erasures(target)
        uuid = stored_uuid(made)
        with SqliteStore(made, adopt=True) as store:
            store.queue().recover(store.accounts().scopes(), 0.0)
            erased = _erase(store, uuid, erasures, now)
            erasures = store.database.at_once(erasures_stored)
            found = replace(_mark(store, made_at, now, hold_gap=hold_gap), erased=erased)
        fold_log(made)  # closing it does not report missing room
        if backup.samefile(target):
            fold_log(target)  # if this process is killed now, it is all that there is to restore
        if erasures:  # the next copy that is restored here has to lose them, too
            write_erasures_file(target, erasures)
        # From here on, what is in the place is refused until all is done.
        identity_path(made).replace(identity_path(target))
        sync(target.parent)
        # The log of what was there must not be taken for that of the new file.
        for end in ("-wal", "-shm"):
            target.with_name(f"{target.name}{end}").unlink(missing_ok=True)
        sync(target.parent)
        made.replace(target)
        sync(target.parent)
    finally:
        _remove(made)
    return found


def _known_erasures(target: Path) -> Sequence[Erasure]:
    """Return who was erased from what is in the place of a store, or was there before."""
    found = list(read_erasures_file(target))
    # A store that is lost or damaged says nothing; the file next to it does.
    with contextlib.suppress(OSError, UsageError, sqlite3.Error):
        if not is_missing(target) and stored_version(target):
            found += read_once(target, erasures_stored)
    return list({one.id: one for one in found}.values())


def _erase(store: SqliteStore, uuid: str, erasures: Sequence[Erasure], now: float) -> Erased:
    if not erasures:
        return Erased()
    done = apply_erasures(store.database, uuid, erasures, now)
    store.database.scrub()
    return done


def _mark(store: SqliteStore, made_at: float | None, now: float, *, hold_gap: bool) -> Restoration:
    with store.database.transaction() as connection:
        accepted_at = latest_acceptance(connection)
        since = made_at or accepted_at or now
        waiting = mark_restored(connection, since)
        note_gap(connection, since, now, held=hold_gap)
        # It is used again on purpose.
        connection.execute("DELETE FROM server WHERE name = ?", (MOVED_TO,))
    return Restoration(waiting, since, is_backup=bool(made_at))


def _remove(made: Path) -> None:
    for one in made.parent.glob(f"{glob.escape(made.name)}*"):
        one.unlink(missing_ok=True)
