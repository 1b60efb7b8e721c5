"""A store of an earlier version is brought forward: nothing that it knows is lost or done again."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.operations import lock_server
from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.dedupe import Verdict, recognise
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import Balance, Increment, Scope
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import SqliteDatabase, SqliteStore, broken_rules
from destinations.store import database as database_module
from destinations.store.migrations import APPLICATION_ID, MIGRATIONS
from destinations.store.reader import copy_of

Unpack = Callable[..., Path]
ENDPOINT = "http://127.0.0.1:36567/graphql"
ACCOUNT = f"kana {ENDPOINT} test"
NEITHER, MAYBE, APPLIED = Effect.NONE, Effect.MAYBE, Effect.APPLIED
EQUAL = "f485acc0912ce5018803a713a97ce506832cf0d3485e39a8b5130ea4ef9127a9"
"""The digest of an event without a messageId, which came twice in one file."""


def _entries(path: Path) -> list[LedgerEntry]:
    with SqliteStore(path) as store:
        return list(store.ledger().find(Selection()))


def _dump(path: Path) -> list[str]:
    """All that a file says, with its version."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return [f"version {version}", *connection.iterdump()]


def _beside(path: Path) -> set[str]:
    """What is beside a store, but for its lock, its journal, and what says which store it is."""
    own = {f"{path.name}{end}" for end in ("", ".lock", "-wal", "-shm", ".identity")}
    return {one.name for one in path.parent.iterdir()} - own


# -- what each row becomes -------------------------------------------------------------------------

Becomes = tuple[Any, Effect, int, str, Any, bool]
"""Status, effect, attempts, stage, what it adds, and whether its raw event is kept."""

_OF_RUNS: Mapping[str, Becomes] = {
    "m-2": (Outcome.UNMAPPED, NEITHER, 0, "send", None, True),
    "m-3": (Outcome.DELIVERED, APPLIED, 1, "", None, False),
    "m-10": (State.HELD, MAYBE, 1, "send", None, True),
    "m-11": (Outcome.DEAD, NEITHER, 4, "send", None, True),
    "m-12": (Outcome.DELIVERED, APPLIED, 4, "", None, False),
    "m-20": (State.READY, NEITHER, 1, "send", None, True),
    "m-21": (State.READY, NEITHER, 1, "send", None, True),
    "m-22": (State.READY, NEITHER, 1, "send", None, True),
    "m-23": (State.READY, NEITHER, 1, "send", None, True),
    f"{EQUAL}:1": (Outcome.UNMAPPED, NEITHER, 0, "send", None, True),
    f"{EQUAL}:2": (Outcome.UNMAPPED, NEITHER, 0, "send", None, True),
}


def _adds(amount: int, user: str, feature: str) -> Increment:
    return Increment(json.dumps([user, feature], separators=(",", ":")), amount)


_OF_SERVER: Mapping[str, Becomes] = {
    "m-101": (Outcome.DELIVERED, APPLIED, 1, "", None, False),
    "m-102": (Outcome.UNMAPPED, NEITHER, 0, "plan", None, True),
    "m-103": (Outcome.DELIVERED, APPLIED, 1, "send", None, False),
    "m-104": (Outcome.FILTERED, NEITHER, 0, "plan", None, False),
    "m-105": (Outcome.REJECTED, NEITHER, 1, "send", _adds(1, "user_5", "nope"), True),
    "m-106": (Outcome.INVALID, NEITHER, 0, "plan", None, True),
    "m-107": (Outcome.DEAD, NEITHER, 4, "send", _adds(1, "nobody2", "calls"), True),
    "m-108": (State.HELD, MAYBE, 1, "reconcile", _adds(7, "user_3", "exports"), True),
    "m-109": (Outcome.DELIVERED, APPLIED, 1, "reconcile", None, False),
    "m-110": (Outcome.DROPPED, NEITHER, 1, "reconcile", None, False),
    "m-111": (State.UNKNOWN, MAYBE, 0, "send", _adds(11, "user_0", "calls"), True),
    "m-112": (State.UNKNOWN, MAYBE, 1, "send", _adds(12, "user_1", "calls"), True),
    "m-113": (State.READY, NEITHER, 0, "", None, True),
}


