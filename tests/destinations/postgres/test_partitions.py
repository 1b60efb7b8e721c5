"""The ledger in PostgreSQL: partitions that are made ahead, and dropped as a whole when old."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import psycopg
import pytest

from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import Arrival, QueuedDelivery, QueuedEvent, Round, Transition
from destinations.postgres import partitions
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.partitions import Partition
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.amounts import Usage
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import broken_rules, delete_settled, retention
from tests.postgres_server import new_store_address

DAY = 86_400.0
KEYS = [SubscriptionKey(name, "count") for name in ("A", "B")]
END = 1_000_001
"""The first event that is not in the first partition."""


class Bench:
    """A store whose events end at once, at any time and with any id."""

    def __init__(self) -> None:
        self.store = PostgresStore(new_store_address())
        self.database: PostgresDatabase = self.store.database
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
        self.scope = self.store.accounts().served("sample", identity)
        self._number = 0

    def go_to(self, event: int) -> None:
        """Let the next event have this id."""
        with self.database.transaction() as connection:
            connection.execute("SELECT setval('event_ids', ?)", (event - 1,))
        self.look()

    def look(self) -> None:
        """Let the next commit look whether a partition is needed."""
        self.database._look_ahead_at = 0.0
        with self.database.shared_transaction():
            pass

    def finish(self, at: float, *statuses: Status) -> int:
        """Accept an event, with deliveries that end in these ways; returns its id."""
        self._number += 1
        event = QueuedEvent(f"m{self._number}", "track", "u", at, b"{}", 1, count=len(statuses))
        usage = Usage("u", "calls", 0, "1")
        deliveries = [
            QueuedDelivery(event, KEYS[nth], nth, b"{}", "p", usage=usage)
            for nth in range(len(statuses))
        ]
        ended = [
            Transition(
                delivery,
                Result(status, "x"),
                "plan",
                effect=Effect.APPLIED if status is Outcome.DELIVERED else Effect.NONE,
            )
            for delivery, status in zip(deliveries, statuses, strict=True)
            if status is not State.READY
        ]
        waiting = [
            one for one, status in zip(deliveries, statuses, strict=True) if status is State.READY
        ]
        queue = self.store.queue(_At(at))
        queue.commit(Round(arrivals=[(self.scope, Arrival(event, waiting, ended))]))
        return event.id

    def tables(self) -> set[str]:
        """Return the tables of the ledger that are there."""
        rows = self.database.all(
            "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid"
            " JOIN pg_class AS parent ON parent.oid = inhparent WHERE parent.relname = 'ledger'"
            " AND child.relkind = 'r'"
        )
        return {name for (name,) in rows}

    def usage(self) -> tuple[set[str], set[int]]:
        """Return the tables of usage, as those of the ledger are called, and its events."""
        rows = self.database.all(
            "SELECT replace(child.relname, 'usage', 'ledger') FROM pg_inherits"
            " JOIN pg_class AS child ON child.oid = inhrelid JOIN pg_class AS parent"
            " ON parent.oid = inhparent WHERE parent.relname = 'usage' AND child.relkind = 'r'"
        )
        events = self.database.all("SELECT id / 1000 FROM usage")
        return {name for (name,) in rows}, {event for (event,) in events}

    def events(self) -> set[int]:
        """Return the events of which there are deliveries."""
        return {one.event_id for one in self.store.ledger().find(Selection())}


class _At:
    """A clock that stands at a time."""

    def __init__(self, at: float) -> None:
        self._at = at

    def time(self) -> float:
        return self._at

    def monotonic(self) -> float:
        return self._at

    def wait(self, seconds: float, stop: object) -> bool:
        raise NotImplementedError


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An empty store; afterwards what must hold in it holds, and usage is where its rows are."""
    one = Bench()
    yield one
    assert broken_rules(one.database) == []
    assert one.usage() == (one.tables(), one.events())
    one.store.close()


