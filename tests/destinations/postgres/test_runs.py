"""Runs of several processes share one store: one dedupe, one ledger, each event once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from destinations.http import HttpRequest, HttpResponse
from destinations.operations import open_run_store
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.pipeline.reading import Entry
from destinations.pipeline.report import Row
from destinations.pipeline.run import Run
from destinations.postgres.address import PostgresAddress
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.store import broken_rules
from tests.destinations.pipeline.conftest import Partner, with_reconcile
from tests.postgres_server import new_store_address

USERS = 20


class SlowPartner(Partner):
    """A partner that one request at a time reaches, from all processes."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `Partner`."""
        with self._lock:
            return super().send(request)


def _lines(numbers: Sequence[int]) -> list[bytes]:
    return [
        json.dumps(
            {
                "type": "track",
                "event": "E",
                "userId": f"u{number % USERS}",
                "messageId": f"m{number}",
                "properties": {"by": 1, "thing": f"u{number % USERS}"},
            }
        ).encode()
        for number in numbers
    ]


def _run(
    address: PostgresAddress, destination: Destination, partner: Partner, lines: Sequence[bytes]
) -> list[Row]:
    """Run one input, as a process of its own does; returns its rows."""
    identity = identity_of(destination)
    rows: list[Row] = []
    with PostgresStore(address) as store:
        accounts = store.accounts()
        found = accounts.find(identity)
        account = accounts.add(identity) if found is None else found.id
        with open_run_store(store, account, identity, reconcile_after=1.0) as kept:
            run = Run(destination, partner, store=kept, counted=rows.append)
            report = run.execute([Entry(number, line) for number, line in enumerate(lines, 1)])
    assert report.stopped is None
    assert not report.internal_errors
    return rows


@pytest.mark.parametrize("is_same", [False, True], ids=["parts", "the same input"])
def test_inputs_at_the_same_time(bind: Callable[..., Destination], *, is_same: bool) -> None:
    """Each event is sent once, and each run counts each line of its own input once."""
    address, partner = new_store_address(), SlowPartner()
    destination = bind(with_reconcile)
    everything = _lines(range(600))
    parts = [everything] * 3 if is_same else [everything[start::3] for start in range(3)]
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda part: _run(address, destination, partner, part), parts))
    assert partner.counts == {f"u{number}": 30 for number in range(USERS)}
    for part, rows in zip(parts, runs, strict=True):
        assert sorted(row.line for row in rows) == list(range(1, len(part) + 1))
    outcomes = Counter(row.result.outcome for rows in runs for row in rows)
    assert set(outcomes) <= {Outcome.DELIVERED, Outcome.FILTERED}
    if not is_same:
        assert outcomes == {Outcome.DELIVERED: 600}
    with PostgresStore(address, read_only=True) as store:
        entries = list(store.ledger().find(Selection()))
        assert Counter(entry.status for entry in entries) == {Outcome.DELIVERED: 600}
        assert broken_rules(store.database) == []


def test_a_run_that_follows_another(bind: Callable[..., Destination]) -> None:
    """What was delivered before is recognised."""
    address, partner = new_store_address(), SlowPartner()
    destination, lines = bind(with_reconcile), _lines(range(40))
    assert len(_run(address, destination, partner, lines[:30])) == 30
    rows = _run(address, destination, partner, lines)
    assert Counter(row.result.outcome for row in rows) == {
        Outcome.FILTERED: 30,
        Outcome.DELIVERED: 10,
    }
    assert sum(partner.counts.values()) == 40
