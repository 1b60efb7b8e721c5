from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.cli import store_command
from destinations.clock import frozen_at
from destinations.operations import Periods, backed_up_at, lock_run, lock_server, note_server
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.store import SealedValues, Sealer, SealingKey, SqliteStore

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
    """The copy is a store with the same deliveries; when it was made is noted for servers."""
    target = tmp_path / "copy.sqlite3"
    with frozen_at(1_700_000_000):
        done = command("store", "backup", target, "--store", path)
    assert backed_up_at(path) == 1_700_000_000
    assert (done.code, done.out) == (0, f"{target}: {target.stat().st_size:,} bytes, checked\n")
    listed = command("deliveries", "list", "--all", "--store", target, "--json").json
    assert listed["total"] == 2


def test_a_backup_whose_time_cannot_be_noted(command: Run, path: Path, tmp_path: Path) -> None:
    """The copy is whole all the same, and a warning says what servers will not know."""
    path.with_name(f"{path.name}.backed-up").mkdir()
    target = tmp_path / "copy.sqlite3"
    done = command("store", "backup", target, "--store", path)
    assert (done.code, done.out) == (0, f"{target}: {target.stat().st_size:,} bytes, checked\n")
    warning = "warning: cannot note the time of the backup next to the store: Is a directory\n"
    assert done.err == warning


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
    assert (
        "Deleted: 0 raw events, 1 finished delivery, 1 messageId, 0 refused events.\n" in done.out
    )
    assert "bytes before" in done.out
    assert command("deliveries", "list", "--all", "--store", path, "--json").json["total"] == 1


def test_compact_keeps_what_it_is_told_to(command: Run, path: Path) -> None:
    """Nothing goes within more days than the store is old."""
    days = ("--keep-days", "100000", "--dedupe-days", "100000")
    done = command("store", "compact", "--store", path, *days)
    assert (
        "Deleted: 0 raw events, 0 finished deliveries, 0 messageIds, 0 refused events.\n"
        in done.out
    )


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
    assert f"Deleted: 0 raw events, {told}, 0 refused events.\n" in done.out


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
        f"{messages} messageId{'' if messages else 's'}, 0 refused events.\n"
    )


@pytest.mark.parametrize(
    ("where", "by_outcome", "flags", "outcomes"),
    [
        ("noted", {}, (), {"dead", "delivered"}),
        ("noted", {}, ("dead=1",), {"delivered"}),
        ("noted", {}, ("1",), {"dead"}),
        ("noted", {}, ("1", "dead=1"), set()),
        ("noted", {}, ("1", "delivered=9e6", "dead=9e6"), {"dead", "delivered"}),
        ("noted", {"dead": 1}, (), {"delivered"}),
        ("noted", {"dead": 1}, ("dead=9e6",), {"dead", "delivered"}),
        ("configured", {}, (), {"dead"}),
        ("configured", {"dead": 1}, (), set()),
        ("configured", {"dead": 1}, ("delivered=9e6",), {"delivered"}),
        ("configured", {"dead": 1}, ("dead=9e6",), {"dead"}),
    ],
)
def test_compact_by_outcome(
    command: Run,
    path: Path,
    write: Run,
    *,
    where: str,
    by_outcome: dict[str, float],
    flags: tuple[str, ...],
    outcomes: set[str],
) -> None:
    """Each outcome may have days of its own: noted, in the configuration, or in options."""
    place: tuple[object, ...] = ("--store", path)
    if where == "noted":
        with SqliteStore(path) as store:
            days = {Outcome(name): each for name, each in by_outcome.items()}
            note_server(store, ["sample"], Periods(1e6, 1, by_outcome=days))
    else:
        document = {
            "store": {"path": path.name, "keepDays": by_outcome, "dedupeDays": 0.5},
            "destinations": [{"name": "x", "destination": "kana", "settings": {}}],
        }
        place = ("--config", write("serve.json", document))
    given = [text for flag in flags for text in ("--keep-days", flag)]
    assert command("store", "compact", *place, *given).code == 0
    with SqliteStore(path, read_only=True) as store:
        assert {one.status for one in store.ledger().find(Selection())} == outcomes


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--keep-days", "held=3"), "unknown outcome 'held'; expected one of delivered, filtered"),
        (("--keep-days", "=3"), "unknown outcome ''"),
        (("--keep-days", "dead=x"), "'x' is not a valid float"),
        (("--keep-days", "dead=-1"), "-1.0 is not in the range x>=0"),
        (
            ("--keep-days", "1", "--keep-days", "2"),
            "--keep-days is given twice for all finished deliveries: expected it once",
        ),
        (
            ("--keep-days", "dead=1", "--keep-days", "dead=1"),
            "--keep-days is given twice for dead: expected it once",
        ),
    ],
)
def test_wrong_days(command: Run, path: Path, flags: tuple[str, ...], message: str) -> None:
    """They are refused, and nothing is deleted."""
    done = command("store", "compact", "--store", path, *flags)
    assert (done.code, message in done.err) == (2, True), done.err


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
    assert "A server or run delivers from it: the file keeps its size" in done.out