# -- making ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latest", "number"),
    [(500_001, 1), (500_002, 2), (1_400_000, 2), (1_600_000, 3), (5_100_000, 6)],
)
def test_the_next_one_is_made_before_the_last_is_full(
    bench: Bench, latest: int, number: int
) -> None:
    """From the middle of the last one on; however far the ids are, there is one for them."""
    bench.go_to(latest + 1)
    made = bench.database.at_once(partitions.partitions_of)
    assert made == [Partition(n * 1_000_000 + 1, (n + 1) * 1_000_000 + 1) for n in range(number)]
    assert bench.tables() == {"ledger_old", *(one.table for one in made)}
    bench.finish(DAY, Outcome.DELIVERED)
    assert bench.events() == {latest + 1}


def test_it_is_as_large_as_a_day(bench: Bench) -> None:
    """The largest of the last days, where that has more events than the least."""
    for day, event in enumerate((10, 4_000_010, 6_000_000)):
        bench.go_to(event)
        bench.finish((day + 1) * DAY, Outcome.DELIVERED)
    bench.go_to(100_000_000)
    last = bench.database.at_once(partitions.partitions_of)[-1]
    assert last.after - last.first == 4_000_000


def test_two_make_the_next_one(bench: Bench) -> None:
    """One of them does; the other one goes on without waiting."""
    with bench.database.transaction() as connection:
        connection.execute("SELECT setval('event_ids', 600000)")
    schema = "hashtext(current_schema())"
    other = PostgresDatabase(bench.store.address)
    other._look_ahead_at = math.inf
    with other.shared_transaction() as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({partitions._MAKING}, {schema})")
        bench.look()
        assert len(bench.tables()) == 2
    bench.look()
    assert len(bench.tables()) == 3
    other.close()


def test_nobody_waits_for_a_partition_that_is_made(bench: Bench) -> None:
    """Whoever is in the middle of writing to the ledger does not keep it from being made."""
    event = bench.finish(DAY, Outcome.DELIVERED)
    with bench.database.transaction() as connection:
        connection.execute("SELECT setval('event_ids', 600000)")
    other = PostgresDatabase(bench.store.address)
    other._look_ahead_at = math.inf
    with other.shared_transaction() as connection:
        connection.execute("UPDATE ledger SET took = took WHERE id = ?", (event * 1_000,))
        bench.look()
        assert len(bench.tables()) == 3
    other.close()


