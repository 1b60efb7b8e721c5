"""``destinations store move``: deliver what waited once, and recognise what came before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import move_store
from destinations.postgres.copying import DatabaseTarget
from destinations.store import FileTarget, SqliteStore
from tests.postgres_server import new_store_address

Run = Callable[..., Any]
Use = Callable[..., dict[str, Any]]

PERSON = {"type": "identify", "userId": "cleo", "messageId": "i1", "traits": {"name": "C"}}
NO_PERSON = {"match": {"text": "cleo"}, "status": 503, "times": None}


def test_runs_go_on_after_it(runs: Any, use: Use, command: Run, tmp_path: Path) -> None:
    """Into a database and back; in between, a run delivers what waited, and nothing twice."""
    address, back = new_store_address(), tmp_path / "back.sqlite3"
    first = runs.file(use("ann", 2), PERSON)
    runs.partner.faults.add(NO_PERSON)
    assert runs("--outage", "0.2", events=first).code == 75
    runs.partner.faults.clear()

    done = command("store", "move", "--from", f"sqlite:{runs.store}", "--to", address)
    assert (done.code, done.err) == (0, "")
    assert f"{address}: has all of sqlite:" not in done.out
    assert f"{address}: has all of {runs.store} now: " in done.out
    assert "ledger" in done.out
    again = command("store", "move", "--from", runs.store, "--to", address)
    told = f"{address}: has all of {runs.store} already; an earlier move ended\n"
    assert (again.code, again.out, again.err) == (0, told, "")
    refused = runs(events=first)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert f"cannot use the store {runs.store}: it was moved to {address}; use" in refused.err
    old = runs.store
    listed = command("deliveries", "list", "--all", "--store", old)
    assert (listed.code, listed.err) == (0, f"warning: the store {old} was moved to {address}\n")

    runs.store = str(address)
    second = runs.file(use("ann", 2), PERSON, use("bob"))
    assert runs.counts(runs(events=second))["delivered"] == 3  # with the one that waited
    before = runs.statuses
    done = command("store", "move", "--from", address, "--to", back)
    assert done.code == 0
    again = runs(events=second)
    assert (again.code, again.err.count(str(back))) == (2, 1)

    runs.store = back
    assert runs.statuses == before
    again = runs(events=second)
    assert (again.code, again.json["requests"]) == (0, 0)
    assert runs.counts(again) == {"filtered": 3}
    assert runs.usage == {"ann": 4, "bob": 1}
    runs.store = Path(old)


@pytest.mark.parametrize("kind", ["file", "database"])
def test_a_move_that_did_not_end(command: Run, tmp_path: Path, kind: str, monkeypatch: Any) -> None:
    """Commands say that there is only a part of the store, and how to go on; not that it is new."""
    source: Any = tmp_path / "store.sqlite3"
    target: Any = new_store_address()
    SqliteStore(source).close()
    if kind == "file":
        move_store(source, target)
        source, target = target, tmp_path / "back.sqlite3"
    of = FileTarget if kind == "file" else DatabaseTarget
    with monkeypatch.context() as patch:
        patch.setattr(of, "broken_rules", _killed)
        with pytest.raises(KeyboardInterrupt):
            move_store(source, target)
    for arguments in (("status",), ("status", "--json"), ("deliveries", "list"),
                      ("tenants", "list"), ("pause", "x"), ("store", "check")):  # fmt: skip
        done = command(*arguments, "--store", target)
        assert (done.code, done.out) == (2, ""), arguments
        assert f"not complete, as moving {source} into it has not ended; if that was" in done.err
    assert command("store", "move", "--from", source, "--to", target).code == 0
    assert command("status", "--store", target).code == 0


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_moved(command: Run, tmp_path: Path) -> None:
    """One sentence says why, and nothing is made."""
    SqliteStore(tmp_path / "one.sqlite3").close()
    before = sorted(tmp_path.iterdir())
    for source, target, why in (
        ("one.sqlite3", "two.sqlite3", "expected a file and a database"),
        ("none.sqlite3", new_store_address(), "there is no store none.sqlite3"),
        (new_store_address(), "one.sqlite3", "it is there already; name a new file"),
        ("one.sqlite3", "postgresql://a:b@c/d", "a password in the address"),
    ):
        done = command(
            "store", "move",
            "--from", tmp_path / source if source == "one.sqlite3" else source,
            "--to", tmp_path / target if target == "one.sqlite3" else target,
        )  # fmt: skip
        assert (done.code, done.out) == (2, ""), done.err
        assert why in done.err
    assert [one for one in before if not one.exists()] == []
