"""A user is erased from a store: no byte names them, and nothing is counted twice."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.operations import (
    Forgettable,
    adopt,
    back_up,
    forget,
    forgetting,
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
    database,
    erasures_path,
    erasures_stored,
    read_erasures_file,
    read_once,
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


def _stored(path: Path) -> set[bytes]:
    return {one.id for one in read_once(path, erasures_stored)}


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


def test_while_something_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it reads stays in the log, so the command says so; repeated, it is done."""
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM ledger").fetchone()
        with pytest.raises(TemporaryError, match=r"repeat the command|database is locked|busy"):
            forget(path, USER, NOW)
    forget(path, USER, NOW)
    assert _named(path) == []


def test_again(path: Path) -> None:
    """A second time nothing is left to do; each erasure is noted, all with one key."""
    forget(path, USER, NOW)
    before = _entries(path)
    assert forget(path, USER, NOW + 1) == Erased()
    assert _entries(path) == before
    forget(path, "bob", NOW + 2)
    beside = read_erasures_file(path)
    assert [one.at for one in beside] == [1000 * (NOW + later) for later in (0, 1, 2)]
    assert (len({one.id for one in beside}), len({one.key for one in beside})) == (3, 1)
    assert _stored(path) == {one.id for one in beside}


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
    """Events and manual changes of other users that have the id are counted, and stay."""
    with SqliteStore(path) as store:
        for status in (State.READY, Outcome.DEAD, Outcome.DELIVERED):
            add_delivery(store, {**_event("bob"), "previousId": USER}, user="bob", status=status)
        payload = json.dumps({"from": USER}).encode()
        add_delivery(store, {}, user="bob", status=State.READY, payload=payload, message_id="merge")
        account = store.database.all("SELECT id FROM partner_accounts")[0][0]
        store.manual_changes([account]).note(ManualChange("bob", {"mergeWith": USER}))
        found = look_up_user(store, USER)
        assert (found.mentions, found.changes_of_others) == (3, 1)
        found = look_up_user(store, "customer-471")
        assert (found.mentions, found.changes_of_others) == (0, 0)


def test_rows_of_others(path: Path, add_delivery: Add) -> None:
    """The id in their reasons and messageIds is replaced, also in a copy; the rest stays."""
    reason = f"merged {USER} into bob, as 17 are"
    with SqliteStore(path) as store:
        for status in SETTLED:
            name = f"merge-{status}"
            add_delivery(store, {}, user="bob", status=status, reason=reason, message_id=name)
        for name in (f"{USER}-1", f"{USER}0-1", f"{USER}-{uuid4()}"):
            add_delivery(store, {}, user="bob", status=Outcome.DELIVERED, message_id=name)
        evidence = {"of": [USER], "found": 17, USER: None}
        held = {"status": State.HELD, "message_id": "held", "evidence": evidence}
        add_delivery(store, {}, user="bob", **held)
    backup = path.with_name("backup")
    back_up(path, backup)
    assert USER.encode() in _bytes(path)
    for act in (lambda: forget(path, USER, NOW), lambda: restore(backup, path, NOW)):
        act()
        assert re.search(rb"customer-4711\b", _bytes(path)) is None
        found = {one.message_id: one for one in _entries(path, "bob")}
        pseudonym = next(one.user for one in _entries(path) if one.user.startswith(ERASED))
        for status in SETTLED:
            if found[f"merge-{status}"].reason:
                told = found[f"merge-{status}"].reason
                assert told == f"merged {pseudonym} into bob, as 17 are"
        assert sum(one.startswith(ERASED) for one in found) == 2
        assert f"{USER}0-1" in found
        expected = {"of": [pseudonym], "found": 17, pseudonym: None}
        assert found["held"].evidence == expected


