"""A database that was put back is recognised, and nothing of it is delivered a second time."""

# ruff: noqa: S608 - the statements are made of constants

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.clock import SystemClock
from destinations.errors import TemporaryError, UsageError
from destinations.operations import check_seen, noting_seen, restore_in_place
from destinations.operations.seen import note_seen, state_path
from destinations.outcome import Outcome, State
from destinations.pipeline.lease import LeaseTimes
from destinations.pipeline.ledger import Selection
from destinations.postgres import PostgresAddress, open_at
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.put_back import mend_order
from destinations.postgres.store import PostgresStore
from destinations.server.store_opening import open_to_serve
from destinations.store import Reached, SqliteStore, broken_rules
from tests.postgres_server import copy_of, new_store_address

Add = Callable[..., int]
Run = Callable[..., Any]

TIMES: Final = LeaseTimes(hard_stop=False)

BEFORE: Final = Reached(begun=5, worker=7, beats=100, event=1_000, writes=50)
LATER: Final[dict[str, tuple[dict[str, int], str | None]]] = {
    "nothing happened": ({}, None),
    "it went on": ({"beats": 200, "event": 2_000, "writes": 60}, None),
    "a new session began": ({"worker": 8, "beats": 0}, None),
    "an earlier session": ({"worker": 6, "beats": 900}, "the latest session is 6, and was 7"),
    "fewer beats": ({"beats": 99}, "session 7 has 99 beats, and had 100"),
    "an earlier event": ({"event": 999}, "the latest event is 999, and was 1,000"),
    "fewer changes": ({"writes": 49}, "the number of changes is 49, and was 50"),
    "restored since": ({"begun": 6, "worker": 0, "beats": 0, "event": 0, "writes": 0}, None),
    "before it was restored": ({"begun": 4, "event": 9_999}, "it was restored or moved since"),
}


@pytest.mark.parametrize("name", LATER)
def test_what_is_behind(name: str) -> None:
    """Each of the numbers shows it, unless the store was restored on purpose."""
    changes, why = LATER[name]
    assert BEFORE._replace(**changes).why_behind(BEFORE) == why


@pytest.fixture
def address() -> PostgresAddress:
    """An empty store."""
    return new_store_address()


_SESSION: Final = "INSERT INTO workers (name, version, state, lease) VALUES ('', '', 'left', 15)"
SINCE: Final[dict[str, str]] = {
    "an event": "SELECT nextval('event_ids')",
    "a session": _SESSION,
    "a beat": "UPDATE workers SET beats = beats + 1",
    "a change": "SELECT 1",
}


def _write(address: PostgresAddress, statement: str) -> None:
    with open_at(address) as store, store.database.transaction() as connection:
        connection.execute(statement)
        # What is counted is not to show it.
        connection.execute("UPDATE writes SET count = count - 1")


@pytest.mark.parametrize("what", SINCE)
def test_a_server_refuses_it(address: PostgresAddress, what: str) -> None:
    """Whatever was seen that is not there any more."""
    _write(address, _SESSION)
    copy = copy_of(address)
    _write(address, SINCE[what])
    if what == "a change":
        with open_at(address) as store:
            store.note({"something": 1})
    with open_to_serve(address):
        pass
    _check_refused(copy, rf"put back to an earlier .*restore --in-place --store {copy}$")
    named = replace(copy, config=Path("serve.yaml"))
    _check_refused(named, r"put back to an earlier .*restore --in-place --config serve.yaml$")
    with open_to_serve(address):
        pass


def test_commands_refuse_it(address: PostgresAddress, command: Run, tmp_path: Path) -> None:
    """Who delivers without a server, or takes it elsewhere, counts nothing twice either."""
    events = tmp_path / "events.ndjson"
    events.write_text(
        "".join(
            json.dumps(
                {
                    "type": "track",
                    "event": "API Call",
                    "userId": "user_0001",
                    "messageId": f"m{number}",
                    "timestamp": "2026-11-01T00:00:00Z",
                    "properties": {"featureId": "api_calls"},
                }
            )
            + "\n"
            for number in range(3)
        )
    )
    run = ("run", "kana", "--events", events, "--sandbox", "--store")
    done = command(*run, address, "--limit", "1")
    assert done.code in {0, 1}, done.err
    copy = copy_of(address)
    assert command(*run, address).code in {0, 1}
    for line in ((*run, copy), ("store", "move", "--from", copy, "--to", tmp_path / "moved")):
        done = command(*line)
        assert (done.code, "put back to an earlier" in done.err) == (2, True), done.err
    assert command(*run, address).code in {0, 1}


