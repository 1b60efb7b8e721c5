"""Whatever is done with a queue in whatever order, it does as its model does."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.dedupe import CONFLICT
from destinations.pipeline.ledger import LedgerEntry, Replan, Selection
from destinations.pipeline.memory_queue import MemoryQueue
from destinations.pipeline.queue import (
    Arrival,
    Balance,
    ClaimedBatch,
    Increment,
    Queue,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
    Transition,
)
from destinations.postgres import PostgresAddress
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import SqliteStore, broken_rules
from destinations.store.stores import OpenStore
from tests.destinations.contracts.model import Model, Row
from tests.example_counts import examples
from tests.memory import folder_in_memory
from tests.postgres_server import give_back_stores, new_store_address

KEY = SubscriptionKey("Counts", "count")
USERS = ("a", "b")
MESSAGES = ("m1", "m2", "m3", "m4")
BAD = 99
"""A content that is invalid when it is planned."""

ENDS: dict[Status, Effect] = {
    Outcome.DELIVERED: Effect.APPLIED,
    Outcome.REJECTED: Effect.NONE,
    Outcome.DEAD: Effect.NONE,
    State.READY: Effect.NONE,
    State.UNKNOWN: Effect.MAYBE,
    State.HELD: Effect.MAYBE,
}
messages = st.sampled_from(MESSAGES)
contents = st.sampled_from([1, 2, BAD])
picks = st.integers(0, 50)


class Machine(RuleBasedStateMachine):
    """A queue beside its model. Each event has one delivery, and each user one balance."""

    queue: Queue
    scope: Scope

    def __init__(self) -> None:
        super().__init__()
        self.clock = StillClock()
        self.model = Model()
        self.batches: list[ClaimedBatch] = []
        self.amount = 10
        # What is at hand of each delivery that waits, as an engine has it.
        self.known: dict[int, QueuedDelivery] = {}

    # -- events --------------------------------------------------------------------------------

    @rule(message=messages, content=contents)
    def accept(self, message: str, content: int) -> None:
        """An event comes: new, again, corrected, or in conflict with another."""
        self.accept_all([(message, content)])

    @rule(events=st.lists(st.tuples(messages, contents), min_size=2, max_size=5))
    def accept_all(self, events: Sequence[tuple[str, int]]) -> None:
        """Events come in one round, the same ones again among them."""
        self.clock.now += 1
        arrivals = [self._arrival(*one) for one in events]
        round_ = Round(arrivals=[(self.scope, one) for one in arrivals])
        self.queue.commit(round_)
        for (message, content), arrival in zip(events, arrivals, strict=True):
            verdict = self.model.verdict(message, content)
            receipt = arrival.receipt
            assert receipt is not None
            assert receipt.duplicate == (verdict in {"same", "replaced", "refused"})
            assert receipt.conflict == (verdict in {"conflict", "refused"})
            if receipt.duplicate:
                continue
            status = Outcome.INVALID if content == BAD else State.READY
            row = Row(message, content, arrival.event.user, status)
            if verdict == "conflict":
                self.model.accept(self._conflict_id(arrival), row)
                continue
            made = [*arrival.deliveries, *(one.delivery for one in arrival.ended)]
            (delivery,) = made
            self.model.accept(delivery.id, row)
            if status is State.READY:
                self.known[delivery.id] = delivery

    def _arrival(self, message: str, content: int) -> Arrival:
        user = USERS[content % 2]
        event = QueuedEvent(message, "track", user, self.clock.time(), b"{}", content, count=1)
        delivery = QueuedDelivery(event, KEY, 0, b"{}", "p", Increment(user, 1))
        if content == BAD:
            ended = Transition(delivery, Result.invalid("bad", "BAD"), "plan")
            return Arrival(event, (), [ended])
        return Arrival(event, [delivery])

    # -- delivering ----------------------------------------------------------------------------

    @rule(pick=picks, size=st.integers(1, 3))
    def send(self, pick: int, size: int) -> None:
        """The intent of a batch becomes durable, with the balances that it adds to."""
        ready = [one for one in self.model.ids(State.READY) if one in self.known]
        if not ready:
            return
        start = pick % len(ready)
        ids = ready[start : start + size]
        deliveries = [self.known[one] for one in ids]
        self.amount += 1
        batch = ClaimedBatch(
            self.scope,
            deliveries,
            at=self.clock.time(),
            balances={one.user: Balance(one.user, self.amount) for one in deliveries},
        )
        committed = self.queue.commit(Round(batches=[batch]))
        assert committed.gone == set()
        for delivery in batch.deliveries:
            delivery.state = State.SENDING
            self.model.become(delivery.id, State.SENDING, delivery.effect)
        self.batches.append(batch)

    @precondition(lambda self: self.batches)
    @rule(pick=picks, status=st.sampled_from(list(ENDS)), only_first=st.booleans())
    def answer(self, pick: int, status: Status, only_first: bool) -> None:
        """A request is over: what its deliveries come to; the others are ready as before."""
        batch = self.batches.pop(pick % len(self.batches))
        settled = batch.deliveries[:1] if only_first else batch.deliveries
        self._settle(settled, status, "send", [batch])
        for delivery in batch.deliveries[len(settled) :]:
            delivery.state = State.READY
            self.model.become(delivery.id, State.READY, delivery.effect)

    @rule(pick=picks, status=st.sampled_from([Outcome.DELIVERED, State.READY, State.HELD]))
    def reconcile(self, pick: int, status: Status) -> None:
        """The partner tells what became of a lost answer, or does not."""
        unknown = [one for one in self.model.ids(State.UNKNOWN) if one in self.known]
        if unknown:
            self._settle([self.known[unknown[pick % len(unknown)]]], status, "reconcile", [])

    def _settle(
        self,
        deliveries: Sequence[QueuedDelivery],
        status: Status,
        stage: Any,
        returned: list[ClaimedBatch],
    ) -> None:
        self.clock.now += 1
        applied = status is Outcome.DELIVERED and stage == "send"
        balances: dict[tuple[Scope, str], Balance | None] = {}
        for batch in returned if status is State.UNKNOWN else ():
            balances |= {(self.scope, key): one for key, one in batch.balances.items()}
        if stage == "reconcile":
            balances |= {(self.scope, one.user): None for one in deliveries}
        for (_, key), balance in balances.items():
            self.model.note(key, None if balance is None else balance.amount)
        transitions = [
            Transition(one, Result(status, "why"), stage, 1, effect=ENDS[status], applied=applied)
            for one in deliveries
        ]
        committed = self.queue.commit(
            Round(
                transitions=[(self.scope, one) for one in transitions],
                returned=returned,
                balances=balances,
            )
        )
        assert committed.gone == set()
        for delivery in deliveries:
            self.model.become(delivery.id, status, ENDS[status])
            if status is State.READY or status is State.UNKNOWN:
                delivery.state, delivery.effect = status, ENDS[status]
            else:
                self.known.pop(delivery.id, None)

    # -- what must always hold -----------------------------------------------------------------

    @invariant()
    def as_many_wait(self) -> None:
        """The queue counts what waits."""
        assert self.queue.waiting(self.scope) == self.model.waiting

    @invariant()
    def balances_are_known(self) -> None:
        """What was held before the requests whose answers were lost is known."""
        found = self.queue.balances(self.scope, USERS)
        assert {key: one.amount for key, one in found.items()} == self.model.balances

    @invariant()
    def messages_are_recognised(self) -> None:
        """Whoever comes again is known, by each content that it had."""
        known = self.queue.history(self.scope, MESSAGES)
        assert set(known) == set(self.model.latest)

    def _conflict_id(self, arrival: Arrival) -> int:
        return arrival.event.id


class MemoryMachine(Machine):
    """The queue that is in memory alone."""

    @initialize()
    def begin(self) -> None:
        """Make an empty queue."""
        queue = MemoryQueue("sample", [KEY], in_memory=2)
        self.queue, self.scope = queue, queue.scope

    def _conflict_id(self, arrival: Arrival) -> int:
        return -arrival.event.id  # it has no row

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.queue.close()


class DurableMachine(Machine):
    """A queue that a store keeps, with its ledger, operators and restarts."""

    store: OpenStore

    def open_store(self) -> SqliteStore | PostgresStore:
        """Open the store, which is empty at first."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        """Make an empty store."""
        self._open()

    def _open(self) -> None:
        self.store = store = self.open_store()
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
        self.scope = self.store.accounts().served("sample", identity)
        self.queue = self.durable = store.queue(self.clock)
        self.ledger = self.store.ledger()

    def _conflict_id(self, arrival: Arrival) -> int:
        (entry,) = [
            one for one in self.ledger.find(Selection()) if one.event_id == arrival.event.id
        ]
        return entry.id

    @rule()
    def restart(self) -> None:
        """The process ends, and another one begins with what is in the store."""
        self.store.close()
        self._open()
        self.durable.recover([self.scope], 30.0)
        self.model.restart()
        for batch in self.batches:
            for key, balance in batch.balances.items():
                self.model.note(key, balance.amount)
        self.batches.clear()
        source = self.durable.source(self.scope)
        found = [*source.unknown(), *source.ready(1_000)]
        assert sorted(one.id for one in found) == self.model.ids(State.READY, State.UNKNOWN)
        self.known = {one.id: one for one in found}

    @rule(pick=picks, decision=st.sampled_from(["drop", "applied", "not applied", "replay"]))
    def decide(self, pick: int, decision: str) -> None:
        """An operator decides on a delivery; whoever delivers finds that out by the changes."""
        entries = list(self.ledger.find(Selection()))
        if not entries:
            return
        self.clock.now += 1
        entry = entries[pick % len(entries)]
        # Whoever delivers looks at the changes before it goes on.
        source = self.durable.source(self.scope)
        row = self.model.rows[entry.id]
        waited, forgets = row.status in {State.READY, State.UNKNOWN}, self._may_count(row, decision)
        if not self._decide(entry, row, decision):
            return
        if forgets:
            self.model.balances.pop(row.user, None)
        self.known.pop(entry.id, None)
        if waited:
            opened, ended = source.changes()
            assert {one.id for one in opened} | set(ended) == {entry.id}
        if row.status is State.READY:
            self.known[entry.id] = self._ready(entry.id)

    def _may_count(self, row: Row, decision: str) -> bool:
        """Whether the balance of a row is not known any more: that is asked for again."""
        return row.effect is not Effect.NONE and decision != "replay"

    def _decide(self, entry: LedgerEntry, row: Row, decision: str) -> bool:
        """Decide as it can be decided; False if it cannot, and nothing is changed then."""
        now = self.clock.time()
        resolvable = row.status in {State.HELD, State.UNKNOWN}
        droppable = row.status in {
            *(State.READY, State.HELD, Outcome.DEAD, Outcome.REJECTED, Outcome.INVALID)
        }
        if decision == "drop" and droppable:
            assert self.ledger.drop([entry], "test", now) == 1
            self.model.become(entry.id, Outcome.DROPPED, row.effect)
        elif decision == "applied" and resolvable:
            assert self.ledger.resolve([entry], applied=True, now=now) == 1
            self.model.become(entry.id, Outcome.DELIVERED, Effect.APPLIED)
        elif decision == "not applied" and resolvable:
            assert self.ledger.resolve([entry], applied=False, now=now) == 1
            self.model.become(entry.id, State.READY, Effect.NONE)
        elif decision == "replay" and entry.code == CONFLICT:
            return False  # depends on another event: see the tests of replays
        elif decision == "replay" and droppable and isinstance(row.status, Outcome):
            assert list(self.ledger.replan([self._replan(entry)], now)) == [0]
            self.model.become(entry.id, State.READY, Effect.NONE)
        else:
            if decision == "drop" and row.status is not State.UNKNOWN:
                assert self.ledger.drop([entry], "test", now) == 0
            return False
        return True

    def _ready(self, delivery_id: int) -> QueuedDelivery:
        source = self.durable.source(self.scope)
        (found,) = source.get([delivery_id])
        return found

    def _replan(self, entry: LedgerEntry) -> Replan:
        event = QueuedEvent(
            *(entry.message_id, entry.type, entry.user, entry.accepted_at, b"{}", 0, entry.event_id)
        )
        delivery = QueuedDelivery(event, KEY, 0, b"{}", "p", Increment(entry.user, 1))
        return Replan(entry, delivery)

    @rule(pick=picks)
    def decide_too_late(self, pick: int) -> None:
        """What is being sent cannot be decided on, nor what changed since somebody looked."""
        sending = self.model.ids(State.SENDING)
        if not sending:
            return
        entry = self.ledger.get(sending[pick % len(sending)])
        assert entry.status is State.SENDING
        assert self.ledger.drop([entry], "test", 5.0) == 0
        assert self.ledger.resolve([entry], applied=True, now=5.0) == 0

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        """Every delivery has one row, with its status and its effect."""
        found = {one.id: (one.status, one.effect) for one in self.ledger.find(Selection())}
        assert found == {one: (row.status, row.effect) for one, row in self.model.rows.items()}

    @invariant()
    def rules_hold(self) -> None:
        """What must hold in every store holds."""
        assert broken_rules(self.store.database) == []

    @invariant()
    def totals_add_up(self) -> None:
        """What is kept as totals is what there is."""
        (totals,) = self.ledger.totals(self.clock.time())
        counted = {status: count for status, count in totals.counts.items() if count}
        expected: dict[Status, int] = {}
        for row in self.model.rows.values():
            expected[row.status] = expected.get(row.status, 0) + 1
        assert counted == expected

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


class SqliteMachine(DurableMachine):
    """The queue that SQLite keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=folder_in_memory())

    def open_store(self) -> SqliteStore:
        """Open the store, which is empty at first."""
        return SqliteStore(Path(self.folder.name) / "store.sqlite3")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class PostgresMachine(DurableMachine):
    """The queue that PostgreSQL keeps."""

    address: PostgresAddress | None = None

    def open_store(self) -> PostgresStore:
        """Open the store, which is empty at first."""
        self.address = self.address or new_store_address()
        return PostgresStore(self.address)

    def teardown(self) -> None:
        super().teardown()
        give_back_stores()


TestMemoryQueue = MemoryMachine.TestCase
TestMemoryQueue.settings = settings(
    max_examples=examples(30), stateful_step_count=30, deadline=None
)
TestSqliteQueue = SqliteMachine.TestCase
TestSqliteQueue.settings = settings(
    max_examples=examples(10), stateful_step_count=25, deadline=None
)
TestPostgresQueue = PostgresMachine.TestCase
TestPostgresQueue.settings = settings(
    max_examples=examples(4), stateful_step_count=25, deadline=None
)
