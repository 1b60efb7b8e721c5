"""Stores that a run cannot use, or shares: one clear message each, and nothing is lost."""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.cli import run_command
from destinations.errors import StoreGoneError
from destinations.opening import open_store
from destinations.pipeline import run as run_module
from destinations.pipeline.lease import LeaseTimes
from destinations.postgres.store import PostgresStore
from destinations.store import SqliteStore, StoredQueue, default_path
from tests.postgres_server import new_store_address

Use = Callable[..., dict[str, Any]]


def _newer(path: Path) -> None:
    SqliteStore(path).close()
    for end in ("lock", "identity"):
        path.with_name(f"{path.name}.{end}").unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _of_another_program(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # such names are short


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "of a newer version": (
        _newer,
        "package: its tables have version 99, and this package (",
    ),
    "of another program": (_of_another_program, "it is the database of another program"),
    "a text": (lambda path: path.write_text("features: []\n" * 50), "file is not a database"),
    "a folder": (Path.mkdir, "it is a folder"),
    "a pipe": (os.mkfifo, "it is a device, a pipe or a socket"),
    "a socket": (_socket, "it is a device, a pipe or a socket"),
    "a link to a device": (lambda path: path.symlink_to(os.devnull), "it is a device, a pipe"),
}


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize(("make", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_store(
    runs: Any,
    use: Use,
    tmp_path: Path,
    *,
    make: Callable[[Path], object],
    message: str,
    options: tuple[str, ...],
) -> None:
    """It is named and left as it is, and nothing is sent."""
    path = tmp_path / "unusable"
    make(path)
    before = path.is_file() and path.read_bytes()
    devices = set(Path(os.devnull).parent.glob("null*"))
    done = runs("--store", path, *options, events=runs.file(use()), keep=False)
    assert (done.code, done.out) == (2, "")
    assert str(path) in done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert (path.is_file() and path.read_bytes()) == before
    assert [one.name for one in tmp_path.glob("unusable*")] == ["unusable"]
    assert set(Path(os.devnull).parent.glob("null*")) == devices
    assert runs.usage == {}


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory"])
def test_what_would_keep_nothing(runs: Any, use: Use, name: str) -> None:
    """It is refused as a name, and --no-store is named, which says what is meant."""
    done = runs("--store", name, events=runs.file(use()), keep=False)
    assert (done.code, done.out) == (2, "")
    assert "expected the path of a file; to keep nothing, use --no-store" in done.err


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="has other rights")
def test_a_store_that_may_only_be_read(
    runs: Any, use: Use, command: Callable[..., Any], as_somebody_else: Callable[[], None]
) -> None:
    """The message says what is missing; it is not for somebody who only wants to look."""
    events = runs.file(use())
    runs(events=events)
    runs.store.chmod(0o444)
    run, look = runs.arguments(events=events), runs.arguments("--dry-run", events=events)
    as_somebody_else()
    done = command(*run)
    assert (done.code, done.out) == (2, "")
    assert "permission denied; give its owner the right to write, or name another" in done.err
    assert runs.counts(command(*look)) == {"filtered": 1}


def test_a_full_disk(runs: Any, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written down is not sent; the same command delivers it when there is room."""
    chance = random.Random(1)
    events = runs.file(
        *(use(context={"page": {"title": chance.randbytes(8_000).hex()}}) for _ in range(20))
    )

    def full(path: Path | None) -> SqliteStore:
        store = open_store(path)
        assert isinstance(store, SqliteStore)
        store.database.limit_size(store.path.stat().st_size)
        return store

    with monkeypatch.context() as patched:
        patched.setattr(run_command, "open_store", full)
        patched.setattr(run_module, "_STORE_AWAY_SECONDS", 0.0)
        done = runs(events=events)
    assert (done.code, done.json["stopped"]) == (75, "unavailable")
    assert "cannot write to the store" in done.err
    assert "database or disk is full" in done.err
    assert "The same command continues where it stopped." in done.err
    assert runs.counts(done) == {"ready": 20}
    assert runs.usage == {}
    assert runs.counts(runs(events=events)) == {"delivered": 20}
    assert runs.usage == {"ann": 20}


def test_standard_input_on_a_full_disk(
    runs: Any, use: Use, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    """What is told as kept is kept; of the rest it is said from which line on it is needed."""
    runs(events=runs.file(use()))
    chance = random.Random(1)
    events = runs.file(
        *(use(context={"page": {"title": chance.randbytes(8_000).hex()}}) for _ in range(20))
    )

    def full(path: Path | None) -> SqliteStore:
        store = open_store(path)
        assert isinstance(store, SqliteStore)
        store.database.limit_size(store.path.stat().st_size)
        return store

    for as_json in (True, False):
        with monkeypatch.context() as patched, events.open() as source:
            patched.setattr("sys.stdin", source)
            patched.setattr(run_command, "open_store", full)
            patched.setattr(run_module, "_STORE_AWAY_SECONDS", 0.0)
            arguments = [one for one in runs.arguments(events="-") if as_json or one != "--json"]
            done = command(*arguments)
        assert done.code == 75
        if as_json:
            told = done.json["not_kept"]
            assert (told["lines"], told["rows"], told["from_line"]) == (20, 20, 1)
        assert "Not in the store: 20 lines that were read, the first of them line 1," in done.err
        assert "Read and not sent" not in done.err
    assert runs.usage == {"ann": 1}
    assert runs.counts(runs(events=events)) == {"delivered": 20}


@pytest.mark.parametrize("source", ["a file", "standard input"])
def test_a_store_that_is_removed(
    runs: Any, use: Use, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Nobody is told that the same command goes on: with a new store it sends everything again."""
    monkeypatch.setattr(run_module, "_STORE_AWAY_SECONDS", 0.0)
    commit = StoredQueue.commit

    def gone(queue: StoredQueue, round_: Any) -> Any:
        if round_.transitions:
            raise StoreGoneError("the store was removed")
        return commit(queue, round_)

    monkeypatch.setattr(StoredQueue, "commit", gone)
    events = runs.file(use())
    if source == "a file":
        done = runs(events=events)
    else:
        with events.open("rb") as stream:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
            done = runs(events="-")
    assert (done.code, done.json["stopped"]) == (75, "unavailable")
    assert "Stopped after line 1: the store was removed." in done.err
    assert "With a new store it sends everything again." in done.err
    for promise in ("continues where it stopped", "in the store", "is sent twice", "Internal"):
        assert promise not in done.err


def test_the_default_store(runs: Any, use: Use) -> None:
    """Without --store there is one for each user, which the commands of operators know as well."""
    events = runs.file(use())
    assert runs.counts(runs(events=events, keep=False)) == {"delivered": 1}
    assert runs.counts(runs(events=events, keep=False)) == {"filtered": 1}
    assert default_path().exists()
    assert runs.command("deliveries", "list", "--all", "--json").json["total"] == 1


def test_what_waits_when_a_run_begins(runs: Any, use: Any) -> None:
    """Beside a run that lives it is of both; else an earlier run has left it."""
    address = new_store_address()
    file, runs.store = runs.store, str(address)
    runs.partner.faults.add({"status": 503, "times": None})
    left = runs.process("--outage", "0", "--no-check", events=runs.file(use("bob"), use("bob")))
    assert (left.code, runs.counts(left)) == (75, {"ready": 2}), left.err
    assert "Waiting in the store for the next run: 2 ready." in left.err
    with PostgresStore(address) as store:
        (scope,) = (one.id for one in store.ledger().totals(0.0) if not one.served)
        other = store.session("other", "0", LeaseTimes(hard_stop=False), f"run {scope}")
        other.beat()
        beside = runs("--outage", "0", "--no-check", events=runs.file())
        other.close()
    assert "Earlier runs left" not in beside.err
    assert beside.err.startswith("Another run delivers to kana at ")
    assert "In the store: 2 ready. The runs share" in beside.err
    assert "Waiting in the store for another run, which goes on: 2 ready." in beside.err
    runs.partner.faults.clear()
    alone = runs(events=runs.file(use("ann")))
    assert alone.code == 0
    told = "Earlier runs left in the store: 2 ready. This run delivers them beside its input"
    assert alone.err.startswith(told)
    assert runs.usage == {"ann": 1, "bob": 2}
    runs.store = file