def test_check(command: Run, path: Path) -> None:
    """It says how much was looked at; what does not hold is named, with exit code 1."""
    done = command("store", "check", "--store", path)
    assert (done.code, done.out) == (0, f"{path}: 2 rows checked, all rules hold\n")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE tallies SET count = count + 1")
    before = path.read_bytes()
    done = command("store", "check", "--store", path)
    assert done.code == 1
    assert done.out.startswith(f"{path}: the totals must match the rows: ")
    assert path.read_bytes() == before


@pytest.fixture
def backup(command: Run, path: Path, tmp_path: Path) -> Path:
    """A backup of the store, which has another delivery since."""
    target = tmp_path / "copy.sqlite3"
    assert command("store", "backup", target, "--store", path).code == 0
    return target


def test_restore_to_the_store_of_a_server(command: Run, path: Path, backup: Path) -> None:
    """The configuration says where it is; its secrets are not needed. One place is named."""
    config = path.with_name("serve.yaml")
    destination = {
        "name": "sample",
        "destination": "webhook",
        "settings": {"url": {"env": "NOT_SET"}},
        "receiver": {"keys": [{"env": "NOT_SET"}]},
    }
    config.write_text(
        json.dumps({"destinations": [destination], "store": {"path": str(path)}}), encoding="utf-8"
    )
    done = command("store", "restore", backup, "--config", config, "--yes")
    assert done.code == 0, done.err
    assert done.out.startswith(f"{path}: restored from {backup}, a copy of ")
    for options in ((), ("--config", config, "--to", path)):
        done = command("store", "restore", backup, *options, "--yes")
        assert (done.code, "expected either --to or --config" in done.err) == (2, True)


@pytest.mark.parametrize("there", ["the store", "nothing", "only its log", "an empty file"])
def test_restore(command: Run, path: Path, backup: Path, there: str) -> None:
    """Whatever is in its place: a store is made of the backup, which stays as it was."""
    if there != "the store":
        path.unlink()
    if there == "only its log":
        path.with_name(f"{path.name}-wal").write_bytes(b"of the store that was lost")
    if there == "an empty file":
        path.touch()
    before = backup.read_bytes()
    done = command("store", "restore", backup, "--to", path, "--yes")
    assert done.code == 0
    assert done.out.startswith(f"{path}: restored from {backup}, a copy of ")
    assert "are held" in done.out
    assert "\nNo delivery was open.\n" in done.out
    for _ in range(2):
        SqliteStore(path).close()
    listed = command("deliveries", "list", "--all", "--store", path, "--json").json
    assert listed["total"] == 2
    assert backup.read_bytes() == before


def _none(backup: Path) -> None:
    backup.unlink()


def _empty(backup: Path) -> None:
    backup.write_bytes(b"")


def _with_a_log(backup: Path) -> None:
    with SqliteStore(backup.with_name("other")) as store:
        store.note({"name": 1})
        log = backup.with_name("other-wal").read_bytes()
    backup.with_name(f"{backup.name}-wal").write_bytes(log)


def _newer(backup: Path) -> None:
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        connection.execute("PRAGMA user_version = 1000")