@pytest.mark.parametrize(("name", "rows"), [("run-v3", _OF_RUNS), ("serve-v3", _OF_SERVER)])
def test_what_each_row_becomes(old_store: Unpack, name: str, rows: Mapping[str, Becomes]) -> None:
    """One row for each that there was, none more; what may be needed again has its raw event."""
    path = old_store(name)
    entries = _entries(path)
    with SqliteStore(path, read_only=True) as store:
        raw = {one.message_id: store.ledger().raw_event(one.event_id) for one in entries}
    found = {
        one.message_id: (
            *(one.status, one.effect, one.attempts, one.stage, one.increment),
            raw[one.message_id] is not None,
        )
        for one in entries
    }
    assert found == rows
    assert len(entries) == len(rows)
    for entry in entries:
        event = raw[entry.message_id]
        if event is not None:
            said = json.loads(event)
            assert (said["messageId"], said["userId"]) == (entry.message_id, entry.user)


def test_why_something_is_held(old_store: Unpack) -> None:
    """What a run had lost says that its amount is not known; a server's has its figures."""
    lost = next(one for one in _entries(old_store("run-v3")) if one.status is State.HELD)
    assert "did not note what it added" in lost.reason
    assert "the connection broke before the answer was complete" in lost.reason
    assert lost.evidence == {"why": lost.reason.partition(": the connection")[0]}
    held = next(one for one in _entries(old_store("serve-v3")) if one.status is State.HELD)
    assert (held.evidence["expected"], held.evidence["found"]) == (7, 12)
    assert "another writer" in held.reason


def test_what_was_under_way_is_asked_about(old_store: Unpack) -> None:
    """A request that the process had not heard of is treated as one whose answer was lost."""
    entries = {one.message_id: one for one in _entries(old_store("serve-v3"))}
    assert "under way when the process ended" in entries["m-111"].reason
    assert entries["m-111"].next_at is not None
    assert entries["m-112"].next_at == 1795833084.109
    assert entries["m-112"].reason == "no answer: timed out"
    assert (entries["m-112"].code, entries["m-112"].http_status) == ("SELF_TIMEOUT", 408)


def test_what_is_kept_beside_the_rows(old_store: Unpack) -> None:
    """Rules, changes to make by hand, what the endpoint can do, balances, and notes of a server."""
    with SqliteStore(old_store("run-v3")) as store:
        (rule,) = store.documents("kana", "rule").entries()
        assert rule.content == {"name": "Pro", "where": {"plan.name": "pro"}, "feature": "exports"}
        (account,) = store.accounts().of_slug("kana")
        assert (account.endpoint, account.environment, account.name) == (ENDPOINT, "test", None)
        waiting = store.manual_changes([account.id]).entries()
        assert waiting == {"user_2": {"email": "new2@example.com"}}
        answer = store.answers(f"kana {ENDPOINT}")["describeUpdateUser"]
        assert [one["name"] for one in answer["inputFields"]] == ["id", "name", "metadata"]
        assert store.noted("keepDays") is None
    with SqliteStore(old_store("serve-v3")) as store:
        (totals,) = store.ledger().totals(1795833054.0)
        scope = Scope(totals.id, totals.destination)
        assert (totals.destination, totals.served) == ("kana", True)
        keys = ['["user_0","calls"]', '["user_4","exports"]']
        period = "2026-11-01T00:00:00.000Z"
        assert store.queue().balances(scope, keys) == {
            keys[0]: Balance("user_0", 0, period, None, 1795833054.108083),
            keys[1]: Balance("user_4", 2, period, 1796083200.0, 1795833054.0140843),
        }
        assert (store.noted("keepDays"), store.noted("destinations")) == (30, ["kana"])