@pytest.mark.parametrize(
    "raw",
    [
        f"type=track&userId={USER}&event=x",
        f"{{'userId':'{USER}'}}",
        f'{{"userId":" {USER}","event":5}}',
        f'{{"userId":"{USER}',
        '{"userId":"customer\\u002d4711"}',
        "userId=customer%2D4711",
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_a_refused_event_that_has_the_id(path: Path, raw: str, *, copied: bool) -> None:
    """It is deleted however it spells the id, also in a copy, where only a digest is known."""
    with SqliteStore(path) as store:
        (scope, *_) = store.accounts().scopes()
        for text in (raw, raw.replace("4711", "47110")):
            body = text.encode()
            event = RefusedEvent(scope.id, 1.0, 400, "C", "no", "/v1", "", body, len(body))
            store.refused().add([event], 100, 100_000)
        assert look_up_user(store, USER).refused == 2
    if copied:
        backup = path.with_name("backup")
        back_up(path, backup)
        forget(path, USER, NOW)
        restore(backup, path, NOW)
    else:
        assert forget(path, USER, NOW).refused == 2
    with SqliteStore(path, read_only=True) as store:
        left = [one.event.raw for one in store.refused().find(RefusedSelection())]
        assert broken_rules(store.database) == []
    assert left == [json.dumps(_event("bob")).encode(), raw.replace("4711", "47110").encode()]


def test_a_copy_with_nothing_but_a_text(path: Path, add_delivery: Add) -> None:
    """A user of whom only a digest is known is found by the words of texts."""
    with SqliteStore(path) as store:
        (scope, *_) = store.accounts().scopes()
        body = b"type=track&userId=eve%40x.example"
        event = RefusedEvent(scope.id, 1.0, 400, "C", "no", "/v1", "", body, len(body))
        store.refused().add([event], 100, 100_000)
        done = {"status": Outcome.DELIVERED, "reason": "merged eve@x.example into bob"}
        add_delivery(store, {}, user="bob", **done)
    backup = path.with_name("backup")
    back_up(path, backup)
    forget(path, "eve@x.example", NOW)
    assert restore(backup, path, NOW).erased == Erased(refused=1)
    assert re.search(rb"eve(@|%40)x", _bytes(path)) is None


def test_somebody_whom_it_does_not_know(path: Path) -> None:
    """Nothing changes; a copy that is restored may know them, so they are noted."""
    with SqliteStore(path) as store:
        assert look_up_user(store, "nobody").is_empty
    before = _entries(path)
    assert forget(path, "nobody", NOW) == Erased()
    assert _entries(path) == before
    assert len(read_erasures_file(path)) == 1


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
    assert len(read_erasures_file(path)) == 1
    # Also the next one.
    assert restore(backup, path, NOW + 20).erased.rows == 10
    assert _named(path) == []


@pytest.mark.parametrize("shift", [-3_600.0, 3_600.0])
def test_whatever_the_clock_says(path: Path, add_delivery: Add, shift: float) -> None:
    """All in a copy of before goes, all of the user since then stays: no time decides it."""
    with SqliteStore(path) as store:
        with store.database.transaction() as connection:
            connection.execute("UPDATE manual_changes SET noted_at = ?", (NOW + shift,))
            connection.execute("UPDATE refused SET at = ?", (1_000 * (NOW + shift),))
        _put(store, add_delivery, USER, State.READY, Outcome.DEAD, accepted_at=NOW + shift)
    before, after = path.with_name("backup-before"), path.with_name("backup-after")
    back_up(path, before)
    forget(path, USER, NOW)
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY, Outcome.DEAD, accepted_at=NOW - shift)
    back_up(path, after)
    assert restore(after, path, NOW + 10).erased == Erased()
    assert len(_entries(path, USER)) == 2
    assert restore(before, path, NOW + 20).erased == Erased(7, 10, 1, 1, 1)
    assert _named(path) == []
    # What came since the copy was restored came after the erasure as well.
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY, accepted_at=NOW + shift)
    back_up(path, after)
    assert restore(after, path, NOW + 30).erased == Erased()
    assert len(_entries(path, USER)) == 1


def test_events_after_the_erasure(path: Path, add_delivery: Add) -> None:
    """Whoever came back since stays: only what had come before is erased from a copy."""
    forget(path, USER, NOW)
    backup = path.with_name("backup")
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY, Outcome.DEAD, accepted_at=NOW + 1)
    back_up(path, backup)
    assert restore(backup, path, NOW + 10).erased == Erased()
    assert {one.status for one in _entries(path, USER)} == {State.READY, Outcome.DEAD}


def _name_account(path: Path, number: int) -> None:
    with SqliteStore(path) as store, store.database.transaction() as connection:
        connection.execute("UPDATE partner_accounts SET name = 'acme' WHERE id = ?", (number,))


@pytest.mark.parametrize("copied", ["from this store", "from one that was moved", "noted long ago"])
def test_an_account_that_was_named_since(path: Path, add_delivery: Add, copied: str) -> None:
    """It is the same account in the copy, so the user is erased from it there, too."""
    with SqliteStore(path) as store:
        _put(store, add_delivery, "bob", State.READY, destination="second")
        _put(store, add_delivery, USER, State.READY, destination="second")
    backup = path.with_name("backup")
    back_up(path, backup)
    if copied == "from one that was moved":
        adopt(path)
    _name_account(path, 1)
    assert forget(path, USER, NOW, account="acme").rows == 8
    if copied == "noted long ago":
        _write_old_form(path)
        path.unlink()
    assert restore(backup, path, NOW + 10).erased.refused == 1
    left = {one.destination for one in _entries(path, USER)}
    # Of what was noted by the name alone, nobody knows which account it is in the copy.
    assert left == (set() if copied == "noted long ago" else {"second"})


