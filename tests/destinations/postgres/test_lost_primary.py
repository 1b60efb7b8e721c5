"""Commits whose primary is lost before the standby has them: none of them counts as written."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import psycopg
import pytest

from destinations.errors import TemporaryError
from destinations.postgres import PostgresAddress
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.migrating import migrate
from tests.chaos.cluster.networks import Forwarder, Way
from tests.postgres_server import PostgresServer, free_port

SECONDS = 20.0


@dataclass
class Pair:
    """A primary and its synchronous standby, what the log goes through, and a store."""

    primary: PostgresServer
    standby: PostgresServer
    log: Forwarder
    database: PostgresDatabase
    outcome: list[str] = field(default_factory=list)

    def write(self) -> threading.Thread:
        """Begin to write, and return when the commit waits for the standby, which gets nothing."""
        self.log.freeze(Way.BACK)  # of the standby's primary: what it sends
        thread = threading.Thread(target=self._write)
        thread.start()
        with psycopg.connect(self.primary.url("postgres"), autocommit=True) as connection:
            give_up = time.monotonic() + SECONDS
            while not connection.execute(_WAITS).fetchall():
                assert time.monotonic() < give_up
        return thread

    def _write(self) -> None:
        try:
            with self.database.shared_transaction() as connection:
                connection.execute("INSERT INTO server VALUES ('written', '')")
        except TemporaryError:
            self.outcome.append("not known")
        else:
            self.outcome.append("written")

    def end_writers(self) -> None:
        """Let them lose their connections."""
        with psycopg.connect(self.primary.url("postgres"), autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({_WAITS}) AS one".encode())  # noqa: S608 - a constant


_WAITS = """
    SELECT pid FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND application_name LIKE 'destinations writer%'
"""


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two servers of this test alone."""
    with ExitStack() as stack:
        primary = PostgresServer()
        stack.callback(primary.remove)
        primary.make()
        primary.start()
        log = stack.enter_context(closing(Forwarder((primary.address, primary.port))))
        port = free_port()
        standby = primary.copy("b", port=port, through=log.address[1])
        stack.callback(standby.remove)
        standby.start()
        name = primary.new_database().rpartition("/")[2]
        address = PostgresAddress.parse(
            f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{port}/{name}"
            "?target_session_attrs=read-write"
        )
        migrate(address)
        primary.wait_for("b")
        database = PostgresDatabase(address)
        stack.callback(database.close)
        with database.shared_transaction() as connection:
            connection.execute("INSERT INTO server VALUES ('first', '')")
        yield Pair(primary, standby, log, database)


def test_a_connection_that_is_lost_while_a_commit_waits(pair: Pair) -> None:
    """What the primary alone has is not acknowledged before the standby has it as well."""
    thread = pair.write()
    pair.end_writers()
    thread.join(1.0)
    assert pair.outcome == []
    pair.log.heal()
    thread.join(SECONDS)
    assert pair.outcome == ["written"]


def test_a_standby_that_never_got_it(pair: Pair) -> None:
    """The number of the transaction is that of another one there, which says nothing of it."""
    thread = pair.write()
    pair.primary.stop(signal.SIGKILL)
    pair.log.refuse()
    pair.standby.promote()
    with psycopg.connect(pair.standby.url("postgres"), autocommit=True) as connection:
        for _ in range(100):
            connection.execute("SELECT pg_current_xact_id()")
    thread.join(SECONDS)
    assert pair.outcome == ["not known"]
    replaced: list[str] = []
    pair.database.when_replaced = lambda: replaced.append("now")
    for _ in range(2):
        assert pair.database.all("SELECT name FROM server") == [("first",)]
        assert replaced == ["now"]


def test_a_server_that_crashed() -> None:
    """What it had not written yet is lost, and another transaction gets its number."""
    server, outcome = PostgresServer(), list[str]()
    try:
        server.make()
        server.start()
        address = PostgresAddress.parse(server.new_database())
        migrate(address)
        database = PostgresDatabase(address)
        with database.shared_transaction() as connection:
            connection.execute("INSERT INTO server VALUES ('first', '')")
        replaced: list[str] = []
        database.when_replaced = lambda: replaced.append("now")

        def write() -> None:
            try:
                with database.shared_transaction() as connection:
                    connection.execute("INSERT INTO server VALUES ('lost', '')")
                    server.stop(signal.SIGKILL)
            except TemporaryError as error:
                outcome.append("not known" if "not known yet" in str(error) else str(error))
            else:
                outcome.append("written")

        thread = threading.Thread(target=write)
        thread.start()
        while server.process is not None:
            time.sleep(0.01)
        server.start()
        with psycopg.connect(server.url("postgres"), autocommit=True) as other:
            for _ in range(100):
                other.execute("SELECT pg_current_xact_id()")
        thread.join(SECONDS)
        assert outcome == ["not known"]
        assert database.all("SELECT name FROM server") == [("first",)]
        assert replaced == ["now"]
        database.close()
    finally:
        server.remove()
