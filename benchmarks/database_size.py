"""What an event costs a store in PostgreSQL: bytes of tables, and of the log that standbys get."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.workload import track_file
from destinations._version import __version__
from destinations.clock import SystemClock
from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.outcome import Effect, Outcome, Result
from destinations.pipeline.intake import Intake
from destinations.pipeline.lease import LeaseTimes
from destinations.pipeline.queue import (
    Balance,
    ClaimedBatch,
    QueuedDelivery,
    Round,
    Scope,
    Transition,
)
from destinations.postgres import PostgresAddress
from destinations.postgres.migrating import migrate
from destinations.postgres.queue import PostgresQueue
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plan import plan
from destinations.runtime.plugins import find_plugin

__all__ = ["measure"]

_EVENTS: Final = 20_000
_USERS: Final = 2_000
_ROUND: Final = 100
_BATCH: Final = 20
_SIZE: Final = """
    SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""
_LOG: Final = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"


def measure(scale: int) -> list[Figure]:
    """Accept plain track events of Kana in commits of a hundred, then deliver them so."""
    # The server is that of the tests; it is not imported by who runs another benchmark.
    from tests.postgres_server import PostgresServer  # noqa: PLC0415 - with the extra test

    server = PostgresServer({"full_page_writes": "on"})
    server.make()
    server.start()
    try:
        address = PostgresAddress.parse(server.new_database())
        migrate(address)
        with track_file(_EVENTS // scale, _USERS) as path:
            return _measured(address, path.read_bytes().splitlines())
    finally:
        server.remove()


def _measured(address: PostgresAddress, events: Sequence[bytes]) -> list[Figure]:
    definition = load_definition(find_folder("kana"))
    plugin = find_plugin("kana")
    with PostgresStore(address) as store:
        settings = {"apiKey": "prv_test_sizes", "endpoint": "http://127.0.0.1:1/graphql"}
        checked = check_settings(definition, Document("settings", settings, {}))
        code = None if plugin is None else plugin.code(store)
        destination = Destination(definition, checked, code)
        scope = store.accounts().served("kana", identity_of(destination))
        session = store.session("sizes", __version__, LeaseTimes(lease=600, hard_stop=False))
        session.start()
        queue = store.queue(SystemClock(), lease=session)
        assert session.token is not None  # noqa: S101 - it has just begun
        queue.fence(session.token)
        queue.recover([scope], 120.0)
        try:
            empty, before = _one(store, _SIZE), _one(store, _LOG)
            deliveries = _accept(queue, scope, destination, events)
            accepted, waiting = _one(store, _LOG), _one(store, _SIZE)
            _deliver(queue, scope, deliveries)
            delivered = _one(store, _LOG)
            largest = _one(store, _SIZE)
            store.database.vacuum()
            left = _one(store, _SIZE)
        finally:
            session.close()
    count = len(events)
    return [
        Figure("tables, an event that waits", (waiting - empty) / count, "bytes"),
        Figure("tables, a delivered event, before a vacuum", (largest - empty) / count, "bytes"),
        Figure("tables, a delivered event, after a vacuum", (left - empty) / count, "bytes"),
        Figure("log, accepting an event", (accepted - before) / count, "bytes"),
        Figure("log, delivering an event", (delivered - accepted) / count, "bytes"),
        Figure("log, an event in all", (delivered - before) / count, "bytes"),
        Figure("raw event", sum(map(len, events)) / count, "bytes"),
    ]


def _one(store: PostgresStore, query: str) -> int:
    row: Any = store.database.one(query)
    return int(row[0])


def _accept(
    queue: PostgresQueue, scope: Scope, destination: Destination, events: Sequence[bytes]
) -> list[QueuedDelivery]:
    intake, found = Intake(destination), []
    for start in range(0, len(events), _ROUND):
        planned = [plan(destination, raw) for raw in events[start : start + _ROUND]]
        arrivals = [
            intake.arrival(one, intake.digest, message_id=one.message_id, accepted_at=time.time())
            for one in planned
        ]
        queue.commit(Round(arrivals=[(scope, one) for one in arrivals]))
        found += [one for arrival in arrivals for one in arrival.deliveries]
    return found


def _deliver(queue: PostgresQueue, scope: Scope, deliveries: Sequence[QueuedDelivery]) -> None:
    """Write intents of a hundred events with the outcomes of those before, as engines do."""
    under_way: list[ClaimedBatch] = []
    for start in range(0, len(deliveries) + _ROUND, _ROUND):
        part = deliveries[start : start + _ROUND]
        batches = [
            _batch(scope, part[first : first + _BATCH]) for first in range(0, len(part), _BATCH)
        ]
        ended = [
            (
                scope,
                Transition(one, Result(Outcome.DELIVERED, ""), "send", 1, effect=Effect.APPLIED),
            )
            for batch in under_way
            for one in batch.deliveries
        ]
        queue.commit(Round(transitions=ended, returned=under_way, batches=batches))
        under_way = batches


def _batch(scope: Scope, deliveries: Sequence[QueuedDelivery]) -> ClaimedBatch:
    balances = {
        one.increment.key: Balance(one.user, 10) for one in deliveries if one.increment is not None
    }
    return ClaimedBatch(scope, list(deliveries), at=time.time(), balances=balances)
