"""The deletion of a user goes after all that came before it, and before what came later."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from destinations.definition import DELETION
from destinations.errors import UsageError
from destinations.operations import resolve, why_not_sent
from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.ledger import Replan
from destinations.pipeline.queue import (
    DELETION_FIRST,
    EARLIER_HELD,
    EARLIER_WAITS,
    ClaimedBatch,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import Tenant, broken_rules
from destinations.store import queue as stored_queue
from destinations.store.codes import STATUS_CODES, TYPE_CODES
from tests.stores import AnyStore, both_kinds

Add = Callable[..., int]

KEY = SubscriptionKey(DELETION, DELETION)
PAYLOAD = json.dumps({"userId": "u1"}).encode()


def _delete(add: Add, store: AnyStore, user: str = "u1", **more: Any) -> int:
    """Add a deletion; returns its id."""
    raw = {"type": "delete", "userId": "u1"}
    given = {"payload": PAYLOAD, **more}
    return add(store, raw, user=user, subscription=KEY.name, action=KEY.action, **given)


def _scope(store: AnyStore, delivery: int) -> Scope:
    entry = store.ledger().get(delivery)
    return Scope(entry.scope, entry.destination, entry.tenant)


def _claim(store: AnyStore, *ids: int) -> Sequence[str]:
    """Claim deliveries in a round, as the next process does; returns why each is not sent."""
    queue = store.queue()
    found: list[QueuedDelivery] = []
    scopes: dict[QueuedDelivery, Scope] = {}
    for one in ids:
        scope = _scope(store, one)
        (delivery,) = queue.source(scope).get([one])
        found.append(delivery)
        scopes[delivery] = scope
    batches = [ClaimedBatch(scopes[one], [one]) for one in found]
    committed = queue.commit(Round(batches=batches))
    assert not committed.gone
    for batch in batches:
        (delivery,) = batch.deliveries
        assert bool(batch.intent) is (delivery not in committed.behind)
    return [committed.behind[one].code if one in committed.behind else "" for one in found]


BEFORE: dict[str, tuple[dict[str, Any], str]] = {
    "ready": ({}, EARLIER_WAITS),
    "under way": ({"sending": True}, EARLIER_WAITS),
    "lost": ({"status": State.UNKNOWN}, EARLIER_WAITS),
    "held": ({"status": State.HELD}, EARLIER_HELD),
    "held, of another action": ({"status": State.HELD, "action": "other"}, EARLIER_HELD),
    "delivered": ({"status": Outcome.DELIVERED}, ""),
    "rejected": ({"status": Outcome.REJECTED}, ""),
    "dead": ({"status": Outcome.DEAD}, ""),
    "dropped": ({"status": Outcome.DROPPED}, ""),
    "of another user": ({"user": "u2"}, ""),
    "held, of another user": ({"user": "u2", "status": State.HELD}, ""),
    "of another destination": ({"destination": "other"}, ""),
    "held, of another destination": ({"destination": "other", "status": State.HELD}, ""),
    "of a run": ({"served": False, "destination": "sample"}, ""),
}


@both_kinds
@pytest.mark.parametrize("case", BEFORE)
def test_what_came_before(store: AnyStore, add_delivery: Add, case: str) -> None:
    """Of the same user and queue, it has to be settled; nothing else matters."""
    given, code = BEFORE[case]
    earlier = add_delivery(store, **given)
    deletion = _delete(add_delivery, store)
    assert _claim(store, deletion) == [code]
    entry = store.ledger().get(deletion)
    if code:
        assert entry.status is State.READY
        assert (entry.code, f"delivery {earlier} of its user" in entry.reason) == (code, True)
    else:
        assert (entry.status, entry.code) == (State.SENDING, None)
    assert broken_rules(store.database) == []


@both_kinds
@pytest.mark.parametrize("state", [State.READY, State.HELD])
def test_what_came_later(store: AnyStore, add_delivery: Add, state: State) -> None:
    """It waits for the deletion, unless that has ended or needs an operator itself."""
    deletion = _delete(add_delivery, store, status=state)
    later, other = add_delivery(store), add_delivery(store, user="u2")
    elsewhere = add_delivery(store, destination="other")
    expected = DELETION_FIRST if state is State.READY else ""
    assert _claim(store, later, other, elsewhere) == [expected, "", ""]
    assert store.ledger().get(deletion).status is state


@both_kinds
def test_two_deletions(store: AnyStore, add_delivery: Add) -> None:
    """One does not wait for another one: what was asked for twice is done twice, in one request."""
    _delete(add_delivery, store, status=State.HELD)
    two, three = _delete(add_delivery, store), _delete(add_delivery, store)
    assert _claim(store, two, three) == ["", ""]


@both_kinds
def test_tenants_are_apart(
    store: AnyStore, add_delivery: Add, add_tenant: Callable[..., Tenant]
) -> None:
    """The same id is somebody else with another customer."""
    one, other = (add_tenant(store, name).scope for name in ("Acme", "Other"))
    add_delivery(store, scope=one)
    add_delivery(store, scope=one, status=State.HELD)
    deletions = [_delete(add_delivery, store, scope=each) for each in (one, other)]
    later = add_delivery(store, scope=other, user="u2")
    assert _claim(store, *deletions, later) == [EARLIER_HELD, "", ""]


@both_kinds
def test_under_a_digest(store: AnyStore, add_delivery: Add) -> None:
    """The deletion of an erasure has the user's id in its payload alone, and keeps the same order.

    So it does where the erasure was cut off, and its user is still there.
    """
    earlier = add_delivery(store)
    deletion = _delete(add_delivery, store, user="erased-00ff")
    later, other = add_delivery(store), add_delivery(store, user="u2")
    assert _claim(store, earlier) == [""]
    assert _claim(store, deletion, later, other) == [EARLIER_WAITS, DELETION_FIRST, ""]


@both_kinds
def test_what_has_no_row_yet(store: AnyStore, add_delivery: Add) -> None:
    """The events of a run get theirs as they are claimed: all that has one came before."""
    held = add_delivery(store, status=State.HELD)
    scope = _scope(store, held)
    queue = store.queue()
    event = QueuedEvent("new", "delete", "u1", 3_000.0, b"{}")
    fresh = QueuedDelivery(event, KEY, payload=PAYLOAD)
    committed = queue.commit(Round(batches=[ClaimedBatch(scope, [fresh])]))
    assert committed.behind[fresh].code == EARLIER_HELD
    assert fresh.id > held
    track = QueuedEvent("later", "track", "u1", 3_000.0, b"{}")
    later = QueuedDelivery(track, SubscriptionKey("Count", "count"), payload=b"{}")
    committed = queue.commit(Round(batches=[ClaimedBatch(scope, [later])]))
    assert committed.behind[later].code == EARLIER_HELD  # as what it waits for does
    assert set(queue.held_up(scope, [fresh, later])) == {fresh, later}


@both_kinds
def test_nothing_is_said_twice(store: AnyStore, add_delivery: Add) -> None:
    """Its reason goes with it, also where another process has noted that."""
    earlier = add_delivery(store)
    deletion = _delete(add_delivery, store)
    assert _claim(store, deletion) == [EARLIER_WAITS]
    assert _claim(store, deletion) == [EARLIER_WAITS]
    queue, scope = store.queue(), _scope(store, deletion)
    for one in (earlier, deletion):
        (delivery,) = queue.source(scope).get([one])
        batch = ClaimedBatch(scope, [delivery])
        assert not queue.commit(Round(batches=[batch])).behind
        delivery.state = State.SENDING
        done = Transition(delivery, Result(Outcome.DELIVERED), effect=Effect.APPLIED)
        queue.commit(Round(transitions=[(scope, done)], returned=[batch]))
    assert store.ledger().get(deletion).status is Outcome.DELIVERED
    assert store.database.one("SELECT count(*) FROM failures") == (0,)
    assert broken_rules(store.database) == []


SINCE: dict[str, tuple[dict[str, Any], bool]] = {
    "delivered": ({"status": Outcome.DELIVERED}, True),
    "under way": ({"sending": True}, True),
    "lost": ({"status": State.UNKNOWN, "effect": Effect.MAYBE}, True),
    "held": ({"status": State.HELD, "effect": Effect.MAYBE}, True),
    "waits": ({}, False),
    "rejected": ({"status": Outcome.REJECTED}, False),
    "dropped": ({"status": Outcome.DROPPED}, False),
    "of another user": ({"user": "u2", "status": Outcome.DELIVERED}, False),
    "of another destination": ({"destination": "other", "status": Outcome.DELIVERED}, False),
}


@both_kinds
@pytest.mark.parametrize("case", SINCE)
def test_nothing_is_sent_again_after_it(
    store: AnyStore, add_delivery: Add, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """What came before the deletion is not sent any more, once the partner may have it.

    That is looked at in the transaction, too: an operator may have looked before.
    """
    given, is_deleted = SINCE[case]
    held = add_delivery(store, status=State.HELD, effect=Effect.MAYBE)
    dead = add_delivery(store, status=Outcome.DEAD)
    ledger = store.ledger()
    entries = [ledger.get(one) for one in (held, dead)]
    with monkeypatch.context() as patched:  # an earlier version did not wait for what is held
        patched.setattr(stored_queue, "behind", lambda *_: {})
        deletion = _delete(add_delivery, store, **given)
        later = ledger.get(add_delivery(store, status=State.HELD, effect=Effect.MAYBE))
    assert why_not_sent(ledger, later) == ""
    why = why_not_sent(ledger, entries[0])
    assert (f"(delivery {deletion})" in why) is is_deleted
    if is_deleted:
        with pytest.raises(UsageError, match="was asked to delete its user"):
            resolve(ledger, entries[:1], applied=False, now=4_000.0)
    assert ledger.resolve(entries[:1], applied=False, now=4_000.0) == (not is_deleted)
    raw = QueuedEvent(entries[1].message_id, "track", "u1", 1_000.0, b"{}", id=entries[1].event_id)
    planned = QueuedDelivery(raw, entries[1].key, payload=b"{}")
    done = ledger.replan([Replan(entries[1], planned, None, ())], 4_000.0)
    assert len(done) == (not is_deleted)
    assert broken_rules(store.database) == []


def test_numbers_of_the_indexes() -> None:
    """The indexes say them as numbers."""
    assert (TYPE_CODES["delete"], STATUS_CODES[State.HELD]) == (7, 7)


REACHED: dict[str, tuple[dict[str, Any], bool]] = {
    "delivered": ({"status": Outcome.DELIVERED}, True),
    "delivered, of an erased user": ({"status": Outcome.DELIVERED, "user": "u1-erased"}, True),
    "lost": ({"status": State.UNKNOWN}, True),
    "held": ({"status": State.HELD, "effect": Effect.MAYBE}, True),
    "dead, and perhaps applied": ({"status": Outcome.DEAD, "effect": Effect.MAYBE}, True),
    "ready": ({}, False),
    "rejected": ({"status": Outcome.REJECTED}, False),
    "of another user": ({"status": Outcome.DELIVERED, "user": "u2"}, False),
    "of another destination": ({"status": Outcome.DELIVERED, "destination": "other"}, False),
}


@both_kinds
@pytest.mark.parametrize("case", REACHED)
def test_what_the_partner_has_since(store: AnyStore, add_delivery: Add, case: str) -> None:
    """What a deletion would delete that is sent only now: what reached the partner after it."""
    given, is_told = REACHED[case]
    add_delivery(store, status=Outcome.DELIVERED)
    user = given.get("user", "u1")
    name = user if user.endswith("erased") else "u1"
    deletion = _delete(add_delivery, store, user=name, status=Outcome.REJECTED)
    later = add_delivery(store, **given)
    ledger = store.ledger()
    assert ledger.delivered_since(ledger.get(deletion), "u1") == ([later] if is_told else [])


@both_kinds
def test_what_a_later_deletion_has_done(store: AnyStore, add_delivery: Add) -> None:
    """Only what came after it is there to be deleted; one that was refused has done nothing."""
    first = _delete(add_delivery, store, status=Outcome.REJECTED)
    add_delivery(store, status=Outcome.DELIVERED)
    _delete(add_delivery, store, status=Outcome.DELIVERED)
    later = [add_delivery(store, status=Outcome.DELIVERED)]
    _delete(add_delivery, store, status=Outcome.DEAD)
    later.append(add_delivery(store, status=Outcome.DELIVERED))
    ledger = store.ledger()
    assert ledger.delivered_since(ledger.get(first), "u1") == later
