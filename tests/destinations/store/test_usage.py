"""What deliveries count for is kept with their rows, and goes with them, in each kind of store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import move_store
from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.ledger import Replan, Selection
from destinations.pipeline.queue import (
    ClaimedBatch,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Transition,
)
from destinations.postgres import migrating, open_at
from destinations.postgres.store import PostgresStore
from destinations.runtime.amounts import Usage
from destinations.store import (
    OpenStore,
    SqliteStore,
    Tenant,
    Tenants,
    UsageEntry,
    broken_rules,
    delete_settled,
    erase_tenant,
    erase_user,
    merge_tenants,
)
from destinations.store.migrations import MIGRATIONS
from tests.case_tables import each_value
from tests.postgres_server import new_store_address
from tests.stores import AnyStore

Add = Callable[..., int]

AT = 1_772_721_000_000
USAGE = Usage("customer-1", "calls", AT, "2.5")


def _scopes(store: OpenStore) -> list[int]:
    return [one.id for one in store.accounts().scopes()]


def _entries(store: AnyStore, **more: Any) -> list[UsageEntry]:
    return list(store.usage().entries(_scopes(store), AT, AT + 1, **more))


def _rows(store: AnyStore) -> list[int]:
    return [one for (one,) in store.database.all("SELECT id FROM usage ORDER BY id")]


@pytest.mark.parametrize(
    ("status", "columns", "counts", "kinds"),
    [
        (Outcome.DELIVERED, {"attempts": 1}, True, ()),
        (Outcome.DELIVERED, {"attempts": 2}, True, ("repeated",)),
        (
            Outcome.DELIVERED,
            {"attempts": 1, "stage": "operator", "reason": "applied"},
            True,
            ("decided",),
        ),
        (
            Outcome.DELIVERED,
            {"attempts": 1, "usage": USAGE._replace(amount=None)},
            True,
            ("noAmount",),
        ),
        (State.READY, {}, False, ("waiting",)),
        (State.READY, {"sending": True}, False, ("waiting",)),
        (State.UNKNOWN, {}, False, ("unknown",)),
        (State.HELD, {}, False, ("held",)),
        (Outcome.DEAD, {}, False, ("failed",)),
        (Outcome.REJECTED, {}, False, ("failed",)),
        (Outcome.DROPPED, {"effect": Effect.MAYBE}, False, ("dropped",)),
        (Outcome.FILTERED, {"code": "AT_PARTNER", "reason": "has it"}, False, ("known",)),
    ],
)
def test_what_a_delivery_counts_for(
    store: AnyStore,
    add_delivery: Add,
    status: Any,
    columns: dict[str, Any],
    counts: bool,
    kinds: Any,
) -> None:
    """Its status says whether it counts; nothing is written again when that changes."""
    identity = add_delivery(store, status=status, **{"usage": USAGE, **columns})
    amount = columns.get("usage", USAGE).amount
    assert _entries(store) == [
        UsageEntry(identity, "count", "customer-1", "calls", amount, counts, kinds)
    ]
    assert broken_rules(store.database) == []


@pytest.mark.parametrize(
    ("status", "columns"),
    [
        (Outcome.DROPPED, {}),
        (Outcome.FILTERED, {"code": "DUPLICATE", "reason": "again"}),
        (Outcome.DELIVERED, {"usage": None}),
        (Outcome.DELIVERED, {"usage": USAGE._replace(at=AT - 1)}),
        (Outcome.DELIVERED, {"usage": USAGE._replace(at=AT + 1)}),
    ],
)
def test_what_counts_for_nothing(
    store: AnyStore, add_delivery: Add, status: Any, columns: dict[str, Any]
) -> None:
    """What never reached the partner, what has no usage, and what is of another time."""
    add_delivery(store, status=status, **{"usage": USAGE, **columns})
    assert _entries(store) == []


@pytest.mark.parametrize(
    "user",
    [
        "u",
        "7",
        "Ünïcödé",
        "123e4567-e89b-12d3-a456-426614174000",
        "x-123E4567-E89B-12D3-A456-426614174000",
        "",
    ],
)
def test_names_stay_as_they_are(store: AnyStore, add_delivery: Add, user: str) -> None:
    """Also those that are kept as bytes, and none."""
    add_delivery(store, status=Outcome.DELIVERED, usage=USAGE._replace(user=user, feature=user))
    assert [(one.user, one.feature) for one in _entries(store)] == [(user, user)]


def test_many_are_read_in_pages(
    store: AnyStore, add_delivery: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is there once, in order, also where a page has none of them."""
    monkeypatch.setattr("destinations.store.usage._PAGE", 2)
    wanted = []
    for number in range(7):
        usage = USAGE if number in {0, 5, 6} else USAGE._replace(at=AT - number)
        identity = add_delivery(store, status=Outcome.DELIVERED, attempts=1, usage=usage)
        wanted += [identity] if usage is USAGE else []
    assert [one.id for one in _entries(store)] == wanted
    assert [one.kinds for one in _entries(store, resent=wanted[1:2])] == [(), ("repeated",), ()]