@pytest.mark.parametrize(("name", "rows"), [("run-v3", _OF_RUNS), ("serve-v3", _OF_SERVER)])
def test_messages_are_recognised(old_store: Unpack, name: str, rows: Mapping[str, Becomes]) -> None:
    """Each messageId is known, and its content where a run kept the line; else any is the same."""
    with SqliteStore(old_store(name)) as store:
        (scope,) = [Scope(one.id, one.destination) for one in store.ledger().totals(0.0)]
        known = store.queue().history(scope, [*rows, "m-1"])
        assert set(known) == set(rows)
        verdicts = {key: recognise(one, 4711) for key, one in known.items()}
        derived = {key for key in verdicts if len(key) > 64}
        other = {Verdict.SAME} if name == "serve-v3" else {Verdict.CORRECTION, Verdict.CONFLICT}
        assert {verdicts[key] for key in verdicts.keys() - derived} == other
        assert {verdicts[key] for key in derived} <= {Verdict.SAME}
        key = SubscriptionKey("", "track")
        for message_id in {"m-3", "m-101"} & set(rows):
            assert known[message_id].deliveries[key].outcome is Outcome.DELIVERED


@pytest.mark.parametrize("name", ["run-v3", "serve-v3"])
def test_a_migrated_store_is_as_one_that_was_made_new(
    old_store: Unpack, name: str, tmp_path: Path, command: Callable[..., Any]
) -> None:
    """It has the same tables, is whole, and `store check` finds nothing."""
    path, fresh = old_store(name), tmp_path / "fresh.sqlite3"
    for one in (path, fresh):
        SqliteDatabase(one).close()
    query = "SELECT name, sql FROM sqlite_schema WHERE name <> 'sqlite_sequence' ORDER BY 1"
    for pragma, expected in {"integrity_check": [("ok",)], "foreign_key_check": []}.items():
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute(f"PRAGMA {pragma}").fetchall() == expected
            schema = connection.execute(query).fetchall()
    with contextlib.closing(sqlite3.connect(fresh)) as connection:
        assert schema == connection.execute(query).fetchall()
    done = command("store", "check", "--store", path)
    assert (done.code, done.err) == (0, "")
    assert "all rules hold" in done.out


# -- what only a row made by hand shows ------------------------------------------------------------


class Old:
    """A store of an earlier version, which has the first ``steps`` of the schema."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path = path
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(database_module, "MIGRATIONS", MIGRATIONS[:steps])
            SqliteDatabase(path).close()

    def add(self, table: str, **values: Any) -> None:
        """Add a row."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - of this test
                list(values.values()),
            )

    def kept(self, key: str, outcome: str, **more: Any) -> None:
        """Add an event that a run kept."""
        raw = more.pop("raw", {"type": "track", "userId": "u1", "messageId": key})
        values = {"account": ACCOUNT, "action": "track", "code": None, "reason": "", "attempts": 1}
        self.add(
            "kept_events",
            **{**values, **more},
            definition_version="1.0.0",
            event_key=f"messageId:{key}",
            outcome=outcome,
            raw_event=raw if isinstance(raw, bytes) else json.dumps(raw).encode(),
            kept_at=1_700_000_000.0,
        )

    def delivery(self, message_id: str, *deliveries: Mapping[str, Any], raw: Any = b"{}") -> None:
        """Add an event that a server accepted, with its deliveries."""
        at = 1_700_000_000.0
        event = {"destination": "kana", "message_id": message_id, "user": "u1"}
        self.add("events", **event, type="track", accepted_at=at, raw=raw)
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            (event_id,) = connection.execute("SELECT max(id) FROM events").fetchone()
        head = {"event_id": event_id, "destination": "kana", "user": "u1", "state": "done"}
        for one in deliveries:
            usual = {"action": "track", "definition_version": "1.0.0"}
            self.add("deliveries", **{**head, **usual, **one})


