"""Stores that something else has damaged: every command names the store that it is."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome
from destinations.store import SqliteStore
from tests.case_tables import each_value

pytestmark = pytest.mark.usefixtures("sandbox_thread")

Run = Callable[..., Any]
Write = Callable[[str, Any], Path]

PAGE = 8192


def _overwritten(data: bytes, begin: int, end: int) -> bytes:
    return data[:begin] + b"\xa5" * (min(end, len(data)) - begin) + data[end:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "its beginning": lambda data: _overwritten(data, 0, 100),
    "its schema": lambda data: _overwritten(data, 100, PAGE),
    "all after it": lambda data: _overwritten(data, PAGE, len(data)),
    "cut in half": lambda data: data[: len(data) // 2],
    "cut to a page": lambda data: data[: PAGE + 100],
    "cut to less": lambda data: data[:50],
    "empty": lambda _: b"",
}

COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("store", "check"),
    "compact": ("store", "compact"),
    "backup": ("store", "backup", "copy.sqlite3"),
    "list": ("deliveries", "list"),
    "export": ("deliveries", "export"),
    "status": ("status",),
    "connect": ("tenants", "connect", "acme", "--remove"),
    "forget": ("forget", "user_0001", "--everywhere", "--yes"),
    "run": ("run", "kana", "--sandbox", "--events", "events.ndjson"),
    "plan": ("plan", "--config", "serve.json", "--events", "events.ndjson"),
    "dry run": ("run", "kana", "--sandbox", "--events", "events.ndjson", "--dry-run"),
}

EVENT = {
    "type": "track",
    "event": "Used",
    "userId": "user_0001",
    "properties": {"featureId": "api-calls"},
}


@pytest.fixture
def store(
    tmp_path: Path,
    add_delivery: Callable[..., int],
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A store with deliveries, beside the events of a run, in the folder that commands run in."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as opened:
        for number in range(12):
            event = {**EVENT, "messageId": f"e{number}", "context": {"x": "y" * 8_000}}
            add_delivery(opened, event, status=Outcome.DEAD)
    one = {"name": "kana", "destination": "kana"}
    write("serve.json", {"store": {"path": "store.sqlite3"}, "destinations": [one]})
    write("events.ndjson", [{**EVENT, "messageId": f"m{number}"} for number in range(3)])
    monkeypatch.chdir(tmp_path)
    return path


@each_value
@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_store(
    command: Run, store: Path, damage: Callable[[bytes], bytes], arguments: tuple[str, ...]
) -> None:
    """It is named with what to do, it stays as it is, and nothing is said of any other file."""
    store.write_bytes(damage(store.read_bytes()))
    before = store.read_bytes()
    done = command(*arguments, "--store", "store.sqlite3")
    said = done.out + done.err
    assert done.code == 2
    assert "store.sqlite3" in said
    assert any(word in said for word in ("is damaged", "is empty (0 bytes)"))
    assert "copy.sqlite3" not in said
    assert "Traceback" not in said
    assert "continues" not in said
    assert store.read_bytes() == before
    assert not Path("copy.sqlite3").exists()


def test_damage_that_is_found_while_it_is_copied(command: Run, store: Path) -> None:
    """A backup that cannot be made of it does not take the place of the one before."""
    assert command("store", "backup", "copy.sqlite3", "--store", store).code == 0
    whole = Path("copy.sqlite3").read_bytes()
    with contextlib.closing(sqlite3.connect(store)) as connection:
        root = "SELECT rootpage FROM sqlite_schema WHERE name = 'events'"
        (page,) = connection.execute(root).fetchone()
    # Nobody looks at what is in a table when the store is opened.
    store.write_bytes(_overwritten(store.read_bytes(), (page - 1) * PAGE, page * PAGE))
    done = command("store", "backup", "copy.sqlite3", "--store", store)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: the store {store} is damaged: ")
    assert Path("copy.sqlite3").read_bytes() == whole
    assert command("store", "check", "--store", store).code == 1


def test_damage_that_a_run_meets(
    runs: Any, use: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with its report, and does not say that the same command goes on."""
    events = runs.file(*(use() for _ in range(3)))
    runs(events=runs.file(use("bob")))
    real = SqliteStore.queue

    def damaged(store: SqliteStore, *arguments: Any, **named: Any) -> Any:
        data = bytearray(store.path.read_bytes())
        for begin in range(PAGE, len(data), PAGE):
            data[begin : begin + PAGE] = b"\xa5" * PAGE
        store.path.write_bytes(data)
        return real(store, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "queue", damaged)
        done = runs(events=events)
    assert done.code == 2
    assert f"the store {runs.store} is damaged: " in done.err
    assert "continues" not in done.err
    assert runs.usage == {"bob": 1}
    runs.store.unlink()
