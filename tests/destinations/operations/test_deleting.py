"""Partners are asked to delete an erased user: which ones, and what waits in the store for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence

import pytest

from destinations.definition import DELETION
from destinations.operations import ask_to_delete, deletable
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import ScopeTotals, Selection
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import Tenant
from tests.stores import AnyStore, both_kinds

Add = Callable[..., int]

USER, NAME = "ann@example.com", "erased-00ff"


def _all(scopes: Collection[ScopeTotals]) -> Sequence[ScopeTotals]:
    return list(scopes)


@both_kinds
def test_what_waits(store: AnyStore, add_delivery: Add) -> None:
    """One event for each partner, which has the id; its row has the digest. Twice is once."""
    add_delivery(store, destination="one", status=Outcome.DELIVERED)
    add_delivery(store, destination="two", status=Outcome.DELIVERED, account="b")
    scopes = [one.id for one in store.ledger().totals(3_000.0)]
    partners = deletable(store, scopes, (), _all, 3_000.0)
    assert [(one.destination, one.served) for one in partners] == [("one", True), ("two", True)]
    made = ask_to_delete(store, partners, USER, NAME, 3_000.0)
    assert len(set(made)) == 2
    for (number, status), partner in zip(made, partners, strict=True):
        assert status is State.READY
        entry = store.ledger().get(number)
        assert (entry.key, entry.user) == (SubscriptionKey(DELETION, DELETION), NAME)
        assert (entry.status, entry.destination) == (State.READY, partner.destination)
        raw = store.ledger().raw_event(entry.event_id)
        assert raw is not None
        event = json.loads(raw)
        assert (event["type"], event["userId"]) == ("delete", USER)
        assert event["messageId"] == entry.message_id
        assert event["timestamp"] == "1970-01-01T00:50:00Z"
    assert ask_to_delete(store, partners, USER, NAME, 4_000.0) == made
    assert list(store.ledger().find(Selection(user=USER))) == []


@both_kinds
def test_customers_of_an_endpoint(
    store: AnyStore, add_delivery: Add, add_tenant: Callable[..., Tenant]
) -> None:
    """Only those are asked for whom the user is known, or who were named."""
    tenants = [add_tenant(store, name) for name in ("Acme", "Other")]
    for one in tenants:
        add_delivery(store, scope=one.scope, status=Outcome.DELIVERED)
    known = [one.id for one in tenants]
    scopes = [one.id for one in store.ledger().totals(3_000.0)]
    found = deletable(store, scopes, known[1:], _all, 3_000.0)
    assert [one.tenant for one in found] == known[1:]


BEFORE: dict[str, tuple[Outcome | State, str, bool]] = {
    "delivered": (Outcome.DELIVERED, "", False),
    "held": (State.HELD, "", False),
    "rejected": (Outcome.REJECTED, "", True),
    "dropped": (Outcome.DROPPED, "", True),
    "delivered, and the user came back": (Outcome.DELIVERED, USER, True),
    "delivered, and the user came back and was erased": (Outcome.DELIVERED, NAME, True),
    "delivered, and somebody else came": (Outcome.DELIVERED, "bob", False),
}


@both_kinds
@pytest.mark.parametrize("case", BEFORE)
def test_it_was_asked_before(store: AnyStore, add_delivery: Add, case: str) -> None:
    """Nothing is sent twice unless something of the user came in between."""
    status, since, is_asked = BEFORE[case]
    add_delivery(store, status=Outcome.DELIVERED, user=USER)
    raw = {"type": "delete", "userId": USER}
    payload = json.dumps({"userId": USER}).encode()
    key = {"subscription": DELETION, "action": DELETION}
    before = add_delivery(store, raw, user=NAME, status=status, payload=payload, **key)
    if since:
        add_delivery(store, status=Outcome.DELIVERED, user=since)
    scopes = [one.id for one in store.ledger().totals(3_000.0)]
    partners = deletable(store, scopes, (), _all, 3_000.0)
    ((number, found),) = ask_to_delete(store, partners, USER, NAME, 3_000.0)
    assert (number != before) is is_asked
    assert found is (State.READY if is_asked else status)