@pytest.fixture
def old(tmp_path: Path) -> Old:
    """A store of version 3 without a row."""
    return Old(tmp_path / "store.sqlite3", 3)


EXPECTED = json.dumps(["k", 3, '{"a":1}'])


@pytest.mark.parametrize(
    ("deliveries", "raw", "rows"),
    [
        pytest.param([], b"{}", [], id="an event without a delivery"),
        pytest.param(
            [{"action": "track: Sales", "outcome": "delivered"}, {"action": "identify"}],
            b"{}",
            [
                (SubscriptionKey("Sales", "track"), Outcome.DELIVERED, APPLIED),
                (SubscriptionKey("", "identify"), Outcome.DEAD, NEITHER),
            ],
            id="two of one event, one of a subscription with a name",
        ),
        pytest.param(
            [{"outcome": "dead", "code": "DROPPED", "expectation": EXPECTED}],
            None,
            [(SubscriptionKey("", "track"), Outcome.DROPPED, MAYBE)],
            id="dropped after it was sent",
        ),
        pytest.param(
            [{"state": "sending"}],
            b"{}",
            [(SubscriptionKey("", "track"), State.UNKNOWN, MAYBE)],
            id="under way, and adds to nothing",
        ),
        pytest.param(
            [{"state": "unknown", "expectation": EXPECTED, "attempts": 2, "next_at": 5.0}],
            b"{}",
            [(SubscriptionKey("", "track"), State.UNKNOWN, MAYBE)],
            id="unknown",
        ),
        pytest.param(
            [{"state": "held", "evidence": '{"why": "x"}', "expectation": EXPECTED}],
            b"{}",
            [(SubscriptionKey("", "track"), State.HELD, MAYBE)],
            id="held",
        ),
    ],
)
def test_a_row_of_a_server(
    old: Old, deliveries: Sequence[Mapping[str, Any]], raw: bytes | None, rows: Sequence[Any]
) -> None:
    """Each delivery keeps its subscription and state; the rules of a store hold."""
    old.delivery("m1", *deliveries, raw=raw)
    assert [(one.key, one.status, one.effect) for one in _entries(old.path)] == rows
    with SqliteStore(old.path) as store:
        assert broken_rules(store.database) == []
        counted = [sum(one.counts.values()) for one in store.ledger().totals(0.0)]
        assert sum(counted) == len(rows)
        found = store.queue().history(Scope(1, "kana"), ["m1"])
        assert len(found["m1"].deliveries) == len(rows)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [("m1", "delivered", {}), ("m1", "dead", {"action": "identify"})],
            [(1000, "track", Outcome.DELIVERED), (1001, "identify", Outcome.DEAD)],
            id="one event for two actions",
        ),
        pytest.param(
            [
                ("m1", "delivered", {"account": "kana http://localhost:36567/graphql/ test"}),
                ("m1", "unmapped", {}),
            ],
            [(1000, "track", Outcome.DELIVERED), (1001, "track", Outcome.UNMAPPED)],
            id="one account under two spellings of its URL",
        ),
        pytest.param(
            [("m1", "delivered", {}), ("m1", "delivered", {"account": f"kana {ENDPOINT} live"})],
            [(1000, "track", Outcome.DELIVERED), (2000, "track", Outcome.DELIVERED)],
            id="two environments",
        ),
        pytest.param(
            [("m1", "unmapped", {"action": "", "raw": b"{no event"})],
            [(1000, "", Outcome.UNMAPPED)],
            id="an event that cannot be read",
        ),
        pytest.param(
            [("a:b", "retrying", {}), ("x" * 64 + ":2", "unknown", {})],
            [(1000, "track", State.READY), (2000, "track", State.HELD)],
            id="ids with a colon",
        ),
    ],
)
def test_a_row_of_a_run(
    old: Old, rows: Sequence[tuple[str, str, Mapping[str, Any]]], expected: Sequence[Any]
) -> None:
    """Rows of one event are together; those of two accounts are apart."""
    for key, outcome, more in rows:
        old.kept(key, outcome, **more)
    entries = _entries(old.path)
    assert [(one.id, one.action, one.status) for one in entries] == expected
    assert {one.message_id for one in entries} == {key for key, _, _ in rows}
    with SqliteStore(old.path) as store:
        assert broken_rules(store.database) == []