@pytest.mark.parametrize(("moved", "left"), [(False, 8), (True, 0)])
def test_an_account_that_the_copy_does_not_have(
    path: Path, add_delivery: Add, left: int, *, moved: bool
) -> None:
    """It began later if the copy is of this store; else it may be another one there."""
    backup = path.with_name("backup")
    back_up(path, backup)
    if moved:
        adopt(path)
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY, destination="second")
    _name_account(path, 2)
    assert forget(path, USER, NOW, account="acme").rows == 1
    restore(backup, path, NOW + 10)
    assert len(_entries(path, USER)) == left


def test_one_that_was_interrupted(
    path: Path, add_delivery: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated, also with more to erase, it is done: what comes later stays in copies."""
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "erase_user", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(path, USER, NOW, destination="sample")
    assert (len(read_erasures_file(path)), _stored(path)) == (1, set())
    forget(path, USER, NOW + 1)
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY)
    backup = path.with_name("backup")
    back_up(path, backup)
    assert restore(backup, path, NOW + 10).erased == Erased()
    assert len(_entries(path, USER)) == 1


def _write_old_form(path: Path) -> None:
    names = ("key", "digest", "destination", "account", "at")
    rows = [json.loads(line) for line in erasures_path(path).read_text().splitlines()[1:]]
    lines = [json.dumps({name: row[name] for name in names}) + "\n" for row in rows]
    erasures_path(path).write_text("".join(lines))


def _keep_recent(store: SqliteStore, scope: int, *users: str, mentions: str = "") -> None:
    """Keep an event of each user that was delivered; of the last one, one that names another."""
    with store.database.transaction() as connection:
        for number, user in enumerate(users, 1):
            event = _event(user) | ({"context": {"seen": mentions}} if user == users[-1] else {})
            connection.execute(
                "INSERT INTO recent_events (message_id, fingerprint, user, at, total, raw)"
                " VALUES (?, ?, ?, 1, ?, ?)",
                (f"recent-{user}", number, user, number, json.dumps(event).encode()),
            )
            connection.execute(
                "INSERT INTO recent_scopes VALUES (last_insert_rowid(), ?)", (scope,)
            )


def _recent(path: Path) -> list[str]:
    with SqliteStore(path, read_only=True) as store:
        return [one.message_id for one in store.recent().last(10)]


def test_events_that_were_delivered_lately(path: Path) -> None:
    """Those of the user go, and those that name the user; it is told how many."""
    with SqliteStore(path) as store:
        entry = next(store.ledger().find(Selection(user=USER)))
        _keep_recent(store, entry.scope, USER, "bob", "eve", mentions=USER)
        assert look_up_user(store, USER).recent == 2
    backup = path.with_name("backup")
    back_up(path, backup)
    assert forget(path, USER, NOW).recent == 2
    assert _recent(path) == ["recent-bob"]
    for secret in SECRETS:
        assert secret.encode() not in path.read_bytes()


def test_events_that_were_delivered_lately_alone(path: Path) -> None:
    """They are something that is kept, though nothing else is; other destinations keep theirs."""
    with SqliteStore(path) as store:
        entry = next(store.ledger().find(Selection(user=USER)))
        _keep_recent(store, entry.scope, "carol")
        assert not look_up_user(store, "carol").is_empty
        assert look_up_user(store, "dave").is_empty
    assert forget(path, "carol", NOW).recent == 1
    assert _recent(path) == []


def test_a_copy_with_events_that_were_delivered_lately(path: Path) -> None:
    """A backup that is restored loses them, too."""
    with SqliteStore(path) as store:
        entry = next(store.ledger().find(Selection(user=USER)))
        _keep_recent(store, entry.scope, "carol", "bob", mentions="nobody")
    backup = path.with_name("backup")
    back_up(path, backup)
    forget(path, "carol", NOW)
    restore(backup, path, NOW)
    assert _recent(path) == ["recent-bob"]


def test_what_version_8_noted(path: Path, add_delivery: Add) -> None:
    """Store, file and copies of then agree on what was erased, and what came later stays."""
    backup, later = path.with_name("backup"), path.with_name("backup-later")
    back_up(path, backup)
    forget(path, USER, NOW)
    _write_old_form(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            ALTER TABLE erasures RENAME TO new;
            CREATE TABLE erasures (
                key BLOB NOT NULL, digest BLOB NOT NULL, destination TEXT NOT NULL,
                account TEXT NOT NULL, at INTEGER NOT NULL,
                PRIMARY KEY (digest, destination, account)
            ) STRICT, WITHOUT ROWID;
            INSERT INTO erasures SELECT key, digest, destination, account, at FROM new;
            DROP TABLE new;
            DROP TRIGGER shared_event_deleted;
            DROP INDEX events_of_shared;
            ALTER TABLE events DROP COLUMN shared;
            DROP TABLE shared_events;
            DROP INDEX open_deletions;
            DROP INDEX kept_before_deletions;
            DROP INDEX ledger_deletions;
            DROP INDEX scopes_of_sources;
            ALTER TABLE scopes DROP COLUMN is_source;
            DROP INDEX settings_of_events;
            ALTER TABLE events DROP COLUMN settings;
            DROP TABLE attempts;
            DROP TABLE exchanges;
            DROP TABLE exchange_contents;
            DROP TABLE exchange_bytes;
            DROP TABLE audit;
            DROP TABLE usage;
            DROP TABLE recent_scopes;
            DROP TABLE recent_events;
            DROP TABLE sealed;
            DROP TABLE tenant_keys;
            DROP TABLE tenants;
            DROP INDEX scopes_of_servers;
            DROP INDEX scopes_of_account;
            ALTER TABLE scopes DROP COLUMN tenant;
            CREATE UNIQUE INDEX scopes_of_servers ON scopes (destination) WHERE served;
            PRAGMA user_version = 8;
            """
        )
    (beside,) = read_erasures_file(path)
    assert _stored(path) == {beside.id}
    alone = path.with_name("alone.sqlite3")
    shutil.copy(path, alone)
    assert restore(backup, alone, NOW).erased.rows == 8
    back_up(path, later)
    with SqliteStore(path) as store:
        _put(store, add_delivery, USER, State.READY)
    assert _stored(path) == {beside.id}
    assert restore(later, path, NOW + 10).erased == Erased()
    assert restore(backup, path, NOW + 20).erased.rows == 8
    assert _named(path) == []


