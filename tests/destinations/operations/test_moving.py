"""What a store has goes along into one of the other kind, all of it and once."""

# ruff: noqa: S608 - the statements are made of the names of tables

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.errors import StoreDamagedError, TemporaryError, UsageError
from destinations.operations import lock_account, lock_run, lock_server, move_store, moving
from destinations.outcome import Outcome, State
from destinations.pipeline.lease import LeaseTimes
from destinations.pipeline.ledger import Selection
from destinations.postgres import PostgresAddress, StoreAddress, open_at
from destinations.postgres.copying import DatabaseSource, DatabaseTarget
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.store import PostgresStore
from destinations.store import (
    MOVED_TABLES,
    FileSource,
    FileTarget,
    SqliteStore,
    broken_rules,
    copying_files,
)
from destinations.store.copying import FACTS_QUERY, LEFT_BEHIND, MoveNote
from tests.case_tables import each_value
from tests.destinations.operations.conftest import CLASSES
from tests.postgres_server import new_store_address
from tests.serving import delivering

TIMES: Final = LeaseTimes(hard_stop=False)
EVERY: Final = 1 if "CHAOS_SEEDS" in os.environ else 3
"""Of the chunks, each so many-th is one that moving is killed after."""

Add = Callable[..., int]

ODD: Final = "\0 a \U0010fffe1 \U0010fffe0 é 🂡 ' \" \\u0000"
UUID: Final = "7a64c8d0-4e5a-4c2e-9f5b-0d6a4a3f2b1c"

# By table, what nothing else here writes. ``{event}`` is an event of a delivery that waits.
ROWS: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = (
    ("INSERT INTO server VALUES ('odd', ?)", (f'"{ODD}"',)),
    ("INSERT INTO scopes VALUES (90, 'sample', 1, 1, 'tenant', 0)", ()),
    ("INSERT INTO scopes VALUES (91, 'source', 0, NULL, '', 1)", ()),
    ("INSERT INTO texts VALUES (900, ?)", (ODD * 3_000,)),
    ("INSERT INTO subscriptions VALUES (900, ?, 'count')", (ODD,)),
    ("INSERT INTO other_contents VALUES (x'0001', -9223372036854775808, 1, 1)", ()),
    ("INSERT INTO other_contents VALUES (x'0001', 9223372036854775807, 1, 0)", ()),
    ("INSERT INTO shared_events VALUES ({event}, x'00ff7f')", ()),
    ("UPDATE events SET shared = id, raw = x'', settings = 'k' WHERE id = {event}", ()),
    ("UPDATE open SET restored = '[1.5, \"\"]', balance = '[1]' WHERE id / 1000 = {event}", ()),
    ("INSERT INTO balances VALUES (1, ?1, ?1, -5, NULL, NULL, 1.5)", (ODD,)),
    ("INSERT INTO balances VALUES (1, 'k', '', 5, 'june', 2.25, 1e300)", ()),
    ("INSERT INTO rechecks VALUES (1, ?1, ?1, 'a', x'00', NULL, NULL, '[1]', '[2]')", (ODD,)),
    ("INSERT INTO drifts VALUES (1, ?1, ?1, 1, -1, 2.5, '[2]')", (ODD,)),
    ("INSERT INTO answers VALUES (?1, ?1, '{{}}')", (ODD,)),
    ("INSERT INTO manual_changes VALUES (1, ?, '{{}}', 1.5)", (ODD,)),
    ("INSERT INTO documents VALUES (5, 'sample', 'rule', ?1, '{{}}', 1.5)", (ODD,)),
    ("INSERT INTO documents VALUES (6, 'sample', 'rule', 'gone', '{{}}', 1.5)", ()),
    ("DELETE FROM documents WHERE id = 6", ()),
    ("INSERT INTO refused VALUES (7, 1, 5, 400, 'c', ?1, '/', '', ?1, NULL, 9, 1, x'00')", (ODD,)),
    ("INSERT INTO refused VALUES (8, 1, 5, 400, 'c', 'r', '/', '', NULL, NULL, 9, 0, x'')", ()),
    ("INSERT INTO erasures VALUES (x'01', x'02', x'03', 'sample', '', 'ab', '[]', 5)", ()),
    ("INSERT INTO sealed VALUES ('s', 'v1:0123abcd:AAAA')", ()),
    ("INSERT INTO tenants VALUES (90, NULL, 1.5, NULL, 2.5, NULL, 0)", ()),
    ("INSERT INTO tenant_keys VALUES (x'aa', 'sample', 90)", ()),
    ("INSERT INTO recent_events VALUES (3, ?1, -1, ?1, 5, 6, x'0001')", (ODD,)),
    ("INSERT INTO recent_scopes VALUES (3, 1)", ()),
    (
        ("INSERT INTO exchanges VALUES (5, 1, 6, 7, 1, 1, 2, ?1, 'POST', 503, ?1, x'0a', x'0b', 9,"
        " x'0c', NULL, 0, 3, x'0d', 17, 0)"),
        (ODD,),
    ),
    ("INSERT INTO exchange_contents VALUES (x'0a', 20, x'00ff'), (x'0b', 30, x'')", ()),
    ("INSERT INTO attempts VALUES ({event} * 1000, 2, 5, 1, NULL, NULL, ?1)", (ODD,)),
    ("INSERT INTO exchange_bytes VALUES (4, 67)", ()),
    (
        ("INSERT INTO usage SELECT id, scope, x'61', (SELECT min(id) FROM texts), 5, '1.50'"
        " FROM open WHERE id = {event} * 1000"),
        (),
    ),
    (
        "INSERT INTO audit VALUES (4, 5, ?1, 'key', ?1, 'drop', 'sample', '', 1, '[1]', ?2, 1)",
        (ODD, "{}"),
    ),
    ("UPDATE identity SET gap_from = 1.5, gap_until = 2.5, gap_held = 1", ()),
)  # fmt: skip


