"""Refused events: the latest of each destination and code, within bounds that always hold."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from destinations.errors import StoreFullError
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import RefusedCount, RefusedEvent, RefusedSelection, SqliteStore
from destinations.store import broken_rules as rules_broken_in
from tests.stores import AnyStore, OpenStore, few_in_postgres, sqlite_only

ALL = RefusedSelection()
MANY = 1_000_000

Make = Callable[..., RefusedEvent]


@pytest.fixture
def make(store: AnyStore) -> Make:
    """Makes an event that was refused for a destination of a server."""

    @functools.cache
    def scope_of(destination: str) -> int:
        identity = AccountIdentity(
            "kana", "http://127.0.0.1/", "", f"key of {destination}", destination
        )
        return store.accounts().served(destination, identity).id

    def made(destination: str = "kana", raw: bytes = b"{}", **more: Any) -> RefusedEvent:
        scope = scope_of(destination)
        usual: dict[str, Any] = {
            "at": 1.5,
            "status": 400,
            "code": "MALFORMED",
            "reason": "is no event",
        }
        usual |= {"path": f"/v1/{destination}", "peer": "192.0.2.1", "length": len(raw)}
        return RefusedEvent(scope, raw=raw, **(usual | more))

    return made


def _raws(store: AnyStore, selection: RefusedSelection = ALL) -> list[bytes]:
    return [one.event.raw for one in store.refused().find(selection)]


def test_what_is_kept(store: AnyStore, open_store: OpenStore, make: Make) -> None:
    """Everything that is known of it, also in a store that is only read."""
    event = make(raw=b"{\xff", length=9, is_whole=False, message_id="m", user="u")
    assert store.refused().add([event], MANY, MANY) == 0
    with open_store(read_only=True) as read:
        (found,) = read.refused().find(ALL)
        assert read.refused().names == ["kana"]
    assert (found.destination, found.account, found.event) == ("kana", "kana", event)


def test_pages_and_totals(store: AnyStore, make: Make) -> None:
    """Earlier ones follow an id; what is counted is what is kept, by name and code."""
    events = [make(raw=str(number).encode()) for number in range(5)]
    store.refused().add(events, MANY, MANY)
    store.refused().add([make("other", code="CONFLICT")], 1, MANY)
    found = store.refused().find(RefusedSelection("kana"), limit=2)
    assert [one.event.raw for one in found] == [b"3", b"4"]
    earlier = store.refused().find(RefusedSelection("kana"), limit=2, before=found[0].id)
    assert [one.event.raw for one in earlier] == [b"1", b"2"]
    totals = store.refused().totals()
    assert totals == [RefusedCount("kana", "MALFORMED", 5), RefusedCount("other", "CONFLICT", 1)]
    assert totals == store.refused().counts(ALL)
    assert store.refused().totals(events[0].scope) == totals[:1]


@few_in_postgres("so many", "none", "so many bytes", "one alone")
@pytest.mark.parametrize(
    ("most_events", "most_bytes", "left"),
    [
        pytest.param(10, MANY, list(range(10)), id="all"),
        pytest.param(3, MANY, [7, 8, 9], id="so many"),
        pytest.param(0, MANY, [], id="none"),
        # Each has 20 bytes and a reason of 11.
        pytest.param(10, 62, [8, 9], id="so many bytes"),
        pytest.param(10, 61, [9], id="not one byte more"),
        pytest.param(10, 30, [], id="one alone is larger"),
    ],
)
def test_the_oldest_go_first(
    store: AnyStore, make: Make, most_events: int, most_bytes: int, left: list[int]
) -> None:
    """Bounds hold at once, and who had to go is counted; those of other destinations stay."""
    refused = store.refused()
    displaced: list[int | None] = []
    refused.add([make("other", b"x" * 50)], MANY, MANY)
    for start in (0, 4):
        many = [make(raw=b"%020d" % one) for one in range(start, 4 if not start else 10)]
        displaced.append(refused.add(many, most_events, most_bytes))
    assert sum(filter(None, displaced)) == 10 - len(left)
    assert _raws(store, RefusedSelection("kana")) == [b"%020d" % one for one in left]
    assert _raws(store, RefusedSelection("other")) == [b"x" * 50]
    assert rules_broken_in(store.database) == []


@pytest.mark.parametrize(
    ("bounds", "before", "added", "left"),
    [
        # (code, number of events, bytes of each); a reason has 11 bytes.
        pytest.param(
            (10, MANY),
            [("A", 4, 1), ("B", 3, 1)],
            ("C", 500, 1),
            {"A": 3, "B": 3, "C": 4},
            id="a flood of one code",
        ),
        pytest.param(
            (9, MANY),
            [("A", 9, 1)],
            ("B", 9, 1),
            {"A": 4, "B": 5},
            id="each has its share in the end",
        ),
        pytest.param(
            (10, MANY), [("A", 10, 1)], ("B", 1, 1), {"A": 9, "B": 1}, id="one of another code"
        ),
        pytest.param(
            (MANY, 5_000),
            [("A", 20, 100)],
            ("B", 4, 1_240),
            {"A": 20, "B": 2},
            id="large ones displace large ones",
        ),
        pytest.param((MANY, 30), [("A", 2, 1)], ("B", 1, 100), {"A": 2}, id="too large by itself"),
    ],
)
def test_one_code_leaves_room_for_others(
    store: AnyStore,
    make: Make,
    bounds: tuple[int, int],
    before: list[tuple[str, int, int]],
    added: tuple[str, int, int],
    left: dict[str, int],
) -> None:
    """What gives way is the oldest of the code that has most; nobody else has to, uncounted."""
    refused = store.refused()
    number = displaced = 0
    for code, events, size in [*before, added]:
        many = [make(raw=b"%d" % (one % 10) * size, code=code) for one in range(events)]
        displaced += refused.add(many, *bounds) or 0
        number += events
    assert {one.code: one.events for one in refused.counts(ALL)} == left
    assert displaced == number - sum(left.values())
    latest = [one.event.raw[:1] for one in refused.find(RefusedSelection(code=added[0]))]
    assert latest == [
        b"%d" % (one % 10) for one in range(added[1] - left.get(added[0], 0), added[1])
    ]
    assert rules_broken_in(store.database) == []


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (RefusedSelection(), [b"1", b"2", b"3"]),
        (RefusedSelection(destination="kana"), [b"1", b"2"]),
        (RefusedSelection(destination="none"), []),
        (RefusedSelection(code="MALFORMED"), [b"1", b"3"]),
        (RefusedSelection(user="u"), [b"2"]),
        (RefusedSelection(since=2.0), [b"2", b"3"]),
        (RefusedSelection(destination="kana", since=2.0, code="MALFORMED"), []),
    ],
)
def test_what_is_selected(
    store: AnyStore, make: Make, selection: RefusedSelection, found: list[bytes]
) -> None:
    """All conditions must hold; the counts say the same."""
    refused = store.refused()
    refused.add([make(raw=b"1", at=1.0), make(raw=b"2", at=2.0, user="u", code="X")], MANY, MANY)
    refused.add([make("other", raw=b"3", at=3.0)], MANY, MANY)
    assert _raws(store, selection) == found
    assert sum(one.events for one in refused.counts(selection)) == len(found)


def test_the_latest_of_many(store: AnyStore, make: Make) -> None:
    """The oldest of them is first, and all are counted."""
    store.refused().add([make(raw=b"%d" % one) for one in range(300)], MANY, MANY)
    found = store.refused().find(ALL, limit=2)
    assert [one.event.raw for one in found] == [b"298", b"299"]
    assert store.refused().counts(ALL) == [RefusedCount("kana", "MALFORMED", 300)]


def test_what_is_old(store: AnyStore, make: Make) -> None:
    """It goes a thousand at a time, as long as there is time."""
    refused = store.refused()
    refused.add([make(at=float(one)) for one in range(2_500)], MANY, MANY)
    times = iter([True, False])
    assert refused.delete_before(2_400.0, lambda: next(times)) == 1_000
    assert refused.delete_before(2_400.0) == 1_400
    assert refused.delete_before(2_400.0) == 0
    assert [one.event.at for one in refused.find(ALL)] == [float(at) for at in range(2_400, 2_500)]
    assert rules_broken_in(store.database) == []


@sqlite_only
def test_a_store_that_is_nearly_full(store: AnyStore, make: Make) -> None:
    """What is left of its size is for deliveries: nothing is kept, and nothing counts as failed."""
    assert isinstance(store, SqliteStore)
    failures: list[str] = []
    store.database.health.tell = failures.append
    with store.database.transaction() as connection:
        connection.execute("INSERT INTO events (id, raw) VALUES (1, zeroblob(1000000))")
    store.database.limit_size(1_200_000)
    assert store.refused().add([make(raw=b"x" * 1_000)], MANY, MANY) is None
    assert _raws(store) == []
    assert failures == []


@sqlite_only
def test_a_write_that_fails(store: AnyStore, make: Make) -> None:
    """It raises, and keeps none of them."""
    assert isinstance(store, SqliteStore)
    event = make()
    store.database.limit_size(1)
    with pytest.raises(StoreFullError), store.database.transaction() as connection:
        connection.execute("INSERT INTO events (id, raw) VALUES (1, zeroblob(100000000))")
    assert _raws(store) == []
    assert store.refused().add([event], MANY, MANY) is None


def test_tenants_share_what_a_destination_may_have(store: AnyStore, make: Make) -> None:
    """However many tenants there are, no more is kept; who sends most gives way first."""
    refused = store.refused()
    refused.add([make("other", b"x")], MANY, MANY)

    def scope(tenant: str) -> int:
        identity = AccountIdentity("kana", "http://127.0.0.1/", "", tenant)
        return store.accounts().of_tenant("kana", tenant, identity).id

    for tenant, number in (("a", 2), ("b", 30), ("c", 2), ("d", 1)):
        events = [replace(make(raw=tenant.encode()), scope=scope(tenant)) for _ in range(number)]
        refused.add(events, 10, MANY)
    assert Counter(_raws(store, RefusedSelection("kana"))) == {b"a": 2, b"b": 5, b"c": 2, b"d": 1}
    assert _raws(store, RefusedSelection("other")) == [b"x"]
    assert rules_broken_in(store.database) == []