def _check_refused(address: PostgresAddress, why: str) -> None:
    """A server does not begin, and says why."""
    with pytest.raises(UsageError, match=why) as failed, open_to_serve(address):
        raise AssertionError("it is served")
    assert not isinstance(failed.value, TemporaryError)


def test_restored_in_place(
    address: PostgresAddress, add_delivery: Add, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited is marked, what came since is held, and who was erased is erased again."""
    with open_at(address) as store:
        waits = add_delivery(store, accepted_at=5_000.0)
        sending = add_delivery(store, sending=True, user="u2")
        erased = add_delivery(store, user="erased", status=Outcome.DELIVERED)
    copy = copy_of(address)
    with open_at(address) as store:
        add_delivery(store)
    done = command("forget", "erased", "--everywhere", "--store", address, "--yes")
    assert done.code == 0, done.err
    with open_to_serve(address):
        pass

    monkeypatch.setattr("sys.stdin", io.StringIO())
    done = command("store", "restore", "--in-place", "--store", copy)
    assert (done.code, done.out) == (2, "")
    assert "Use --yes" in done.err
    with open_at(copy, read_only=True) as store:
        assert store.gap() is None
    done = command("store", "restore", "--in-place", "--store", copy, "--yes")
    assert done.code == 0, done.err
    assert f"{copy}: restored, as it was at 1970-01-01T01:23:20" in done.out
    assert "Open deliveries: 2." in done.out
    assert "Users who were erased: " in done.out

    with open_to_serve(copy) as store:
        ledger = store.ledger()
        assert {one.id for one in ledger.find(Selection(restored=True))} == {waits, sending}
        assert ledger.get(sending).status is State.UNKNOWN
        gap = store.gap()
        assert gap is not None
        assert gap.since == 5_000.0
        assert ledger.get(erased).user != "erased"
        assert broken_rules(store.database) == []
    _check_refused(address, "it was restored or moved since")


def test_what_is_not_restored_in_place(command: Run, tmp_path: Path) -> None:
    """A file has backups; and an option says which of the two is meant."""
    path = tmp_path / "store.sqlite3"
    SqliteStore(path).close()
    for line, why in (
        (("--in-place", "--store", path), "it is a file; restore a backup"),
        (("--in-place",), "expects either --store or --config"),
        (("--in-place", "copy.sqlite3", "--store", path), "takes no BACKUP"),
        (("copy.sqlite3", "--store", path), "--store goes with --in-place"),
        (("--to", path), "expected BACKUP, or --in-place"),
    ):
        done = command("store", "restore", *line)
        assert (done.code, done.out) == (2, ""), done.err
        assert why in done.err


def test_workers_that_live_keep_it(address: PostgresAddress) -> None:
    """Nothing is marked while something delivers, or receives."""

    class Beating(SystemClock):
        """Lets the worker beat whenever somebody waits."""

        def wait(self, seconds: float, stop: Any) -> bool:  # noqa: ARG002 - see `Clock`
            session.beat()
            return False

    with PostgresStore(address) as store:
        with contextlib.closing(store.session("one", "0", TIMES)) as session:
            session.beat()
            with pytest.raises(TemporaryError, match="processes deliver"):
                restore_in_place(address, 1.0, clock=Beating())
        store.database.probe()
        with pytest.raises(TemporaryError, match="other processes use it"):
            restore_in_place(address, 1.0)


def test_it_is_noted_again_and_again(
    address: PostgresAddress, add_delivery: Add, caplog: pytest.LogCaptureFixture
) -> None:
    """While a server runs, and at its end; where it cannot be noted, a warning says so once."""
    with open_at(address) as store:
        path = state_path(store)
        assert path is not None
        file = path.with_name(f"{path.name}.seen")
        with noting_seen(store):
            assert json.loads(file.read_text())["event"] == 0
            add_delivery(store)
        assert json.loads(file.read_text())["event"] > 0
        assert [one.name for one in file.parent.iterdir()] == [file.name]
        file.unlink()
        file.mkdir()
        with caplog.at_level(logging.WARNING), noting_seen(store):
            pass
    assert len([one for one in caplog.messages if "cannot note" in one]) == 1


def test_a_note_that_cannot_be_read(address: PostgresAddress) -> None:
    """It says nothing, and is replaced; a file has its own next to it."""
    with open_at(address) as store:
        path = state_path(store)
        assert path is not None
        file = path.with_name(f"{path.name}.seen")
        note_seen(store)
        for text in ("", "{", '{"event": 5}', "[]"):
            file.write_text(text)
            check_seen(store)
        note_seen(store)
        assert json.loads(file.read_text())["event"] == 0


# -- the order of what waits -----------------------------------------------------------------------

_ORDER: Final = "SELECT id FROM open ORDER BY scope, lane, tx, id"
_NEXT: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_FUTURE: Final = "UPDATE open SET tx = (tx::text::bigint + 1000000000)::text::xid8"


def _order(database: PostgresDatabase) -> list[int]:
    return [identity for (identity,) in database.all(_ORDER)]


def test_a_copy_that_was_loaded_elsewhere(address: PostgresAddress, add_delivery: Add) -> None:
    """What waits stays in its order, also what was replayed, and what is new comes after it."""
    with PostgresStore(address) as store:
        ids = [add_delivery(store, user="one user") for _ in range(6)]
        others = [add_delivery(store, user=f"user {number}") for number in range(6)]
        database = store.database
        with database.transaction() as connection:
            # An operator has sent two of them to the end.
            connection.execute(
                "UPDATE open SET tx = pg_current_xact_id() WHERE id IN (?, ?)", (ids[1], ids[0])
            )
        with database.transaction() as connection:
            connection.execute("UPDATE open SET tx = pg_current_xact_id() WHERE id = ?", ids[3:4])
        before = _order(database)
        assert before != sorted(before)
        mend_order(database)
        assert _order(database) == before
        with database.transaction() as connection:
            connection.execute(_FUTURE)
            connection.execute("INSERT INTO arrived VALUES (1, '99999999999')")
            connection.execute("INSERT INTO changes (delivery, tx) VALUES (1, '99999999999')")
    with open_to_serve(address) as served:
        assert isinstance(served, PostgresStore)
        database = served.database
        assert _order(database) == before
        new = add_delivery(served, user="one user")
        of_user = "SELECT id FROM open WHERE user = 'one user' ORDER BY tx, id"
        expected = [ids[2], ids[4], ids[5], ids[0], ids[1], ids[3], new]
        assert [identity for (identity,) in database.all(of_user)] == expected
        assert database.one("SELECT 1 FROM changes") is None
        assert len(_order(database)) == len(ids) + len(others) + 1


def test_a_copy_with_more_places_than_transactions(
    address: PostgresAddress, add_delivery: Add
) -> None:
    """The server gives numbers away until all of what waits has smaller ones than what is new."""
    with PostgresStore(address) as store:
        add_delivery(store, user="one user")
        database = store.database
        (current,) = database.one(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        ) or (0,)
        count = current + 300
        with database.transaction() as connection:
            columns = (
                "scope, subscription, status, effect, attempts, user, message_id, type,"
                " accepted_at, fingerprint, plan, payload"
            )
            connection.execute(
                f"INSERT INTO open (id, {columns}, lane, tx) SELECT one.number * 1000, {columns},"
                " 0, '1' FROM open CROSS JOIN generate_series(10, ?) AS one (number)",
                (count,),
            )
            # Each of them was sent to the end after all those with greater ids.
            connection.execute("UPDATE open SET tx = (10000000000 - id)::text::xid8")
        before = _order(database)
        mend_order(database)
        assert _order(database) == before
        assert database.one("SELECT max(tx::text::bigint) FROM open")[0] > current  # type: ignore[index]
        new = add_delivery(store, user="one user")
        last = database.one("SELECT id FROM open ORDER BY tx DESC, id DESC LIMIT 1")
        assert last == (new,)
