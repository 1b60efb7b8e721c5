"""A user is erased from a store: no byte names them, and nothing is counted twice."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.operations import (
    Forgettable,
    back_up,
    forget,
    lock_run,
    lock_server,
    look_up_user,
    restore,
)
from destinations.outcome import Effect, ManualChange, Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import (
    Arrival,
    Balance,
    Drift,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Recheck,
    Round,
    Scope,
)
from destinations.store import (
    ERASED,
    Erased,
    RefusedEvent,
    RefusedSelection,
    SqliteStore,
    broken_rules,
    erasures_beside,
    erasures_path,
)

Add = Callable[..., int]

USER = "customer-4711"
EMAIL = "ann@private.example"
SECRETS = (USER, EMAIL, "secret-page", "message-of-ann")
SETTLED: tuple[Status, ...] = (
    State.READY,
    Outcome.DELIVERED,
    Outcome.FILTERED,
    Outcome.UNMAPPED,
    Outcome.INVALID,
    Outcome.REJECTED,
    Outcome.DEAD,
    Outcome.DROPPED,
)
FINISHED = (Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED)
KEPT: tuple[Status, ...] = (
    Outcome.UNMAPPED,
    Outcome.INVALID,
    Outcome.REJECTED,
    Outcome.DEAD,
)
NOW = 3_000.0


def _event(user: str = USER) -> dict[str, Any]:
    return {
        "type": "track",
        "userId": user,
        "event": "secret-page" if user == USER else "other",
        "context": {"traits": {"email": EMAIL if user == USER else "x@y.example"}},
    }


def _put(store: SqliteStore, add: Add, user: str, *statuses: Status, **columns: Any) -> None:
    for status in statuses:
        name = "message-of-ann" if user == USER else f"message-of-{user}"
        add(
            store,
            _event(user),
            user=user,
            status=status,
            message_id=f"{name}-{status}-{columns.get('destination', '')}",
            reason=f"{user} with {_event(user)['context']} is wrong",
            payload=json.dumps({"user": user, "email": EMAIL if user == USER else ""}).encode(),
            increment=Increment(f"{user} calls", 5),
            **columns,
        )


@pytest.fixture
def path(tmp_path: Path, add_delivery: Add) -> Path:
    """A store with all that may be kept of a user, and of another one."""
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        for user in (USER, "bob"):
            _put(store, add_delivery, user, *SETTLED)
        entry = next(store.ledger().find(Selection(user=USER)))
        scope = Scope(entry.scope, entry.destination)
        balances: dict[tuple[Scope, str], Balance | None] = {}
        rechecks: dict[tuple[Scope, str], Recheck | None] = {}
        drifts = []
        for user in (USER, "bob"):
            key = f"{user} calls"
            balances[scope, key] = Balance(user, 7)
            payload = json.dumps({"user": user}).encode()
            rechecks[scope, key] = Recheck(user, "count", payload, 7, None, due=(1.0,))
            drifts.append((scope, Drift(key, user, 1, 2, 3.0, ())))
        store.queue().commit(Round(balances=balances, rechecks=rechecks, drifts=drifts))
        store.refused().add([_refused(scope, user) for user in (USER, "bob")], 100, 100_000)
        account = store.database.all("SELECT id FROM partner_accounts")[0][0]
        for user in (USER, "bob"):
            store.manual_changes([account]).note(ManualChange(user, {"email": EMAIL[: len(user)]}))
        with store.database.transaction() as connection:
            connection.execute("UPDATE manual_changes SET noted_at = 1")
    return store.path


def _refused(scope: Scope, user: str) -> RefusedEvent:
    raw = json.dumps(_event(user)).encode()
    reason = f"no place for {user}"
    return RefusedEvent(scope.id, 1.0, 400, "C", reason, "/v1", "", raw, len(raw), user=user)


def _entries(path: Path, user: str | None = None) -> list[LedgerEntry]:
    with SqliteStore(path, read_only=True) as store:
        assert broken_rules(store.database) == []
        return list(store.ledger().find(Selection(user=user)))


def _bytes(path: Path) -> bytes:
    """All that lies beside a store and in it."""
    return b"".join(
        one.read_bytes()
        for one in sorted(path.parent.glob(f"{path.name}*"))
        if one.is_file() and not one.name.startswith("backup")
    )


def _named(path: Path) -> list[str]:
    found = _bytes(path)
    return [text for text in SECRETS if text.encode() in found]


def test_nothing_names_the_user(path: Path) -> None:
    """No byte of the file, its log or what lies beside it has the user, an id or an event."""
    assert _named(path) == list(SECRETS)
    done = forget(path, USER, NOW)
    assert done == Erased(dropped=5, rows=8, refused=1, manual_changes=1, balances=1)
    assert _named(path) == []
    assert _entries(path, USER) == []
    assert {path.with_name(f"{path.name}{end}").exists() for end in ("-wal", "-shm")} == {False}


def test_what_is_left(path: Path) -> None:
    """Rows with digests: outcome, effect, times and numbers are as before, and totals add up."""
    before = {one.id: one for one in _entries(path)}
    forget(path, USER, NOW)
    after = {one.id: one for one in _entries(path)}
    assert after.keys() == before.keys()
    for number, entry in after.items():
        was = before[number]
        if was.user == "bob":
            assert entry == was
            continue
        assert entry.user.startswith(ERASED)
        assert entry.message_id.startswith(ERASED)
        assert entry.status is (was.status if was.status in FINISHED else Outcome.DROPPED)
        assert (entry.effect, entry.accepted_at) == (was.effect, was.accepted_at)
        assert entry.reason in {"", "the user was erased"}
        if was.status in FINISHED:
            assert (entry.settled_at, entry.code) == (was.settled_at, was.code)
    mine = {one.user for one in after.values() if one.user != "bob"}
    assert len(mine) == 1
    with SqliteStore(path, read_only=True) as store:
        keys = "SELECT key FROM {}"
        for table in ("balances", "rechecks", "drifts"):
            assert store.database.all(keys.format(table)) == [("bob calls",)]
        (refused,) = store.refused().find(RefusedSelection())
        assert refused.event.user == "bob"
        assert store.database.all("SELECT subject FROM manual_changes") == [("bob",)]


@pytest.mark.parametrize("status", SETTLED)
def test_an_event_that_comes_again(path: Path, status: Status) -> None:
    """It is a duplicate, as before: nothing that was applied, or given up, is sent again."""
    before = next(one for one in _entries(path, USER) if one.status is status)
    forget(path, USER, NOW)
    with SqliteStore(path) as store:
        (fingerprint,) = store.database.all(
            "SELECT fingerprint FROM ledger WHERE id = ?", (before.id,)
        )[0]
        scope = Scope(before.scope, before.destination)
        event = QueuedEvent(before.message_id, "track", USER, NOW, b"{}", fingerprint, count=1)
        assert before.key is not None
        arrival = Arrival(event, [QueuedDelivery(event, before.key, 0, b"{}", "plan")])
        store.queue().commit(Round(arrivals=[(scope, arrival)]))
        assert arrival.receipt is not None
        assert arrival.receipt.duplicate
        assert list(store.ledger().find(Selection(user=USER))) == []


def test_a_later_event(path: Path, add_delivery: Add) -> None:
    """It is delivered like anybody's."""
    forget(path, USER, NOW)
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY, destination="sample")
    assert [one.status for one in _entries(path, USER)] == [State.READY]


