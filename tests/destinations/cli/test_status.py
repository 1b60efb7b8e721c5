from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import Periods, lock_run, lock_server, locks, note_server
from destinations.outcome import Outcome, State
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import SqliteStore

Run = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """A store."""
    opened = SqliteStore(tmp_path / "store.sqlite3")
    yield opened
    opened.close()


def test_an_empty_store(command: Run, store: SqliteStore) -> None:
    """It says where it is, and that nothing is in it."""
    done = command("status", "--store", store.path)
    assert done.code == 0
    assert str(store.path) in done.out
    assert "no server delivers from it" in done.out
    assert "It holds no deliveries yet." in done.out
    assert "refused event" not in done.out


def test_what_is_in_it(command: Run, store: SqliteStore, add_delivery: Callable[..., int]) -> None:
    """Counts, what waits, and what needs an operator; and whether a server runs."""
    add_delivery(store, destination="[b]x[/b]")
    add_delivery(store, destination="[b]x[/b]", status=State.HELD)
    add_delivery(store, destination="[b]x[/b]", reason="busy", next_at=4e9)
    add_delivery(store, destination="[b]x[/b]", status=Outcome.DELIVERED, settled_at=1_000.0)
    with lock_server(store.path):
        text = command("status", "--store", store.path).out
        found = command("status", "--store", store.path, "--json").json
    assert "[b]x[/b]" in text
    assert "queue 2 (2 ready, 1 held)" in text
    assert (
        "1 held: an operator has to decide; destinations deliveries list --state held --st" in text
    )
    assert "next retry in " in text
    assert "oldest waits for " in text
    assert "delivered" in text
    assert found["served"] is True
    assert "a server delivers from it" in text
    (one,) = found["destinations"]
    assert one["queue"] == 2
    assert one["counts"] == {"ready": 2, "held": 1, "delivered": 1}
    assert one["today"] == {}


def test_live(
    command: Run,
    store: SqliteStore,
    add_delivery: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It counts again after each pause, until the user ends it: that is not a failure."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        add_delivery(store)

    monkeypatch.setattr("destinations.cli.status_command.time.sleep", pause)
    done = command("status", "--store", store.path, "--live", "2")
    assert (done.code, pauses) == (0, [2.0, 2.0, 2.0])
    assert "queue 2" in done.out


def test_live_json(command: Run, store: SqliteStore) -> None:
    """They cannot be used together."""
    assert command("status", "--store", store.path, "--live", "1", "--json").code == 2


def test_a_destination_that_nobody_serves(
    command: Run, store: SqliteStore, add_delivery: Callable[..., int]
) -> None:
    """It was removed or renamed while deliveries of it wait: the server will never send them."""
    add_delivery(store, destination="former")
    add_delivery(store, destination="sample")
    idle = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
    store.accounts().served("idle", idle)
    with lock_server(store.path):
        note_server(store, ["sample", "idle"], Periods())
        text = command("status", "--store", store.path).out
        found = command("status", "--store", store.path, "--json").json
    assert {one["name"]: one["served"] for one in found["destinations"]} == {
        "former": False,
        "idle": True,
        "sample": True,
    }
    former, _, rest = text.partition("idle")
    assert "the server has no destination of this name" in former
    assert "the server has no destination of this name" not in rest
    # Without a server there is none to have it.
    assert "of this name" not in command("status", "--store", store.path).out


def test_who_may_not_look_at_the_lock(
    command: Run, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's server: what is in the store is shown, and what cannot be told is said."""

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(locks, "is_served", refuse)
    done = command("status", "--store", store.path)
    assert (done.code, "cannot read its lock, so a server may or may not deliver" in done.out) == (
        0,
        True,
    )
    assert command("status", "--store", store.path, "--json").json["served"] is None


@pytest.mark.parametrize(
    ("served", "next_one"),
    [
        (True, "destinations serve --config FILE"),
        (False, "destinations run sample --settings FILE"),
    ],
)
def test_after_a_process_was_killed(
    command: Run,
    store: SqliteStore,
    add_delivery: Callable[..., int],
    *,
    served: bool,
    next_one: str,
) -> None:
    """What it was sending is unknown, and it is said what to start, so that somebody asks."""
    add_delivery(store, sending=True, served=served)
    text = command("status", "--store", store.path).out
    assert "queue 1 (1 unknown)" in text
    where = "" if served else f" --store {store.path}"
    assert (
        f"1 unknown: no process asks the partner about it now; start one: {next_one}{where}" in text
    )
    with lock_server(store.path) if served else lock_run(store.path, 1, "sample"):
        text = command("status", "--store", store.path).out
    assert "queue 1 (1 sending)" in text
    assert "start one" not in text