def _damaged(backup: Path) -> None:
    data = backup.read_bytes()
    backup.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_none, "there is no backup"),
        (_empty, "is empty"),
        (_with_a_log, "copy.sqlite3-wal"),
        (_newer, "it was written by a newer version of this package"),
        (_damaged, "copy.sqlite3"),
    ],
)
def test_what_cannot_be_restored(
    command: Run,
    path: Path,
    backup: Path,
    change: Callable[[Path], None],
    why: str,
    *,
    is_new: bool,
) -> None:
    """It is said, and what is in the place of the store stays as it is; also if that is nothing."""
    change(backup)
    target = path.with_name("new.sqlite3") if is_new else path
    before = path.read_bytes()
    done = command("store", "restore", backup, "--to", target, "--yes")
    assert done.code == 2
    assert why in done.err
    assert target.exists() is not is_new
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.restored*"))
    SqliteStore(target).close()


def test_restore_while_something_delivers(command: Run, path: Path, backup: Path) -> None:
    """The store of a server is not taken away from it, also where it is missing by now."""
    with lock_server(path):
        done = command("store", "restore", backup, "--to", path, "--yes")
        assert (done.code, "another process delivers" in done.err) == (75, True)
        path.unlink()
        done = command("store", "restore", backup, "--to", path, "--yes")
        assert (done.code, "another process delivers" in done.err) == (75, True)
        assert not path.exists()


