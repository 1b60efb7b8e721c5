"""What a copy of a store is marked with when it is restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import back_up, restore
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import Balance, Increment, Restored, Round, Scope
from destinations.store import SqliteStore, broken_rules
from destinations.store.restored import decode_restored

Add = Callable[..., int]

COPIED_AT = 1_500.0
KNOWN = "k"


def _open(add: Add, store: SqliteStore, status: Any = State.READY, amount: int = 5) -> None:
    add(store, status=status, increment=Increment(KNOWN, amount), message_id="m")


def _lost(add: Add, store: SqliteStore) -> None:
    _open(add, store, State.UNKNOWN)


def _sending(add: Add, store: SqliteStore) -> None:
    add(store, sending=True, increment=Increment(KNOWN, 5), message_id="m")


def _beside_an_open_negative_one(add: Add, store: SqliteStore) -> None:
    _lost(add, store)
    add(store, increment=Increment(KNOWN, -3))


def _beside_a_held_negative_one(add: Add, store: SqliteStore) -> None:
    _lost(add, store)
    add(store, status=State.HELD, increment=Increment(KNOWN, -3))


def _beside_a_delivered_negative_one(add: Add, store: SqliteStore) -> None:
    _lost(add, store)
    add(store, status=Outcome.DELIVERED, increment=Increment(KNOWN, -3))


def _beside_a_negative_one_of_another_key(add: Add, store: SqliteStore) -> None:
    _lost(add, store)
    add(store, increment=Increment("other", -3))


def _without_an_amount(add: Add, store: SqliteStore) -> None:
    add(store, status=State.UNKNOWN, message_id="m")


KNOWN_AMOUNT = Restored(COPIED_AT, "", KNOWN, 7, "june")
NEGATIVE = "something under the same key is negative"
NOT_KNOWN = "the copy does not tell"
NOT_ASKABLE = "the partner cannot be asked"

CASES: Mapping[str, tuple[Callable[[Add, SqliteStore], None], str]] = {
    "a lost answer": (_lost, ""),
    "under way": (_sending, ""),
    "not asked about": (_open, NOT_KNOWN),
    "an open negative one": (_beside_an_open_negative_one, NEGATIVE),
    "a held negative one": (_beside_a_held_negative_one, NEGATIVE),
    "a delivered negative one": (_beside_a_delivered_negative_one, ""),
    "a negative one of another key": (_beside_a_negative_one_of_another_key, ""),
    "no amount": (_without_an_amount, NOT_ASKABLE),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_marked(tmp_path: Path, add_delivery: Add, name: str) -> None:
    """What the partner held is told where the copy knows it, else why nothing may be sent."""
    fill, why = CASES[name]
    backup, target = tmp_path / "backup", tmp_path / "target"
    with SqliteStore(tmp_path / "store") as store:
        fill(add_delivery, store)
        (entry,) = (one for one in store.ledger().find(Selection()) if one.message_id == "m")
        scope = Scope(entry.scope, entry.destination)
        balance = Balance("u1", 7, "june")
        store.queue().commit(Round(balances={(scope, KNOWN): balance}))
        back_up(store.path, backup)
    restore(backup, target, 2_000.0)
    with SqliteStore(target) as store:
        assert broken_rules(store.database) == []
        query = "SELECT restored, first_attempt_at FROM open WHERE message_id = 'm'"
        ((text, first),) = store.database.all(query)
        found = decode_restored(text)
        assert found is not None
        if why:
            assert why in found.why
            assert found.amount is None
        else:
            assert (found.why, found.key, found.amount, found.period) == ("", KNOWN, 7, "june")
        # Its time begins anew.
        assert first is None
        kept = store.database.all("SELECT count(*) FROM kept WHERE restored IS NULL")
        assert kept == [(0,)]


def test_restored_twice(tmp_path: Path, add_delivery: Add) -> None:
    """What an earlier restoration marked stays marked so, and its gap is still a gap."""
    with SqliteStore(tmp_path / "store") as store:
        _lost(add_delivery, store)
        back_up(store.path, tmp_path / "one")
    first = restore(tmp_path / "one", tmp_path / "store", 2_000_000_000.0)
    with SqliteStore(tmp_path / "store") as store:
        before = store.database.all("SELECT restored FROM open")
        back_up(store.path, tmp_path / "two")
    second = restore(tmp_path / "two", tmp_path / "store", 3_000_000_000.0, hold_gap=False)
    assert second.copied_at > first.copied_at
    with SqliteStore(tmp_path / "store") as store:
        assert store.database.all("SELECT restored FROM open") == before
        gap = store.database.all("SELECT gap_from, gap_until, gap_held FROM identity")
    assert gap == [(first.copied_at, 3_000_000_000.0, 0)]


@pytest.mark.parametrize(("amounts", "is_known"), [((7, 7), True), ((7, 8), False)])
def test_two_of_one_account(
    tmp_path: Path, add_delivery: Add, amounts: tuple[int, int], *, is_known: bool
) -> None:
    """Where two destinations of an account knew other amounts, none of them is taken for it."""
    with SqliteStore(tmp_path / "store") as store:
        for name in ("one", "two"):
            add_delivery(
                store,
                destination=name,
                slug="kana",
                account="main",
                status=State.UNKNOWN,
                increment=Increment(KNOWN, 5),
            )
        scopes = [Scope(one.scope, one.destination) for one in store.ledger().find(Selection())]
        balances: dict[tuple[Scope, str], Balance | None] = {
            (scope, KNOWN): Balance("u1", amount)
            for scope, amount in zip(scopes, amounts, strict=True)
        }
        store.queue().commit(Round(balances=balances))
        back_up(store.path, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "target", 2_000.0)
    with SqliteStore(tmp_path / "target") as store:
        rows = store.database.all("SELECT restored FROM open")
    found = [decode_restored(text) for (text,) in rows]
    assert len(found) == 2
    for one in found:
        assert one is not None
        assert one.amount == (7 if is_known else None)
        assert (NOT_KNOWN in one.why) is not is_known