def test_what_was_delivered_is_told_before_what_was_not(old: Old) -> None:
    """Where an earlier version noted two for one subscription, it is not sent again."""
    old.kept("m1", "delivered", account="kana http://LOCALHOST:36567/graphql test")
    old.kept("m1", "dead")
    with SqliteStore(old.path) as store:
        (totals,) = store.ledger().totals(0.0)
        known = store.queue().history(Scope(totals.id, "kana"), ["m1"])
        assert known["m1"].deliveries[SubscriptionKey("", "track")].outcome is Outcome.DELIVERED


@pytest.mark.parametrize("version", [1, 2, 3])
def test_all_versions_come_forward(tmp_path: Path, version: int) -> None:
    """What the first version kept is there, and the copy is of the version that there was."""
    old = Old(tmp_path / "store.sqlite3", version)
    old.kept("m1", "unmapped")
    old.kept("m2", "unknown")
    old.add("documents", destination="kana", kind="rule", name="R", document="1", created_at=1.0)
    before = _dump(old.path)
    assert [one.status for one in _entries(old.path)] == [Outcome.UNMAPPED, State.HELD]
    with SqliteStore(old.path) as store:
        assert [one.name for one in store.documents("kana", "rule").entries()] == ["R"]
    assert _beside(old.path) == {f"store.sqlite3.version-{version}"}
    assert _dump(tmp_path / f"store.sqlite3.version-{version}") == before


# -- the copy --------------------------------------------------------------------------------------