def test_one_that_cannot_be_made(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The commit goes on all the same, as there is room for long; it is told, and tried again."""
    with bench.database.transaction() as connection:
        connection.execute("CREATE TABLE ledger_1000001 (x int)")
    bench.go_to(600_000)
    assert "cannot make the next partition of the ledger" in caplog.text
    bench.finish(DAY, Outcome.DELIVERED)
    with bench.database.transaction() as connection:
        connection.execute("DROP TABLE ledger_1000001")
    bench.look()
    assert bench.tables() == {"ledger_old", "ledger_1", "ledger_1000001"}


# -- dropping --------------------------------------------------------------------------------------


def _two_partitions(bench: Bench, *more: tuple[Status, ...], days: int = 1) -> list[int]:
    """Fill the first partition, sparsely, and begin the second one; returns the events."""
    events = [
        bench.finish(DAY, Outcome.DELIVERED, Outcome.FILTERED),
        bench.finish(DAY, Outcome.DROPPED),
    ]
    events += [bench.finish(DAY, *statuses) for statuses in more]
    bench.go_to(END - 1)
    events.append(bench.finish(days * DAY, Outcome.DELIVERED))
    events.append(bench.finish((days + 1) * DAY, Outcome.DELIVERED))
    assert events[-2:] == [END - 1, END]
    return events


def test_all_of_it_is_old(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is gone, the numbers follow, and nothing of it was deleted row by row."""
    _two_partitions(bench)
    assert bench.tables() == {"ledger_old", "ledger_1", f"ledger_{END}"}
    with monkeypatch.context() as patched:
        patched.setattr(retention, "_delete", None)
        assert delete_settled(bench.database, 2 * DAY).deliveries == 4
    assert bench.tables() == {"ledger_old", f"ledger_{END}"}
    assert bench.events() == {END}
    assert bench.database.one("SELECT count(*) FROM ledger_old") == (0,)
    (totals,) = bench.store.ledger().totals(3 * DAY)
    assert {status: n for status, n in totals.counts.items() if n} == {Outcome.DELIVERED: 1}


@pytest.mark.parametrize("before", [0.5 * DAY, DAY, 1.5 * DAY])
def test_nothing_goes_early(bench: Bench, before: float) -> None:
    """As long as something of the day may be younger, the partition stays as it is."""
    events = _two_partitions(bench)
    assert delete_settled(bench.database, before).deliveries == 0
    assert bench.events() == set(events)
    assert "ledger_1" in bench.tables()


def test_what_was_filled_slowly(bench: Bench) -> None:
    """Where few events come, they go to the moment, row by row."""
    events = _two_partitions(bench, days=9)
    assert delete_settled(bench.database, 3 * DAY).deliveries == 3
    assert bench.events() == set(events[-2:])
    assert "ledger_1" in bench.tables()


def test_outcomes_that_have_other_days(bench: Bench) -> None:
    """Those whose days are over do not wait for the others."""
    _two_partitions(bench)
    limits = {Outcome.DELIVERED: DAY, Outcome.FILTERED: DAY, Outcome.DROPPED: 2 * DAY}
    assert delete_settled(bench.database, limits).deliveries == 1
    assert "ledger_1" in bench.tables()


@pytest.mark.parametrize("status", [State.READY, Outcome.DEAD])
def test_what_must_stay(bench: Bench, status: Status) -> None:
    """An event of which something waits or is kept has all of its rows afterwards."""
    *_, event, last, young = _two_partitions(bench, (Outcome.DELIVERED, status))
    before = list(bench.store.ledger().find(Selection()))
    assert delete_settled(bench.database, 2 * DAY).deliveries == 4
    del last
    assert bench.events() == {event, young}
    assert bench.tables() == {"ledger_old", f"ledger_{END}"}
    found = list(bench.store.ledger().find(Selection()))
    assert found == [one for one in before if one.event_id in {event, young}]


def _deliver(bench: Bench, at: float) -> None:
    """End the one delivery that waits."""
    queue = bench.store.queue(_At(at))
    (waiting,) = queue.source(bench.scope).ready(10)
    done = Transition(waiting, Result(Outcome.DELIVERED), attempts=1, effect=Effect.APPLIED)
    queue.commit(Round(transitions=[(bench.scope, done)]))


def test_what_ended_late(bench: Bench) -> None:
    """It stays until it is old itself, and goes row by row then."""
    *_, late, _, _ = _two_partitions(bench, (State.READY,))
    _deliver(bench, 5 * DAY)
    delete_settled(bench.database, 4 * DAY)
    assert bench.events() == {late}
    assert bench.tables() == {"ledger_old", f"ledger_{END}"}
    delete_settled(bench.database, 6 * DAY)
    assert bench.events() == set()


def test_an_event_of_a_dropped_partition_ends(bench: Bench) -> None:
    """What waited of it has a place in the ledger all the same."""
    _two_partitions(bench, (Outcome.DELIVERED, State.READY))
    delete_settled(bench.database, 2 * DAY)
    _deliver(bench, 3 * DAY)
    assert len(list(bench.store.ledger().find(Selection()))) == 3


@pytest.mark.parametrize(
    ("limits", "goes"),
    [
        ({Outcome.DELIVERED: 3, Outcome.FILTERED: 3, Outcome.DROPPED: 3}, True),
        ({Outcome.DELIVERED: 3, Outcome.FILTERED: 2, Outcome.DROPPED: 3}, True),
        ({Outcome.DELIVERED: 3, Outcome.FILTERED: 1, Outcome.DROPPED: 3}, False),
        ({Outcome.DELIVERED: 3, Outcome.DROPPED: 3}, False),
    ],
)
def test_times_by_outcome(bench: Bench, limits: dict[Outcome, float], *, goes: bool) -> None:
    """It goes once the times of all outcomes in it have passed."""
    _two_partitions(bench)
    delete_settled(bench.database, {one: days * DAY for one, days in limits.items()})
    assert ("ledger_1" not in bench.tables()) is goes


def test_it_is_recognised_afterwards(bench: Bench) -> None:
    """The messageId of an event whose rows were dropped is known as long as it has to be."""
    _two_partitions(bench)
    delete_settled(bench.database, 2 * DAY)
    event = QueuedEvent("m1", "track", "u", 3 * DAY, b"{}", 1, count=1)
    arrival = Arrival(event, [QueuedDelivery(event, KEYS[0], 0, b"{}", "p")])
    bench.store.queue(_At(3 * DAY)).commit(Round(arrivals=[(bench.scope, arrival)]))
    assert arrival.receipt is not None
    assert arrival.receipt.duplicate


def test_too_much_of_it_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is not copied: the rest goes row by row."""
    monkeypatch.setattr(partitions, "_most", lambda _: 1)
    events = _two_partitions(bench, *[(Outcome.DELIVERED, State.READY)] * 2)
    assert delete_settled(bench.database, 2 * DAY).deliveries == 4
    assert bench.events() == {*events[2:4], END}
    assert "ledger_1" in bench.tables()
    assert bench.database.one(
        "SELECT count(*) FROM pg_trigger WHERE tgname = 'ledger_changed'"
    ) == (0,)


def test_somebody_reads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is held up by it for long: it is dropped another time, and counts as no failure."""
    monkeypatch.setattr(partitions, "_LOCK_SECONDS", 0.01)
    events = _two_partitions(bench)
    told: list[str] = []
    bench.database.health.tell = told.append
    with psycopg.connect(bench.store.address.conninfo()) as other:
        other.execute("SELECT count(*) FROM destinations.ledger")
        assert delete_settled(bench.database, 2 * DAY).deliveries == 0
    assert bench.events() == set(events)
    assert told == []
    assert delete_settled(bench.database, 2 * DAY).deliveries == 4


def test_somebody_writes_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends while the partition is looked at is not lost: it is looked at again."""
    *_, event, _, _ = _two_partitions(bench, (Outcome.DELIVERED, State.READY))
    real = partitions._content

    def meanwhile(*given: object) -> object:
        found = real(*given)  # type: ignore[arg-type] # as they are
        _deliver(bench, 5 * DAY)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(partitions, "_content", meanwhile)
        assert delete_settled(bench.database, 2 * DAY).deliveries == 0
    assert "ledger_1" in bench.tables()
    assert broken_rules(bench.database) == []
    assert delete_settled(bench.database, 2 * DAY).deliveries == 4
    assert bench.events() == {event, END}


def test_there_is_no_time(bench: Bench) -> None:
    """Then nothing is dropped."""
    events = _two_partitions(bench)
    delete_settled(bench.database, 2 * DAY, lambda: False)
    assert bench.events() == set(events)


# -- numbers ---------------------------------------------------------------------------------------


def test_numbers_are_added_up(bench: Bench) -> None:
    """There is one row for each then, none for what is nought, and they say the same."""
    for _ in range(5):
        bench.finish(DAY, Outcome.DELIVERED, Outcome.FILTERED)
    before = bench.database.all("SELECT * FROM tallies ORDER BY 1, 2, 3, 4")
    delete_settled(bench.database, {Outcome.FILTERED: 2 * DAY, Outcome.DELIVERED: DAY / 2})
    bench.database.add_up()
    rows = bench.database.all("SELECT * FROM tally_changes ORDER BY 1, 2, 3, 4")
    assert rows == before
    assert len(rows) == 2


def test_two_add_up_at_the_same_time(bench: Bench) -> None:
    """Nothing counts twice or is lost, also of what is written meanwhile."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def add_up() -> None:
        database = PostgresDatabase(bench.store.address)
        try:
            while not stop.is_set():
                database.add_up()
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=add_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        bench.finish(DAY, Outcome.DELIVERED)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert bench.database.one("SELECT sum(count) FROM tallies") == (40,)
