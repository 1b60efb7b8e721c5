"""What makes acknowledged events losable is found on real servers, and said in one sentence."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import requests

from destinations.postgres import PostgresAddress, durability_issues_at
from destinations.postgres import durability as module
from destinations.postgres.connecting import connect
from destinations.postgres.durability import Horizons, find_issues
from destinations.server import Service, check_durability, read_config
from destinations.server.durability import DurabilityWatch
from destinations.store import DurabilityIssue
from destinations.telemetry import observe
from tests.postgres_server import PostgresServer

_SAFE = {"fsync": None, "full_page_writes": None, "synchronous_commit": None}
_SECONDS = 20.0


class Case(NamedTuple):
    """The statements after which an issue is found, and when events are lost."""

    name: str
    statements: Sequence[str]
    loses: str
    text: str


CASES = [
    Case("fsync", ["ALTER SYSTEM SET fsync = off"], "in a crash", "lose all that was acknowledged"),
    Case(
        "full-page-writes",
        ["ALTER SYSTEM SET full_page_writes = off"],
        "in a crash",
        "can destroy tables",
    ),
    Case(
        "synchronous-commit",
        ["ALTER SYSTEM SET synchronous_commit = off"],
        "in a crash",
        "off in this session:",
    ),
    Case(
        "synchronous-commit",
        ["ALTER SYSTEM SET synchronous_commit = local"],
        "with its machine",
        "local in this session:",
    ),
    Case(
        "synchronous-commit",
        ["ALTER ROLE postgres SET synchronous_commit = off"],
        "in a crash",
        "off in the defaults of the role:",
    ),
    Case(
        "synchronous-commit",
        ["ALTER DATABASE postgres SET synchronous_commit = off"],
        "in a crash",
        "off in the defaults of the database:",
    ),
    Case(
        "synchronous-commit",
        [
            "ALTER DATABASE postgres SET synchronous_commit = on",
            "ALTER ROLE postgres IN DATABASE postgres SET synchronous_commit = local",
        ],
        "with its machine",
        "local in the defaults of the role and the database:",
    ),
    Case("no-standby", [], "with its machine", "synchronous_standby_names is empty"),
    Case(
        "standby-away",
        ["ALTER SYSTEM SET synchronous_standby_names = 'b'"],
        "nothing",
        "each event waits",
    ),
    Case(
        "connections",
        ["ALTER DATABASE postgres CONNECTION LIMIT 3"],
        "nothing",
        "connections are left (1)",
    ),
]
_RESET = [
    "ALTER SYSTEM RESET ALL",
    "ALTER ROLE postgres RESET ALL",
    "ALTER DATABASE postgres RESET ALL",
    "ALTER ROLE postgres IN DATABASE postgres RESET ALL",
    "ALTER DATABASE postgres CONNECTION LIMIT -1",
]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server with the settings that it has by itself."""
    made = PostgresServer(_SAFE)
    made.make()
    made.start()
    yield made
    made.remove()


@pytest.fixture
def change(server: PostgresServer) -> Iterator[Callable[..., None]]:
    """Runs statements, which are taken back after the test."""
    # An address for the settings of a session must not be touched by those of the role.
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = local")

        def run(*statements: str) -> None:
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute("SELECT pg_reload_conf()")

        yield run
        run(*_RESET)
        until(lambda: sorted(found(server)) == ["no-standby"])


def until(is_so: Callable[[], bool]) -> None:
    """Return when it is so: a server takes in its settings, and standbys, in its own time."""
    give_up = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def found(server: PostgresServer, user: str = "postgres") -> dict[str, DurabilityIssue]:
    """Return the issues of a server by name, as a new connection finds them."""
    url = server.url("postgres").replace("postgres@", f"{user}@")
    return {issue.name: issue for issue in durability_issues_at(PostgresAddress.parse(url))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text)
def test_what_is_found(server: PostgresServer, change: Callable[..., None], case: Case) -> None:
    """Each issue says what is wrong, what would be lost, and what to do."""
    change(*case.statements)
    until(lambda: case.name in found(server) and case.text in found(server)[case.name].text)
    issue = found(server)[case.name]
    assert issue.loses == case.loses
    assert issue.text.count(": ") >= 1
    assert issue.text.count("; ") == 1


def test_the_address_has_its_own_setting(server: PostgresServer) -> None:
    """An address that turns it off is named, and defaults of the role do not matter then."""
    url = server.url("postgres") + "?options=-c%20synchronous_commit%3Doff"
    (first, *_) = durability_issues_at(PostgresAddress.parse(url))
    assert "off in the address of the store" in first.text


def test_defaults_are_those_of_new_sessions(
    server: PostgresServer, change: Callable[..., None]
) -> None:
    """A session that is open already does not have them yet: they are named all the same."""
    address = PostgresAddress.parse(server.url("postgres"))
    connection = connect(address, role="test")
    with contextlib.closing(connection.raw):
        change("ALTER ROLE postgres SET synchronous_commit = off")
        names = [issue.name for issue in find_issues(connection, Horizons())]
    assert names == ["synchronous-commit", "no-standby"]


