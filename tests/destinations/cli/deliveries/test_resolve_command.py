from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from destinations.pipeline.queue import Increment
from destinations.postgres import StoreAddress, open_at
from tests.stores import few_in_postgres

Put = Callable[..., int]
Run = Callable[..., Any]
Statuses = Callable[[], dict[int, str]]


@pytest.fixture
def unknown(put: Put) -> Put:
    """Puts a delivery whose answer was lost, and of which the partner is asked."""

    def make(**columns: Any) -> int:
        given = {"status": State.UNKNOWN, "attempts": 1, "increment": Increment("u1 calls", 5)}
        return put(**{**given, **columns})

    return make


@few_in_postgres("options0", "options3", "options4")
@pytest.mark.parametrize(
    ("options", "typed", "code", "after"),
    [
        (("--applied",), "y\n", 0, "delivered"),
        (("--not-applied",), "y\n", 0, "ready"),
        (("--applied", "--yes"), "", 0, "delivered"),
        (("--not-applied", "--yes"), "", 0, "ready"),
        (("--applied",), "n\n", 1, "held"),
        ((), "", 2, "held"),
        (("--yes",), "", 2, "held"),
        (("--applied",), "", 2, "held"),
        (("--applied", "--not-applied", "--yes"), "", 2, "held"),
    ],
)
def test_resolve(
    deliveries: Run,
    held: Put,
    answer: Callable[..., None],
    statuses: Statuses,
    *,
    options: tuple[str, ...],
    typed: str,
    code: int,
    after: str,
) -> None:
    """The numbers are shown before the question; only a yes decides."""
    answer(typed)
    done = deliveries("resolve", held(), *options)
    assert done.code == code
    assert statuses() == {1_000: after}
    if code == 2:
        names = {
            ("--applied",): "--yes",
            ("--applied", "--not-applied", "--yes"): "--applied cannot be used with --not-applied",
        }
        assert names.get(options, "use --applied or --not-applied") in done.err
    else:
        shown = done.err.partition("Resolve delivery 1000")[0]
        assert "12,000" in shown
        assert "found:" in shown


@few_in_postgres
@pytest.mark.parametrize(
    ("option", "question", "told"),
    [
        ("--applied", "as applied?", "Resolved: 1, counted as delivered.\n"),
        ("--not-applied", "as not applied, and sent again?", "Resolved: 1, waiting for its turn"),
    ],
)
def test_what_is_asked_and_told(
    deliveries: Run,
    unknown: Put,
    answer: Callable[..., None],
    *,
    option: str,
    question: str,
    told: str,
) -> None:
    """The question says what it comes to, and so does the end."""
    answer("y\n")
    done = deliveries("resolve", unknown(), option)
    assert f"Resolve delivery 1000 (unknown; track/m1, user u1) {question}" in done.err
    assert "adds:               5 to u1 calls" in done.err
    assert told in done.out


@few_in_postgres("--applied-True", "--not-applied-False")
@pytest.mark.parametrize("is_served", [True, False])
@pytest.mark.parametrize("option", ["--applied", "--not-applied"])
def test_whether_a_server_runs_or_not(
    deliveries: Run,
    unknown: Put,
    held: Put,
    served: Any,
    statuses: Statuses,
    *,
    is_served: bool,
    option: str,
) -> None:
    """A lost answer is decided on also while the partner is asked; whoever is faster decides."""
    ids = (unknown(), held())
    with served("sample" if is_served else "other"):
        assert deliveries("resolve", *ids, option, "--yes").code == 0
    assert set(statuses().values()) == {"delivered" if option == "--applied" else "ready"}


def test_by_class(
    deliveries: Run, held: Put, unknown: Put, put: Put, served: Any, statuses: Statuses
) -> None:
    """All of a selection that can be decided on is; the rest is left alone, with the reason."""
    held()
    held(user="u2")
    unknown()
    put(sending=True)
    put(status=Outcome.DEAD)
    with served("sample"):
        done = deliveries("resolve", "--user", "u1", "--not-applied", "--yes")
    assert (done.code, done.out) == (0, "Resolved: 2, waiting for their turn.\n")
    assert list(statuses().values()) == ["ready", "held", "ready", "sending", "dead"]
    assert "Skipped: 1 delivery, because it is being sent" in done.err
    assert "Skipped: 1 delivery, because it is dead: there is nothing to resolve" in done.err


