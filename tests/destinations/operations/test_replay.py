"""Deliveries that go through today's definition again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.operations import (
    Periods,
    PlannedReplay,
    Replayed,
    drop,
    lock_server,
    note_server,
    plan_replay,
    replay,
    unserved_destinations,
    why_not_replayed,
)
from destinations.outcome import Effect, Outcome, State, Status
from destinations.pipeline.dedupe import fingerprint
from destinations.pipeline.ledger import NEEDS_OPERATOR, LedgerEntry, Replan, Selection
from destinations.pipeline.queue import (
    Arrival,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Receipt,
    Round,
    Scope,
)
from destinations.runtime.destination import Destination
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import SqliteStore, StoredLedger, broken_rules
from tests.destinations.pipeline.conftest import with_reconcile
from tests.stores import AnyStore, both_kinds, few_in_postgres, open_again

pytestmark = both_kinds

Fill = Callable[..., dict[Status, LedgerEntry]]
Put = Callable[..., LedgerEntry]
Bind = Callable[..., Destination]
Noticed = Callable[[], list[int]]
Documents = dict[str, dict[str, Any]]

GOOD = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 2, "thing": "t"}}
WRONG = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": "x", "thing": "t"}}
NAMELESS = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 2}}
ALONE = {"type": "track", "event": "E", "anonymousId": "a1", "properties": {"by": 2, "thing": "t"}}
GROUP = {"type": "group", "groupId": "g", "userId": "u1"}
PAGE = {"type": "page", "userId": "u1", "name": "p"}

REPLAYED: frozenset[Status] = frozenset(
    {Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD}
)


def _everything(store: AnyStore) -> dict[int, LedgerEntry]:
    return {one.id: one for one in store.ledger().find(Selection())}


def _statuses(store: AnyStore) -> list[tuple[str, Status]]:
    """Subscriptions and statuses, in the order of the deliveries."""
    return [(one.subscription, one.status) for one in _everything(store).values()]


@few_in_postgres("ready", "held", "dead")
@pytest.mark.parametrize(
    ("status", "why"),
    [
        (State.READY, "it already waits for its turn"),
        (State.SENDING, "it is being sent"),
        (State.UNKNOWN, "it may have been applied, and the partner is asked"),
        (State.HELD, "it may have been applied: decide with destinations deliveries resolve"),
        (Outcome.DELIVERED, "it was delivered"),
        (Outcome.DROPPED, "it was dropped"),
        (Outcome.FILTERED, "its raw event was deleted"),
        (Outcome.UNMAPPED, ""),
        (Outcome.INVALID, ""),
        (Outcome.REJECTED, ""),
        (Outcome.DEAD, ""),
    ],
)
def test_what_may_be_replayed(
    store: AnyStore, ledger: StoredLedger, fill: Fill, bind: Bind, status: Status, *, why: str
) -> None:
    """Only what certainly was not applied, and that nobody dropped."""
    entry = fill(GOOD, subscription="Counts")[status]
    others = {one: found for one, found in _everything(store).items() if one != entry.id}
    assert why_not_replayed(entry) == why
    planned = plan_replay(ledger, bind(), entry)
    assert (planned.refused, planned.changes) == (why, not why)
    assert replay(ledger, [planned], now=5_000.0) == (Replayed() if why else Replayed(reopened=1))
    after = ledger.get(entry.id)
    assert after == entry if why else after.status is State.READY
    assert {**_everything(store), entry.id: after} == {**others, entry.id: after}
    assert broken_rules(store.database) == []


def test_an_event_that_cannot_be_recognised(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind
) -> None:
    """A run that names its input sends it under another identity, so a replay would count twice."""
    entry = put(Outcome.INVALID, GOOD, subscription="Counts", code="MESSAGE_ID_MISSING")
    planned = plan_replay(ledger, bind(), entry)
    assert planned.refused == (
        "it has neither a messageId nor a time of its own: run its input with --input-id NAME, "
        "and drop this delivery"
    )
    assert replay(ledger, [planned], now=5_000.0) == Replayed()
    assert ledger.get(entry.id) == entry
    assert ledger.drop([entry], "it has another row", 6_000.0) == 1
    assert broken_rules(store.database) == []


@few_in_postgres("unknown-None", "held", "delivered")
@pytest.mark.parametrize(
    ("before", "applied", "dropped"),
    [
        (State.UNKNOWN, None, False),
        (State.UNKNOWN, True, False),
        (State.UNKNOWN, False, False),
        (State.HELD, None, True),
        (Outcome.DELIVERED, None, False),
    ],
)
def test_what_is_in_conflict(
    store: AnyStore,
    ledger: StoredLedger,
    put: Put,
    bind: Bind,
    before: Status,
    *,
    applied: bool | None,
    dropped: bool,
) -> None:
    """It never waits again: two contents of one messageId would both be sent."""
    entry = put(before, GOOD, subscription="Counts", message_id="m")
    conflict = _in_conflict(store, entry)
    if applied is not None:
        assert ledger.resolve([ledger.get(entry.id)], applied=applied, now=4_000.0) == 1
    if dropped:
        assert ledger.drop([ledger.get(entry.id)], "test", 4_000.0) == 1
    planned = plan_replay(ledger, bind(), conflict)
    assert planned.refused.startswith("another event has its messageId")
    assert replay(ledger, [planned], now=5_000.0) == Replayed()


OTHER: Mapping[str, Any] = {**GOOD, "messageId": "m", "properties": {"by": 3, "thing": "t"}}


def _offered(store: AnyStore, entry: LedgerEntry, event: Mapping[str, Any]) -> Arrival:
    """Offer an event to the queue of an entry, as a receiver does."""
    queued = QueuedEvent(
        *("m", "track", "u1", 3_000.0, json.dumps(event).encode(), fingerprint(event)), count=1
    )
    arrival = Arrival(queued, [QueuedDelivery(queued, SubscriptionKey("Counts", "count"))])
    scope = Scope(entry.scope, entry.destination)
    store.queue().commit(Round(arrivals=[(scope, arrival)]))
    return arrival


def _in_conflict(store: AnyStore, entry: LedgerEntry) -> LedgerEntry:
    """Return the row of another event that came under the messageId of an entry."""
    _offered(store, entry, OTHER)
    (found,) = [one for one in _everything(store).values() if one.code == "CONFLICT"]
    return found


@pytest.mark.parametrize(
    ("before", "applied", "meanwhile"),
    [(State.UNKNOWN, False, False), (State.READY, None, False), (State.READY, None, True)],
)
def test_what_was_in_conflict(  # noqa: PLR0917 - fixtures
    store: AnyStore,
    ledger: StoredLedger,
    put: Put,
    bind: Bind,
    before: Status,
    applied: bool | None,
    meanwhile: bool,
) -> None:
    """Once certainly nothing came of the event that has its messageId, it takes its place.

    Not if somebody else corrected that one ``meanwhile``, between the plan and the replay.
    """
    entry = put(before, GOOD, subscription="Counts", message_id="m")
    conflict = _in_conflict(store, entry)
    if applied is not None:
        assert ledger.resolve([ledger.get(entry.id)], applied=applied, now=4_000.0) == 1
    assert ledger.drop([ledger.get(entry.id)], "test", 4_000.0) == 1
    planned = plan_replay(ledger, bind(), conflict)
    assert not planned.refused
    third = {**OTHER, "properties": {"by": 9, "thing": "t"}}
    if meanwhile:
        receipt = _offered(store, entry, third).receipt
        assert receipt is not None
        assert not receipt.conflict
        assert replay(ledger, [planned], now=5_000.0) == Replayed(changed_since=1)
    else:
        assert replay(ledger, [planned], now=5_000.0) == Replayed(reopened=1)
        again = ledger.get(conflict.id)
        assert (again.status, again.key) == (State.READY, SubscriptionKey("Counts", "count"))
        # It has the messageId now, so it is a duplicate; the others are other contents of it.
        receipt = _offered(store, entry, OTHER).receipt
        assert receipt is not None
        assert (receipt.event_id, receipt.conflict) == (conflict.event_id, False)
        receipt = _offered(store, entry, third).receipt
        assert receipt is not None
        assert receipt.conflict
    assert broken_rules(store.database) == []


def test_what_waits_again(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind, noticed: Noticed
) -> None:
    """It waits as if it had just come, with today's payload and what it adds today."""
    entry = put(
        *(Outcome.DEAD, GOOD),
        subscription="Counts",
        plan="of yesterday",
        payload=b'{"by": 1}',
        increment=Increment("u1 calls", 1),
    )
    destination = bind()
    planned = plan_replay(ledger, destination, entry)
    assert _everything(store) == {entry.id: entry}  # to plan it has changed nothing
    assert noticed() == []
    assert replay(ledger, [planned], now=5_000.0) == Replayed(reopened=1)
    after = ledger.get(entry.id)
    assert (after.status, after.effect, after.attempts) == (State.READY, Effect.NONE, 0)
    assert (after.first_attempt_at, after.next_at, after.settled_at) == (None, None, None)
    assert (after.reason, after.code, after.http_status, after.stage) == ("", None, None, "")
    assert (after.accepted_at, after.user) == (entry.accepted_at, entry.user)
    assert after.plan == destination.plan_digest
    assert after.increment is None  # today's definition has no request for that to ask
    assert json.loads(ledger.payload(after)) == {"by": 2, "thing": "t"}
    assert noticed() == [entry.id]


