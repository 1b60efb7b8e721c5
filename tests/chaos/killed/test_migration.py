"""A process that is killed within a migration leaves a store that the next one brings forward."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from destinations.store import SqliteDatabase, SqliteStore, broken_rules, identity_path
from destinations.store import database as database_module
from destinations.store.migrations import COPIED_BEFORE, MIGRATIONS

NEWEST = len(MIGRATIONS)
MOST_CRASHES = 4
EVERY = 1 if "CHAOS_SEEDS" in os.environ else 16
"""Of the statements of a migration, each so many-th is one that the process is killed at."""

_SOON = 1_000_000_000_000
_STATES = ("ready", "sending", "unknown", "held", "done")
_ENDS = ("delivered", "filtered", "unmapped", "invalid", "rejected", "dead")


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, with the words that made these; without times of the migration."""
    with closing(sqlite3.connect(path)) as connection:
        made = connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()
        found = {f"{name}:": [tuple(str(text).split())] for name, text in made}
        tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1"
        for (table,) in connection.execute(tables).fetchall():
            if table == "identity":  # it tells how often it was started
                continue
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
            found[table] = sorted((_timeless(table, row) for row in rows), key=repr)
    return found


def _timeless(table: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    if table == "partner_accounts":
        return row[:-1]
    if table == "server" and row[0] == "usageSince":
        return row[:1]
    if table == "open":
        return tuple("soon" if isinstance(one, int) and one > _SOON else one for one in row)
    return row


def _fill(path: Path, version: int, chance: random.Random) -> None:
    """Puts rows into a store as processes of its version left them.

    From version 4 on no rows are moved.
    """
    if version > 3:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "INSERT INTO documents VALUES (NULL, 'kana', 'rule', 'R', '{}', 1.0)"
            )
        return
    accounts = [f"kana http://127.0.0.1:9{port}/graphql {kind}" for port in "12" for kind in "xy"]
    raw = json.dumps({"type": "track", "userId": "u1", "event": "E"}).encode()
    number = itertools.count(1)
    with closing(sqlite3.connect(path)) as connection, connection:

        def add(table: str, *values: Any) -> int:
            marks = ", ".join("?" * len(values))
            statement = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 - the schema's own names
            return connection.execute(statement, values).lastrowid or 0

        for _ in range(chance.randint(1, 30)):
            kept_as = chance.choice(["unmapped", "unknown", "dead", "retrying", "delivered"])
            # Only what reached no subscription has no action.
            action = chance.choice(["track", "track: Sales", *[""] * (kept_as == "unmapped")])
            key = f"messageId:m{next(number)}"
            head = (None, chance.choice(accounts), "1.0.0", key, action, kept_as)
            add("kept_events", *head, None, "why", 1, raw, float(next(number)))
        add("capabilities", accounts[0], "describe", '{"a": 1}')
        add("manual_changes", accounts[0], "u1", '{"email": "x"}', 1.0)
        add("documents", None, "kana", "rule", "R", '{"name": "R"}', 1.0)
        if version < 2:
            return
        for _ in range(chance.randint(1, 30)):
            name = chance.choice(["kana", "other"])
            at = float(next(number))
            event = add("events", None, name, f"m{next(number)}", "track", "u1", at, raw)
            for action in chance.sample(
                ["track", "identify", "track: Sales"], chance.randint(0, 3)
            ):
                state = chance.choice(_STATES)
                outcome = chance.choice(_ENDS) if state == "done" else None
                code = chance.choice([None, "DROPPED"]) if outcome == "dead" else None
                adds = chance.choice([None, json.dumps(["k", 3, "{}"])])
                delivery = (None, event, name, "u1", action, state, 1, None, at, None, outcome)
                add("deliveries", *delivery, code, None, "", "send", "1.0.0", adds, None, at)
        add("amounts", f"kana: {accounts[0]}", "k", "u1", 3, None, None, 1.0)
        if version > 2:
            add("server", "keepDays", "30")


