from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Put = Callable[..., int]
Run = Callable[..., Any]


def _state(deliveries: Run, delivery: int) -> tuple[str, str | None]:
    found = deliveries("show", delivery, "--json").json
    return found["state"], found["outcome"]


@pytest.mark.parametrize(
    ("typed", "code", "after"),
    [("y\n", 0, "DROPPED"), ("n\n", 1, "SERVICE_UNAVAILABLE"), ("", 2, "SERVICE_UNAVAILABLE")],
)
@pytest.mark.parametrize("several", [True, False])
def test_a_drop_is_asked_about(
    deliveries: Run,
    dead: Put,
    answer: Callable[[str], None],
    *,
    typed: str,
    code: int,
    after: str,
    several: bool,
):
    """Only a yes drops them; where nobody answers, nothing is changed, and --yes is named."""
    ids = (dead(), dead()) if several else (dead(user="u\x1b7"),)
    answer(typed)
    done = deliveries("drop", *ids, "--reason", "test data")
    assert done.code == code
    what = "2 deliveries" if several else "delivery 1 (dead; track/m1, user u\ufffd7)"
    assert f"Drop {what} for good?" in done.err
    assert ("nothing was changed; --yes does it without a question" in done.err) == (code == 2)
    for one in ids:
        assert deliveries("show", one, "--json").json["code"] == after


def test_drop(deliveries: Run, dead: Put, held: Put):
    """With --yes nothing is asked; they need nobody any more."""
    done = deliveries("drop", dead(), held(), "--reason", " test data ", "--yes")
    assert (done.code, done.out, done.err) == (0, "Dropped: 1, 2.\n", "")
    assert deliveries("show", 2, "--json").json["reason"] == "dropped: test data"
    assert deliveries("list", "--json").json["total"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'ID...'"),
        ((1,), "Missing option '--reason'"),
        ((1, "--reason", " "), "--reason must say why"),
        ((1, "--reason", "x"), "delivery 1 cannot be dropped: it is ready, and the server deliv"),
        ((2, "--reason", "x"), "delivery 2 cannot be dropped: it was dropped already"),
        ((9, "--reason", "x"), "there is no delivery 9"),
    ],
)
def test_wrong_drops(
    deliveries: Run, put: Put, dead: Put, served: Any, arguments: tuple[Any, ...], message: str
):
    """Each is refused before anybody is asked, and nothing is changed."""
    put()
    dead(code="DROPPED")
    with served("sample"):
        done = deliveries("drop", *arguments)
    assert done.code == 2
    assert "for good?" not in done.err
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
        (("--yes",), "", 2, ("held", None)),
        (("--applied",), "", 2, ("held", None)),
        (("--applied", "--not-applied", "--yes"), "", 2, ("held", None)),
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
    if code == 2:
        names = "--yes" if options == ("--applied",) else "one of --applied and --not-applied"
        assert names in done.err
    else:
        shown = done.err.partition("Settle delivery 1")[0]
        assert "12,000" in shown
        assert "found:" in shown


def test_resolve_of_what_is_not_held(deliveries: Run, dead: Put):
    """The message says where those are."""
    done = deliveries("resolve", dead(), "--applied", "--yes")
    assert done.code == 2
    assert "delivery 1 is dead: there is nothing to resolve" in done.err


def test_unknown_while_a_server_asks(deliveries: Run, put: Put, served: Any):
    """Two must not decide at the same time: a person only does when no server runs."""
    delivery = put(state="unknown", expectation='["u1 calls", 5]')
    with served("sample"):
        done = deliveries("resolve", delivery, "--applied", "--yes")
        assert done.code == 2
        assert "the server is asking the partner" in done.err
    assert deliveries("resolve", delivery, "--applied", "--yes").code == 0
    assert _state(deliveries, delivery) == ("done", "delivered")


def test_what_nobody_delivers(deliveries: Run, put: Put, served: Any):
    """Of a destination that was removed with its queue: what waits, or was on its way, can end."""
    ready, sending = put(destination="gone"), put(destination="gone", state="sending")
    with served("sample"):
        assert deliveries("drop", ready, "--reason", "gone", "--yes").code == 0
        assert deliveries("resolve", sending, "--applied", "--yes").code == 0
    assert deliveries("show", ready, "--json").json["code"] == "DROPPED"
    assert _state(deliveries, sending) == ("done", "delivered")
