"""Transactions on PostgreSQL: who waits for whom, and what is left if the connection is cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.pipeline.queue import Arrival, QueuedDelivery, QueuedEvent, Round
from destinations.postgres import database as database_module
from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import application_name, connect
from destinations.postgres.database import PostgresDatabase, writer_role
from destinations.postgres.dialect import prepare_connection
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import broken_rules
from tests.postgres_server import new_store_address

KEY = SubscriptionKey("Counts", "count")


@pytest.fixture
def address() -> PostgresAddress:
    """The address of an empty store."""
    return new_store_address()


@pytest.fixture
def database(address: PostgresAddress) -> Iterator[PostgresDatabase]:
    """The database of an empty store."""
    opened = PostgresDatabase(address)
    yield opened
    opened.close()


def _names(database: PostgresDatabase) -> list[str]:
    return [name for (name,) in database.all("SELECT name FROM server ORDER BY name")]


def _until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < give_up
        threading.Event().wait(0.01)


# -- locks -----------------------------------------------------------------------------------------

EXCLUSIVE, SHARED = "transaction", "shared_transaction"


def _is_waited_for(database: PostgresDatabase) -> bool:
    row = database.one(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return row == (1,)


@pytest.mark.parametrize(
    ("first", "second"), [(EXCLUSIVE, SHARED), (SHARED, EXCLUSIVE), (EXCLUSIVE, EXCLUSIVE)]
)
def test_who_waits_for_whom(
    address: PostgresAddress, database: PostgresDatabase, first: str, second: str
) -> None:
    """Who has the store for himself is alone in it; the other one goes on afterwards."""
    other = PostgresDatabase(address)
    seen: list[list[str]] = []

    def write() -> None:
        with getattr(other, second)() as connection:
            seen.append(_names(other))
            connection.execute("INSERT INTO server VALUES ('second', '')")

    thread = threading.Thread(target=write)
    with getattr(database, first)() as connection:
        connection.execute("INSERT INTO server VALUES ('first', '')")
        thread.start()
        _until(lambda: _is_waited_for(database))
        assert seen == []
    thread.join()
    assert seen == [["first"]]
    assert _names(database) == ["first", "second"]
    other.close()


def test_who_does_not_wait(address: PostgresAddress, database: PostgresDatabase) -> None:
    """Those who share it write at the same time."""
    other = PostgresDatabase(address)
    with database.shared_transaction() as one, other.shared_transaction() as two:
        one.execute("INSERT INTO server VALUES ('one', '')")
        two.execute("INSERT INTO server VALUES ('two', '')")
    assert _names(database) == ["one", "two"]
    other.close()


@pytest.mark.parametrize("kind", [EXCLUSIVE, SHARED])
def test_who_has_waited_too_long(
    address: PostgresAddress,
    database: PostgresDatabase,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """It is told, and the next transaction is one of its own."""
    monkeypatch.setattr(database_module, "_STATEMENT_SECONDS", 0.05)
    other = PostgresDatabase(address)
    with database.transaction():
        for _ in range(2):
            with pytest.raises(TemporaryError), getattr(other, kind)():
                raise AssertionError("both have it")
    with getattr(other, kind)() as connection:
        connection.execute("INSERT INTO server VALUES ('late', '1')")
    assert _names(database) == ["late"]
    other.close()


def test_stores_are_apart(database: PostgresDatabase) -> None:
    """Who has one schema for himself holds up nobody of another one."""
    other = PostgresDatabase(new_store_address())
    with database.transaction(), other.transaction() as connection:
        connection.execute("INSERT INTO server VALUES ('other', '')")
    assert _names(other) == ["other"]
    other.close()


def test_names_are_given_while_another_thread_reads(database: PostgresDatabase) -> None:
    """What reads at one moment does not keep names from being written, nor sees them."""

    def look(connection: Any) -> list[int]:
        numbers = [connection.execute("SELECT count(*) FROM texts").fetchone()[0]]
        with database.transaction() as writing:
            beside = database.beside(writing)
            beside.execute("INSERT INTO texts (text) VALUES (?)", ("new",))
        numbers.append(connection.execute("SELECT count(*) FROM texts").fetchone()[0])
        return numbers

    assert database.at_once(look) == [0, 0]
    assert database.one("SELECT text FROM texts") == ("new",)


def test_how_long_a_transaction_may_wait(database: PostgresDatabase) -> None:
    """The limits hold for a connection that was open before as well; others know whose it is."""
    for seconds in (2.0, 1.0):
        database.write_for("host:1", idle_seconds=seconds, statement_seconds=seconds + 3)
        with database.shared_transaction() as connection:
            row = connection.execute(
                "SELECT current_setting('idle_in_transaction_session_timeout'),"
                " current_setting('statement_timeout'), current_setting('application_name')"
            ).fetchone()
        assert row == (f"{seconds:g}s", f"{seconds + 3:g}s", "destinations writer host:1")


@pytest.mark.parametrize("name", ["host:12", f"{'long.' * 20}host:12", "h\xf6st\u2014:12"])
def test_the_name_of_a_connection(database: PostgresDatabase, name: str) -> None:
    """It is found by it, whatever a host is called: the server shortens and changes names."""
    database.write_for(name, idle_seconds=1.0)
    with database.shared_transaction() as connection:
        row: Any = connection.execute("SELECT current_setting('application_name')", ()).fetchone()
    assert row[0] == application_name(writer_role(name))
    assert row[0].endswith(":12")


@pytest.mark.parametrize("kind", [EXCLUSIVE, SHARED])
def test_a_process_that_was_frozen_while_it_wrote(database: PostgresDatabase, kind: str) -> None:
    """The server has given up what it began: nothing is there, and the next one works."""
    database.write_for("one", idle_seconds=0.05)

    def write() -> None:
        with getattr(database, kind)() as connection:
            connection.execute("INSERT INTO server VALUES ('lost', '')")
            (own,) = connection.execute("SELECT pg_backend_pid()").fetchone()
            of_own = "SELECT 1 FROM pg_stat_activity WHERE pid = ?"
            _until(lambda: database.one(of_own, (own,)) is None)
            connection.execute("INSERT INTO server VALUES ('never', '')")

    with pytest.raises(TemporaryError, match="idle-in-transaction timeout"):
        write()
    with getattr(database, kind)() as connection:
        connection.execute("INSERT INTO server VALUES ('later', '')")
    assert _names(database) == ["later"]


# -- cuts ------------------------------------------------------------------------------------------


def _terminate(database: PostgresDatabase, role: str) -> None:
    """End the connections of a role, as an administrator does, and wait until they are gone."""
    of_role = "FROM pg_stat_activity WHERE application_name = ? AND datname = current_database()"
    with connect(database.address, role="administrator").raw as raw:
        other = prepare_connection(raw)
        name = (f"destinations {role}",)
        other.execute(f"SELECT pg_terminate_backend(pid) {of_role}", name)
        _until(lambda: not other.execute(f"SELECT 1 {of_role}", name).fetchall())


@pytest.mark.parametrize("kind", [EXCLUSIVE, SHARED])
def test_cut_in_the_middle(database: PostgresDatabase, kind: str) -> None:
    """Nothing is there, it is said to be over soon, and the next one works."""
    told: list[str] = []
    database.health.tell = told.append

    def write() -> None:
        with getattr(database, kind)() as connection:
            connection.execute("INSERT INTO server VALUES ('lost', '')")
            _terminate(database, "writer")
            connection.execute("INSERT INTO server VALUES ('never', '')")

    with pytest.raises(TemporaryError, match="cannot write to the store"):
        write()
    assert len(told) == 1
    with getattr(database, kind)() as connection:
        connection.execute("INSERT INTO server VALUES ('later', '')")
    assert _names(database) == ["later"]


@pytest.mark.parametrize("kind", [EXCLUSIVE, SHARED])
def test_cut_before_it_writes(database: PostgresDatabase, kind: str) -> None:
    """Such as by a server that was started again: nothing was done yet, so it connects anew."""
    with getattr(database, kind)():
        pass
    _terminate(database, "writer")
    with getattr(database, kind)() as connection:
        connection.execute("INSERT INTO server VALUES ('after', '1')")
    assert _names(database) == ["after"]


def test_cut_before_it_reads(database: PostgresDatabase) -> None:
    """It asks again, on another connection."""
    assert _names(database) == []
    _terminate(database, "reader")
    assert _names(database) == []


def test_cut_while_it_reads(database: PostgresDatabase) -> None:
    """What is of one moment cannot go on: it is said to be over soon, and the next one works."""

    def look(connection: Any) -> None:
        connection.execute("SELECT 1 FROM server")
        _terminate(database, "reader")
        connection.execute("SELECT 1 FROM server")

    with pytest.raises(TemporaryError, match="cannot read the store"):
        database.at_once(look)
    assert _names(database) == []


class Proxy:
    """Forwards connections to a server, and cuts them at the next COMMIT if it is told to.

    ``cut`` is ``before`` (the server does not get it) or ``after`` (its answer is lost).
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.cut = ""
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if self.cut and b"COMMIT" in data:
                    how, self.cut = self.cut, ""
                    self.cuts += 1
                    if how == "after":
                        self._swallowing = client
                        server.sendall(data)
                        return  # the other thread closes both
                    break
                server.sendall(data)
        _close(client, server)

    _swallowing: socket.socket | None = None

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self._swallowing is client:
                    break
                client.sendall(data)
        _close(client, server)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.fixture