@few_in_postgres("raw0", "raw3", "raw6")
@pytest.mark.parametrize(
    ("raw", "outcome", "reason"),
    [
        (WRONG, Outcome.INVALID, "/by must be an integer"),
        (NAMELESS, Outcome.UNMAPPED, "The event names no thing."),
        (ALONE, Outcome.INVALID, "Sample needs userId"),
        (GROUP, Outcome.FILTERED, "no subscription takes group events"),
        ({"type": "track"}, Outcome.INVALID, "has neither a userId nor an anonymousId"),
        (
            {**GOOD, "integrations": {"All": False}},
            Outcome.FILTERED,
            "the event's integrations object excludes Sample",
        ),
        (PAGE, Outcome.FILTERED, "no subscription 'Counts' takes this event today"),
    ],
)
def test_what_ends_at_once(
    store: AnyStore,
    ledger: StoredLedger,
    put: Put,
    bind: Bind,
    noticed: Noticed,
    *,
    raw: dict[str, Any],
    outcome: Outcome,
    reason: str,
) -> None:
    """What today's definition does not send has its new outcome, with the reason of today."""
    entry = put(Outcome.DEAD, raw, subscription="Counts")
    destination = bind()
    done = replay(ledger, [plan_replay(ledger, destination, entry)], now=5_000.0)
    # The page event has a subscription today that it did not have.
    added = 1 if raw is PAGE else 0
    assert done == Replayed(ended=1, added=added)
    after = ledger.get(entry.id)
    assert (after.status, after.stage, after.settled_at) == (outcome, "plan", 5_000.0)
    assert reason in after.reason
    assert (after.effect, after.subscription) == (Effect.NONE, "Counts")
    assert noticed() == ([entry.id + 1] if added else [])
    keeps_event = outcome is not Outcome.FILTERED or bool(added)
    assert (ledger.raw_event(entry.event_id) is not None) is keeps_event
    assert broken_rules(store.database) == []


