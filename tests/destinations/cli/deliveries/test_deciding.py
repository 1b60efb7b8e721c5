from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.deliveries import serving_lock

Put = Callable[..., int]
Run = Callable[..., Any]


def _state(deliveries: Run, delivery: int) -> tuple[str, str | None]:
    found = deliveries("show", delivery, "--json").json
    return found["state"], found["outcome"]


@pytest.mark.parametrize(
    ("typed", "code", "after"),
    [("y\n", 0, "DROPPED"), ("n\n", 1, "SERVICE_UNAVAILABLE"), ("", 130, "SERVICE_UNAVAILABLE")],
)
def test_several_are_asked_about(
    deliveries: Run,
    dead: Put,
    answer: Callable[[str], None],
    *,
    typed: str,
    code: int,
    after: str,
):
    """Only a yes drops them; where nobody answers, nothing is changed."""
    ids = dead(), dead()
    answer(typed)
    assert deliveries("drop", *ids, "--reason", "test data").code == code
    for one in ids:
        assert deliveries("show", one, "--json").json["code"] == after


def test_drop(deliveries: Run, dead: Put, held: Put):
    """One is not asked about, nor are several with --yes; they need nobody any more."""
    assert deliveries("drop", dead(), "--reason", "old").code == 0
    done = deliveries("drop", dead(), held(), "--reason", " test data ", "--yes")
    assert (done.code, done.out) == (0, "Dropped: 2, 3.\n")
    assert deliveries("show", 3, "--json").json["reason"] == "dropped: test data"
    assert deliveries("list", "--json").json["total"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'ID...'"),
        ((1,), "Missing option '--reason'"),
        ((1, "--reason", " "), "--reason must say why"),
        ((1, "--reason", "x"), "delivery 1 cannot be dropped: it is ready: it is on its way"),
        ((9, "--reason", "x"), "there is no delivery 9"),
    ],
)
def test_wrong_drops(deliveries: Run, put: Put, arguments: tuple[Any, ...], message: str):
    """Each is refused, and nothing is changed."""
    put()
    done = deliveries("drop", *arguments)
    assert done.code == 2
    assert message in done.err
    assert _state(deliveries, 1) == ("ready", None)


@pytest.mark.parametrize(
    ("options", "typed", "code", "after"),
    [
        (("--applied",), "y\n", 0, ("done", "delivered")),
        (("--not-applied",), "y\n", 0, ("ready", None)),
        (("--applied", "--yes"), "", 0, ("done", "delivered")),
        (("--not-applied", "--yes"), "", 0, ("ready", None)),
        (("--applied",), "n\n", 1, ("held", None)),
        ((), "", 2, ("held", None)),
    ],
)
def test_resolve(
    deliveries: Run,
    held: Put,
    answer: Callable[[str], None],
    *,
    options: tuple[str, ...],
    typed: str,
    code: int,
    after: tuple[str, str | None],
):
    """The numbers are shown before the question; only a yes decides."""
    answer(typed)
    done = deliveries("resolve", held(), *options)
    assert done.code == code
    assert _state(deliveries, 1) == after
    if code != 2:
        shown = done.err.partition("Settle delivery 1")[0]
        assert "12,000" in shown
        assert "found:" in shown


def test_resolve_of_what_is_not_held(deliveries: Run, dead: Put):
    """The message says where those are."""
    done = deliveries("resolve", dead(), "--applied", "--yes")
    assert done.code == 2
    assert "delivery 1 is dead: there is nothing to resolve" in done.err


def test_unknown_while_a_server_asks(deliveries: Run, put: Put, path: Path):
    """Two must not decide at the same time: a person only does when no server runs."""
    delivery = put(state="unknown", expectation='["u1 calls", 5]')
    with serving_lock(path):
        done = deliveries("resolve", delivery, "--applied", "--yes")
        assert done.code == 2
        assert "the server is asking the partner" in done.err
    assert deliveries("resolve", delivery, "--applied", "--yes").code == 0
    assert _state(deliveries, delivery) == ("done", "delivered")
