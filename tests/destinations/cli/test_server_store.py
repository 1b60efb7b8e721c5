from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import State
from destinations.store import SqliteStore, default_path

Run = Callable[..., Any]

READING = [
    ("status",),
    ("status", "--json"),
    ("deliveries", "list"),
    ("deliveries", "show", "1"),
    ("deliveries", "export"),
    ("deliveries", "replay", "1", "--dry-run"),
    ("deliveries", "drop", "1", "--reason", "x", "--dry-run"),
    ("deliveries", "resolve", "1", "--applied", "--dry-run"),
    ("store", "check"),
]
CHANGING = [
    ("deliveries", "replay", "1"),
    ("deliveries", "drop", "1", "--reason", "x", "--yes"),
    ("deliveries", "resolve", "1", "--applied", "--yes"),
    ("store", "compact"),
    ("store", "backup", "copy.sqlite3"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has no store yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def configure(write: Run) -> Callable[[str], Path]:
    """A configuration of a store, with secrets that are not there."""

    def make(path: str) -> Path:
        destination = {
            "name": "kana",
            "destination": "kana",
            "settings": {"apiKey": {"env": "NOT_SET"}},
            "receiver": {"keys": [{"file": "not-there"}]},
        }
        document = {"store": {"path": path}, "destinations": [destination]}
        return Path(write("serve.json", document))

    return make


@pytest.mark.parametrize("arguments", [*READING, *CHANGING], ids=" ".join)
def test_a_store_that_is_not_there(
    command: Run, configure: Callable[[str], Path], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """It is refused, whoever named it, and nothing is made."""
    config = configure("served.sqlite3")
    before = list(tmp_path.iterdir())
    for where, why in (
        (("--store", "nosuch.sqlite3"), "there is no store nosuch.sqlite3: check the path"),
        (("--config", config), "served.sqlite3: its server makes it when it starts"),
        ((), f"there is no store {default_path()} yet: the first run makes it"),
    ):
        done = command(*arguments, *where)
        assert (done.code, done.out) == (2, "")
        assert why in done.err
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("arguments", [*READING, *CHANGING], ids=" ".join)
def test_a_file_that_is_none(
    command: Run, write: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """It is named, it stays as it is, and no lock is left beside it."""
    path = write("seed.yaml", "features: []\n" * 50)
    done = command(*arguments, "--store", path)
    assert done.code == 2
    assert "cannot use the store" in done.err
    assert "seed.yaml: file is not a database" in done.err
    assert list(tmp_path.iterdir()) == [path]


def test_the_store_of_a_configuration(
    command: Run,
    configure: Callable[[str], Path],
    tmp_path: Path,
    add_delivery: Callable[..., int],
) -> None:
    """--config finds it without a secret; --store goes before it; else it is this user's own."""
    for number, path in enumerate((tmp_path / "a", tmp_path / "b", default_path()), 1):
        store = SqliteStore(path)
        for _ in range(number):
            add_delivery(store, status=State.HELD)
        store.close()
    config = configure("a")
    for where, total in (
        (("--config", config), 1),
        (("--config", config, "--store", "b"), 2),
        ((), 3),
    ):
        assert command("deliveries", "list", "--json", *where).json["total"] == total


def test_a_configuration_that_is_wrong(command: Run, write: Run) -> None:
    """Its issues are told as by the server."""
    done = command("status", "--config", write("serve.yaml", "store: {path: a}\n"))
    assert done.code == 2
    assert "serve.yaml" in done.err
    assert "destinations" in done.err


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_reading_leaves_nothing(
    command: Run, tmp_path: Path, add_delivery: Callable[..., int], arguments: tuple[str, ...]
) -> None:
    """A backup is one file before and afterwards, byte for byte."""
    store = SqliteStore(tmp_path / "store.sqlite3")
    raw = {"type": "track", "userId": "u1"}
    identity = add_delivery(store, raw, destination="kana", status=State.HELD)
    store.close()
    backup = tmp_path / "backups" / "copy.sqlite3"
    backup.parent.mkdir()
    command("store", "backup", backup, "--store", store.path)
    before = backup.read_bytes()
    named = [str(identity) if one == "1" else one for one in arguments]
    done = command(*named, "--store", backup)
    assert done.code == (1 if "replay" in arguments else 0)
    assert list(backup.parent.iterdir()) == [backup]
    assert backup.read_bytes() == before