def test_a_payload_that_does_not_fit_is_told_with_its_code(
    ledger: StoredLedger, put: Put, bind: Bind
) -> None:
    """The new outcome has code and status of its own, and none of the old one."""
    entry = put(Outcome.DEAD, WRONG, subscription="Counts")
    replay(ledger, [plan_replay(ledger, bind(), entry)], now=5_000.0)
    after = ledger.get(entry.id)
    assert (after.code, after.http_status) == ("PAYLOAD_VALIDATION_FAILED", 400)
    assert (after.increment, after.evidence, ledger.payload(after)) == (None, {}, b"")


def test_planning_writes_nothing(store: AnyStore, fill: Fill, bind: Bind) -> None:
    """A dry run needs no right to write."""
    entries = fill(GOOD)
    before = _everything(store)
    with open_again(store, read_only=True) as read:
        for entry in entries.values():
            plan_replay(read.ledger(), bind(), entry)
    assert _everything(store) == before


def test_what_stays_the_same_is_left_alone(
    ledger: StoredLedger, put: Put, bind: Bind, noticed: Noticed
) -> None:
    """Still unmapped for the same reason: the row keeps its time and its plan."""
    entry = put(
        Outcome.UNMAPPED, NAMELESS, subscription="Counts", reason="The event names no thing."
    )
    planned = plan_replay(ledger, bind(), entry)
    assert not planned.changes
    assert replay(ledger, [planned], now=5_000.0) == Replayed()
    assert ledger.get(entry.id) == entry
    assert noticed() == []


