"""Every delivery with what became of it; what an operator changes is tested with its operations."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.errors import UsageError
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.ledger import (
    NEEDS_OPERATOR,
    DeliveryClass,
    LedgerEntry,
    Replan,
    Selection,
)
from destinations.pipeline.queue import (
    Arrival,
    ClaimedBatch,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Receipt,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import StoredLedger, broken_rules
from tests.example_counts import examples
from tests.stores import AnyStore, few_in_postgres

Add = Callable[..., int]

KEY: Final = SubscriptionKey("Count", "count")
RAW: Final = {"type": "track", "userId": "u1"}
NOW: Final = 10 * 86_400.0 + 3_600.0

CLASSES: Final[Mapping[Status, Mapping[str, Any]]] = {
    State.READY: {},
    State.SENDING: {"sending": True},
    State.UNKNOWN: {"attempts": 1, "code": "SELF_TIMEOUT", "http_status": 408, "next_at": 2_030.0},
    State.HELD: {"attempts": 1, "evidence": {"expected": 12, "found": 9}},
    Outcome.DELIVERED: {"attempts": 1},
    Outcome.FILTERED: {"stage": "plan", "subscription": None},
    Outcome.UNMAPPED: {"stage": "plan", "reason": "no rule takes it"},
    Outcome.INVALID: {"stage": "plan", "code": "PAYLOAD_VALIDATION_FAILED", "http_status": 400},
    Outcome.REJECTED: {"attempts": 1, "code": "BAD_REQUEST", "http_status": 400},
    Outcome.DEAD: {"attempts": 3, "code": "SERVICE_UNAVAILABLE", "http_status": 503},
    Outcome.DROPPED: {"stage": "operator", "code": "DROPPED", "reason": "dropped: x"},
}


@pytest.fixture
def ledger(store: AnyStore) -> StoredLedger:
    """All deliveries of the store."""
    return store.ledger()


@pytest.fixture
def put(store: AnyStore, add_delivery: Add) -> Callable[..., LedgerEntry]:
    """Puts a delivery of a class into the store; returns its entry."""

    def make(status: Status = State.READY, raw: Any = None, **columns: Any) -> LedgerEntry:
        given = {**CLASSES[status], **columns}
        if status is not State.SENDING:
            given["status"] = status
        return store.ledger().get(add_delivery(store, RAW if raw is None else raw, **given))

    return make


Put = Callable[..., LedgerEntry]


@pytest.fixture
def everything(store: AnyStore, put: Put) -> dict[tuple[str, Status], LedgerEntry]:
    """One of each class in two scopes of a server and one of runs, by destination and status."""
    store.accounts().add(AccountIdentity("other", "http://127.0.0.1/", "", "its key", "main"))
    found = {}
    scopes: dict[str, dict[str, Any]] = {
        "sample": {},
        "production": {"destination": "production", "user": "u2"},
        "other": {"destination": "other", "served": False, "account": "main"},
    }
    for number, (name, columns) in enumerate(scopes.items()):
        for status in CLASSES:
            found[name, status] = put(status, accepted_at=1_000.0 + number, **columns)
    return found


Everything = dict[tuple[str, Status], LedgerEntry]


# -- finding ---------------------------------------------------------------------------------------


def _expected(entries: Sequence[LedgerEntry], selection: Selection) -> list[int]:
    """What a selection means, entry by entry."""
    slugs = {"production": "production", "sample": "sample", "other": "other"}
    conditions: list[Callable[[LedgerEntry], bool]] = [
        lambda one: selection.destination in {None, one.destination},
        lambda one: selection.account in {None, one.account},
        lambda one: selection.slug in {None, slugs[one.destination]},
        lambda one: selection.statuses is None or one.status in selection.statuses,
        lambda one: selection.code in {None, one.code},
        lambda one: selection.user in {None, one.user},
        lambda one: selection.since is None or one.accepted_at >= selection.since,
        lambda one: selection.until is None or one.accepted_at < selection.until,
    ]
    return [one.id for one in entries if all(condition(one) for condition in conditions)]


SELECTIONS: Final[Sequence[tuple[Selection, str, set[Status]]]] = [
    (Selection(), "sample production other", set(CLASSES)),
    (Selection(destination="production"), "production", set(CLASSES)),
    (Selection(destination="nobody"), "", set()),
    (Selection(account="main"), "other", set(CLASSES)),
    (Selection(account="nobody"), "", set()),
    (Selection(slug="sample"), "sample", set(CLASSES)),
    (Selection(slug="other"), "other", set(CLASSES)),
    (Selection(user="u2"), "production", set(CLASSES)),
    (Selection(user="nobody"), "", set()),
    (Selection(since=1_001.0), "production other", set(CLASSES)),
    (Selection(until=1_001.0), "sample", set(CLASSES)),
    (Selection(since=1_001.0, until=1_002.0), "production", set(CLASSES)),
    (Selection(since=1_000.001, until=1_001.0), "", set()),
    (Selection(code="DROPPED"), "sample production other", {Outcome.DROPPED}),
    (Selection(code="BAD_REQUEST", user="u2"), "production", {Outcome.REJECTED}),
    (Selection(code="SELF_TIMEOUT"), "sample production other", {State.UNKNOWN}),
    (Selection(statuses=frozenset()), "", set()),
    (
        Selection(statuses=NEEDS_OPERATOR, destination="sample"),
        "sample",
        {State.HELD, Outcome.DEAD, Outcome.REJECTED, Outcome.INVALID},
    ),
    *(
        (Selection(statuses=frozenset({status}), account="main"), "other", {status})
        for status in CLASSES
    ),
]
"""With the destinations and statuses of what each finds."""


def test_selections(ledger: StoredLedger, everything: Everything) -> None:
    """All conditions hold together, whatever table a delivery stands in; the oldest come first."""
    for selection, names, statuses in SELECTIONS:
        found = [one.id for one in ledger.find(selection)]
        expected = {
            entry.id
            for (name, status), entry in everything.items()
            if name in names.split() and status in statuses
        }
        assert found == sorted(expected), selection
        assert sum(one.deliveries for one in ledger.classes(selection)) == len(expected), selection


@pytest.mark.fuzz
def test_any_selection(ledger: StoredLedger, everything: Everything) -> None:
    """Whatever is combined, it finds and counts what fits each condition."""
    entries = sorted(everything.values(), key=lambda one: one.id)

    @settings(max_examples=examples(50))
    @given(
        destination=st.sampled_from([None, "sample", "production", "other", "x"]),
        account=st.sampled_from([None, "main", "x"]),
        slug=st.sampled_from([None, "sample", "other", "x"]),
        statuses=st.none() | st.frozensets(st.sampled_from(list(CLASSES))),
        code=st.sampled_from([None, None, "DROPPED", "BAD_REQUEST", "SELF_TIMEOUT", "x"]),
        user=st.sampled_from([None, "u1", "u2", "x"]),
        since=st.sampled_from([None, 1_000.0, 1_001.0, 1_002.5]),
        until=st.sampled_from([None, 1_000.0, 1_001.0, 1_002.5]),
        limit=st.sampled_from([None, 1, 5]),
    )
    def check(limit: int | None, **conditions: Any) -> None:
        selection = Selection(**conditions)
        expected = _expected(entries, selection)
        assert [one.id for one in ledger.find(selection, limit=limit)] == expected[:limit]
        counts = Counter[tuple[str, Status]]()
        for one in ledger.classes(selection):
            counts[one.destination, one.status] += one.deliveries
        assert counts == Counter(
            (one.destination, one.status) for one in entries if one.id in expected
        )

    check()


def _accept(store: AnyStore, scope: Scope, count: int, ends: Sequence[Status]) -> None:
    """Accept events in one commit; every one ends as ``ends`` says in turn, or waits."""
    arrivals = []
    for number in range(count):
        event = QueuedEvent(f"n{number}", "track", f"u{number % 7}", 1_000.0, b"{}", 1, count=1)
        delivery = QueuedDelivery(event, KEY, 0, b"{}", "plan")
        status = ends[number % len(ends)]
        if status is State.READY:
            arrivals.append((scope, Arrival(event, [delivery])))
        else:
            ended = Transition(delivery, Result(status, "why"), "plan")
            arrivals.append((scope, Arrival(event, (), [ended])))
    store.queue().commit(Round(arrivals=arrivals))


@pytest.fixture
def many(store: AnyStore) -> Scope:
    """A scope with 1,101 deliveries that wait, need an operator, or are finished."""
    identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
    scope = store.accounts().served("sample", identity)
    _accept(store, scope, 1_101, [State.READY, Outcome.INVALID, Outcome.FILTERED, Outcome.FILTERED])
    return scope


@pytest.mark.usefixtures("many")
def test_pages(ledger: StoredLedger) -> None:
    """Page after page none is left out and none comes twice, up to the limit."""
    some = Selection(statuses=frozenset({State.READY, Outcome.FILTERED}))
    for limit in (0, 1, 7, 500, 501, 1_000, 1_101, 2_000, None):
        found = [entry.id for entry in ledger.find(Selection(), limit=limit)]
        assert found == [number * 1000 for number in range(1, 1_102)][:limit], limit
        left = [one.event_id for one in ledger.find(some, limit=limit)]
        assert left == [number for number in range(1, 1_102) if number % 4 != 2][:limit], limit


@pytest.mark.usefixtures("many")
def test_what_changes_while_it_is_read(ledger: StoredLedger, store: AnyStore) -> None:
    """What moves to another table between two pages comes once all the same."""
    seen = []
    for entry in ledger.find(Selection()):
        seen.append(entry.id)
        if entry.id % 50_000 == 0 and entry.status is not Outcome.FILTERED:
            assert ledger.drop([entry], "x", 2_000.0) == 1
    assert seen == [number * 1000 for number in range(1, 1_102)]
    assert broken_rules(store.database) == []


def test_an_empty_store(store: AnyStore, ledger: StoredLedger) -> None:
    """There is nothing to find, and that is no error."""
    assert list(ledger.find(Selection())) == []
    assert ledger.classes(Selection()) == []
    assert ledger.totals(NOW) == []
    with pytest.raises(UsageError, match=f"there is no delivery 7 in {re.escape(store.shown)}"):
        ledger.get(7)


# -- one delivery ----------------------------------------------------------------------------------


def test_what_is_known_of_one_that_waits(ledger: StoredLedger, put: Put) -> None:
    """Why it failed last, and when it is tried again."""
    entry = put(
        State.UNKNOWN, reason="no answer", increment=Increment("u1 calls", 5), accepted_at=1_000.25
    )
    assert (entry.status, entry.state, entry.outcome) == (State.UNKNOWN, State.UNKNOWN, None)
    assert (entry.effect, entry.attempts) == (Effect.MAYBE, 1)
    assert (entry.accepted_at, entry.first_attempt_at) == (1_000.25, 2_000.0)
    assert (entry.next_at, entry.settled_at) == (2_030.0, None)
    assert (entry.code, entry.http_status) == ("SELF_TIMEOUT", 408)
    assert (entry.stage, entry.reason) == ("send", "no answer")
    assert (entry.increment, entry.evidence) == (Increment("u1 calls", 5), {})
    assert (entry.key, entry.action, entry.subscription) == (KEY, "count", "Count")
    assert (entry.type, entry.user, entry.plan) == ("track", "u1", "plan")
    assert (entry.destination, entry.account) == ("sample", "http://127.0.0.1/, unnamed-1")
    assert ledger.payload(entry) == b"{}"


def test_what_is_known_of_one_that_needs_an_operator(ledger: StoredLedger, put: Put) -> None:
    """Both numbers that a lost answer is judged by, and its payload."""
    entry = put(State.HELD, increment=Increment("u1 calls", 5), payload=b'{"by":5}')
    assert (entry.status, entry.state, entry.outcome) == (State.HELD, State.HELD, None)
    assert (entry.effect, entry.evidence) == (Effect.MAYBE, {"expected": 12, "found": 9})
    assert (entry.first_attempt_at, entry.settled_at) == (2_000.0, 2_000.0)
    assert ledger.payload(entry) == b'{"by":5}'
    dead = put(Outcome.DEAD, effect=Effect.MAYBE)
    assert (dead.state, dead.outcome) == (State.DONE, Outcome.DEAD)
    assert (dead.effect, dead.attempts, dead.code) == (Effect.MAYBE, 3, "SERVICE_UNAVAILABLE")


@pytest.mark.parametrize(
    ("status", "effect", "expected"),
    [
        (Outcome.DELIVERED, None, Effect.APPLIED),
        (Outcome.FILTERED, None, Effect.NONE),
        (Outcome.DROPPED, None, Effect.NONE),
        (Outcome.DROPPED, Effect.MAYBE, Effect.MAYBE),
    ],
)
def test_what_is_known_of_one_that_is_finished(
    ledger: StoredLedger, put: Put, status: Status, effect: Effect | None, *, expected: Effect
) -> None:
    """When it was finished and why; neither its payload nor its event is kept."""
    entry = put(status, effect=effect, reason="so", user="0b8a1f0e-5d5c-4f0a-9d1f-7a0e6f1c2b3a")
    assert (entry.outcome, entry.effect) == (status, expected)
    assert (entry.settled_at, entry.reason) == (2_000.0, "so")
    assert entry.user == "0b8a1f0e-5d5c-4f0a-9d1f-7a0e6f1c2b3a"
    assert (entry.first_attempt_at, entry.next_at, entry.increment) == (None, None, None)
    assert ledger.payload(entry) == b""
    assert ledger.raw_event(entry.event_id) is None


@few_in_postgres("ready", "held", "dead", "delivered")
@pytest.mark.parametrize("status", list(CLASSES))
def test_the_event_of_a_delivery(ledger: StoredLedger, put: Put, status: Status) -> None:
    """It is kept, as it was read, while somebody may still want to send it, and no longer."""
    entry = put(status, {**RAW, "text": "ü"})
    raw = ledger.raw_event(entry.event_id)
    if status in {Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED}:
        assert raw is None
    else:
        assert raw == json.dumps({**RAW, "text": "ü"}).encode()
    assert ledger.raw_event(99) is None


@pytest.mark.parametrize("raw", [b"\xff\x00", b"[]", b"", b"x" * 50_000], ids=len)
def test_what_is_no_event_is_kept_as_it_is(
    store: AnyStore, ledger: StoredLedger, many: Scope, raw: bytes
) -> None:
    """Bytes of any kind, for whoever wants to know what was read."""
    event = QueuedEvent("a digest", "", "", 1_000.0, raw, 1, count=1)
    ended = Transition(QueuedDelivery(event, None), Result.invalid("no event", "NOT_JSON"), "plan")
    store.queue().commit(Round(arrivals=[(many, Arrival(event, (), [ended]))]))
    entry = ledger.get(event.id * 1000)
    assert (entry.status, entry.key, entry.type, entry.user) == (Outcome.INVALID, None, "", "")
    assert ledger.raw_event(entry.event_id) == raw


def test_all_deliveries_of_an_event(ledger: StoredLedger, put: Put) -> None:
    """They are found from each of them, in their order, whatever became of them."""
    first = put(Outcome.DELIVERED)
    others = [
        put(status, subscription=status.value, event_of=first.id)
        for status in (State.READY, State.HELD, Outcome.DROPPED)
    ]
    put()
    entries = [first, *others]
    assert [one.id for one in entries] == [first.id + number for number in range(4)]
    for one in entries:
        assert ledger.of_event(one) == entries


def test_the_event_vanishes_with_the_last_delivery_that_needs_it(
    store: AnyStore, ledger: StoredLedger, put: Put
) -> None:
    """Whatever the others become, in whichever order."""
    first = put()
    second = put(subscription="Other", event_of=first.id)
    scope = Scope(first.scope, first.destination)
    queue = store.queue()
    for number, entry in enumerate((first, second)):
        assert ledger.raw_event(first.event_id) is not None
        (delivery,) = queue.source(scope).get([entry.id])
        batch = ClaimedBatch(scope, [delivery], at=2_000.0)
        queue.commit(Round(batches=[batch]))
        delivery.state = State.SENDING
        done = Transition(delivery, Result(Outcome.DELIVERED), "send", 1, effect=Effect.APPLIED)
        queue.commit(Round(transitions=[(scope, done)], returned=[batch]))
        assert (ledger.raw_event(first.event_id) is None) is (number == 1)
    assert broken_rules(store.database) == []


# -- several contents of one message ---------------------------------------------------------------


def _come(store: AnyStore, scope: Scope, message_id: str, content: int) -> Arrival:
    """Accept an event with a content of its own."""
    event = QueuedEvent(message_id, "track", "u1", 3_000.0, b"{}", content, count=1)
    arrival = Arrival(event, [QueuedDelivery(event, KEY, 0, b"{}", "plan")])
    store.queue().commit(Round(arrivals=[(scope, arrival)]))
    return arrival


def test_what_a_correction_replaces(store: AnyStore, ledger: StoredLedger, put: Put) -> None:
    """It ends as filtered, says what it was and what replaced it, and its event goes."""
    entry = put(Outcome.INVALID, message_id="m", reason="no name")
    arrival = _come(store, Scope(entry.scope, entry.destination), "m", 77)
    assert arrival.receipt == Receipt(arrival.event.id)
    after = ledger.get(entry.id)
    assert (after.status, after.code) == (Outcome.FILTERED, "REPLACED")
    assert (after.effect, after.stage) == (Effect.NONE, "plan")
    (_, new) = ledger.find(Selection())
    assert after.reason == f"replaced by {new.id} (a corrected event); was invalid: no name"
    assert ledger.raw_event(entry.event_id) is None
    assert [one.status for one in ledger.find(Selection())] == [Outcome.FILTERED, State.READY]
    assert broken_rules(store.database) == []


def test_what_is_in_conflict(store: AnyStore, ledger: StoredLedger, put: Put) -> None:
    """It is kept as rejected, once, and names the event that it is in conflict with."""
    entry = put(Outcome.DELIVERED, message_id="m")
    scope = Scope(entry.scope, entry.destination)
    arrival = _come(store, scope, "m", 77)
    assert arrival.receipt == Receipt(arrival.event.id, conflict=True)
    (_, conflict) = ledger.find(Selection())
    assert (conflict.status, conflict.code, conflict.http_status) == (
        Outcome.REJECTED,
        "CONFLICT",
        409,
    )
    assert conflict.reason == (
        f"delivery {entry.id} has the same messageId and different content, and has an effect"
    )
    assert _come(store, scope, "m", 77).receipt == Receipt(
        entry.event_id, duplicate=True, conflict=True
    )
    assert len(list(ledger.find(Selection()))) == 2
    assert broken_rules(store.database) == []


# -- counting --------------------------------------------------------------------------------------


def test_classes(ledger: StoredLedger, put: Put) -> None:
    """Destination by destination, the most frequent first, each as the list shows it."""
    for _ in range(2):
        put(Outcome.DEAD)
    put(Outcome.DEAD, code="OTHER")
    put(Outcome.DEAD, code=None)
    for _ in range(3):
        put(State.READY)
    put(State.SENDING)
    put(State.UNKNOWN)
    put(Outcome.DROPPED, destination="another")
    assert ledger.classes(Selection()) == [
        DeliveryClass("another", Outcome.DROPPED, "DROPPED", 1),
        DeliveryClass("sample", State.READY, None, 3),
        DeliveryClass("sample", Outcome.DEAD, "SERVICE_UNAVAILABLE", 2),
        DeliveryClass("sample", Outcome.DEAD, None, 1),
        DeliveryClass("sample", Outcome.DEAD, "OTHER", 1),
        DeliveryClass("sample", State.SENDING, None, 1),
        DeliveryClass("sample", State.UNKNOWN, "SELF_TIMEOUT", 1),
    ]


def test_what_an_account_without_a_name_is_called(store: AnyStore, ledger: StoredLedger) -> None:
    """As everywhere: by its endpoint and environment, in words, and by its number."""
    identity = AccountIdentity("sample", "http://127.0.0.1/", "test", "key")
    scope = store.accounts().served("sample", identity)
    _come(store, scope, "m", 1)
    shown = "http://127.0.0.1/ (test environment), unnamed-1"
    assert [one.account for one in ledger.find(Selection())] == [shown]
    assert [one.account for one in ledger.totals(0.0)] == [shown]


def test_two_accounts_at_one_place(store: AnyStore, ledger: StoredLedger) -> None:
    """Everywhere they are told apart, and each is chosen by what it is called."""
    accounts = store.accounts()
    for key in ("a", "b"):
        account = accounts.add(AccountIdentity("sample", "http://127.0.0.1/", "test", key))
        _come(store, accounts.run("sample", account), key, 1)
    assert len({one.account for one in ledger.find(Selection())}) == 2
    totals = ledger.totals(0.0)
    assert [one.label for one in totals] == ["unnamed-1", "unnamed-2"]
    for one in totals:
        (found,) = ledger.find(Selection(account=one.label))
        assert (found.scope, found.account) == (one.id, one.account)
        assert one.account.endswith(f", {one.label}")


def test_classes_of_two_accounts(store: AnyStore, ledger: StoredLedger, put: Put) -> None:
    """Runs of different accounts of one destination are counted together, or as they are asked."""
    store.accounts().add(AccountIdentity("sample", "http://127.0.0.1/", "", "a key", "main"))
    put(Outcome.DEAD, served=False)
    put(Outcome.DEAD, served=False, account="main")
    (both,) = ledger.classes(Selection(slug="sample"))
    (one,) = ledger.classes(Selection(account="main"))
    assert (both.deliveries, one.deliveries) == (2, 1)


def test_totals(ledger: StoredLedger, everything: Everything) -> None:
    """They are what counting would give, scope by scope, with what each is."""
    totals = ledger.totals(NOW)
    shown = [(one.destination, one.account, one.served) for one in totals]
    assert shown == [
        ("other", "main", False),
        ("production", "http://127.0.0.1/, unnamed-3", True),
        ("sample", "http://127.0.0.1/, unnamed-2", True),
    ]
    for one in totals:
        assert one.counts == dict.fromkeys(CLASSES, 1)
        assert one.today == {}
        assert one.partner_account is not None
        assert (one.oldest, one.next_at) == (
            everything[one.destination, State.READY].accepted_at,
            None,
        )
    assert [one.next_at for one in ledger.totals(2_000.0)] == [2_030.0] * 3


def test_totals_of_today(ledger: StoredLedger, put: Put) -> None:
    """What was settled since midnight UTC; what waits is of no day."""
    put(Outcome.DELIVERED, settled_at=NOW - 3_600.0)
    put(Outcome.DELIVERED, settled_at=NOW - 3_600.1)
    put(State.READY)
    (one,) = ledger.totals(NOW)
    assert one.counts == {Outcome.DELIVERED: 2, State.READY: 1}
    assert one.today == {Outcome.DELIVERED: 1}


def test_tallies(ledger: StoredLedger, everything: Everything) -> None:
    """They are of one scope, by subscription, status and the day on which it ended."""
    entry = everything["sample", Outcome.DEAD]
    found = ledger.tallies(scope=entry.scope)
    assert len(found) == len(CLASSES)
    assert Counter(one.status for one in found) == Counter(list(CLASSES))
    for one in found:
        named = ("", "") if one.status is Outcome.FILTERED else (KEY.name, KEY.action)
        assert (one.subscription, one.action) == named
        assert (one.destination, one.scope) == ("sample", entry.scope)
        assert one.count == 1
        assert one.day == 0  # what waits; and what ended in the hours after 1970 began
    assert ledger.tallies(scope=999) == []


def test_tallies_since_a_day(ledger: StoredLedger, put: Put) -> None:
    """What waits or is held is counted whenever that began, and what ended since the day."""
    day = 86_400.0
    for at in (3 * day, 10 * day):
        put(Outcome.DELIVERED, settled_at=at)
        put(State.HELD, settled_at=at)
    put(State.READY)
    found = Counter[tuple[Status, int]]()
    for one in ledger.tallies(10):
        found[one.status, one.day] += one.count
    assert found[Outcome.DELIVERED, 10] == 1
    assert sum(count for (status, _), count in found.items() if status is State.HELD) == 2
    assert (found[State.READY, 0], found.total()) == (1, 4)
    assert len(ledger.tallies(served=True)) == len(ledger.tallies())


def test_totals_follow_every_change(store: AnyStore, ledger: StoredLedger, put: Put) -> None:
    """After whatever is done, they are what counting gives."""

    def check() -> None:
        assert broken_rules(store.database) == []
        counted = Counter(one.status for one in ledger.find(Selection()))
        (totals,) = ledger.totals(NOW)
        assert totals.counts == dict(counted)
        tallied = Counter[Status]()
        for one in ledger.tallies(scope=totals.id):
            tallied[one.status] += one.count
        assert tallied == counted

    entries = {status: put(status) for status in CLASSES}
    check()
    steps: Iterator[int] = iter(range(3_000, 4_000))
    for change in _changes(ledger, entries):
        assert change(float(next(steps))) == 1
        check()


def _changes(
    ledger: StoredLedger, entries: Mapping[Status, LedgerEntry]
) -> Sequence[Callable[[float], int]]:
    """One of each kind of what an operator can do."""
    held, dead = entries[State.HELD], entries[Outcome.DEAD]

    def planned(entry: LedgerEntry, result: Result | None) -> Callable[[float], int]:
        event = QueuedEvent(
            *(entry.message_id, entry.type, entry.user, entry.accepted_at, b"{}", 1),
            entry.event_id,
        )
        delivery = QueuedDelivery(event, KEY, plan="today", payload=b"{}")
        return lambda now: len(ledger.replan([Replan(entry, delivery, result)], now))

    return [
        planned(entries[Outcome.UNMAPPED], None),
        planned(entries[Outcome.INVALID], Result.invalid("otherwise", "X")),
        planned(entries[Outcome.REJECTED], Result(Outcome.FILTERED, "not meant")),
        lambda now: ledger.resolve([held], applied=False, now=now),
        lambda now: ledger.drop([ledger.get(held.id)], "x", now),
        lambda now: ledger.resolve([entries[State.UNKNOWN]], applied=True, now=now),
        lambda now: ledger.drop([dead], "x", now),
        lambda now: ledger.drop([entries[State.READY]], "x", now),
    ]