def proxy(address: PostgresAddress) -> Iterator[Proxy]:
    """A proxy before the server."""
    port = int(address.url.rpartition(":")[2].partition("/")[0])
    one = Proxy(port)
    yield one
    one.close()


def _behind(proxy: Proxy, address: PostgresAddress) -> PostgresAddress:
    head, _, end = address.url.rpartition(":")
    return PostgresAddress.parse(f"{head}:{proxy.port}/{end.partition('/')[2]}")


@pytest.mark.parametrize("kind", [EXCLUSIVE, SHARED])
def test_the_answer_of_a_commit_is_lost(address: PostgresAddress, proxy: Proxy, kind: str) -> None:
    """It is found out to be there: nothing is raised, and nothing is to be repeated."""
    database = PostgresDatabase(_behind(proxy, address))
    database.probe()
    proxy.cut = "after"
    with getattr(database, kind)() as connection:
        connection.execute("INSERT INTO server VALUES ('there', '')")
    assert proxy.cuts == 1
    assert _names(database) == ["there"]
    database.close()


@pytest.mark.parametrize("kind", [EXCLUSIVE, SHARED])
def test_a_commit_is_lost(address: PostgresAddress, proxy: Proxy, kind: str) -> None:
    """It is found out not to be there: that is raised, and it can be repeated."""
    database = PostgresDatabase(_behind(proxy, address))
    database.probe()

    def write() -> None:
        with getattr(database, kind)() as connection:
            connection.execute("INSERT INTO server VALUES ('there', '')")

    proxy.cut = "before"
    with pytest.raises(TemporaryError, match="cannot write to the store"):
        write()
    assert proxy.cuts == 1
    assert _names(database) == []
    write()
    assert _names(database) == ["there"]
    database.close()