# -- what may have been applied --------------------------------------------------------------------


@few_in_postgres
@pytest.mark.parametrize("raw", [GOOD, WRONG, GROUP], ids=["sent", "invalid", "filtered"])
@pytest.mark.parametrize("status", [Outcome.DEAD, Outcome.REJECTED])
def test_what_failed_and_may_have_been_applied(
    store: AnyStore,
    ledger: StoredLedger,
    put: Put,
    bind: Bind,
    *,
    status: Status,
    raw: dict[str, Any],
) -> None:
    """It is refused, whatever today's definition makes of it: that it may have been is not lost."""
    entry = put(
        status, raw, subscription="Counts", effect=Effect.MAYBE, reason="the answer was no answer"
    )
    planned = plan_replay(ledger, bind(), entry)
    assert planned.refused == (
        "it may have been applied: the answer was no answer; drop it, or send its event again"
    )
    assert replay(ledger, [planned], now=5_000.0) == Replayed()
    assert ledger.get(entry.id) == entry
    assert broken_rules(store.database) == []


def test_what_does_no_harm_when_it_is_sent_again(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind
) -> None:
    """An action whose request may be repeated is replayed, and may have been applied still."""
    entry = put(Outcome.DEAD, PAGE, subscription="Pages", action="save", effect=Effect.MAYBE)
    planned = plan_replay(ledger, bind(), entry)
    assert planned.refused == ""
    assert replay(ledger, [planned], now=5_000.0) == Replayed(reopened=1)
    after = ledger.get(entry.id)
    assert (after.status, after.effect) == (State.READY, Effect.MAYBE)
    assert broken_rules(store.database) == []


# -- subscriptions that are new, gone, or renamed --------------------------------------------------


def _second_subscription(documents: Documents) -> None:
    presets = documents["destination"]["presets"]
    presets.append({"name": "Also", "partnerAction": "save", "subscribe": 'type = "track"'})
    presets.append({"name": "Never", "partnerAction": "sync", "subscribe": 'type = "alias"'})


def test_subscriptions_that_are_new(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind, noticed: Noticed
) -> None:
    """One that takes the event today and had no delivery gets one, once; whoever delivers knows."""
    first = put(Outcome.DEAD, GOOD, subscription="Counts")
    other = put(Outcome.DELIVERED, GOOD, subscription="Another", action="x", event_of=first.id)
    planned = plan_replay(ledger, bind(_second_subscription), first)
    assert planned.replan is not None
    assert [one.key for one, _ in planned.replan.added] == [("Also", "save")]
    assert replay(ledger, [planned, planned], now=5_000.0) == Replayed(
        reopened=1, added=1, changed_since=1
    )
    assert _statuses(store) == [
        ("Counts", State.READY),
        ("Another", Outcome.DELIVERED),
        ("Also", State.READY),
    ]
    new = max(_everything(store))
    assert new == other.id + 1
    assert ledger.get(new).accepted_at == first.accepted_at
    assert set(noticed()) == {first.id, new}
    assert broken_rules(store.database) == []


