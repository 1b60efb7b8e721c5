"""What all tests share: a home of their own, files, and the command line in this process."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from destinations.cli import main
from destinations.store import Store

_HOMES = itertools.count()

# No test is timed: a busy machine is no fault.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home for this test and the processes that it starts; made when it is used."""
    path = tmp_path_factory.getbasetemp() / f"home{next(_HOMES)}"
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(path))
    monkeypatch.setenv("XDG_DATA_HOME", str(path / "data"))
    return path


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs ``destinations`` with these arguments."""

    def run(*arguments: str | Path) -> Done:
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Writes a file: text as it is, bytes as they are, a list as NDJSON, anything else as JSON."""

    def make(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, list) and name.endswith("ndjson"):
            path.write_text("\n".join(map(json.dumps, content)) + "\n", encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return make


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    marks = ", ".join("?" * len(row))
    columns = ", ".join(row)
    done = connection.execute(
        f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - a test's own words
        list(row.values()),
    )
    return int(done.lastrowid or 0)


@pytest.fixture
def add_delivery() -> Callable[..., int]:
    """Puts a delivery and its event into a store's ledger, as a server would; returns its id.

    By default it is ready, of the destination ``sample`` and the user ``u1``. ``raw`` is the event,
    ``event_id`` one that is there already; other names are columns of the ledger.
    """
    numbers = itertools.count(1)

    def add(store: Store, raw: Any = None, *, accepted_at: float = 1_000.0, **columns: Any) -> int:
        message_id = f"m{next(numbers)}"
        kind = raw["type"] if raw else "track"
        head = {"destination": "sample", "user": "u1"}
        row = {**head, "action": "count", "state": "ready", "definition_version": "1.2.3"}
        row |= columns
        with store.transaction() as connection:
            event = {key: row[key] for key in head} | {"message_id": message_id, "type": kind}
            event |= {"accepted_at": accepted_at}
            event["raw"] = None if raw is None else json.dumps(raw).encode()
            if "event_id" not in row:
                row["event_id"] = _insert(connection, "events", event)
            return _insert(connection, "deliveries", row)

    return add