def _replan(store: AnyStore, identity: int, usage: Usage | None) -> None:
    entry = store.ledger().get(identity)
    event = QueuedEvent(entry.message_id, "track", entry.user, entry.accepted_at, b"{}", 1)
    event.id = entry.event_id
    delivery = QueuedDelivery(event, entry.key, 0, b"{}", "plan", usage=usage)
    assert store.ledger().replan([Replan(entry, delivery, None, ())], 3_000.0) == [0]


@pytest.mark.parametrize("usage", [USAGE._replace(amount="9"), None])
def test_a_replay(store: AnyStore, add_delivery: Add, usage: Usage | None) -> None:
    """It counts for what today's definition says."""
    raw = {"type": "track"}
    identity = add_delivery(store, raw, status=Outcome.DEAD, usage=USAGE)
    _replan(store, identity, usage)
    assert [one.amount for one in _entries(store)] == ([] if usage is None else ["9"])
    assert broken_rules(store.database) == []


def _take(store: AnyStore, usage: Usage | None) -> None:
    """Plan what waits again, and deliver it."""
    (scope,) = store.accounts().scopes()
    queue = store.queue()
    (delivery,) = queue.source(scope).ready(10)
    delivery.replanned, delivery.usage = True, usage
    batch = ClaimedBatch(scope, [delivery])
    queue.commit(Round(batches=[batch]))
    delivery.state = State.SENDING
    done = Transition(delivery, Result(Outcome.DELIVERED), attempts=1, effect=Effect.APPLIED)
    queue.commit(Round(transitions=[(scope, done)], returned=[batch]))


@pytest.mark.parametrize("usage", [USAGE._replace(feature="GB"), None])
def test_what_waits_is_planned_again(
    store: AnyStore, add_delivery: Add, usage: Usage | None
) -> None:
    """After a new definition, before it is sent."""
    add_delivery(store, usage=USAGE)
    _take(store, usage)
    assert [one.feature for one in _entries(store)] == ([] if usage is None else ["GB"])
    assert broken_rules(store.database) == []


def test_what_waits_keeps_what_it_counts_for(store: AnyStore, add_delivery: Add) -> None:
    """A process that reads it from the store does not have to work it out again."""
    add_delivery(store, usage=USAGE)
    (scope,) = store.accounts().scopes()
    queue = store.queue()
    (delivery,) = queue.source(scope).ready(10)
    assert delivery.usage is None
    done = Transition(delivery, Result(Outcome.DELIVERED), attempts=1, effect=Effect.APPLIED)
    queue.commit(Round(transitions=[(scope, done)]))
    (entry,) = _entries(store)
    assert (entry.counts, entry.amount) == (True, "2.5")


@pytest.mark.parametrize("applied", [True, False])
def test_decisions(store: AnyStore, add_delivery: Add, *, applied: bool) -> None:
    """What an operator says was applied counts; what is sent again counts once it is."""
    add_delivery(store, {"type": "track"}, status=State.HELD, usage=USAGE)
    (entry,) = store.ledger().find(Selection())
    store.ledger().resolve([entry], applied=applied, now=3_000.0)
    (found,) = _entries(store)
    assert (found.counts, found.kinds) == (
        (True, ("decided",)) if applied else (False, ("waiting",))
    )


# -- deleting --------------------------------------------------------------------------------------

DAY = 86_400.0


def test_old_deliveries_go_with_it(store: AnyStore, add_delivery: Add) -> None:
    """And the store says from when on sums are complete."""
    old = add_delivery(
        store, status=Outcome.DELIVERED, usage=USAGE, settled_at=DAY, accepted_at=DAY
    )
    young = add_delivery(
        store, status=Outcome.DELIVERED, usage=USAGE, settled_at=9 * DAY, accepted_at=9 * DAY
    )
    assert _rows(store) == [old, young]
    assert store.usage().since(_scopes(store), ["count"]) is None
    delete_settled(store.database, 5 * DAY)
    assert _rows(store) == [young]
    assert store.usage().since(_scopes(store), ["count"]) == 5 * DAY * 1000
    delete_settled(store.database, 3 * DAY)  # nothing is there
    assert store.usage().since(_scopes(store), ["count"]) == 5 * DAY * 1000
    assert broken_rules(store.database) == []


def test_what_was_delivered_before_a_definition_had_usage(
    store: AnyStore, add_delivery: Add
) -> None:
    """Sums are complete from the last one without any on, of these actions only."""
    add_delivery(store, status=Outcome.DELIVERED, settled_at=2_000.0)
    add_delivery(store, status=Outcome.DELIVERED, settled_at=9_000.0, action="other")
    assert store.usage().since(_scopes(store), ["count"]) == 2_000_000
    add_delivery(store, status=Outcome.DELIVERED, usage=USAGE, settled_at=10_000.0)
    assert store.usage().since(_scopes(store), ["count"]) == 2_000_000
    assert store.usage().since(_scopes(store), []) is None


