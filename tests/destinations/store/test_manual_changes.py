from __future__ import annotations

from collections.abc import Callable

import pytest

from destinations.outcome import ManualChange, Outcome, Result
from destinations.runner import Row
from destinations.store import ManualChanges, Store

Open = Callable[..., ManualChanges]


@pytest.fixture
def changes(store: Store) -> Open:
    """The waiting changes of an account, at a time that goes on by a second with each."""
    time = iter(range(1000, 2000))
    return lambda account="account": ManualChanges(store, account, now=lambda: float(next(time)))


def _change(subject: str, settled: str = "", **fields: str) -> ManualChange:
    return ManualChange(subject, fields, frozenset(settled.split()))


# Changes of one user in order; then what waits.
SEQUENCES: dict[str, tuple[list[ManualChange], dict[str, str]]] = {
    "none": ([_change("u")], {}),
    "one": ([_change("u", email="a")], {"email": "a"}),
    "the latest": ([_change("u", email="a"), _change("u", email="b")], {"email": "b"}),
    "another field": (
        [_change("u", email="a"), _change("u", "name", billingId="c")],
        {"email": "a", "billingId": "c"},
    ),
    "none of the fields": ([_change("u", email="a"), _change("u", "name")], {"email": "a"}),
    "settled": ([_change("u", email="a"), _change("u", "email name")], {}),
    "one of two settled": (
        [_change("u", email="a", billingId="c"), _change("u", "email")],
        {"billingId": "c"},
    ),
    "settled, then again": (
        [_change("u", email="a"), _change("u", "email"), _change("u", email="b")],
        {"email": "b"},
    ),
}


@pytest.mark.parametrize(("sequence", "waits"), SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "opened again for each"])
def test_what_waits(
    changes: Open, sequence: list[ManualChange], waits: dict[str, str], at_once: bool
):
    """Of each field the latest change, until the field is settled."""
    changes().note(_change("other", email="x"))
    if at_once:
        changes().note(*sequence)
    else:
        for change in sequence:
            changes().note(change)
    assert changes().entries() == {"other": {"email": "x"}} | ({"u": waits} if waits else {})


def test_users_come_in_the_order_in_which_they_were_noted(changes: Open):
    """A change that is noted again as it was keeps its place; a new one goes to the end."""
    waiting = changes()
    waiting.note(_change("b", email="1"), _change("c", email="1"), _change("a", email="1"))
    waiting.note(_change("b", email="1"), _change("c", email="2"))
    assert list(waiting.entries()) == ["b", "a", "c"]


def test_rows_are_recorded(changes: Open):
    """A run's rows bring their changes; rows without one leave all as it is."""
    rows = [
        (Row(1, "identify", Result(Outcome.DELIVERED, manual=_change("u", email="a"))), b"{}"),
        (Row(2, "identify", Result(Outcome.REJECTED, "no")), b"{}"),
        (Row(3, None, Result(Outcome.FILTERED)), b"{}"),
    ]
    waiting = changes()
    waiting.record(rows)
    waiting.record(rows[1:])
    assert changes().entries() == {"u": {"email": "a"}}


def test_accounts_are_apart(changes: Open):
    """What one account settles still waits in another."""
    one, two = changes("one"), changes("two")
    one.note(_change("u", email="a"))
    two.note(_change("u", email="b"))
    one.note(_change("u", "email"))
    assert (one.entries(), two.entries()) == ({}, {"u": {"email": "b"}})