@few_in_postgres("options0", "options3", "options4")
@pytest.mark.parametrize(
    ("typed", "options", "code", "after"),
    [
        ("y\n", (), 0, ["ready", "delivered", "held", "ready"]),
        ("", ("--yes",), 0, ["ready", "delivered", "held", "ready"]),
        ("n\n", (), 1, ["held"] * 4),
        ("", (), 2, ["held"] * 4),
        ("", ("--dry-run",), 0, ["held"] * 4),
    ],
)
def test_what_the_numbers_show(
    deliveries: Run,
    put: Put,
    answer: Callable[..., None],
    statuses: Statuses,
    *,
    typed: str,
    options: tuple[str, ...],
    code: int,
    after: list[str],
) -> None:
    """Without a verdict, what the evidence shows is proposed; of the others nothing is said."""
    for amount, shown in ((5, "not applied"), (7, "applied"), (9, None), (11, "not applied")):
        evidence = {"before": 10, "found": 17, "why": "others write there as well"}
        put(
            status=State.HELD,
            attempts=1,
            increment=Increment("u1 calls", amount),
            evidence=evidence if shown is None else {**evidence, "proposed": shown},
        )
    answer(typed)
    done = deliveries("resolve", "--state", "held", *options)
    assert done.code == code
    assert list(statuses().values()) == after
    assert "Skipped: 1 delivery, because the balances do not show" in done.err
    for number in ("1000", "2000", "4000"):
        assert number in done.err.partition("Of 1 more")[0]
    if code == 0 and not options:
        assert "Resolve 3 deliveries as proposed?" in done.err
        assert "1 counted as delivered, 2 waiting for their turn" in done.out


def test_what_the_numbers_do_not_show(deliveries: Run, held: Put, statuses: Statuses) -> None:
    """Then the operator has to look it up."""
    done = deliveries("resolve", held(), "--yes")
    assert done.code == 2
    assert "do not show whether delivery 1000 was applied" in done.err
    assert statuses() == {1_000: "held"}


@pytest.mark.parametrize("path", ["sqlite"], indirect=True)
def test_a_dry_run(deliveries: Run, held: Put, path: Path, statuses: Statuses) -> None:
    """It says what would be decided, asks nothing and writes nothing."""
    held()
    held()
    before = path.read_bytes()
    done = deliveries("resolve", "--state", "held", "--applied", "--dry-run")
    assert (done.code, done.out) == (0, "2 deliveries would be resolved as applied.\n")
    assert path.read_bytes() == before
    assert set(statuses().values()) == {"held"}


def test_nothing_to_resolve(deliveries: Run, put: Put) -> None:
    """That is no error of a selection, and nobody is asked."""
    put(status=Outcome.DEAD)
    done = deliveries("resolve", "--state", "held", "--applied")
    assert (done.code, done.out, done.err) == (0, "Nothing to resolve.\n", "")


def test_what_is_not_held(deliveries: Run, dead: Put, held: Put, statuses: Statuses) -> None:
    """Named by its id, the message says where those are; none of the others is decided on."""
    done = deliveries("resolve", held(), dead(), "--applied", "--yes")
    assert done.code == 2
    assert "delivery 2000 cannot be resolved: it is dead: there is nothing to resolve" in done.err
    assert "see destinations deliveries list --state held" in done.err
    assert statuses() == {1_000: "held", 2_000: "dead"}


def test_what_changed_since(
    deliveries: Run,
    held: Put,
    path: StoreAddress,
    statuses: Statuses,
    answer: Callable[..., None],
) -> None:
    """Two operators decide on the same: the first decision holds, and the second is told so."""
    held()

    def decide() -> None:
        with open_at(path) as other:
            ledger = other.ledger()
            ledger.resolve([ledger.get(1_000)], applied=True, now=3_000.0)

    answer("y\n", decide)
    done = deliveries("resolve", 1_000, "--not-applied")
    assert (done.code, done.out) == (1, "Resolved: 0, waiting for their turn.\n")
    assert "Changed in the meantime and skipped: 1. Run the command again.\n" in done.err
    assert statuses() == {1_000: "delivered"}


@few_in_postgres("True---applied", "False---not-applied")
@pytest.mark.parametrize("option", ["--applied", "--not-applied"])
@pytest.mark.parametrize("is_served", [True, False])
def test_after_a_process_was_killed(
    deliveries: Run, put: Put, statuses: Statuses, *, option: str, is_served: bool
) -> None:
    """What it was sending can be decided on at once, and the rest is unknown."""
    delivery, _ = put(sending=True, served=is_served), put(sending=True, served=is_served)
    done = deliveries("resolve", delivery, option, "--yes")
    assert (done.code, done.out[:11]) == (0, "Resolved: 1")
    expected = "delivered" if option == "--applied" else "ready"
    assert statuses() == {1_000: expected, 2_000: "unknown"}


def test_what_no_numbers_show(deliveries: Run, unknown: Put, statuses: Statuses) -> None:
    """Of a selection it is left alone, which is no wrong usage; an id that is given is refused."""
    delivery = unknown()
    done = deliveries("resolve", "--state", "unknown", "--yes")
    assert (done.code, done.out) == (0, "Nothing to resolve.\n")
    assert done.err.startswith(
        "Skipped: 1 delivery, because the balances do not show whether the partner"
    )
    done = deliveries("resolve", delivery, "--yes")
    assert done.code == 2
    assert "use --applied or --not-applied" in done.err
    assert "Usage:" not in done.err
    assert statuses() == {1_000: "unknown"}
