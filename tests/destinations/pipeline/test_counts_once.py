"""What adds counts an event once for an action, whatever its subscriptions are called by now."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Outcome, State
from destinations.pipeline.reading import read_lines
from destinations.pipeline.run import Run, RunOptions, RunStore
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.store import SqliteStore, broken_rules
from tests.destinations.pipeline.conftest import Partner, with_reconcile

Bench = Any
"""See ``conftest.py``."""

SMALL, LARGE = "properties.by < 10", "properties.by >= 10"
TRACKS = 'type = "track"'

# Subscriptions before and after; each event that is sent is taken by one of both.
CHANGES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "renamed": ({"Old": TRACKS}, {"New": TRACKS}),
    "one of two renamed": ({"Old": SMALL, "Large": LARGE}, {"New": SMALL, "Large": LARGE}),
    "split": ({"All": TRACKS}, {"All": LARGE, "Small": SMALL}),
    "split into new ones": ({"All": TRACKS}, {"Large": LARGE, "Small": SMALL}),
    "joined": ({"Large": LARGE, "Small": SMALL}, {"All": TRACKS}),
    "exchanged": ({"A": SMALL, "B": LARGE}, {"B": SMALL, "A": LARGE}),
}
BOTH = {"One": TRACKS, "Two": TRACKS}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("waits", [True, False], ids=["waits", "delivered"])
def test_a_server(
    bench: Callable[..., Bench],
    bind_connected: Callable[..., Destination],
    before: dict[str, str],
    after: dict[str, str],
    *,
    waits: bool,
) -> None:
    """What waits is sent once by the subscription of today; what was delivered is not again."""
    one = bench()
    one.kill()
    one.destination = bind_connected(with_reconcile, **before)
    one.open()
    raw = [one.event("u", 2, "small"), one.event("u", 20, "large")]
    if waits:
        one.engine.pause([one.scope])
    one.accept_raw(*raw)
    one.run() if not waits else one.step()
    assert one.partner.counts == ({} if waits else {"u": 22})
    one.destination = bind_connected(with_reconcile, **after)
    one.restart()
    assert all(receipt.duplicate for receipt in one.accept_raw(*raw))
    one.run()
    assert one.partner.counts == {"u": 22}
    assert [status for _, status in one.statuses] == [Outcome.DELIVERED] * 2


@pytest.mark.parametrize(
    ("after", "allows", "counts"),
    [
        ({"All": TRACKS}, False, 2),
        ({"One": TRACKS}, False, 2),
        ({"Two": TRACKS, "Pages": 'type = "page"'}, False, 2),
        (BOTH, True, 4),
        ({"One": TRACKS}, True, 2),
        ({"Two": TRACKS}, True, 2),
        ({"One": TRACKS, "Pages": 'type = "page"'}, True, 2),
    ],
)
def test_two_that_wait_become_one(
    bench: Callable[..., Bench],
    bind_connected: Callable[..., Destination],
    after: dict[str, str],
    counts: int,
    *,
    allows: bool,
) -> None:
    """An event that was to be sent by two is sent once by the one that is left."""
    one = bench()
    one.kill()
    one.destination = bind_connected(with_reconcile, allow_overlap=True, **BOTH)
    one.open()
    one.engine.pause([one.scope])
    one.accept_raw(one.event("u", 2, "m"))
    one.step()
    assert [status for _, status in one.statuses] == [State.READY] * 2
    one.destination = bind_connected(with_reconcile, allow_overlap=allows, **after)
    one.restart()
    one.run()
    assert one.partner.counts == {"u": counts}
    codes = {entry.code for entry in one.entries if entry.status is Outcome.FILTERED}
    # Of a subscription that is gone, and whose events no other is to send.
    assert codes <= ({"DUPLICATE"} if not allows else {None})


class Runs:
    """Runs with one store, to one partner."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partner = Partner()
        self.clock = StillClock()

    def __call__(self, destination: Destination, *events: bytes) -> dict[Outcome | State, int]:
        """Run a file of events; returns how many have which outcome."""
        self.clock.now += 1
        with SqliteStore(self.path) as store:
            accounts, identity = store.accounts(), identity_of(destination)
            known = accounts.find(identity)
            account = accounts.add(identity) if known is None else known.id
            scope = accounts.run("sample", account)
            queue = store.queue(self.clock)
            queue.recover([scope], 30.0)
            kept = RunStore(queue, scope, queue.source(scope), store.answers(identity.partner))
            run = Run(
                destination,
                self.partner,
                store=kept,
                options=RunOptions(),
                clock=self.clock,
                draw=lambda: 1.0,
                inline=True,
            )
            report = run.execute(read_lines(BytesIO(b"\n".join(events))))
            assert broken_rules(store.database) == []
        return dict(report.totals.outcomes)


def _event(by: int, message_id: str) -> bytes:
    event = {"type": "track", "event": "E", "userId": "u", "messageId": message_id}
    more = {"timestamp": "2026-01-01T00:00:00Z", "properties": {"by": by, "thing": "u"}}
    return json.dumps({**event, **more}).encode()


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_runs(
    tmp_path: Path,
    bind_connected: Callable[..., Destination],
    before: dict[str, str],
    after: dict[str, str],
) -> None:
    """A file that is run again by another connection counts nothing twice, and new events once."""
    runs = Runs(tmp_path / "store.sqlite3")
    events = (_event(2, "small"), _event(20, "large"))
    first = runs(bind_connected(with_reconcile, **before), *events)
    assert first == {Outcome.DELIVERED: 2}
    again = runs(bind_connected(with_reconcile, **after), *events, _event(3, "new"))
    assert again == {Outcome.FILTERED: 2, Outcome.DELIVERED: 1}
    assert runs.partner.counts == {"u": 25}


def test_runs_that_may_overlap(tmp_path: Path, bind_connected: Callable[..., Destination]) -> None:
    """Where that is asked for, another subscription sends an event once more."""
    runs = Runs(tmp_path / "store.sqlite3")
    runs(bind_connected(with_reconcile, One=TRACKS), _event(2, "m"))
    runs(bind_connected(with_reconcile, allow_overlap=True, **BOTH), _event(2, "m"))
    assert runs.partner.counts == {"u": 4}


def test_what_no_subscription_took(
    tmp_path: Path, bind_connected: Callable[..., Destination]
) -> None:
    """An event that was filtered counts once when a subscription of the action takes it."""
    runs = Runs(tmp_path / "store.sqlite3")
    events = (_event(2, "small"), _event(20, "large"))
    runs(bind_connected(with_reconcile, Large=LARGE), *events)
    assert runs.partner.counts == {"u": 20}
    runs(bind_connected(with_reconcile, Large=LARGE, Small=SMALL), *events)
    assert runs.partner.counts == {"u": 22}


def test_presets_that_overlap(bind_connected: Callable[..., Destination], bind: Any) -> None:
    """A definition may want that two of its own send an event: then both do."""

    def two(documents: Any) -> None:
        with_reconcile(documents)
        presets = documents["destination"]["presets"]
        presets.append({**presets[0], "name": "Again"})

    assert bind(with_reconcile).counts_once == {"count"}
    assert bind(two).counts_once == frozenset()
    assert bind().counts_once == frozenset()
    assert bind_connected(with_reconcile, A=SMALL, B=LARGE).counts_once == {"count"}
    assert bind_connected(with_reconcile, allow_overlap=True, A=SMALL).counts_once == frozenset()
