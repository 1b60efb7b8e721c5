from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from destinations.postgres import StoreAddress, open_at
from tests.stores import few_in_postgres

Put = Callable[..., int]
Run = Callable[..., Any]
Statuses = Callable[[], dict[int, str]]


@few_in_postgres("True-y", "False--2")
@pytest.mark.parametrize(
    ("typed", "code", "after"), [("y\n", 0, "dropped"), ("n\n", 1, "dead"), ("", 2, "dead")]
)
@pytest.mark.parametrize("several", [True, False])
def test_a_drop_is_asked_about(
    deliveries: Run,
    dead: Put,
    answer: Callable[..., None],
    statuses: Statuses,
    *,
    typed: str,
    code: int,
    after: str,
    several: bool,
) -> None:
    """Only a yes drops them; where nobody answers, nothing is changed, and --yes is named."""
    ids = (dead(), dead()) if several else (dead(user="u\x1b7"),)
    answer(typed)
    done = deliveries("drop", *ids, "--reason", "test data")
    assert done.code == code
    what = "2 deliveries" if several else "delivery 1000 (dead; track/m1, user u\ufffd7)"
    assert f"Drop {what} for good?" in done.err
    assert ("nothing changed. Use --yes to skip the prompt" in done.err) == (code == 2)
    assert set(statuses().values()) == {after}


def test_drop(deliveries: Run, dead: Put, held: Put, put: Put) -> None:
    """With --yes nothing is asked; they need nobody any more."""
    ids = (dead(), held(), put())
    done = deliveries("drop", *ids, "--reason", " test data ", "--yes")
    assert (done.code, done.out, done.err) == (0, "Dropped: 3.\n", "")
    assert deliveries("show", ids[1], "--json").json["reason"] == "dropped: test data"
    assert deliveries("list", "--json").json["total"] == 0


def test_the_same_id_twice(deliveries: Run, dead: Put) -> None:
    """It is one delivery."""
    done = deliveries("drop", dead(), 1_000, "--reason", "x", "--yes")
    assert (done.code, done.out) == (0, "Dropped: 1.\n")


def test_by_class(deliveries: Run, dead: Put, put: Put, served: Any, statuses: Statuses) -> None:
    """All that can be dropped is; what cannot is left alone, with the reason, and counted."""
    dead()
    put()
    put(user="u2")
    put(sending=True)
    put(status=State.UNKNOWN)
    put(status=Outcome.DELIVERED)
    put(status=Outcome.DELIVERED)
    with served("sample"):
        done = deliveries("drop", "--user", "u1", "--reason", "x", "--yes")
    assert (done.code, done.out) == (0, "Dropped: 2.\n")
    assert list(statuses().values()) == [
        *("dropped", "dropped", "ready", "sending", "unknown", "delivered", "delivered"),
    ]
    assert done.err.splitlines() == [
        (
            "Skipped: 1 delivery, because it is being sent; try again when it has an outcome, "
            "or is held."
        ),
        (
            "Skipped: 1 delivery, because it is unknown: decide with destinations deliveries "
            "resolve."
        ),
        "Skipped: 2 deliveries, each because it is delivered: nothing of it would be sent.",
    ]


@pytest.mark.parametrize("path", ["sqlite"], indirect=True)
def test_a_dry_run(deliveries: Run, dead: Put, put: Put, path: Path, statuses: Statuses) -> None:
    """It says what would be dropped, asks nothing and writes nothing, not even beside the file."""
    dead()
    put(status=Outcome.DELIVERED)
    for beside in set(path.parent.glob("store.sqlite3*")) - {path}:
        beside.unlink()
    before = path.read_bytes()
    done = deliveries("drop", "--user", "u1", "--reason", "x", "--dry-run")
    assert (done.code, done.out) == (
        0,
        "delivery 1000 (dead; track/m1, user u1) would be dropped.\n",
    )
    assert (
        done.err == "Skipped: 1 delivery, because it is delivered: nothing of it would be sent.\n"
    )
    assert list(path.parent.glob("store.sqlite3*")) == [path]
    assert path.read_bytes() == before
    assert statuses() == {1_000: "dead", 2_000: "delivered"}


def test_nothing_to_drop(deliveries: Run, put: Put) -> None:
    """That is no error, and nobody is asked."""
    put(status=Outcome.DELIVERED)
    done = deliveries("drop", "--outcome", "dead", "--reason", "x")
    assert (done.code, done.out, done.err) == (0, "Nothing to drop.\n", "")


@few_in_postgres("arguments0", "arguments5")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reason", "x"), "choose deliveries by their ids, or by options such as --outcome"),
        ((1_000,), "Missing option '--reason'"),
        ((1_000, "--reason", " "), "--reason must not be empty"),
        ((2_000, "--reason", "x"), "delivery 2000 cannot be dropped: it is dropped: nothing of"),
        ((1_000, 2_000, "--reason", "x"), "delivery 2000 cannot be dropped: it is dropped"),
        ((3_000, "--reason", "x"), "delivery 3000 cannot be dropped: it is being sent"),
        ((9, "--reason", "x"), "there is no delivery 9"),
        ((1_000, "--user", "u1", "--reason", "x"), "by their ids or by options, not by both"),
    ],
)
def test_wrong_drops(
    deliveries: Run,
    put: Put,
    served: Any,
    statuses: Statuses,
    *,
    arguments: tuple[Any, ...],
    message: str,
) -> None:
    """Each is refused before anybody is asked; of those that are named, all are dropped or none."""
    put()
    put(status=Outcome.DROPPED)
    put(sending=True)
    with served("sample"):
        done = deliveries("drop", *arguments)
    assert done.code == 2
    assert "for good?" not in done.err
    assert message in done.err
    assert statuses() == {1_000: "ready", 2_000: "dropped", 3_000: "sending"}


@pytest.mark.parametrize("names", [("sample",), ("other",)])
def test_while_a_server_delivers(
    deliveries: Run, put: Put, served: Any, statuses: Statuses, names: tuple[str, ...]
) -> None:
    """What waits can be dropped whoever delivers; the server finds that out."""
    put()
    with served(*names):
        assert deliveries("drop", 1_000, "--reason", "x", "--yes").code == 0
    assert statuses() == {1_000: "dropped"}


def test_what_changed_since(
    deliveries: Run,
    dead: Put,
    path: StoreAddress,
    statuses: Statuses,
    answer: Callable[..., None],
) -> None:
    """What somebody else was faster with is left alone, and exits 1; the others are dropped."""
    dead()
    dead()

    def decide() -> None:
        with open_at(path) as other:
            ledger = other.ledger()
            ledger.drop([ledger.get(1_000)], "faster", 3_000.0)

    answer("y\n", decide)
    done = deliveries("drop", 1_000, 2_000, "--reason", "slower")
    assert (done.code, done.out) == (1, "Dropped: 1.\n")
    assert done.err.endswith("Changed in the meantime and skipped: 1. Run the command again.\n")
    assert deliveries("show", 1_000, "--json").json["reason"] == "dropped: faster"
    assert statuses() == {1_000: "dropped", 2_000: "dropped"}
