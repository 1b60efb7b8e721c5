"""Stores of the tests in PostgreSQL are used again, as if they were new."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psycopg
import pytest

from destinations.outcome import Outcome
from destinations.postgres import PostgresAddress
from destinations.postgres.store import PostgresStore
from destinations.store import broken_rules
from tests import postgres_server
from tests.postgres_server import Stores, shared_server

TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'destinations' AND table_name <> 'identity' ORDER BY 1
"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"


def _ask(address: PostgresAddress, *queries: str) -> list[Any]:
    with psycopg.connect(address.url, autocommit=True) as connection:
        return [connection.execute(query.encode()).fetchall() for query in queries]


def _content(address: PostgresAddress) -> list[Any]:
    (tables,) = _ask(address, TABLES)
    rows = [f"TABLE destinations.{name} ORDER BY 1" for (name,) in tables]
    return [tables, *_ask(address, SEQUENCES, *rows)]


def _do(address: PostgresAddress, statement: str) -> None:
    with psycopg.connect(address.url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _give_back(stores: Stores, address: PostgresAddress) -> None:
    """Give the stores back once nobody is connected: the process of a closed one may go on."""
    name = address.url.rpartition("/")[2]
    give_up = time.monotonic() + 60
    with psycopg.connect(shared_server().url("postgres"), autocommit=True) as connection:
        while connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = %s", [name]
        ).fetchall():
            assert time.monotonic() < give_up, "somebody is still connected"
            time.sleep(0.01)
    stores.give_back()


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Stores of this test alone, each of which is used again at once."""
    monkeypatch.setattr(postgres_server, "_RESTING", 0)
    return Stores(shared_server())


def test_a_used_store_is_like_a_new_one(stores: Stores, add_delivery: Any) -> None:
    """It has the rows of a new one, under another name, and counts from the beginning."""
    first = stores.new()
    before = _content(first)
    (name,) = _ask(first, "SELECT uuid FROM destinations.identity")
    with PostgresStore(first) as store:
        for status in (Outcome.DELIVERED, Outcome.DEAD):
            add_delivery(store, status=status)
        add_delivery(store)
    _do(first, "CREATE TABLE destinations.ledger_9 (LIKE destinations.ledger INCLUDING ALL)")
    _do(
        first,
        "ALTER TABLE destinations.ledger ATTACH PARTITION destinations.ledger_9"
        " FOR VALUES FROM (9000000000000000) TO (9000000000000001)",
    )
    assert _content(first) != before
    _give_back(stores, first)
    assert stores.new() == first
    assert _content(first) == before
    assert _ask(first, "SELECT uuid FROM destinations.identity") != [name]
    with PostgresStore(first) as store:
        assert broken_rules(store.database) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE destinations.open ADD COLUMN more text",
        "CREATE TABLE public.more (id int)",
        "CREATE INDEX ON destinations.open (attempts)",
        "ALTER TABLE destinations.open DISABLE TRIGGER open_deleted",
        "CREATE SCHEMA other",
        "GRANT USAGE ON SCHEMA destinations TO public",
        "REVOKE CONNECT ON DATABASE {name} FROM public",
        "ALTER DATABASE {name} SET work_mem = '1MB'",
        "ANALYZE destinations.lanes",
        "INSERT INTO destinations.days SELECT n, n FROM generate_series(1, 90000) AS n",
        "DROP SCHEMA destinations CASCADE",
    ],
)
def test_a_changed_store_is_not_used_again(stores: Stores, statement: str) -> None:
    """Nobody gets a store whose tables are others, or which was large."""
    first = stores.new()
    _do(first, statement.format(name=first.url.rpartition("/")[2]))
    _give_back(stores, first)
    assert stores.new() != first


def test_a_store_in_use_is_not_used_again(stores: Stores) -> None:
    """As long as somebody is connected to it, nobody else gets it; a removed one is forgotten."""
    first = stores.new()
    with contextlib.closing(psycopg.connect(first.url)):
        stores.give_back()
        second = stores.new()
        assert second != first
    third = stores.new()
    while third != first:  # its process may be about to end
        third = stores.new()
    server = shared_server().url("postgres")
    stores.give_back()
    with psycopg.connect(server, autocommit=True) as connection:
        for one in (first, second):
            connection.execute(f"DROP DATABASE {one.url.rpartition('/')[2]}".encode())
    assert stores.new() not in {first, second}
