from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.operations import (
    Selection,
    count_classes,
    find_deliveries,
    get_delivery,
    raw_event,
)
from destinations.outcome import Outcome
from destinations.queue import Expectation, State
from destinations.store import Store

Fill = Callable[..., dict[str, int]]

NEEDS_A_PERSON = {"held", "dead", "rejected", "invalid"}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(needs_person=True), NEEDS_A_PERSON),
        (Selection(state=State.HELD), {"held"}),
        (Selection(state=State.READY), {"ready"}),
        (Selection(state=State.UNKNOWN), {"unknown"}),
        (Selection(outcome=Outcome.DEAD), {"dead"}),
        (Selection(outcome=Outcome.UNMAPPED), {"unmapped"}),
        (Selection(outcome=Outcome.DELIVERED), {"delivered"}),
        (Selection(outcome=Outcome.UNKNOWN), set()),
        (Selection(code="DROPPED"), {"dropped"}),
        (Selection(outcome=Outcome.DEAD, code="DROPPED"), {"dropped"}),
        (Selection(code="BAD_REQUEST"), {"rejected"}),
        (Selection(outcome=Outcome.DEAD, code="BAD_REQUEST"), set()),
        (Selection(user="u1", needs_person=True), NEEDS_A_PERSON),
        (Selection(user="u2"), set()),
        (Selection(destination="sample", needs_person=True), NEEDS_A_PERSON),
        (Selection(destination="other"), set()),
        (Selection(since=1_000.0, needs_person=True), NEEDS_A_PERSON),
        (Selection(since=1_000.5), set()),
        (Selection(until=1_000.0), set()),
        (Selection(since=999.0, until=1_001.0, outcome=Outcome.DEAD), {"dead"}),
    ],
)
def test_selections(store: Store, fill: Fill, selection: Selection, expected: set[str]):
    """All conditions hold together; dropped ones are only chosen by their code."""
    ids = fill()
    found = {entry.id for entry in find_deliveries(store, selection)}
    assert found == {ids[name] for name in expected}
    assert sum(number for *_, number in count_classes(store, selection)) == len(expected)


def test_everything(store: Store, fill: Fill):
    """Without a condition all are found, oldest first, labelled by outcome or state."""
    ids = fill()
    found = list(find_deliveries(store, Selection()))
    assert [entry.id for entry in found] == sorted(ids.values())
    assert {entry.id: entry.label for entry in found} == {ids[name]: name for name in ids}
    assert sorted(label for _, label, _, _ in count_classes(store, Selection())) == sorted(ids)


@pytest.mark.parametrize("limit", [1, 7, 500, 501, 1_100, None])
def test_pages(store: Store, add_delivery: Callable[..., int], limit: int | None):
    """Page after page none is left out and none comes twice, up to the limit."""
    first = add_delivery(store)
    with store.transaction() as connection:
        connection.execute(
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1100)"
            " INSERT INTO deliveries (event_id, destination, user, action, state,"
            " definition_version) SELECT ?, 'sample', 'u1', 'a' || i, 'ready', '1' FROM n",
            (first,),
        )
    found = [entry.id for entry in find_deliveries(store, Selection(), limit=limit)]
    assert found == list(range(1, 1_102))[:limit]


def test_one_delivery(store: Store, add_delivery: Callable[..., int], classes: dict[str, Any]):
    """Every column is there, as its type."""
    raw = {"type": "track", "userId": "u1"}
    entry = get_delivery(store, add_delivery(store, raw, **classes["dead"]))
    assert (entry.state, entry.outcome, entry.status) == (State.DONE, Outcome.DEAD, 503)
    assert (entry.attempts, entry.first_attempt_at, entry.settled_at) == (3, 1_500.0, 2_000.0)
    assert (entry.type, entry.message_id, entry.accepted_at) == ("track", "m1", 1_000.0)
    assert (entry.expectation, entry.evidence) == (None, {})
    assert raw_event(store, entry.event_id) == b'{"type": "track", "userId": "u1"}'
    held = get_delivery(store, add_delivery(store, **classes["held"]))
    assert held.expectation == Expectation("u1 calls", 5)
    assert held.evidence == {"expected": 12, "found": 9}
    assert raw_event(store, held.event_id) is None


def test_no_such_delivery(store: Store):
    """An id that is not there is an error that names it and the store."""
    with pytest.raises(UsageError, match=r"there is no delivery 7 in .*store\.sqlite3"):
        get_delivery(store, 7)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(destination="sample", state=State.HELD),
        Selection(destination="sample", outcome=Outcome.DEAD),
    ],
    ids=["state", "outcome"],
)
def test_an_index_is_used(store: Store, selection: Selection):
    """What needs a person is found without reading a ledger of millions that were delivered."""
    where, values = selection.where()
    plan = store.all(
        "EXPLAIN QUERY PLAN SELECT d.id FROM deliveries AS d JOIN events AS e"  # noqa: S608 - own
        f" ON e.id = d.event_id WHERE d.id > 0 AND {where} ORDER BY d.id LIMIT 5",
        values,
    )
    assert "USING INDEX deliveries_" in " ".join(str(step[-1]) for step in plan)