def test_a_copy_is_made_before(old_store: Unpack) -> None:
    """It holds what the store held, for its owner alone; opened again, there is nothing to do."""
    path = old_store("serve-v3")
    before = _dump(path)
    SqliteDatabase(path).close()
    copy = path.with_name("store.sqlite3.version-3")
    assert _dump(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    assert _beside(path) == {copy.name}
    made_at = copy.stat().st_mtime_ns
    SqliteDatabase(path).close()
    assert copy.stat().st_mtime_ns == made_at


def test_a_new_store_is_not_copied(tmp_path: Path) -> None:
    """There was nothing before it."""
    SqliteDatabase(tmp_path / "store.sqlite3").close()
    assert _beside(tmp_path / "store.sqlite3") == set()


def test_a_copy_that_is_there_is_replaced(old_store: Unpack) -> None:
    """Whoever goes back and works on gets a copy of that: the older one would count it again."""
    path = old_store("run-v3")
    SqliteDatabase(path).close()
    copy = path.with_name("store.sqlite3.version-3")
    path.unlink()
    path.with_name("store.sqlite3.identity").unlink()
    copy.replace(path)
    copy.write_text("an earlier copy", encoding="utf-8")
    left = path.with_name(".store.sqlite3.version-3.leftover.part")
    left.write_text("of a process that was killed while it copied", encoding="utf-8")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE kept_events SET outcome = 'delivered' WHERE outcome = 'dead'")
    before = _dump(path)
    SqliteDatabase(path).close()
    assert _dump(copy) == before
    assert _beside(path) == {copy.name}


def test_the_copy_is_of_the_moment_before(
    old_store: Unpack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that open a store at the same time do not copy what one of them has made."""
    path = old_store("serve-v3")
    before = _dump(path)
    others: list[threading.Thread] = []

    def copy(store: Path, target: Path) -> None:
        if not others:
            others.append(threading.Thread(target=lambda: SqliteDatabase(path).close()))
            others[0].start()
            others[0].join(0.2)  # it has to wait; if it did not, it would be done by then
        copy_of(store, target)

    monkeypatch.setattr(database_module, "copy_of", copy)
    SqliteDatabase(path).close()
    others[0].join()
    assert _dump(path.with_name("store.sqlite3.version-3")) == before
    assert len(_entries(path)) == 13


# -- what can go wrong -----------------------------------------------------------------------------


def _full(_store: Path, _target: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _full_for_sqlite(_store: Path, _target: Path) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("CREATE TABLE too_much (text)")


def _forbidden(_store: Path, _target: Path) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize(
    ("copy", "error", "code", "why"),
    [
        (_full, TemporaryError, 75, "No space left on device"),
        (_full_for_sqlite, TemporaryError, 75, "database or disk is full"),
        (_forbidden, UsageError, 2, "Permission denied"),
    ],
)
def test_no_copy_can_be_made(  # noqa: PLR0917 - fixtures
    old_store: Unpack,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    copy: Callable[[Path, Path], None],
    error: type[UsageError],
    code: int,
    why: str,
) -> None:
    """Then nothing is changed, and one message says what is missing; with room it goes on."""
    path = old_store("run-v3")
    before = _dump(path)
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "copy_of", copy)
        with pytest.raises(error) as raised:
            SqliteDatabase(path)
        done = command("store", "compact", "--store", path)
    assert done.code == code
    assert done.err == f"Error: {raised.value}\n"
    assert done.err.count("cannot use the store") == 1
    for part in ("of an older version", why, f"make room for {path}.version-3"):
        assert part in done.err
    assert _dump(path) == before
    assert _beside(path) == set()
    assert len(_entries(path)) == 11


def test_the_disk_is_full_in_the_middle(old_store: Unpack) -> None:
    """The store is as it was, and comes forward when there is room."""
    path = old_store("serve-v3")
    before = _dump(path)

    class Small(SqliteDatabase):
        def _connect(self) -> sqlite3.Connection:
            connection = super()._connect()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + 20}")
            return connection

    with pytest.raises(TemporaryError, match=r"cannot use the store .*: database or disk is full"):
        Small(path)
    assert _dump(path) == before
    assert len(_entries(path)) == 13


def _of_newer_version(path: Path, _patch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")


def _of_another_program(path: Path, _patch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID + 1}")


def _read_only(_path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "access", lambda _file, mode: mode != os.W_OK)  # root may write to any


CHANGING = (
    "run kana",
    "run kana --events EVENTS",
    "store compact",
    "deliveries drop 1000 --reason x --yes",
)
READING = ("store check", "deliveries list", "deliveries show 1000", "status", "deliveries export")


@pytest.mark.parametrize(
    ("spoil", "commands", "message"),
    [
        (
            _of_newer_version,
            (*CHANGING, *READING),
            "by a newer version of this package: its tables have version",
        ),
        (_of_another_program, (*CHANGING, *READING), "it is the database of another program"),
        (_read_only, CHANGING, "permission denied; give its owner the right to write"),
    ],
)
def test_a_store_that_cannot_be_used(  # noqa: PLR0917 - fixtures
    old_store: Unpack,
    write: Callable[[str, Any], Path],
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    commands: Sequence[str],
    message: str,
) -> None:
    """Every command says why in one line and exits with 2; nothing is changed or made."""
    path = old_store("run-v3")
    spoil(path, monkeypatch)
    events = write("events.ndjson", [{"type": "track", "userId": "u1", "messageId": "m1"}])
    settings = write("settings.json", {"apiKey": "prv_test_1", "endpoint": ENDPOINT})
    before, beside = path.read_bytes(), _beside(path)
    for text in commands:
        words = [str(events) if word == "EVENTS" else word for word in text.split()]
        of_run = ["--settings", str(settings)] if words[0] == "run" else []
        done = command(*words, *of_run, "--store", path)
        assert (text, done.code, done.out) == (text, 2, "")
        assert done.err.startswith("Error: cannot ")
        assert done.err.count("\n") == 1
        assert str(path) in done.err
        assert message in done.err
    assert path.read_bytes() == before
    assert _beside(path) == beside


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_of_newer_version, "by a newer version of this package: its tables have version"),
        (_of_another_program, "it is the database of another program"),
        (_read_only, "permission denied"),
    ],
)
def test_a_server_whose_store_cannot_be_used(
    old_store: Unpack,
    write: Callable[[str, Any], Path],
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    message: str,
) -> None:
    """It does not start, and says why."""
    path = old_store("serve-v3")
    spoil(path, monkeypatch)
    monkeypatch.setenv("KEY", "prv_test_0123456789")
    kana = {
        "name": "kana",
        "destination": "kana",
        "settings": {"endpoint": ENDPOINT, "apiKey": {"env": "KEY"}},
        "receiver": {"keys": [{"env": "KEY"}]},
    }
    config = {"listen": {"port": 0}, "store": {"path": str(path)}, "destinations": [kana]}
    before = path.read_bytes()
    for check in (["--check"], []):
        done = command("serve", "--config", write("serve.json", config), *check)
        assert done.code == 2
        (said,) = [line for line in done.err.splitlines() if line.startswith("Error: ")]
        assert f"the store {path}: " in said
        assert message in said.lower()
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", READING)
def test_what_only_reads_does_not_migrate(
    old_store: Unpack, command: Callable[..., Any], text: str
) -> None:
    """It says which command does; that one is enough."""
    path = old_store("run-v3")
    before = path.read_bytes()
    done = command(*text.split(), "--store", path)
    assert done.code == 2
    assert "of an older version" in done.err
    assert path.read_bytes() == before
    advice = done.err.partition("destinations ")[2].partition(" migrates it")[0]
    assert command(*advice.split()).code == 0
    assert command(*text.split(), "--store", path).code == 0


@pytest.mark.parametrize("text", [*CHANGING, "kana rules list", "kana status"])
def test_a_server_of_an_earlier_version(
    old_store: Unpack, write: Callable[[str, Any], Path], command: Callable[..., Any], text: str
) -> None:
    """While one delivers from it, a store stays as it is: that server could not go on with it."""
    path = old_store("serve-v3")
    events = write("events.ndjson", [{"type": "track", "userId": "u1", "messageId": "m1"}])
    settings = write("settings.json", {"apiKey": "prv_test_1", "endpoint": ENDPOINT})
    before = path.read_bytes()
    words = [str(events) if word == "EVENTS" else word for word in text.split()]
    of_run = ["--settings", str(settings)] if words[0] == "run" else []
    with lock_server(path):
        done = command(*words, *of_run, "--store", path)
    assert (done.code, done.out) == (75, "")
    assert "a server of an earlier version" in done.err
    assert str(path) in done.err
    assert path.read_bytes() == before


def test_refused_events_before_their_codes_were_counted(tmp_path: Path) -> None:
    """The totals of each code are those of the rows that were there, and follow later changes."""
    old = Old(tmp_path / "s.sqlite3", 7)
    given = {"scope": 1, "at": 1, "http_status": 400, "reason": "why", "path": "/", "peer": ""}
    for code, raw in (("A", b"12"), ("A", b""), ("B", b"123")):
        old.add("refused", code=code, raw=raw, length=1, whole=1, **given)
    with SqliteStore(old.path) as store:
        totals = "SELECT * FROM refused_totals ORDER BY code"
        assert store.database.all(totals) == [(1, "A", 2, 8), (1, "B", 1, 6)]
        with store.database.transaction() as connection:
            connection.execute("DELETE FROM refused WHERE code = 'A'")
        assert store.database.all(totals) == [(1, "B", 1, 6)]