def _fill(store: SqliteStore, add: Add) -> None:
    """Write something into every table."""
    users = (ODD, UUID, f"user-{UUID}", UUID.upper(), "", "u" * 3_000)
    for number, (status, columns) in enumerate(CLASSES.items()):
        user = users[number % len(users)]
        given = dict(columns)
        if status is not State.SENDING:
            given["status"] = status
        add(store, user=user, message_id=f"{user[:90]}{number}", payload=b"\0\xff", **given)
        add(store, user="u", served=False, message_id=f"of-a-run-{number}", **given)
    with store.database.transaction() as connection:
        (event,) = connection.execute("SELECT min(id) / 1000 FROM open").fetchone()
        for statement, values in ROWS:
            connection.execute(statement.format(event=event), values)


@pytest.fixture
def path(tmp_path: Path, add_delivery: Add) -> Path:
    """A store with something in every table."""
    made = tmp_path / "store.sqlite3"
    with SqliteStore(made) as store:
        _fill(store, add_delivery)
        assert broken_rules(store.database) == []
    return made


def _content(path: Path) -> dict[str, Any]:
    """Return all rows of a store in a file, and what else it is."""
    found: dict[str, Any] = {}
    with SqliteStore(path, read_only=True) as store:
        for table in MOVED_TABLES:
            query = f"SELECT * FROM {table.name} WHERE {table.where}"
            found[table.name] = sorted(store.database.all(query), key=repr)
        found["facts"] = store.database.all(FACTS_QUERY)
        # Nothing reads the numbers of what operators changed.
        found["last ids"] = store.database.all(
            "SELECT * FROM sqlite_sequence WHERE name <> 'changes' ORDER BY name"
        )
        found["refused totals"] = sorted(store.database.all("SELECT * FROM refused_totals"))
    return found