def test_new_deliveries_that_end_at_once(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind, noticed: Noticed
) -> None:
    """A new subscription whose fields the event does not fit: invalid, and nobody is woken."""
    entry = put(Outcome.DEAD, PAGE, subscription="Pages", action="save")

    def change(documents: Documents) -> None:
        documents["destination"]["presets"][0]["subscribe"] = 'type = "page"'
        documents["count"].pop("unmapped")

    planned = plan_replay(ledger, bind(change), entry)
    assert replay(ledger, [planned], now=5_000.0) == Replayed(reopened=1, added=1)
    new = ledger.get(entry.id + 1)
    assert (new.subscription, new.status, new.stage) == ("Counts", Outcome.INVALID, "plan")
    assert (new.settled_at, new.attempts) == (5_000.0, 0)
    assert noticed() == [entry.id]
    assert broken_rules(store.database) == []


def _counting(*names: str) -> Callable[[Documents], None]:
    """A definition whose subscriptions of the action ``count`` have these names."""

    def change(documents: Documents) -> None:
        usual, *others = documents["destination"]["presets"]
        documents["destination"]["presets"] = others + [{**usual, "name": name} for name in names]

    return change


@few_in_postgres("had0", "had2")
@pytest.mark.parametrize(
    ("had", "names", "replayed", "expected"),
    [
        # A was delivered and has another name now: nobody can tell that A2 is not a new one.
        (["A", "B"], ["A2", "B"], "B", "B"),
        # A was not, and A2 is the only one that the event has not reached.
        (["A", "B"], ["A2", "B"], "A", "A2"),
        (["A"], ["B", "C"], "A", "there is no subscription 'A' any more; there are: 'B', 'C'"),
        # C may be what B was, which has delivered it.
        (["A", "B"], ["C"], "A", "there is no subscription 'A' any more; there are: 'C'"),
        # Where there was one and is one, it is the same.
        (["A"], ["B"], "A", "B"),
        (["A"], ["A"], "A", "A"),
    ],
)
def test_subscriptions_with_another_name(
    store: AnyStore,
    ledger: StoredLedger,
    put: Put,
    bind: Bind,
    *,
    had: Sequence[str],
    names: Sequence[str],
    replayed: str,
    expected: str,
) -> None:
    """An event never goes twice because its subscription was renamed."""
    entries: dict[str, LedgerEntry] = {}
    for name in had:
        status = Outcome.DEAD if name == replayed else Outcome.DELIVERED
        first = next(iter(entries.values())).id if entries else None
        entries[name] = put(status, GOOD, subscription=name, event_of=first)
    planned = plan_replay(ledger, bind(_counting(*names)), entries[replayed])
    if len(expected) > 2:
        assert expected in planned.refused
        return
    assert planned.replan is not None
    assert planned.replan.added == ()
    assert replay(ledger, [planned], now=5_000.0) == Replayed(reopened=1)
    waits = [name for name, status in _statuses(store) if status is State.READY]
    assert waits == [expected]


SMALL, LARGE = "properties.by < 10", "properties.by >= 10"