@each_value
@pytest.mark.parametrize(
    ("user", "usage", "stays"),
    [
        ("ann", USAGE, False),
        ("bob", USAGE, True),
        ("bob", USAGE._replace(user="ann"), False),
        ("bob", USAGE._replace(user="team/ann"), False),
        ("bob", USAGE._replace(user="anna"), True),
        ("bob", USAGE._replace(feature="calls of ann"), False),
        ("bob", USAGE._replace(feature="hannah"), True),
    ],
)
@pytest.mark.parametrize("status", [Outcome.DELIVERED, State.HELD, State.READY])
def test_an_erased_user(
    store: AnyStore, add_delivery: Add, *, user: str, usage: Usage, stays: bool, status: Any
) -> None:
    """Nothing is kept of the user, nor of another one under whose delivery the name stands."""
    identity = add_delivery(store, user=user, status=status, usage=usage)
    erase_user(store.database, "ann", _scopes(store), b"k" * 32, 3_000.0)
    assert _rows(store) == ([identity] if stays else [])
    texts = [text for (text,) in store.database.all("SELECT text FROM texts")]
    assert stays or not any("ann" in one for one in texts)
    assert broken_rules(store.database) == []


def test_another_scope_keeps_what_it_has(store: AnyStore, add_delivery: Add) -> None:
    """A user is erased from some scopes only."""
    add_delivery(store, user="ann", status=Outcome.DELIVERED, usage=USAGE)
    other = add_delivery(
        store, user="ann", status=Outcome.DELIVERED, usage=USAGE, destination="second"
    )
    first = _scopes(store)[0]
    erase_user(store.database, "ann", [first], b"k" * 32, 3_000.0)
    assert _rows(store) == [other]


def test_tenants(store: AnyStore, add_delivery: Add, add_tenant: Callable[..., Tenant]) -> None:
    """What a customer counts for moves with a merge, and goes with them."""
    first, second = add_tenant(store, "key-one-0123"), add_tenant(store, "key-two-0123")
    for tenant in (first, second):
        add_delivery(store, scope=tenant.scope, status=Outcome.DELIVERED, usage=USAGE)
    merge_tenants(store.database, first, second, 4_000.0)
    assert broken_rules(store.database) == []
    (kept,) = {one for (one,) in store.database.all("SELECT scope FROM usage")}
    assert kept == store.accounts().scopes()[0].id
    assert len(_entries(store)) == 2
    (tenant,) = Tenants(store.database).all()
    erase_tenant(store.database, tenant)
    assert _rows(store) == []


# -- moving and migrating --------------------------------------------------------------------------


def test_a_move_and_the_way_back(tmp_path: Path, add_delivery: Add) -> None:
    """All of it is in a database, and in a file again."""
    file, back, address = tmp_path / "a.sqlite3", tmp_path / "b.sqlite3", new_store_address()
    uuid = "123e4567-e89b-12d3-a456-426614174000"
    with SqliteStore(file) as store:
        add_delivery(store, status=Outcome.DELIVERED, usage=USAGE)
        add_delivery(store, status=Outcome.DELIVERED, usage=USAGE._replace(user=uuid, amount=None))
        add_delivery(store, status=State.HELD, usage=USAGE._replace(user="", feature=""))
        before = _entries(store)
    move_store(file, address)
    with open_at(address) as moved:
        assert list(moved.usage().entries(_scopes(moved), AT, AT + 1)) == before
    move_store(address, back)
    with open_at(back) as again:
        assert list(again.usage().entries(_scopes(again), AT, AT + 1)) == before


def test_a_file_of_the_version_before(tmp_path: Path, add_delivery: Add) -> None:
    """Its deliveries have no usage; from now on they have, and the moment is known."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as store:
        add_delivery(store, status=Outcome.DELIVERED)
        with store.database.transaction() as connection:
            connection.execute("DROP TABLE usage")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    with SqliteStore(path) as store:
        since = store.usage().since(_scopes(store), ["count"])
        assert since is not None
        assert since > AT  # not before this test was written
        add_delivery(store, status=Outcome.DELIVERED, usage=USAGE)
        assert len(_entries(store)) == 1


def test_a_new_store_has_all(store: AnyStore) -> None:
    """Nothing was delivered before."""
    assert store.usage().since([], ["count"]) is None


def test_a_database_of_the_version_before(add_delivery: Add) -> None:
    """Its partitions get theirs."""
    address = new_store_address()
    with PostgresStore(address) as store:
        add_delivery(store, status=Outcome.DELIVERED)
        with store.database.transaction() as connection:
            connection.execute("INSERT INTO ledger_partitions VALUES (1000001, 2000001)")
            connection.execute("DROP TABLE usage")
            connection.execute("UPDATE schema_version SET version = version - 1")
    migrating.migrate(address)
    with PostgresStore(address) as store:
        since = store.usage().since(_scopes(store), ["count"])
        assert since is not None
        assert since > AT
        add_delivery(store, status=Outcome.DELIVERED, usage=USAGE)
        assert len(_entries(store)) == 1
        tables = store.database.all("SELECT relname FROM pg_class WHERE relname LIKE 'usage_%'")
        assert {"usage_old", "usage_1", "usage_1000001"} <= {name for (name,) in tables}
