"""Commands beside the processes that deliver from a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import TemporaryError
from destinations.kit.testing.stand_ins import StillClock
from destinations.operations import forget, is_in_use, lock_account
from destinations.outcome import Outcome, State
from destinations.pipeline.lease import LeaseTimes
from destinations.pipeline.queue import ClaimedBatch, Round, Scope
from destinations.postgres.address import PostgresAddress
from destinations.postgres.store import PostgresStore
from tests.postgres_server import new_store_address
from tests.serving import delivering

TIMES = LeaseTimes(lease=15.0, hard_stop=False)


@pytest.fixture
def address(add_delivery: Callable[..., int]) -> PostgresAddress:
    """A store with an event of ann that was given up."""
    found = new_store_address()
    with PostgresStore(found) as store:
        add_delivery(store, user="ann", status=Outcome.DEAD)
    return found


class _Clock(StillClock):
    """A clock that moves while it is waited for, when something happens as well."""

    def __init__(self, meanwhile: Callable[[float], object] = lambda _now: None) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def wait(self, seconds: float, stop: Any) -> bool:
        done = super().wait(seconds, stop)
        self._meanwhile(self.monotonic())
        return done


def _send(store: PostgresStore, token: Any) -> None:
    """Write that what waits of the store is being sent, under the lease of a session."""
    queue = store.queue(lease=token)
    queue.fence(token.token)
    queue.take_lanes()
    scope = next(Scope(one.id, one.destination) for one in store.ledger().totals(0.0))
    waiting = list(queue.source(scope).ready(10))
    queue.commit(Round(batches=[ClaimedBatch(scope, waiting, at=1.0)]))


def test_what_is_on_its_way(address: PostgresAddress, add_delivery: Callable[..., int]) -> None:
    """A user is not erased while a process that lives sends an event of theirs: exit code 75."""
    with PostgresStore(address) as store:
        found = add_delivery(store, user="ann")
        session = store.session("a test", "0", TIMES)
        session.beat()
        _send(store, session)
        beats = _Clock(lambda _now: session.beat())
        with pytest.raises(TemporaryError, match=rf"delivery {found} of the user is on its way"):
            forget(address, "ann", 9e9, clock=beats)
        assert {one.user for one in store.ledger().of_event(store.ledger().get(found))} == {"ann"}
        session.close()


def test_a_process_that_has_ended(
    address: PostgresAddress, add_delivery: Callable[..., int]
) -> None:
    """One that shows no sign of life for its lease is ended: then its answer counts as lost."""
    with PostgresStore(address) as store:
        add_delivery(store, user="ann", increment=None)
        gone = store.session("gone", "0", TIMES)
        gone.beat()
        _send(store, gone)
        assert is_in_use(store)
        asked: list[State | Outcome] = []

        def settle(_store: Any, entries: Any) -> None:
            asked.extend(one.status for one in entries)
            store.ledger().resolve(entries, applied=True, now=9e8)

        clock = _Clock()
        began = clock.monotonic()
        done = forget(address, "ann", 9e9, settle=settle, clock=clock)
        assert (done.rows, asked) in [(2, []), (2, [State.UNKNOWN])]
        assert TIMES.lease <= clock.monotonic() - began < 2 * TIMES.lease
        assert not is_in_use(store)
        gone.close()


def test_users_of_others_go_on(address: PostgresAddress, add_delivery: Callable[..., int]) -> None:
    """Erasing one beside a worker does not wait for what it has of another."""
    with PostgresStore(address) as store, delivering(address):
        add_delivery(store, user="bob", sending=True)
        assert forget(address, "ann", 9e9, clock=_Clock()).rows == 1


def test_an_account_of_a_command(address: PostgresAddress) -> None:
    """Two commands do not deliver to one account, and no server begins to meanwhile."""
    with PostgresStore(address) as one, PostgresStore(address) as two:
        with lock_account(one, 1, "kana at x", by_server=False):
            with (
                pytest.raises(TemporaryError, match="another command delivers to kana at x"),
                lock_account(two, 1, "kana at x", by_server=False),
            ):
                raise AssertionError
            with (
                pytest.raises(TemporaryError, match="a command delivers to kana at x"),
                lock_account(two, 1, "kana at x", by_server=True),
            ):
                raise AssertionError
            with lock_account(two, 2, "kana at y", by_server=False):
                pass
        with (
            lock_account(one, 1, "kana at x", by_server=True),
            lock_account(two, 1, "kana at x", by_server=True),
        ):
            pass