def test_old_transactions(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is named with its process; younger ones, and those without a snapshot, are not."""
    with psycopg.connect(server.url("postgres"), application_name="report") as connection:
        connection.execute("SELECT pg_current_xact_id()")
        assert "horizon" not in found(server)
        monkeypatch.setattr(module, "_OLD_SECONDS", 0.0)
        process = connection.info.backend_pid
        issue = found(server)["horizon"]
        assert f"the transaction of postgres in process {process} (report)" in issue.text
        assert issue.loses == "nothing"
        connection.rollback()
        until(lambda: f"process {process}" not in str(found(server).get("horizon", "")))


def test_how_long_snapshots_are_held() -> None:
    """From when one was seen first; another one, or none, begins anew."""
    now = [0.0]
    horizons = Horizons(lambda: now[0])
    assert horizons.ages({"slot": "7"}) == {"slot": 0.0}
    now[0] = 700.0
    assert horizons.ages({"slot": "7", "other": "7"}) == {"slot": 700.0, "other": 0.0}
    now[0] = 800.0
    assert horizons.ages({"slot": "8", "other": "7"}) == {"slot": 0.0, "other": 100.0}
    assert horizons.ages({}) == {}
    assert horizons.ages({"slot": "8"}) == {"slot": 0.0}


@pytest.fixture
def standby(server: PostgresServer) -> Iterator[PostgresServer]:
    """A standby ``b`` of the server, with a replication slot."""
    made = server.copy(
        *("b", "-C", "-S", "slot_of_b"),
        settings={"hot_standby_feedback": "on", "wal_receiver_status_interval": "1"},
    )
    made.start()
    yield made
    made.remove()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        until(lambda: _is_free(connection))
        connection.execute("SELECT pg_drop_replication_slot('slot_of_b')")


def _is_free(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT active FROM pg_replication_slots").fetchone()
    return row is not None and not row[0]


def test_a_synchronous_standby(
    server: PostgresServer,
    standby: PostgresServer,
    change: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one nothing is lost; itself it takes no events, and its slot may hold dead rows."""
    assert "no-standby" in found(server)
    change("CREATE ROLE guest LOGIN", "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (b, c)'")
    until(lambda: not found(server))
    issues = found(standby)
    assert set(issues) == {"standby"}
    assert "target_session_attrs=read-write" in issues["standby"].text
    monkeypatch.setattr(module, "_OLD_SECONDS", 0.0)
    until(lambda: "the replication slot slot_of_b" in str(found(server)))
    monkeypatch.undo()
    # Who may not see of what kind they are still sees that there is one.
    assert not found(server, "guest")
    standby.stop()
    until(lambda: set(found(server)) == {"standby-away"})
    assert set(found(server, "guest")) == {"standby-away"}
    change("ALTER SYSTEM RESET ALL", "DROP ROLE guest")


def _issue(name: str, loses: Any) -> DurabilityIssue:
    return DurabilityIssue(name, f"{name} is wrong: it loses; mend it", loses)


@pytest.mark.parametrize(
    ("is_replicated", "reasons", "remarks"),
    [(True, ["a", "b"], ["c"]), (False, ["a"], ["c"])],
)
def test_what_counts(
    is_replicated: bool, reasons: list[str], remarks: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """On a single node only what a crash loses; what loses nothing is only told."""
    now = [0.0]
    given = [_issue("a", "in a crash"), _issue("b", "with its machine"), _issue("c", "nothing")]
    asked: list[float] = []

    def find() -> Sequence[DurabilityIssue]:
        asked.append(now[0])
        return given

    watch = DurabilityWatch(find, is_replicated=is_replicated, monotonic=lambda: now[0])
    for seconds in (0.0, 9.0, 10.0, 19.9, 20.0):
        now[0] = seconds
        watch.refresh()
        assert [text.split()[0] for text in watch.reasons()] == reasons
        assert [text.split()[0] for text in watch.remarks()] == remarks
    assert asked == [0.0, 10.0, 20.0]
    assert len(caplog.messages) == len(reasons) + len(remarks)
    given.clear()
    now[0] = 30.0
    watch.refresh()
    assert [*watch.reasons(), *watch.remarks()] == []


_SERVED: dict[str, Any] = {
    "listen": {"port": 0},
    "destinations": [
        {
            "name": "kana",
            "destination": "kana",
            "settings": {"apiKey": "${KEY}", "endpoint": "http://127.0.0.1:1/graphql"},
        }
    ],
}


@pytest.mark.parametrize(
    ("durability", "statement", "status", "text"),
    [
        ("replicated", "SELECT 1", 503, "synchronous_standby_names is empty"),
        ("single-node", "SELECT 1", 200, "ready"),
        (
            "single-node",
            "ALTER DATABASE {} SET synchronous_commit = off",
            503,
            "off in the defaults of the",
        ),
    ],
)
def test_readiness(
    server: PostgresServer, tmp_path: Path, durability: str, statement: str, status: int, text: str
) -> None:
    """A server is not ready while it would acknowledge what may be lost, unless that is allowed."""
    url = server.new_database()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement.format(url.rpartition("/")[2]).encode())
    path = tmp_path / "serve.json"
    store = {"postgres": {"dsn": url, "durability": durability, "hardStop": False}}
    path.write_text(json.dumps({**_SERVED, "store": store}))
    config = read_config(path, {"KEY": "the-key-of-an-account"})
    told = check_durability(config)
    assert [text in one for one in told] == [True] * (status == 503)
    with contextlib.closing(observe(environment={})) as observation:
        service = Service(config, observation)
        service.start()
        try:
            base = re.sub("/v1/.*", "", service.urls["kana"])
            ready = requests.get(f"{base}/readyz", timeout=30)
            metrics = requests.get(f"{base}/metrics", timeout=30).text
        finally:
            service.stop()
    assert ready.status_code == status
    assert text in ready.text
    assert f"destinations_store_durable {float(status == 200)}" in metrics