@few_in_postgres("had0", "had3")
@pytest.mark.parametrize(
    ("had", "today", "waits"),
    [
        # What was dead goes on by the subscription that takes the event today.
        ({"Old": Outcome.DEAD}, {"New": SMALL, "Large": LARGE}, "New"),
        ({"All": Outcome.DEAD}, {"All": LARGE, "Small": SMALL}, "Small"),
        ({"A": Outcome.DEAD, "Large": Outcome.FILTERED}, {"A": LARGE, "B": SMALL}, "B"),
        # It is another one's to count.
        ({"A": Outcome.DEAD, "B": Outcome.DELIVERED}, {"A": SMALL, "B": LARGE}, ""),
        ({"A": Outcome.DEAD, "B": Outcome.DELIVERED}, {"C": SMALL}, ""),
        ({"A": Outcome.DEAD, "B": State.HELD}, {"C": SMALL}, ""),
        ({"A": Outcome.DEAD, "B": State.READY}, {"A": SMALL}, ""),
    ],
)
def test_what_adds_counts_once(
    store: AnyStore,
    ledger: StoredLedger,
    put: Put,
    bind_connected: Bind,
    *,
    had: Mapping[str, Status],
    today: Mapping[str, str],
    waits: str,
) -> None:
    """Whatever its subscriptions were called, an event is not sent twice for one action."""
    entries: list[LedgerEntry] = []
    for name, status in had.items():
        first = entries[0].id if entries else None
        entries.append(put(status, GOOD, subscription=name, event_of=first))
    planned = plan_replay(ledger, bind_connected(with_reconcile, **today), entries[0])
    if not waits:
        assert planned.refused == f"delivery {entries[1].id} of its event counts for count"
        return
    assert planned.replan is not None
    assert planned.replan.added == ()
    assert replay(ledger, [planned], now=5_000.0) == Replayed(reopened=1)
    assert [name for name, one in _statuses(store) if one is State.READY] == [waits]
    assert broken_rules(store.database) == []


@few_in_postgres("False-delivered", "True-dead")
@pytest.mark.parametrize("status", [Outcome.DELIVERED, Outcome.DEAD, State.HELD])
@pytest.mark.parametrize("allow_overlap", [False, True])
def test_nothing_is_added_that_counts_already(
    ledger: StoredLedger, put: Put, bind_connected: Bind, status: Status, *, allow_overlap: bool
) -> None:
    """A new subscription gets an event only if none of its action had it, or both may."""
    entry = put(Outcome.INVALID, GOOD, subscription=None)
    put(status, GOOD, subscription="Large", event_of=entry.id)
    destination = bind_connected(
        with_reconcile, allow_overlap=allow_overlap, Large=LARGE, Small=SMALL
    )
    planned = plan_replay(ledger, destination, entry)
    assert planned.replan is not None
    assert planned.replan.delivery.key == (("Small", "count") if allow_overlap else None)
    assert (planned.replan.result is None) is allow_overlap


@pytest.mark.parametrize("change", [None, _second_subscription])
def test_an_event_that_no_subscription_took(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind, change: Any
) -> None:
    """Its row becomes that of the first subscription that takes it today; others are added."""
    entry = put(Outcome.INVALID, GOOD, subscription=None)
    done = replay(ledger, [plan_replay(ledger, bind(change), entry)], now=5_000.0)
    assert done == Replayed(reopened=1, added=1 if change else 0)
    expected = [("Counts", State.READY)] + ([("Also", State.READY)] if change else [])
    assert _statuses(store) == expected
    assert broken_rules(store.database) == []


def test_an_event_that_nothing_takes_today_either(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind
) -> None:
    """It was no event for anybody, and is none today: it ends with the reason of today."""
    entry = put(Outcome.INVALID, GROUP, subscription=None)
    done = replay(ledger, [plan_replay(ledger, bind(), entry)], now=5_000.0)
    assert done == Replayed(ended=1)
    after = ledger.get(entry.id)
    assert (after.key, after.status) == (None, Outcome.FILTERED)
    assert after.reason == "no subscription takes group events"
    assert broken_rules(store.database) == []


# -- beside others ---------------------------------------------------------------------------------


def test_what_changed_since_it_was_planned(
    store: AnyStore, ledger: StoredLedger, fill: Fill, bind: Bind
) -> None:
    """It is left as it is now, and counted; the others go on."""
    entries = fill(GOOD, subscription="Counts")
    destination = bind()
    chosen = [entries[Outcome.DEAD], entries[Outcome.REJECTED]]
    planned = [plan_replay(ledger, destination, entry) for entry in chosen]
    with open_again(store) as other:
        drop(other.ledger(), chosen[:1], reason="x", now=4_000.0)
    assert replay(ledger, planned, now=5_000.0) == Replayed(reopened=1, changed_since=1)
    assert [ledger.get(one.id).status for one in chosen] == [Outcome.DROPPED, State.READY]
    assert broken_rules(store.database) == []


