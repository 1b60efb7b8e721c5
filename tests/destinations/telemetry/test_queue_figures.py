from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import ScopeTotals
from destinations.store import SqliteStore, StoredLedger, Tenant
from destinations.telemetry import QueueFigures, QueueProbe

EMPTY = QueueFigures(0, None, 0, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    with SqliteStore(tmp_path / "a store?.sqlite3") as opened:
        yield opened


class Looked(StoredLedger):
    """A ledger that counts how often its totals are asked for."""

    times = 0
    fault: UsageError | None = None

    def totals(self, now: float) -> Sequence[ScopeTotals]:
        self.times += 1
        if self.fault is not None:
            raise self.fault
        return super().totals(now)


class Time:
    """A time that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_figures(store: SqliteStore, add_delivery: Callable[..., int]) -> None:
    """The oldest leaves out what is held and done; other destinations and runs do not count."""
    rows: list[tuple[Status, float]] = [
        (Outcome.DELIVERED, 5.0),
        (Outcome.DEAD, 10.0),
        (State.HELD, 20.0),
        (State.HELD, 30.0),
        (State.UNKNOWN, 40.0),
        (State.READY, 50.0),
    ]
    for status, at in rows:
        add_delivery(store, status=status, accepted_at=at)
    add_delivery(store, sending=True, accepted_at=60.0)
    add_delivery(store, status=State.HELD, accepted_at=1.0, destination="another")
    add_delivery(store, accepted_at=2.0, served=False)
    probe = QueueProbe(store.ledger())
    assert probe.read("sample") == QueueFigures(
        length=5, oldest=40.0, unknown=1, held=2, kept={Outcome.DELIVERED: 1, Outcome.DEAD: 1}
    )
    assert probe.read("another") == QueueFigures(length=1, oldest=None, unknown=0, held=1)


def test_customers_of_a_destination(
    store: SqliteStore, add_delivery: Callable[..., int], add_tenant: Callable[..., Tenant]
) -> None:
    """The queues of all of them are one, together with what the destination had before."""
    add_delivery(store, accepted_at=30.0)
    for key, at, status in (("a", 10.0, State.READY), ("b", 20.0, State.UNKNOWN)):
        scope = add_tenant(store, key).scope
        add_delivery(store, scope=scope, accepted_at=at, status=status)
        add_delivery(store, scope=scope, status=Outcome.DELIVERED)
    add_tenant(store, "idle")
    assert QueueProbe(store.ledger()).read("sample") == QueueFigures(
        length=3, oldest=10.0, unknown=1, held=0, kept={Outcome.DELIVERED: 2}
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (State.READY, QueueFigures(1, 7.0, 0, 0)),
        (State.UNKNOWN, QueueFigures(1, 7.0, 1, 0)),
        (State.HELD, QueueFigures(1, None, 0, 1)),
        *((outcome, QueueFigures(0, None, 0, 0, {outcome: 1})) for outcome in Outcome),
    ],
)
def test_each_status(
    store: SqliteStore,
    add_delivery: Callable[..., int],
    status: Status,
    expected: QueueFigures,
) -> None:
    """What has an outcome is kept and in no queue; what has none is, whoever it waits for."""
    add_delivery(store, status=status, accepted_at=7.0)
    assert QueueProbe(store.ledger()).read("sample") == expected


def test_an_empty_queue(store: SqliteStore) -> None:
    """Nothing waits, and the store need not know the destination."""
    assert QueueProbe(store.ledger()).read("sample") == EMPTY


def test_one_look_is_for_all(store: SqliteStore, add_delivery: Callable[..., int]) -> None:
    """The totals are asked for once a second, however many destinations and whoever asks."""
    ledger, time = Looked(store.database), Time()
    probe = QueueProbe(ledger, now=lambda: 100.0, monotonic=time)
    assert [probe.read(name) for name in ("sample", "another", "sample")] == [EMPTY] * 3
    assert ledger.times == 1
    add_delivery(store, accepted_at=1.0)
    time.now = 0.9
    assert probe.read("sample") == EMPTY
    time.now = 1.0
    assert probe.read("sample") == QueueFigures(1, 1.0, 0, 0)
    assert ledger.times == 2


def _steps_of_a_look(store: SqliteStore) -> int:
    """How many instructions SQLite carries out for one look."""
    steps = itertools.count()
    with store.database.reading() as connection:
        connection.set_progress_handler(lambda: next(steps) < 0, 1)
        QueueProbe(store.ledger()).read("sample")
        connection.set_progress_handler(None, 0)
    return next(steps)


def test_what_is_old_does_not_cost_more(
    store: SqliteStore, add_delivery: Callable[..., int]
) -> None:
    """The figures come from totals that the store keeps: no delivery is counted for them."""
    old = (Outcome.DELIVERED, Outcome.DEAD, State.HELD)
    for status in (*old, State.READY):
        add_delivery(store, status=status, accepted_at=3.0)
    before = _steps_of_a_look(store)
    assert before > 0
    for status in old * 20:
        add_delivery(store, status=status, accepted_at=3.0)
    assert QueueProbe(store.ledger()).read("sample") == QueueFigures(
        22, 3.0, 0, 21, {Outcome.DELIVERED: 21, Outcome.DEAD: 21}
    )
    assert _steps_of_a_look(store) == before


def test_a_store_that_cannot_be_read(store: SqliteStore, add_delivery: Callable[..., int]) -> None:
    """It is an error each time, and the first look that succeeds is good again."""
    add_delivery(store, accepted_at=1.0)
    ledger = Looked(store.database)
    probe = QueueProbe(ledger, monotonic=lambda: 0.0)
    ledger.fault = UsageError("cannot read the store")
    for _ in range(2):
        with pytest.raises(UsageError):
            probe.read("sample")
    ledger.fault = None
    assert probe.read("sample") == QueueFigures(1, 1.0, 0, 0)
    ledger.fault = UsageError("cannot read the store")
    assert probe.read("sample") == QueueFigures(1, 1.0, 0, 0)  # of the look before
    assert ledger.times == 3


def test_several_threads(store: SqliteStore, add_delivery: Callable[..., int]) -> None:
    """Those that ask at the same time share one look."""
    add_delivery(store, accepted_at=1.0)
    ledger = Looked(store.database)
    probe = QueueProbe(ledger, monotonic=lambda: 0.0)
    found: list[QueueFigures] = []
    threads = [
        threading.Thread(target=lambda: found.append(probe.read("sample"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, ledger.times) == ([QueueFigures(1, 1.0, 0, 0)] * 4, 1)
