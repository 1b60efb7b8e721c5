"""Move all that a store has to one of the other kind: from a file into a database, or back.

The numbers of deliveries stay. A move that was interrupted goes on where it was, or begins anew if
the store was used meanwhile. From the end on, only the other store can be used.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from destinations.clock import Clock, SystemClock
from destinations.errors import StoreDamagedError, TemporaryError, UsageError
from destinations.extras import libraries_of
from destinations.operations.interrupted import recover_all
from destinations.operations.locks import check_account, lock_account, lock_server, locks_of
from destinations.operations.migrating import migrate_store
from destinations.operations.seen import check_seen
from destinations.postgres import PostgresAddress, StoreAddress, open_at
from destinations.store import (
    MOVED_FROM,
    MOVED_TABLES,
    MOVING,
    FileSource,
    FileTarget,
    MovedTable,
    MoveNote,
    MoveSource,
    MoveTarget,
    OpenStore,
    Row,
    SqliteStore,
    check_store_path,
    is_missing,
    is_older,
    make_file,
    make_folder,
    moved_to,
    moving_path,
    stored_version,
)

__all__ = ["Moved", "await_no_workers", "move_store"]

CHUNK_ROWS: Final = 10_000
CHUNK_BYTES: Final = 16 * 2**20
_POLL_SECONDS: Final = 0.5

# Of accounts that only tenants have there may be thousands.
_ACCOUNTS: Final = (
    "SELECT id, id NOT IN (SELECT partner_account FROM scopes"
    " WHERE partner_account IS NOT NULL AND tenant = '') FROM partner_accounts ORDER BY id"
)

Progress = Callable[[str, int, int], object]
"""Called with a table, how many of its rows are there, and how many there are in all."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The rows that were moved by table, and the seconds that it took.

    If another call moved them before, there is nothing left to do: ``is_repeated``.
    """

    rows: Mapping[str, int]
    seconds: float
    is_repeated: bool = False


def move_store(
    source: StoreAddress,
    target: StoreAddress,
    *,
    progress: Progress = lambda _table, _done, _all: None,
    clock: Clock | None = None,
) -> Moved:
    """Move all that a store has into a new one of the other kind; safe to repeat.

    What was being sent is `unknown` then. Raises `UsageError` if the target is in use, or the
    source was moved elsewhere before, and `TemporaryError` if a process uses one of them.
    """
    if isinstance(source, Path) == isinstance(target, Path):
        raise UsageError(
            f"cannot move {source} to {target}: expected a file and a database; copy a file with "
            "destinations store backup, and a database with PostgreSQL's own tools"
        )
    began = time.monotonic()
    shown = str(source.resolve() if isinstance(source, Path) else source)
    where = str(target.resolve() if isinstance(target, Path) else target)
    already = _noted_target(source)
    if already == where and _is_from(target, shown):
        return Moved({}, time.monotonic() - began, is_repeated=True)
    if already is not None and (already != where or _is_complete(target)):
        raise UsageError(f"the store {shown} was moved to {already} already")
    with _opened_target(target) as to:
        with _opened_source(source, clock or SystemClock()) as found:
            facts = found.facts
            if found.moved_to is None:
                rows = _copy(found, to, shown, progress)
                found.note_moved(where)
            elif found.moved_to != where or to.note is None or to.note.source != shown:
                raise UsageError(f"the store {shown} was moved to {found.moved_to} already")
            else:
                rows = {table.name: to.count(table) for table in MOVED_TABLES}
        # From here on the other one cannot be used any more.
        to.finish(facts, shown)
    return Moved(rows, time.monotonic() - began)


def _noted_target(source: StoreAddress) -> str | None:
    """Return where a store was moved to, before anything is made for it; None if not known yet."""
    if isinstance(source, Path):
        check_store_path(source)
        if is_missing(source):
            raise UsageError(f"there is no store {source}")
        if is_older(stored_version(source)):
            return None
    with open_at(source, read_only=True) as store:
        return store.database.at_once(moved_to)


def _is_complete(target: StoreAddress) -> bool:
    if isinstance(target, Path):
        return target.exists() and target.stat().st_size > 0
    with open_at(target, read_only=True) as store:
        return store.noted(MOVING) is None


def _is_from(target: StoreAddress, source: str) -> bool:
    """Return whether a store is complete, and has what this source had."""
    if not _is_complete(target):
        return False
    with open_at(target, read_only=True) as store:
        return bool(store.noted(MOVED_FROM) == source)


def _copy(
    source: MoveSource, target: MoveTarget, shown: str, progress: Progress
) -> Mapping[str, int]:
    file = source if isinstance(source, FileSource) else target
    assert isinstance(file, FileSource | FileTarget)  # noqa: S101 - one of them is
    facts = source.facts
    note = target.note
    if note is not None and note.uuid != facts.uuid:
        raise UsageError(
            f"cannot move {shown}: the target has a part of another store, {note.source}; move "
            "that one first, or name another target"
        )
    if note is None or list(note.state) != list(source.state):
        target.begin(MoveNote(shown, facts.uuid, source.state, {}))
    counts = {table.name: source.count(table) for table in MOVED_TABLES}
    for table in MOVED_TABLES:
        _copy_table(source, target, table, file.columns(table), counts[table.name], progress)
        if table.is_numbered:
            target.write_last_id(table, source.last_id(table))
        if table.name == "days":
            target.write_latest_event(facts.latest_event)
    for table in MOVED_TABLES:
        there = target.count(table)
        if there != counts[table.name]:
            raise StoreDamagedError(
                f"cannot move {shown}: {table.name} has {counts[table.name]:,} rows, and "
                f"{there:,} of them arrived; nothing was changed there"
            )
    broken = target.broken_rules()
    if broken:
        rule, why = broken[0]
        raise StoreDamagedError(
            f"cannot move {shown}: {rule}: {why}; nothing was changed there. See "
            "destinations store check"
        )
    return counts


def _copy_table(
    source: MoveSource,
    target: MoveTarget,
    table: MovedTable,
    columns: Sequence[str],
    count: int,
    progress: Progress,
) -> None:
    note = target.note
    assert note is not None  # noqa: S101 - it was begun
    after = note.done.get(table.name)
    key = [columns.index(name) for name in table.key]
    done = 0 if after is None else target.count(table)
    progress(table.name, done, count)
    with contextlib.closing(_chunks(source.rows(table, columns, after), columns)) as chunks:
        for rows in chunks:
            last = tuple(rows[-1][number] for number in key)
            note = note._replace(done={**note.done, table.name: last})
            target.write(table, columns, rows, note)
            done += len(rows)
            progress(table.name, done, count)


def _chunks(rows: Iterator[Row], columns: Sequence[str]) -> Generator[list[Row]]:
    """Yield rows in chunks that are neither too many nor too large."""
    large = [number for number, name in enumerate(columns) if name in {"raw", "payload"}]
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(len(row[number]) for number in large)
        if len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


# -- the source ------------------------------------------------------------------------------------


def _opened_source(
    address: StoreAddress, clock: Clock
) -> contextlib.AbstractContextManager[FileSource | MoveSource]:
    if isinstance(address, Path):
        return _file_source(address)
    return _database_source(address, clock)


@contextlib.contextmanager
def _file_source(path: Path) -> Iterator[FileSource]:
    with (
        lock_server(path),
        SqliteStore(path) as store,
        _locked_accounts(store),
    ):
        if store.database.at_once(moved_to) is None:
            recover_all(store)
        # Nobody writes until it is noted where all of it is.
        with store.database.transaction() as connection:
            yield FileSource(connection)


@contextlib.contextmanager
def _locked_accounts(store: SqliteStore) -> Iterator[None]:
    """Let no command deliver to any account, as a server does that has all of them."""
    accounts = store.accounts()
    with contextlib.ExitStack() as locked:
        for account, is_of_tenants in store.database.all(_ACCOUNTS):
            shown = accounts.get(account).shown
            if is_of_tenants:
                check_account(store, account, shown)
            else:
                locked.enter_context(lock_account(store, account, shown, by_server=False))
        yield


@contextlib.contextmanager
def _database_source(address: PostgresAddress, clock: Clock) -> Iterator[MoveSource]:
    with libraries_of("postgres", "a store in PostgreSQL"):
        from destinations.postgres.copying import DatabaseSource  # noqa: PLC0415 - with an extra
    with open_at(address, read_only=True) as store:
        was_moved = store.database.at_once(moved_to) is not None
    if not was_moved:
        with open_at(address) as store:
            check_seen(store)
            await_no_workers(store, clock)
            recover_all(store)
    with contextlib.closing(DatabaseSource(address)) as source:
        yield source


def await_no_workers(store: OpenStore, clock: Clock) -> None:
    """Raise `TemporaryError` if a worker lives; wait until one that was killed counts as ended."""
    any_alive = locks_of(store).watch(clock)
    stop = threading.Event()
    before = None
    while any_alive():
        beats = store.database.all(
            "SELECT id, beats FROM workers WHERE state = 'alive' ORDER BY id"
        )
        if before is not None and beats != before:
            raise TemporaryError(f"processes deliver from the store {store.shown}: stop them first")
        before = beats
        clock.wait(_POLL_SECONDS, stop)


# -- the target ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened_target(address: StoreAddress) -> Iterator[FileTarget | MoveTarget]:
    if isinstance(address, Path):
        with _file_target(address) as target:
            yield target
        return
    migrate_store(address)
    from destinations.postgres.copying import DatabaseTarget  # noqa: PLC0415 - with an extra

    with contextlib.closing(DatabaseTarget(address)) as found:
        yield found


@contextlib.contextmanager
def _file_target(path: Path) -> Iterator[FileTarget]:
    check_store_path(path)
    path = path.resolve()
    if path.exists() and path.stat().st_size:
        raise UsageError(f"cannot move into {path}: it is there already; name a new file")
    is_new = False

    def make(place: Path) -> None:
        """Make an empty file: no process makes a new store there, even if this one is killed."""
        nonlocal is_new
        is_new = is_missing(place)
        if is_new:
            make_file(moving_path(place))  # which says why there is an empty file
        make_file(place)

    make_folder(path.parent)
    with lock_server(path, make):
        try:
            with contextlib.closing(FileTarget(path)) as target:
                yield target
        finally:
            part = moving_path(path)
            if is_new and not path.stat().st_size and (is_missing(part) or not part.stat().st_size):
                path.unlink()
                part.unlink(missing_ok=True)