@pytest.mark.parametrize("status", [State.UNKNOWN, State.HELD])
@pytest.mark.parametrize("dry", [True, False])
def test_what_is_not_settled(path: Path, add_delivery: Add, status: Status, *, dry: bool) -> None:
    """Nobody knows what the partner has applied: nothing is erased before that is settled."""
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, status, attempts=1)
    before = _entries(path)
    with (
        SqliteStore(path, read_only=True) as store,
        pytest.raises(UsageError, match=f"delivery 17000 of the user is {status}: the partner"),
    ):
        look_up_user(store, USER) if dry else forget(path, USER, NOW)
    assert _entries(path) == before
    assert not erasures_path(path).exists()
    with SqliteStore(path) as store:
        (entry,) = store.ledger().find(Selection(statuses=frozenset({status})))
        store.ledger().resolve([entry], applied=True, now=NOW)
    forget(path, USER, NOW)
    assert _named(path) == []


def test_what_a_killed_process_was_sending(path: Path, add_delivery: Add) -> None:
    """It is unknown, so it is settled first; it is not dropped as if it had not been sent."""
    with SqliteStore(path) as store:
        add_delivery(store, _event(), user=USER, sending=True, message_id="s")
    with pytest.raises(UsageError, match="delivery 17000 of the user is unknown"):
        forget(path, USER, NOW)
    assert Counter(one.status for one in _entries(path, USER))[State.UNKNOWN] == 1


@pytest.mark.parametrize("by", ["server", "run"])
def test_while_something_delivers(path: Path, by: str) -> None:
    """It has events of the user in its memory, and would write them again."""
    before = _entries(path)
    lock = lock_server(path) if by == "server" else lock_run(path, 1, "an account")
    with lock, pytest.raises(TemporaryError, match="another process delivers from the store"):
        forget(path, USER, NOW)
    assert _entries(path) == before
    assert not erasures_path(path).exists()