def test_two_replay_the_same(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind, noticed: Noticed
) -> None:
    """It waits once, and its new subscriptions have one delivery each."""
    entry = put(Outcome.DEAD, GOOD, subscription="Counts")
    with open_again(store) as other:
        destination = bind(_second_subscription)
        planned = [plan_replay(one.ledger(), destination, entry) for one in (store, other)]
        assert replay(other.ledger(), planned[1:], now=5_000.0) == Replayed(reopened=1, added=1)
    assert replay(ledger, planned[:1], now=5_000.0) == Replayed(changed_since=1)
    assert _statuses(store) == [("Counts", State.READY), ("Also", State.READY)]
    assert noticed() == [entry.id, entry.id + 1]


@pytest.mark.parametrize("together", [True, False])
def test_two_deliveries_of_one_event(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind, *, together: bool
) -> None:
    """Each waits again, and a new subscription has one delivery, whoever was faster to add it."""
    first = put(Outcome.DEAD, GOOD, subscription="Counts")
    second = put(Outcome.DEAD, GOOD, subscription="Also", action="save", event_of=first.id)

    def change(documents: Documents) -> None:
        _second_subscription(documents)
        documents["destination"]["presets"][-1]["subscribe"] = 'type = "track"'

    destination = bind(change)
    planned = [plan_replay(ledger, destination, one) for one in (first, second)]
    if not together:
        assert replay(ledger, planned[:1], now=5_000.0) == Replayed(reopened=1, added=1)
        assert replay(ledger, planned[1:], now=5_000.0) == Replayed(changed_since=1)
        planned = [plan_replay(ledger, destination, second)]
        assert replay(ledger, planned, now=5_000.0) == Replayed(reopened=1)
    else:
        assert replay(ledger, planned, now=5_000.0) == Replayed(reopened=2, added=1)
    assert _statuses(store) == [(name, State.READY) for name in ("Counts", "Also", "Never")]
    assert broken_rules(store.database) == []


def test_an_event_that_is_gone(store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind) -> None:
    """Without the raw event there is nothing to plan, nor to send once it was planned."""
    entry, needed = put(Outcome.DEAD, GOOD, subscription="Counts"), put(Outcome.DEAD, GOOD)
    planned = plan_replay(ledger, bind(), entry)
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM events WHERE id = ?", (entry.event_id,))
    assert replay(ledger, [planned], now=5_000.0) == Replayed(changed_since=1)
    assert ledger.get(entry.id) == entry
    again = plan_replay(ledger, bind(), entry)
    assert again == PlannedReplay(entry, refused="its raw event was deleted")
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM kept WHERE id = ?", (entry.id,))
        connection.execute("DELETE FROM tallies")
        connection.execute(
            "INSERT INTO tallies SELECT scope, subscription, status, settled_at / 86400000, 1"
            " FROM kept WHERE id = ?",
            (needed.id,),
        )


def test_a_corrected_event(store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind) -> None:
    """What another event has taken the place of is neither sent nor dropped any more."""
    entry = put(Outcome.INVALID, WRONG, subscription="Counts", message_id="m")
    _correct(store, entry)
    replaced = ledger.get(entry.id)
    assert replaced.status is Outcome.FILTERED
    (new,) = [one.id for one in _everything(store).values() if one.id != entry.id]
    assert replaced.reason.startswith(f"replaced by {new} (a corrected event); was invalid: ")
    planned = plan_replay(ledger, bind(), replaced)
    assert planned.refused == "a corrected event has replaced its event"
    with pytest.raises(UsageError, match="it is filtered: nothing of it would be sent"):
        drop(ledger, [replaced], reason="x", now=5_000.0)
    assert list(ledger.find(Selection(statuses=NEEDS_OPERATOR))) == []


