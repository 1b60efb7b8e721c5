"""``destinations forget`` as an operator uses it: what it asks, says, refuses and leaves."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import lock_server
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.store import SqliteStore, erasures_path

Run = Callable[..., Any]

NOT_REACHED = (
    "Not reached: what the partner has; files of --undelivered, exports, reports and logs; "
    "backups and other copies made before. If a backup is restored here, the user is erased from "
    "it, too.\n"
)


@pytest.fixture
def path(tmp_path: Path, add_delivery: Callable[..., int]) -> Path:
    """A store with deliveries of two users."""
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        for user in ("ann", "bob"):
            for status in (State.READY, Outcome.DEAD, Outcome.DELIVERED):
                add_delivery(store, {"type": "track", "userId": user}, user=user, status=status)
        raw = {"type": "alias", "userId": "bob", "previousId": "ann"}
        add_delivery(store, raw, user="bob", status=Outcome.DEAD)
        add_delivery(store, user="ann", status=Outcome.DELIVERED, destination="second")
    return store.path


def _users(path: Path) -> list[str]:
    with SqliteStore(path, read_only=True) as store:
        return sorted(one.user for one in store.ledger().find(Selection()))


def test_it_erases(command: Run, path: Path) -> None:
    """It says what was there, what is left, and what it does not reach."""
    old = path.with_name(f"{path.name}.version-3")
    old.touch()
    done = command("forget", "ann", "--destination", "sample", "--store", path, "--yes")
    assert done.code == 0, done.err
    assert done.out == (
        f"ann in {path}: 1 dead, 1 ready to drop, 1 finished row.\n"
        "Erased: 3 rows left as digests, 2 of them dropped.\n"
        "Not erased: 1 row of this user for other destinations or accounts; --everywhere includes "
        "them.\n"
        "Not erased: 1 event of other users with this id in them; see destinations deliveries "
        "export.\n"
        f"Not erased: {old}, a copy from before an upgrade: delete it.\n" + NOT_REACHED
    )
    assert [one for one in _users(path) if not one.startswith("erased-")] == ["ann", *["bob"] * 4]
    done = command("forget", "ann", "--everywhere", "--store", path, "--yes")
    assert "Erased: 1 row left as digests.\n" in done.out
    assert [one for one in _users(path) if not one.startswith("erased-")] == ["bob"] * 4


@pytest.mark.parametrize("how", ["--yes", "--dry-run"])
def test_a_user_it_does_not_know(command: Run, path: Path, how: str) -> None:
    """It does not look as if somebody had been erased: the id may be misspelled."""
    before = _users(path)
    done = command("forget", "anna", "--everywhere", "--store", path, how)
    assert done.code == 0
    assert done.out.startswith(f"Nothing is kept of anna in {path}; check the id.\n")
    told = "Erased: nothing; the erasure is noted for backups.\n"
    assert (told in done.out) is (how == "--yes")
    assert _users(path) == before


def test_a_dry_run(command: Run, path: Path) -> None:
    """It says the same, and changes nothing; a server may run meanwhile."""
    before = path.read_bytes()
    with lock_server(path):
        done = command("forget", "ann", "--everywhere", "--store", path, "--dry-run")
    assert done.code == 0
    assert done.out.startswith(f"ann in {path}: 1 dead, 1 ready to drop, 2 finished rows.\n")
    assert done.out.endswith(NOT_REACHED)
    assert path.read_bytes() == before
    assert not erasures_path(path).exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 2)])
def test_it_asks(
    command: Run, path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    """Before anything is changed; without an answer nothing is."""
    before = _users(path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    done = command("forget", "ann", "--everywhere", "--store", path)
    assert done.code == code
    assert "Erase ann for good? It cannot be undone, and nothing that waits is sent." in done.err
    assert (_users(path) == before) is (code != 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ann",), "expected --destination, --account, --tenant or --everywhere"),
        ((" ", "--everywhere"), "USER must not be empty"),
        (("ann", "--everywhere", "--account", "x"), "--everywhere cannot be used with"),
        (("ann", "--everywhere", "--destination", "x"), "--everywhere cannot be used with"),
        (("ann", "--destination", "x"), "has no destination 'x'; it has: sample, second"),
        (("ann", "--account", "x"), "has no account 'x'; it has: unnamed-1, unnamed-2"),
    ],
)
def test_what_is_refused(
    command: Run, path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """It says what was expected, and nothing is changed."""
    before = _users(path)
    done = command("forget", *arguments, "--store", path, "--yes")
    assert (done.code, message in done.err) == (2, True), done.err
    assert _users(path) == before


def test_while_a_server_runs(command: Run, path: Path) -> None:
    """It may pass by itself: exit code 75, and nothing is changed."""
    before = _users(path)
    with lock_server(path):
        done = command("forget", "ann", "--everywhere", "--store", path, "--yes")
    assert done.code == 75
    assert f"another process delivers from the store {path} already; stop it" in done.err
    assert _users(path) == before


def test_a_restored_backup(command: Run, path: Path, tmp_path: Path) -> None:
    """It says that users were erased again, and they are."""
    backup = tmp_path / "copy.sqlite3"
    assert command("store", "backup", backup, "--store", path).code == 0
    assert command("forget", "ann", "--everywhere", "--store", path, "--yes").code == 0
    done = command("store", "restore", backup, "--to", path, "--yes")
    assert done.code == 0
    assert "Users who were erased: 4 rows left as digests, 2 of them dropped.\n" in done.out
    assert "ann" not in _users(path)