Make = Callable[[int, random.Random], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
def old(path: Path) -> Make:
    """Makes a store as processes of a version left it; one of version 0 is empty."""

    def make(version: int, chance: random.Random) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(database_module, "MIGRATIONS", MIGRATIONS[:version])
            SqliteDatabase(path).close()
        if version:
            _fill(path, version, chance)

    return make


class Store:
    """A store that is brought forward, beside what it was before and what it has to become."""

    def __init__(self, path: Path, workers: Any) -> None:
        self.path = path
        self._workers = workers
        self.version = _version(path)
        self.before = _content(path)
        self._original = path.with_name("original")
        shutil.copyfile(path, self._original)
        self._beside = identity_path(path)
        self._identity = self._beside.read_bytes() if self._beside.exists() else None
        whole = path.with_name("whole.sqlite3")
        shutil.copyfile(path, whole)
        SqliteDatabase(whole, adopt=True).close()
        self._after = _content(whole)

    @property
    def copy(self) -> Path:
        """Where it is copied to before."""
        return self.path.with_name(f"{self.path.name}.version-{self.version}")

    def reset(self) -> None:
        """Makes it as it was."""
        for one in self.path.parent.glob(f"*{self.path.name}*"):
            if not one.name.startswith("whole"):
                one.unlink()
        shutil.copyfile(self._original, self.path)
        if self._identity is not None:
            self._beside.write_bytes(self._identity)

    def open(self, **crash: Any) -> int:
        """Opens it in a process that ends on the way; its exit code."""
        task = {"migrate": NEWEST, "store": str(self.path), "crash": crash}
        return int(self._workers.run(task))

    def is_old_or_new(self) -> bool:
        """Whether it is all as it was, else all as it has to be; tells which."""
        version = _version(self.path)
        assert version in {self.version, NEWEST}
        is_new = version == NEWEST
        assert _content(self.path) == (self._after if is_new else self.before)
        return is_new

    def comes_forward(self) -> None:
        """The next process finds it, or makes it, as it has to be; nothing else is left beside.

        But a copy of it as it was, where steps are to come that one is made before.
        """
        with SqliteStore(self.path) as store:
            assert broken_rules(store.database) == []
        assert self.is_old_or_new()
        own = {f"{self.path.name}{end}" for end in ("", ".lock", ".identity")}
        known = {*own, "original", "worker.log"}
        if 0 < self.version < max(COPIED_BEFORE):
            assert _content(self.copy) == self.before
            known.add(self.copy.name)
        assert {
            one.name for one in self.path.parent.iterdir() if not one.name.startswith("whole")
        } <= known


def _statements(store: Store) -> Iterator[int]:
    """The numbers of the statements that a process comes to: each so many-th, and the last ones."""
    every = EVERY if store.version < 4 else min(EVERY, 4)  # the later steps are short
    for nth in itertools.count(1, every):
        store.reset()
        end = store.open(point="statement", nth=nth)
        if end == 0:  # there are fewer
            break
        assert end == -signal.SIGKILL
        yield nth
    for behind in range(nth - min(every, 4), nth):
        store.reset()
        if store.open(point="statement", nth=behind) == -signal.SIGKILL:
            yield behind


@pytest.mark.parametrize("name", ["run-v3", "serve-v3", 0, 1, 2, 3, 5, 6])
def test_killed_at_any_statement(
    name: str | int, old: Make, old_store: Callable[..., Path], workers: Any, path: Path
) -> None:
    """Killed before any statement of a migration, nothing of it is done, and nothing is lost.

    Behind its end, when the start is counted, all of it is.
    """
    if isinstance(name, int):
        old(name, random.Random(name))
    else:
        assert old_store(name) == path
    store = Store(path, workers)
    killed: list[int] = []
    done: list[int] = []
    for nth in _statements(store):
        (done if store.is_old_or_new() else killed).append(nth)
        store.comes_forward()
    print(f"{name}: killed at {len(killed)} statements, up to number {killed[-1]}")
    assert killed[-1] > (40 if store.version < 4 else 4)
    assert all(nth > killed[-1] for nth in done)


POINTS: Sequence[tuple[Mapping[str, Any], bool]] = (
    ({"point": "before copy"}, False),
    ({"point": "during copy"}, False),
    ({"point": "during copy", "nth": 2}, False),
    ({"point": "after copy"}, False),
    ({"point": "end"}, True),
    ({"point": "before close"}, True),
    ({"point": "after close"}, True),
)


@pytest.mark.parametrize(("crash", "is_new"), POINTS)
def test_killed_around_it(
    crash: Mapping[str, Any],
    is_new: bool,
    old_store: Callable[..., Path],
    workers: Any,
    path: Path,
) -> None:
    """Killed while the copy is made, or after the commit, it is all old, or all new."""
    old_store("serve-v3")
    store = Store(path, workers)
    assert store.open(**crash) == -signal.SIGKILL
    assert store.is_old_or_new() is is_new
    store.comes_forward()


def test_killed_again_and_again(seed: int, old: Make, workers: Any, path: Path) -> None:
    """Whatever version a store is of, and however often it is killed, it comes forward whole.

    Killed at any statement, or some time after it was opened.
    """
    chance = random.Random(f"migration {seed}")
    old(chance.randrange(NEWEST), chance)
    store = Store(path, workers)
    notes = []
    for _ in range(chance.randint(1, MOST_CRASHES)):
        crash: dict[str, Any] = {"point": "start", "seconds": chance.uniform(0.0001, 0.03)}
        if chance.random() < 0.6:
            crash = {"point": "statement", "nth": chance.randint(1, 300)}
        end = store.open(**crash)
        assert end in {0, -signal.SIGKILL}
        notes.append((crash, end, store.is_old_or_new()))
    print(f"seed {seed}: from version {store.version}: {notes}")
    store.comes_forward()