def _damaged(good: bytes) -> dict[str, bytes]:
    """A good file of two erasures with all that may have happened to it."""
    head, first, second = good.splitlines(keepends=True)
    number = first.rpartition(b" ")[0]
    return {
        "empty": b"",
        "a line feed": b"\n",
        "nothing but the head": head,
        "without the head": second + b"\n\n{",
        "one line less": head + first,
        "two heads": head + good,
        "cut within a line": good[:-20],
        "without its end": good[:-1],
        "another order": head + second + first,
        "another digit": good.replace(b'"at": 3000000', b'"at": 3000001', 1),
        "not UTF-8": b"\xff",
        "not JSON": b"{",
        "another document": b"[]\n",
        "a number": b"17\n",
        "null bytes": bytes(300),
        "nested": b"[" * 100_000,
        "infinite": number + b" 1e999}\n",
        "beyond 64 bits": number + b" 99999999999999999999999}\n",
        "very long": number + b" " + b"9" * 5_000 + b"}\n",
        "negative": number + b" -1}\n",
        "a word": number + b" true}\n",
        "no key": b'{"key": "00"}\n',
        "of a later version": head.replace(b'"format": 2', b'"format": 3') + first + second,
    }


@pytest.mark.parametrize("how", _damaged(b'{}\n{"at": 1}\n{"at": 2}\n'))
def test_a_damaged_file_beside_it(path: Path, how: str) -> None:
    """Nothing is restored, and nobody erased: a user would come back without a word."""
    backup = path.with_name("backup")
    back_up(path, backup)
    forget(path, USER, NOW)
    forget(path, "eve", NOW + 1)
    damage = _damaged(erasures_path(path).read_bytes())[how]
    erasures_path(path).write_bytes(damage)
    why = "another version" if "version" in how else "it is damaged"
    for act in (lambda: restore(backup, path, NOW), lambda: forget(path, "bob", NOW)):
        with pytest.raises(UsageError, match=f"which says which users were erased: .*{why}"):
            act()
    assert erasures_path(path).read_bytes() == damage
    assert _entries(path, USER) == []
    assert len(_entries(path, "bob")) == 8
