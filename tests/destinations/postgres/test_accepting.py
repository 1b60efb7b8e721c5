"""Several processes accept the same events at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from destinations.pipeline.queue import Arrival, QueuedDelivery, QueuedEvent, Round, Scope
from destinations.postgres.address import PostgresAddress
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import broken_rules
from tests.postgres_server import new_store_address

KEY = SubscriptionKey("Counts", "count")
ROUNDS = 6
EVENTS = 600


def _arrival(message_id: str) -> Arrival:
    event = QueuedEvent(message_id, "track", "u", 1.0, b"{}", 1)
    return Arrival(event, [QueuedDelivery(event, KEY, 0, b"{}", "p")])


class Process:
    """A process with the store open by itself, in a thread of this one."""

    def __init__(self, address: PostgresAddress, scope: Scope) -> None:
        self.store = PostgresStore(address)
        self.queue = self.store.queue()
        self.scope = scope
        self.failures: list[BaseException] = []

    def accept(self, barrier: threading.Barrier, arrivals: Sequence[Arrival]) -> None:
        """Accept events once the others do."""
        try:
            barrier.wait(20)
            self.queue.commit(Round(arrivals=[(self.scope, one) for one in arrivals]))
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failures.append(error)


@pytest.fixture
def address() -> PostgresAddress:
    """The address of an empty store."""
    return new_store_address()


@pytest.fixture(params=["one destination", "a run beside a server", "three processes"])
def processes(request: pytest.FixtureRequest, address: PostgresAddress) -> Iterator[list[Process]]:
    """Processes that accept for one destination, or for two of the same account."""
    with PostgresStore(address) as store:
        identity = AccountIdentity("sample", "http://x/", "", "key")
        served = store.accounts().served("sample", identity)
        (account,) = store.accounts().of_slug("sample")
        run = store.accounts().run("sample", account.id)
    scopes = {
        "one destination": [served, served],
        "a run beside a server": [served, run],
        "three processes": [served, run, served],
    }[request.param]
    made = [Process(address, scope) for scope in scopes]
    yield made
    assert broken_rules(made[0].store.database) == []
    for one in made:
        one.store.close()


def test_the_same_events_in_opposite_orders(processes: list[Process]) -> None:
    """Exactly one of them has each as new; nobody fails, as nobody waits for one who waits."""
    for number in range(ROUNDS):
        names = [f"m{number}-{each}" for each in range(EVENTS)]
        orders = [names, names[::-1], names[::2] + names[1::2]]
        of_all = [
            [_arrival(name) for name in order] for order, _ in zip(orders, processes, strict=False)
        ]
        barrier = threading.Barrier(len(processes))
        threads = [
            threading.Thread(target=one.accept, args=(barrier, arrivals))
            for one, arrivals in zip(processes, of_all, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.failures for one in processes] == [[] for _ in processes]
        receipts = [(one.event.message_id, one.receipt) for arrivals in of_all for one in arrivals]
        new = [name for name, receipt in receipts if receipt and not receipt.duplicate]
        assert sorted(new) == sorted(names)
    rows = processes[0].store.database.one("SELECT count(*) FROM open")
    assert rows == (ROUNDS * EVENTS,)


def test_nobody_waits_for_other_events(address: PostgresAddress) -> None:
    """Whoever accepts events holds up nobody who accepts others, on whatever day."""
    with PostgresStore(address) as one, PostgresStore(address) as other:
        scope = one.accounts().served("sample", AccountIdentity("sample", "http://x/", "", "key"))
        queue, beside = one.queue(), other.queue()
        queue.commit(Round(arrivals=[(scope, _arrival("first of the day"))]))
        with other.database.shared_transaction() as connection:
            beside._work(connection, time.time(), [], []).next_event()
            queue.commit(Round(arrivals=[(scope, _arrival("m"))]))
        assert one.database.one("SELECT count(*) FROM open") == (2,)