def test_an_event_that_is_corrected_since_it_was_planned(
    store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind
) -> None:
    """Only the corrected one is sent."""
    entry = put(Outcome.DEAD, GOOD, subscription="Counts", message_id="m")
    planned = plan_replay(ledger, bind(), entry)
    _correct(store, entry)
    assert replay(ledger, [planned], now=5_000.0) == Replayed(changed_since=1)
    assert _statuses(store) == [("Counts", Outcome.FILTERED), ("Counts", State.READY)]
    assert broken_rules(store.database) == []


def _correct(store: AnyStore, entry: LedgerEntry) -> None:
    """Another content comes under the messageId of an event that had no effect."""
    scope = Scope(entry.scope, entry.destination)
    raw = json.dumps(GOOD).encode()
    event = QueuedEvent(entry.message_id, "track", "u1", 3_000.0, raw, 999_999, count=1)
    delivery = QueuedDelivery(event, SubscriptionKey("Counts", "count"), 0, b"{}", "plan")
    arrival = Arrival(event, [delivery])
    store.queue().commit(Round(arrivals=[(scope, arrival)]))
    assert arrival.receipt == Receipt(event.id)


def test_what_only_an_operator_asks_for(ledger: StoredLedger, put: Put, bind: Bind) -> None:
    """No event comes to it, but a delivery of it is planned as what it is."""

    def asked(documents: Documents) -> None:
        documents["sync"]["operator"] = True
        del documents["destination"]["presets"][2]

    entry = put(Outcome.REJECTED, GOOD, subscription="sync", action="sync")
    replan = plan_replay(ledger, bind(asked), entry).replan
    assert replan is not None
    assert (replan.delivery.key, replan.delivery.payload) == (("sync", "sync"), b'{"id":"u1"}')
    assert (replan.result, replan.added) == (None, ())


# -- many ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [None, 1, 3])
def test_many_are_replayed_in_chunks(
    ledger: StoredLedger,
    put: Put,
    bind: Bind,
    monkeypatch: pytest.MonkeyPatch,
    *,
    failing: int | None,
) -> None:
    """Others can write in between; where it fails, what was done is told, and the rest is left."""
    monkeypatch.setitem(replay.__globals__, "_CHUNK", 2)
    destination = bind()
    entries = [put(Outcome.DEAD, GOOD, subscription="Counts") for _ in range(5)]
    planned = [plan_replay(ledger, destination, one) for one in entries]
    begun: list[int] = []
    replan = ledger.replan

    def fail_at(replans: Sequence[Replan], now: float) -> Sequence[int]:
        begun.append(len(begun) + 1)
        if begun[-1] == failing:
            raise UsageError("cannot write to the store: full")
        return replan(replans, now)

    monkeypatch.setattr(ledger, "replan", fail_at)
    if failing is None:
        assert replay(ledger, planned, now=5_000.0) == Replayed(reopened=5)
        assert begun == [1, 2, 3]
        return
    done = (failing - 1) * 2
    told = "full$" if not done else f"full; {done} of 5 were replayed: replay again for the rest"
    with pytest.raises(UsageError, match=told):
        replay(ledger, planned, now=5_000.0)
    statuses = [ledger.get(one.id).status for one in entries]
    assert statuses == [State.READY] * done + [Outcome.DEAD] * (5 - done)


def test_what_waits_for_nobody(store: AnyStore, ledger: StoredLedger, put: Put, bind: Bind) -> None:
    """Only what waits, for a destination that a server which runs does not have."""
    destination = bind()
    planned = [
        plan_replay(ledger, destination, put(Outcome.DEAD, raw, subscription="Counts", **columns))
        for raw, columns in (
            (GOOD, {"destination": "former"}),
            (GOOD, {"destination": "sample"}),
            (WRONG, {"destination": "invalid"}),
        )
    ]
    assert unserved_destinations(store, planned) == []
    if not isinstance(store, SqliteStore):
        return  # who serves it is known by its sessions
    with lock_server(store.path):
        assert unserved_destinations(store, planned) == []  # it does not say what it has
        note_server(store, ["sample"], Periods())
        assert unserved_destinations(store, planned) == ["former"]
    assert unserved_destinations(store, planned) == []
