from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import Periods, lock_run, lock_server, note_server
from destinations.outcome import Outcome
from destinations.store import SqliteStore

Run = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path, add_delivery: Callable[..., int]) -> Path:
    """A store with a delivery of long ago, and one that is dead."""
    store = SqliteStore(tmp_path / "store.sqlite3")
    raw = {"type": "track", "userId": "u1"}
    for outcome in (Outcome.DELIVERED, Outcome.DEAD):
        add_delivery(store, raw, status=outcome, settled_at=2_000.0)
    store.close()
    return store.path


def test_backup(command: Run, path: Path, tmp_path: Path) -> None:
    """The copy is a store with the same deliveries."""
    target = tmp_path / "copy.sqlite3"
    done = command("store", "backup", target, "--store", path)
    assert (done.code, done.out) == (0, f"{target}: {target.stat().st_size:,} bytes, checked\n")
    listed = command("deliveries", "list", "--all", "--store", target, "--json").json
    assert listed["total"] == 2


def test_backup_of_nothing(command: Run, tmp_path: Path) -> None:
    """A store that is not there is not made for its backup."""
    missing = tmp_path / "missing.sqlite3"
    done = command("store", "backup", tmp_path / "copy.sqlite3", "--store", missing)
    assert done.code == 2
    assert "there is no store" in done.err
    assert not missing.exists()


def test_compact(command: Run, path: Path) -> None:
    """What is finished and old goes, what is dead stays; the sizes are told."""
    done = command("store", "compact", "--store", path, "--keep-days", "30", "--dedupe-days", "7")
    assert done.code == 0
    assert "Deleted: 0 raw events, 1 finished delivery, 1 messageId.\n" in done.out
    assert "bytes before" in done.out
    assert command("deliveries", "list", "--all", "--store", path, "--json").json["total"] == 1


def test_compact_keeps_what_it_is_told_to(command: Run, path: Path) -> None:
    """Nothing goes within more days than the store is old."""
    days = ("--keep-days", "100000", "--dedupe-days", "100000")
    done = command("store", "compact", "--store", path, *days)
    assert "Deleted: 0 raw events, 0 finished deliveries, 0 messageIds.\n" in done.out


@pytest.mark.parametrize(("days", "goes"), [(29, False), (31, True)])
def test_compact_without_periods(
    command: Run, path: Path, monkeypatch: pytest.MonkeyPatch, *, days: int, goes: bool
) -> None:
    """Things are kept as long as usual, by a store of runs as well."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE identity SET noted_at = NULL")  # it has no time of its own yet
    monkeypatch.setattr(time, "time", lambda: 2_000.0 + days * 86_400)
    done = command("store", "compact", "--store", path)
    told = "1 finished delivery, 1 messageId" if goes else "0 finished deliveries, 0 messageIds"
    assert f"Deleted: 0 raw events, {told}.\n" in done.out


@pytest.mark.parametrize(
    ("noted", "configured", "flags", "rows", "messages"),
    [
        (Periods(1, 1), None, (), 1, 1),
        (Periods(1, 1e6), None, (), 1, 0),
        (Periods(1e6, 1), None, (), 0, 0),
        (Periods(1e6, 1e6), Periods(1, 1), (), 1, 1),
        (Periods(1, 1), Periods(3_000, 3_650), (), 1, 1),
        (None, Periods(1, 1), ("--keep-days", "1000000"), 0, 0),
        (None, None, ("--keep-days", "1"), 1, 1),
        (None, None, ("--keep-days", "1000000"), 0, 0),
        (None, None, ("--keep-days", "1", "--dedupe-days", "1000000"), 1, 0),
        (Periods(1e6, 1e6), None, ("--keep-days", "1", "--dedupe-days", "1"), 1, 1),
    ],
)
def test_compact_keeps_what_the_server_keeps(
    command: Run,
    path: Path,
    write: Run,
    *,
    noted: Periods | None,
    configured: Periods | None,
    flags: tuple[str, ...],
    rows: int,
    messages: int,
) -> None:
    """As long as its configuration says, else as it has noted; an option goes before all."""
    where: tuple[object, ...] = ("--store", path)
    if noted is not None:
        store = SqliteStore(path)
        note_server(store, ["sample"], noted)
        store.close()
    if configured is not None:
        periods = {"keepDays": configured.keep_days, "dedupeDays": configured.dedupe_days}
        document = {
            "store": {"path": path.name, **periods},
            "destinations": [{"name": "x", "destination": "kana", "settings": {"apiKey": "${NO}"}}],
        }
        where = ("--config", write("serve.json", document))
    done = command("store", "compact", *where, *flags)
    assert done.code == 0
    assert done.out.startswith(
        f"Deleted: 0 raw events, {rows} finished {'delivery' if rows else 'deliveries'}, "
        f"{messages} messageId{'' if messages else 's'}.\n"
    )


def test_a_wrong_path(command: Run, tmp_path: Path) -> None:
    """A store that is not there is not made, and a file of something else is left alone."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = other.read_bytes()
    done = command("store", "compact", "--store", tmp_path / "nosuch.sqlite3")
    assert (done.code, "check the path" in done.err) == (2, True)
    for arguments in (("compact",), ("check",), ("backup", tmp_path / "copy.sqlite3")):
        done = command("store", *arguments, "--store", other)
        assert (done.code, "the database of another program" in done.err) == (2, True)
    assert list(tmp_path.iterdir()) == [other]
    assert other.read_bytes() == before


@pytest.mark.parametrize("by", ["server", "run"])
def test_compact_while_something_delivers(command: Run, path: Path, by: str) -> None:
    """It would keep that from writing, so the file keeps its size."""
    lock = lock_server(path) if by == "server" else lock_run(path, 1, "an account")
    with lock:
        done = command("store", "compact", "--store", path, "--keep-days", "30")
    assert done.code == 0
    assert "1 finished delivery" in done.out
    assert "Something delivers from it: the file keeps its size" in done.out


def test_check(command: Run, path: Path) -> None:
    """It says how much was looked at; what does not hold is named, with exit code 1."""
    done = command("store", "check", "--store", path)
    assert (done.code, done.out) == (0, f"{path}: 2 rows checked, all rules hold\n")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE tallies SET count = count + 1")
    before = path.read_bytes()
    done = command("store", "check", "--store", path)
    assert done.code == 1
    assert done.out.startswith(f"{path}: totals are what was counted: ")
    assert path.read_bytes() == before