def test_every_table_is_moved_or_left_behind_for_a_reason(path: Path) -> None:
    """A table that is added to the store is not forgotten, and the store of these tests has all."""
    with SqliteStore(path, read_only=True) as store:
        rows = store.database.all(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
        moved = {table.name for table in MOVED_TABLES}
        assert {name for (name,) in rows} == moved | LEFT_BEHIND.keys()
        for table in MOVED_TABLES:
            assert store.database.one(f"SELECT 1 FROM {table.name}"), table.name


def test_there_and_back(path: Path, tmp_path: Path, add_delivery: Add) -> None:
    """All rows of all tables are the same, and numbers that come later are new ones."""
    address, back = new_store_address(), tmp_path / "back.sqlite3"
    with SqliteStore(path) as store:
        sending = list(store.ledger().find(Selection(statuses=frozenset({State.SENDING}))))
    done = move_store(path, address)
    before = _content(path)
    assert sending
    assert {name: len(before[name]) for name in done.rows} == dict(done.rows)
    with open_at(address, read_only=True) as found:
        ledger = found.ledger()
        assert {ledger.get(one.id).status for one in sending} == {State.UNKNOWN}
        assert broken_rules(found.database) == []
    assert move_store(address, back).rows == done.rows
    assert _content(back) == before
    again = new_store_address()
    move_store(back, again)
    with open_at(again) as store:
        add_delivery(store, user="new", message_id="new")
        store.documents("sample", "rule").add(("new", {}))
        (last,) = store.database.one("SELECT max(id) FROM documents") or (0,)
        assert last == 7  # 6 was given already
        with store.database.transaction() as connection:
            connection.execute("INSERT INTO texts (text) VALUES ('new')")
            connection.execute("INSERT INTO subscriptions (name, action) VALUES ('new', 'new')")
        assert broken_rules(store.database) == []


# -- interrupted -----------------------------------------------------------------------------------


class Killed(BaseException):
    """What ends a process at some point."""


@contextlib.contextmanager
def _killed(
    patch: pytest.MonkeyPatch, kind: Any, name: str, *, after: bool, nth: int = 1
) -> Iterator[None]:
    """End the nth call of a method, before or after it has done its work."""
    real = getattr(kind, name)
    calls = itertools.count(1)

    def method(*arguments: Any, **named: Any) -> Any:
        if (is_before := next(calls) < nth) or after:
            done = real(*arguments, **named)
            if is_before:
                return done
        raise Killed

    with patch.context() as inner:
        inner.setattr(kind, name, method)
        with pytest.raises(Killed):
            yield


def _ways(path: Path, tmp_path: Path, way: str) -> tuple[StoreAddress, StoreAddress]:
    if way == "into a database":
        return path, new_store_address()
    address = new_store_address()
    move_store(path, address)
    return address, tmp_path / "back.sqlite3"


WAYS: Final[Mapping[str, tuple[type, type]]] = {
    "into a database": (FileSource, DatabaseTarget),
    "into a file": (DatabaseSource, FileTarget),
}


def _check_moved(path: Path, tmp_path: Path, target: StoreAddress) -> None:
    """All of it is there, whichever kind it is."""
    expected = _content(path)
    if not isinstance(target, Path):
        file = tmp_path / "to-compare.sqlite3"
        move_store(target, file)
        target = file
    assert _content(target) == expected


@pytest.mark.parametrize("way", WAYS)
def test_killed_after_each_chunk(
    path: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attempt goes on where the one before it ended; in the short form after each third."""
    monkeypatch.setattr(moving, "CHUNK_ROWS", 10)
    source, target = _ways(path, tmp_path, way)
    into = WAYS[way][1]
    attempts = 0
    for _ in range(200):
        try:
            with _killed(monkeypatch, into, "write", after=True, nth=EVERY):
                move_store(source, target)
        except pytest.fail.Exception:
            break
        attempts += 1
        with pytest.raises(UsageError, match=r"not complete|there is no store"):
            open_at(target)
    assert attempts > len(MOVED_TABLES) // EVERY
    _check_moved(path, tmp_path, target)


POINTS: Final = tuple(
    (way, of, name, after)
    for way in WAYS
    for of, name in ((1, "begin"), (1, "write"), (1, "broken_rules"), (0, "note_moved"),
                     (1, "finish"))
    for after in (False, True)
    if (name, after) != ("finish", True)
)  # fmt: skip


@each_value
@pytest.mark.parametrize(("way", "of", "name", "after"), POINTS)
def test_killed_in_the_middle(  # noqa: PLR0917 - what a case has
    path: Path,
    tmp_path: Path,
    way: str,
    of: int,
    name: str,
    after: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only one of the two can be used at any time, and a second attempt ends it."""
    source, target = _ways(path, tmp_path, way)
    with _killed(monkeypatch, WAYS[way][of], name, after=after):
        move_store(source, target)
    with contextlib.suppress(UsageError):
        open_at(source).close()
    if (name, after) != ("begin", False):  # else nothing is there yet
        with pytest.raises(UsageError, match=rf"not complete, as moving {source} into it"):
            open_at(target)
    move_store(source, target)
    with pytest.raises(UsageError, match="was moved to"):
        open_at(source)
    _check_moved(path, tmp_path, target)


@pytest.mark.parametrize("way", WAYS)
def test_killed_before_anything_is_there(
    path: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made for it does not look like a store that lost everything."""
    source, target = _ways(path, tmp_path, way)
    with (
        monkeypatch.context() as patch,
        _killed(monkeypatch, WAYS[way][1], "begin", after=False),
    ):
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # as if the process was killed
        move_store(source, target)
    if isinstance(target, Path):
        with pytest.raises(UsageError, match="not complete, as moving another store into it"):
            open_at(target)
    move_store(source, target)
    _check_moved(path, tmp_path, target)


@pytest.mark.parametrize("way", WAYS)
def test_repeated_after_its_end(path: Path, tmp_path: Path, way: str, add_delivery: Add) -> None:
    """It changes nothing, also if the new store was used since; another source is refused."""
    source, target = _ways(path, tmp_path, way)
    assert not move_store(source, target).is_repeated
    with open_at(target) as store:
        add_delivery(store, user="new", message_id="new")
        before = [one.id for one in store.ledger().find(Selection())]
    done = move_store(source, target)
    assert (dict(done.rows), done.is_repeated) == ({}, True)
    with open_at(target) as store:
        assert [one.id for one in store.ledger().find(Selection())] == before
        with store.database.transaction() as connection:
            connection.execute("UPDATE server SET value = '\"x\"' WHERE name = 'movedFrom'")
    with pytest.raises(UsageError, match=r"was moved to .* already"):
        move_store(source, target)


def test_killed_before_the_file_has_its_name(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is complete already only gets its name."""
    source, target = _ways(path, tmp_path, "into a file")
    with _killed(monkeypatch, copying_files, "fold_log", after=False):
        move_store(source, target)
    move_store(source, target)
    _check_moved(path, tmp_path, target)


@pytest.mark.parametrize("way", WAYS)
def test_a_source_that_was_used_meanwhile(
    path: Path, tmp_path: Path, way: str, add_delivery: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move begins anew: what is there by then may have been delivered since."""
    source, target = _ways(path, tmp_path, way)
    with _killed(monkeypatch, WAYS[way][0], "note_moved", after=False):
        move_store(source, target)
    with open_at(source) as store:
        dead = next(store.ledger().find(Selection(statuses=frozenset({Outcome.DEAD}))))
        new = add_delivery(store, user="new", message_id="new", status=Outcome.DELIVERED)
    move_store(source, target)
    with open_at(target) as store:
        assert store.ledger().get(new).status is Outcome.DELIVERED
        assert store.ledger().get(dead.id).status is Outcome.DEAD
        assert broken_rules(store.database) == []


# -- refused ---------------------------------------------------------------------------------------


def test_nobody_uses_a_store_that_was_moved(path: Path, tmp_path: Path) -> None:
    """It names the other one; it can be read, and be moved nowhere else."""
    address = new_store_address()
    move_store(path, address)
    moved = rf"was moved to {address}"
    attempts: tuple[Callable[[], object], ...] = (
        lambda: open_at(path),
        lambda: move_store(path, new_store_address()),
    )
    for attempt in attempts:
        with pytest.raises(UsageError, match=moved):
            attempt()
    with open_at(path, read_only=True) as store:
        assert list(store.ledger().find(Selection()))
    move_store(address, tmp_path / "back.sqlite3")
    attempts = (
        lambda: open_at(address),
        lambda: _probe(address),
        lambda: move_store(address, tmp_path / "other.sqlite3"),
    )
    for attempt in attempts:
        with pytest.raises(UsageError, match=r"was moved to .*back.sqlite3"):
            attempt()


def _probe(address: PostgresAddress) -> None:
    """Write as a process does that opened the store before it was moved."""
    with contextlib.closing(PostgresDatabase(address)) as database:
        database.probe()


def test_targets_that_are_in_use(path: Path, tmp_path: Path, add_delivery: Add) -> None:
    """Nothing is written over, and a store of the same kind is copied in another way."""
    used = new_store_address()
    with open_at(used) as store:
        add_delivery(store)
    file = tmp_path / "other.sqlite3"
    file.write_text("something")
    for source, target, why in (
        (path, used, "in use already"),
        (used, path, "there already"),
        (used, file, "there already"),
        (path, tmp_path / "new.sqlite3", "expected a file and a database"),
        (used, new_store_address(), "expected a file and a database"),
        (tmp_path / "none.sqlite3", used, "there is no store"),
    ):
        with pytest.raises(UsageError, match=why):
            move_store(source, target)
    with open_at(path) as store:
        assert len(list(store.ledger().find(Selection()))) == 2 * len(CLASSES)


def test_a_part_of_another_store_is_there(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stores are not mixed."""
    address = new_store_address()
    with _killed(monkeypatch, DatabaseTarget, "write", after=True):
        move_store(path, address)
    SqliteStore(tmp_path / "other.sqlite3").close()
    with pytest.raises(UsageError, match="a part of another store"):
        move_store(tmp_path / "other.sqlite3", address)


@pytest.mark.parametrize("by", ["server", "run", "command"])
def test_a_file_that_is_in_use(path: Path, by: str) -> None:
    """Whoever delivers from it has to end first."""
    locks: Mapping[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
        "server": lambda: lock_server(path),
        "run": lambda: lock_run(path, 1, "sample"),
        "command": lambda: lock_account(path, 1, "sample", by_server=False),
    }
    with locks[by](), pytest.raises(TemporaryError, match="deliver"):
        move_store(path, new_store_address())


class Ticking:
    """A clock whose waits do something, and end at once."""

    def __init__(self, tick: Callable[[], None] = lambda: None) -> None:
        self.now = 0.0
        self._tick = tick

    def monotonic(self) -> float:
        """Return the seconds that were waited for."""
        return self.now

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait."""
        self.now += seconds
        self._tick()
        return stop.is_set()


def test_a_database_with_workers(tmp_path: Path) -> None:
    """One that lives keeps the store; one that was killed does not, once its lease is over."""
    address = new_store_address()
    with PostgresStore(address) as store:
        session = store.session("one", "0", TIMES)
        session.beat()
        with pytest.raises(TemporaryError, match="processes deliver from"):
            move_store(address, tmp_path / "back.sqlite3", clock=Ticking(session.beat))
    clock = Ticking()
    move_store(address, tmp_path / "back.sqlite3", clock=clock)
    assert clock.now >= TIMES.lease
    session.close()


def test_a_database_that_is_open_elsewhere(tmp_path: Path, add_delivery: Add) -> None:
    """A process that only receives keeps it; one that comes later is kept out."""
    address = new_store_address()
    with open_at(address) as receiver:
        add_delivery(receiver)
        with pytest.raises(TemporaryError, match="other processes use it"):
            move_store(address, tmp_path / "back.sqlite3")
    with (
        open_at(address) as late,
        contextlib.closing(DatabaseSource(address)),
        pytest.raises(TemporaryError, match="another process moves it"),
    ):
        add_delivery(late)


def test_a_store_whose_rules_are_broken(path: Path) -> None:
    """It stays where it is, and can be used there."""
    with SqliteStore(path) as store, store.database.transaction() as connection:
        connection.execute("UPDATE open SET effect = 0")
    with pytest.raises(StoreDamagedError, match="must have the effect maybe"):
        move_store(path, new_store_address())
    open_at(path).close()


def test_rows_that_did_not_arrive(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are missed, and the store stays where it is."""
    real = DatabaseTarget.write

    def write(self: Any, table: Any, columns: Any, rows: Any, note: MoveNote) -> None:
        real(self, table, columns, rows[:-1] if table.name == "messages" else rows, note)

    monkeypatch.setattr(DatabaseTarget, "write", write)
    with pytest.raises(StoreDamagedError, match="messages has"):
        move_store(path, new_store_address())
    open_at(path).close()


def test_delivering_keeps_out_moves(path: Path) -> None:
    """A session that beats is what others go by."""
    address = new_store_address()
    move_store(path, address)
    with delivering(address), open_at(address, read_only=True) as store:
        assert store.database.one("SELECT 1 FROM workers WHERE state = 'alive'")
