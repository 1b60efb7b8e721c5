"""A process that is killed within a migration leaves a store that the next one brings forward."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from destinations.store import Store
from destinations.store.schema import MIGRATIONS

MOST_CRASHES = 4
AROUND = ("BEGIN", "PRAGMA user_version", "COMMIT")
"""The statements of a step beside its own."""

STEPS = [(step, len(statements) + len(AROUND)) for step, statements in enumerate(MIGRATIONS)]


def _schema(path: Path) -> dict[str, list[str]]:
    """The words that made each table and index, by its name."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()
    return {name: str(text).split() for name, text in rows}


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _value(column: str, kind: str, number: int) -> object:
    if column == "state":
        return "done"
    return {"INTEGER": number, "REAL": number + 0.5, "TEXT": f"{number}"}.get(kind, b"%d" % number)


def _fill(path: Path, chance: random.Random) -> dict[str, list[tuple[Any, ...]]]:
    """Puts rows into every table that is there, of any value that fits; what they hold then."""
    with closing(sqlite3.connect(path)) as connection, connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        for (table,) in tables:
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            marks = ", ".join("?" * len(columns))
            for number in range(1, chance.randint(2, 40)):
                values = [_value(column, kind, number) for _, column, kind, *_ in columns]
                connection.execute(
                    f"INSERT INTO {table} VALUES ({marks})",  # noqa: S608 - the schema's own names
                    values,
                )
    return _rows(path, [table for (table,) in tables])


def _rows(path: Path, tables: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608
            for table in tables
        }


def _is_whole(path: Path, fresh: Path, before: Mapping[str, list[tuple[Any, ...]]]) -> None:
    """The store can be used: it is of the newest version, and holds what it held."""
    Store(path).close()
    Store(fresh).close()
    assert _version(path) == len(MIGRATIONS)
    assert _schema(path) == _schema(fresh)
    assert _rows(path, list(before)) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
def old(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a store as the version with so many steps left it."""

    def make(steps: int) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("destinations.store.database.MIGRATIONS", MIGRATIONS[:steps])
            Store(path).close()

    return make


@pytest.mark.parametrize(
    ("step", "nth"), [(step, nth) for step, count in STEPS for nth in range(1, count + 1)]
)
def test_killed_at_a_statement(
    old: Any, workers: Any, path: Path, tmp_path: Path, step: int, nth: int
) -> None:
    """Killed before any statement of a step, nothing of it is done, and nothing is lost."""
    old(step)
    before = _fill(path, random.Random(step))
    schema = _schema(path)
    crash = {"point": "statement", "nth": nth}
    task = {"store": str(path), "steps": step + 1, "crash": crash}
    assert workers.run(task) == -signal.SIGKILL
    assert _version(path) == step
    assert _schema(path) == schema
    _is_whole(path, tmp_path / "fresh.sqlite3", before)


@pytest.mark.parametrize("step", range(len(MIGRATIONS)))
def test_killed_after_a_step(old: Any, workers: Any, path: Path, tmp_path: Path, step: int) -> None:
    """Killed after the commit, the whole step is done."""
    old(step)
    before = _fill(path, random.Random(step))
    task = {"store": str(path), "steps": step + 1, "crash": {"point": "end"}}
    assert workers.run(task) == -signal.SIGKILL
    assert _version(path) == step + 1
    _is_whole(path, tmp_path / "fresh.sqlite3", before)


def test_killed_again_and_again(
    seed: int, old: Any, workers: Any, path: Path, tmp_path: Path
) -> None:
    """Whatever version a store is of, and however often it is killed, it comes forward whole.

    Killed at a statement of any step, or some time after it was opened.
    """
    chance = random.Random(f"migration {seed}")
    first = chance.randrange(len(MIGRATIONS))
    old(first)
    before = _fill(path, chance)
    notes = []
    for _ in range(chance.randint(1, MOST_CRASHES)):
        crash: dict[str, Any] = {"point": "start", "seconds": chance.uniform(0.0001, 0.006)}
        left = sum(count for _, count in STEPS[_version(path) :])
        if left and chance.random() < 0.7:
            crash = {"point": "statement", "nth": chance.randint(1, left)}
        end = workers.run({"store": str(path), "steps": len(MIGRATIONS), "crash": crash})
        assert end == -signal.SIGKILL or (end == 0 and crash["point"] == "start")
        notes.append((crash, end, _version(path)))
        assert _version(path) >= first
    print(f"seed {seed}: from version {first}: {notes}")
    _is_whole(path, tmp_path / "fresh.sqlite3", before)