def test_restore_asks(
    command: Run, path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only before it replaces something."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = path.read_bytes()
    done = command("store", "restore", backup, "--to", path)
    assert (done.code, "Use --yes" in done.err) == (2, True)
    assert path.read_bytes() == before
    assert command("store", "restore", backup, "--to", path.with_name("new.sqlite3")).code == 0


def test_a_backup_is_not_replaced_by_another(
    command: Run, path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with --yes either; but where it was put in the place of a store, and where it is."""
    other = backup.with_name("other.sqlite3")
    assert command("store", "backup", other, "--store", path).code == 0
    before = other.read_bytes()
    for options in ((), ("--yes",)):
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        done = command("store", "restore", backup, "--to", other, *options)
        assert done.code == 2
        assert other.read_bytes() == before
    assert "that is a backup itself, and nothing writes to one" in done.err
    path.write_bytes(before)
    for source in (backup, path):
        assert command("store", "restore", source, "--to", path, "--yes").code == 0
        SqliteStore(path).close()
    assert command("store", "restore", other, "--to", other, "--yes").code == 0
    SqliteStore(other).close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "a store of "),
        (b"", "an empty file"),
        (b"notes" * 500, "a damaged store, or some other file of 2,500 bytes, written last"),
    ],
)
def test_what_is_replaced_is_told(
    command: Run,
    path: Path,
    backup: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    content: bytes | None,
    words: str,
) -> None:
    """The question names what is in the place of the store."""
    if content is not None:
        path.write_bytes(content)
    asked: list[str] = []
    monkeypatch.setattr(store_command, "confirmed", asked.append)
    assert command("store", "restore", backup, "--to", path).code == 1
    (question,) = asked
    assert question.startswith(f"Replace {path}, {words}")
    assert question.endswith(f", by {backup}?")


@pytest.mark.parametrize(
    "line",
    [
        ("backup", "{pipe}", "--store", "{store}"),
        ("backup", "{copy}", "--store", "{pipe}"),
        ("restore", "{pipe}", "--to", "{copy}", "--yes"),
        ("restore", "{backup}", "--to", "{pipe}", "--yes"),
        ("adopt", "--store", "{pipe}", "--yes"),
        ("check", "--store", "{pipe}"),
        ("compact", "--store", "{pipe}"),
    ],
    ids=" ".join,
)
def test_what_is_no_file(command: Run, path: Path, backup: Path, line: tuple[str, ...]) -> None:
    """No command waits for it, or makes something beside it."""
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)
    files = {one.name for one in path.parent.iterdir()}
    names = {"pipe": pipe, "store": path, "backup": backup, "copy": path.with_name("new")}
    done = command("store", *(one.format_map(names) for one in line))
    assert done.code == 2
    assert str(pipe) in done.err
    assert {one.name for one in path.parent.iterdir()} == files


def test_a_restoration_that_was_interrupted(command: Run, path: Path, backup: Path) -> None:
    """Whoever uses the store is told that, and to run it again."""
    with SqliteStore(path.with_name(".store.sqlite3.restored")):
        pass
    identity = path.with_name(f"{path.name}.identity")
    path.with_name(".store.sqlite3.restored.identity").replace(identity)
    done = command("store", "compact", "--store", path)
    assert done.code == 2
    assert "a restoration in its place was interrupted" in done.err
    assert command("store", "restore", backup, "--to", path, "--yes").code == 0
    assert command("store", "compact", "--store", path).code == 0
    assert not list(path.parent.glob("*.restored*"))


def test_adopt(command: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was moved without the file beside it is refused until it is adopted."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    moved = path.rename(path.with_name("moved.sqlite3"))
    moved.with_name(f"{moved.name}.identity").write_text("")
    done = command("store", "compact", "--store", moved)
    assert (done.code, "destinations store adopt --store" in done.err) == (2, True)
    assert command("store", "adopt", "--store", moved).code == 2  # nobody answers the question
    assert command("store", "compact", "--store", moved).code == 2
    assert command("store", "adopt", "--store", moved, "--yes").code == 0
    assert command("store", "compact", "--store", moved).code == 0


@pytest.mark.parametrize("what", ["backup", "restore", "adopt", "compact"])
def test_a_full_disk(
    command: Run, path: Path, backup: Path, limit_files: Callable[..., Any], *, what: str
) -> None:
    """Each command says so, and may work later; what was there is as it was."""
    lines: dict[str, tuple[object, ...]] = {
        "backup": (backup, "--store", path),
        "restore": (backup, "--to", path, "--yes"),
        "adopt": ("--store", path, "--yes"),
        "compact": ("--store", path),
    }
    before = backup.read_bytes(), path.read_bytes()
    with limit_files(20_000):
        done = command("store", what, *lines[what])
    assert done.code == 75
    assert "rollback" not in done.err
    assert done.err.strip().endswith(("disk is full", "disk I/O error", "File too large"))
    assert (backup.read_bytes(), path.read_bytes()) == before
    assert command("store", what, *lines[what]).code == 0


def test_a_new_key(command: Run) -> None:
    """Nothing but the key is printed, and each call makes another one."""
    keys = []
    for _ in range(2):
        done = command("store", "new-key")
        assert (done.code, done.err) == (0, "")
        (line,) = done.out.splitlines()
        keys.append(SealingKey.parse(line).id)
    assert len(set(keys)) == 2


@pytest.mark.skipif(os.name != "posix", reason="a shell")
def test_the_example_of_new_key(command: Run, tmp_path: Path) -> None:
    """It writes a file that only its owner can read, and never over one that is there."""
    (example,) = re.findall(r"Example: (.*)", command("store", "new-key", "--help").out)
    program = f"{shlex.quote(sys.executable)} -P -m destinations "
    line = example.replace("destinations ", program, 1)
    assert line != example
    key = tmp_path / "sealing-key"
    for must_write in (True, False):
        before = None if must_write else key.read_text()
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, check=False)  # noqa: S602 - the example
        assert (done.returncode == 0) is must_write, done.stderr
        assert key.stat().st_mode & 0o777 == 0o600
        assert len(SealingKey.parse(key.read_text()).id) == 8
        assert before in {None, key.read_text()}


def test_sealed_values(command: Run, path: Path, tmp_path: Path) -> None:
    """Without any key, a store is checked and copied, and the copy is made a store, as they are."""
    sealer = Sealer(SealingKey.parse("b" * 42 + "Y"))
    with SqliteStore(path) as store:
        SealedValues(store.database, sealer).set("one", "a-secret-of-a-customer")
    copy, restored = tmp_path / "copy.sqlite3", tmp_path / "restored.sqlite3"
    assert command("store", "check", "--store", path).code == 0
    assert command("store", "backup", copy, "--store", path).code == 0
    assert command("store", "check", "--store", copy).code == 0
    assert command("store", "restore", copy, "--to", restored, "--yes").code == 0
    assert command("store", "compact", "--store", restored).code == 0
    for each in (path, copy, restored):
        assert b"a-secret-of" not in each.read_bytes()
        with SqliteStore(each, read_only=True) as store:
            found = SealedValues(store.database, sealer).get("one")
            assert found is not None
            assert found.reveal() == "a-secret-of-a-customer"