def test_while_something_reads(path: Path) -> None:
    """What it reads stays in the log, so the command says so; repeated, it is done."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM ledger").fetchone()
        with pytest.raises(TemporaryError, match=r"repeat the command|database is locked|busy"):
            forget(path, USER, NOW)
    forget(path, USER, NOW)
    assert _named(path) == []


def test_again(path: Path) -> None:
    """A second time nothing is left to do; who was erased is noted once, with the latest time."""
    forget(path, USER, NOW)
    before = _entries(path)
    assert forget(path, USER, NOW + 1) == Erased()
    assert _entries(path) == before
    (noted,) = erasures_beside(path)
    assert noted.at == (NOW + 1) * 1000
    forget(path, "bob", NOW + 2)
    assert {one.key for one in erasures_beside(path)} == {noted.key}
    assert len(erasures_beside(path)) == 2


def test_in_one_destination(path: Path, add_delivery: Add) -> None:
    """Rows of others stay, and are told."""
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, Outcome.DELIVERED, State.HELD, destination="second")
        found = look_up_user(store, USER, "sample")
    dropped: Counter[Status] = Counter((State.READY, *KEPT))
    assert found == Forgettable(dropped, 3, 1, 1, elsewhere=2)
    forget(path, USER, NOW, destination="sample")
    assert {one.destination for one in _entries(path, USER)} == {"second"}
    with pytest.raises(UsageError, match="has no destination 'third'; it has: sample, second"):
        forget(path, USER, NOW, destination="third")
    with pytest.raises(UsageError, match="has no account 'third'; it has: unnamed-1, unnamed-2"):
        forget(path, USER, NOW, account="third")


def test_what_others_say(path: Path, add_delivery: Add) -> None:
    """Events of other users that name the user are counted, and stay."""
    with SqliteStore(path) as store:
        for status in (State.READY, Outcome.DEAD, Outcome.DELIVERED):
            add_delivery(store, {**_event("bob"), "previousId": USER}, user="bob", status=status)
        assert look_up_user(store, USER).mentions == 2
        assert look_up_user(store, "customer-471").mentions == 0


def test_somebody_whom_it_does_not_know(path: Path) -> None:
    """Nothing changes; a copy that is restored may know them, so they are noted."""
    with SqliteStore(path) as store:
        assert look_up_user(store, "nobody").is_empty
    before = _entries(path)
    assert forget(path, "nobody", NOW) == Erased()
    assert _entries(path) == before
    assert len(erasures_beside(path)) == 1


# -- copies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["nothing", "the store", "the file beside it"])
def test_a_backup_that_is_restored(path: Path, add_delivery: Add, lost: str) -> None:
    """It loses the user before anything can open it; what waited there is not sent."""
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.UNKNOWN, State.HELD, attempts=1)
    backup = path.with_name("backup")
    back_up(path, backup)
    with SqliteStore(path) as store:
        unsettled = frozenset({State.UNKNOWN, State.HELD})
        entries = list(store.ledger().find(Selection(statuses=unsettled)))
        store.ledger().resolve(entries, applied=True, now=NOW)
    forget(path, USER, NOW)
    if lost == "the store":
        path.unlink()
        path.with_name(f"{path.name}-wal").write_bytes(b"of it")
    if lost == "the file beside it":
        erasures_path(path).unlink()
    done = restore(backup, path, NOW + 10)
    assert done.erased.rows == 10
    assert _named(path) == []
    assert _entries(path, USER) == []
    effects = {one.effect for one in _entries(path) if one.user != "bob"}
    assert Effect.MAYBE in effects
    waiting = [one for one in _entries(path) if isinstance(one.status, State)]
    assert {one.user for one in waiting} == {"bob"}
    assert done.open == len(waiting)
    assert len(erasures_beside(path)) == 1
    # Also the next one.
    assert restore(backup, path, NOW + 20).erased.rows == 10
    assert _named(path) == []


def test_events_after_the_erasure(path: Path, add_delivery: Add) -> None:
    """Whoever came back since stays: only what had come before is erased from a copy."""
    forget(path, USER, NOW)
    backup = path.with_name("backup")
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY, Outcome.DEAD, accepted_at=NOW + 1)
    back_up(path, backup)
    assert restore(backup, path, NOW + 10).erased == Erased()
    assert {one.status for one in _entries(path, USER)} == {State.READY, Outcome.DEAD}


def test_a_damaged_file_beside_it(path: Path) -> None:
    """Nothing is restored: the user would come back without a word."""
    backup = path.with_name("backup")
    back_up(path, backup)
    forget(path, USER, NOW)
    for damage in (b"\xff", b"{", b'{"key": "00"}\n', b"[]\n"):
        erasures_path(path).write_bytes(damage)
        with pytest.raises(UsageError, match="which says which users were erased: it is damaged"):
            restore(backup, path, NOW)
        with pytest.raises(UsageError, match="which says which users were erased: it is damaged"):
            forget(path, USER, NOW)
    assert _entries(path, USER) == []