@pytest.mark.parametrize("how", ["before", "after"])
def test_events_are_accepted_once(address: PostgresAddress, proxy: Proxy, how: str) -> None:
    """Who gets an error sends again, and finds the event there once in the end."""
    store = PostgresStore(_behind(proxy, address))
    scope = store.accounts().served("sample", AccountIdentity("sample", "http://x/", "", "key"))
    queue = store.queue()

    def arrival() -> Arrival:
        event = QueuedEvent("m", "track", "u", 1.0, b"{}", 1)
        return Arrival(event, [QueuedDelivery(event, KEY, 0, b"{}", "p")])

    first = arrival()
    proxy.cut = how
    if how == "before":
        with pytest.raises(UsageError):
            queue.commit(Round(arrivals=[(scope, first)]))
        assert (first.receipt, first.event.id) == (None, 0)
    else:
        queue.commit(Round(arrivals=[(scope, first)]))
        assert first.receipt is not None
        assert not first.receipt.duplicate
    again = arrival()
    queue.commit(Round(arrivals=[(scope, again)]))
    assert again.receipt is not None
    assert again.receipt.duplicate is (how == "after")
    assert store.database.one("SELECT count(*) FROM open") == (1,)
    assert broken_rules(store.database) == []
    store.close()


# -- size ------------------------------------------------------------------------------------------


def test_room_is_left_for_what_was_taken_in(database: PostgresDatabase) -> None:
    """Nothing more is taken in when three quarters are used; it is looked at now and then."""
    with database.transaction() as connection:
        assert database.has_room(connection)
    database.limit_size(database.look_at_size() * 4 // 3 + 1_000_000)
    database.look_at_size()
    with database.transaction() as connection:
        assert database.has_room(connection)
        connection.execute(
            "INSERT INTO events (id, raw) SELECT n, sha256(n::text::bytea) || sha256('x')"
            " FROM generate_series(1, 20000) AS n"
        )
    database.look_at_size()
    with database.transaction() as connection:
        assert not database.has_room(connection)
