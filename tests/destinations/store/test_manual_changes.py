from __future__ import annotations

from collections.abc import Callable

import pytest

from destinations.outcome import Effect, ManualChange, Outcome, Result
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent, Round, Scope, Transition
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store.manual_changes import StoredManualChanges
from tests.stores import AnyStore, few_in_postgres

Open = Callable[..., StoredManualChanges]


def _account(store: AnyStore, name: str) -> int:
    """The id of the account of a name, which is made if there is none."""
    accounts = store.accounts()
    identity = AccountIdentity("sample", "http://127.0.0.1/", "", f"key of {name}", name)
    known = accounts.find(identity)
    return accounts.add(identity) if known is None else known.id


@pytest.fixture
def changes(store: AnyStore) -> Open:
    """The waiting changes of accounts, at a time that goes on by a second with each."""
    time = iter(range(1000, 2000))

    def make(*names: str) -> StoredManualChanges:
        ids = [_account(store, name) for name in names or ("account",)]
        return StoredManualChanges(store.database, ids, now=lambda: float(next(time)))

    return make


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


@few_in_postgres(
    "at once-the latest",
    "at once-another field",
    "opened again for each-one of two settled",
    "opened again for each-settled, then again",
)
@pytest.mark.parametrize(("sequence", "waits"), SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "opened again for each"])
def test_what_waits(
    changes: Open, sequence: list[ManualChange], waits: dict[str, str], at_once: bool
) -> None:
    """Of each field the latest change, until the field is settled."""
    changes().note(_change("other", email="x"))
    if at_once:
        changes().note(*sequence)
    else:
        for change in sequence:
            changes().note(change)
    assert changes().entries() == {"other": {"email": "x"}} | ({"u": waits} if waits else {})


def test_users_come_in_the_order_in_which_they_were_noted(changes: Open) -> None:
    """A change that is noted again as it was keeps its place; a new one goes to the end."""
    waiting = changes()
    waiting.note(_change("b", email="1"), _change("c", email="1"), _change("a", email="1"))
    waiting.note(_change("b", email="1"), _change("c", email="2"))
    assert list(waiting.entries()) == ["b", "a", "c"]


def test_accounts_are_apart(changes: Open) -> None:
    """What one account settles still waits in another."""
    one, two = changes("one"), changes("two")
    one.note(_change("u", email="a"))
    two.note(_change("u", email="b"))
    one.note(_change("u", "email"))
    assert (one.entries(), two.entries()) == ({}, {"u": {"email": "b"}})


def test_several_accounts_at_once(changes: Open) -> None:
    """What waits for any of them is shown; what is noted waits for the first alone."""
    changes("two").note(_change("u", email="a", name="n"))
    both = changes("one", "two")
    assert both.entries() == {"u": {"email": "a", "name": "n"}}
    both.note(_change("u", email="b"))
    assert changes("one").entries() == {"u": {"email": "b"}}
    assert changes("two").entries() == {"u": {"name": "n"}}
    assert both.entries() == {"u": {"name": "n", "email": "b"}}
    both.note(_change("u", "email name"))
    assert both.entries() == {}


def test_no_account(changes: Open, store: AnyStore) -> None:
    """Where none is known, nothing waits."""
    changes().note(_change("u", email="a"))
    assert StoredManualChanges(store.database, []).entries() == {}


def _transition(user: str, change: ManualChange | None) -> Transition:
    event = QueuedEvent(f"m {user}", "identify", user, 1_000.0, b"{}", 1)
    delivery = QueuedDelivery(event, SubscriptionKey("People", "sync"), 0, b"{}", "plan")
    return Transition(
        delivery, Result(Outcome.DELIVERED, manual=change), "send", 1, effect=Effect.APPLIED
    )


@pytest.mark.parametrize("served", [True, False])
def test_what_a_delivery_leaves_to_do(
    store: AnyStore, changes: Open, add_delivery: Callable[..., int], *, served: bool
) -> None:
    """It is noted for its account in the commit that makes its outcome durable, or not at all."""
    entry = store.ledger().get(add_delivery(store, served=served))
    scope = Scope(entry.scope, entry.destination)
    queue = store.queue()
    queue.commit(
        Round(
            transitions=[
                (scope, _transition("u1", _change("u1", email="a"))),
                (scope, _transition("u2", None)),
            ]
        )
    )
    (account,) = store.accounts().of_slug("sample")
    waiting = store.manual_changes([account.id])
    assert waiting.entries() == {"u1": {"email": "a"}}
    queue.commit(Round(transitions=[(scope, _transition("u3", _change("u1", "email")))]))
    assert waiting.entries() == {}
    assert changes("another").entries() == {}


# What the subject's own change says, and what it waits for in the end.
ABSORBED: dict[str, tuple[list[str], dict[str, str], dict[str, str]]] = {
    "inherited": (["email"], {}, {"billingId": "own", "email": "e"}),
    "not inherited": ([], {}, {"billingId": "own"}),
    "a value of its own": (["billingId", "email"], {}, {"billingId": "own", "email": "e"}),
    "what the change says itself": (["email"], {"email": "n"}, {"billingId": "own", "email": "n"}),
}


@pytest.mark.parametrize(("inherited", "fields", "waits"), ABSORBED.values(), ids=ABSORBED)
def test_a_user_who_is_part_of_another_one(
    changes: Open, inherited: list[str], fields: dict[str, str], waits: dict[str, str]
) -> None:
    """Nothing waits for it any more; the inherited fields wait for the other, once."""
    waiting = changes()
    waiting.note(_change("gone", email="e", billingId="b"), _change("kept", billingId="own"))
    merged = ManualChange("kept", fields, absorbed="gone", inherited=frozenset(inherited))
    for _ in range(2):
        waiting.note(merged)
        assert waiting.entries() == {"kept": waits}
