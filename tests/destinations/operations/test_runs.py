from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import TemporaryError
from destinations.operations import (
    Periods,
    Pruned,
    Rerun,
    file_locks,
    is_in_use,
    lock_server,
    note_server,
    open_run_store,
    prune_after_run,
)
from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.input_file import InputFile
from destinations.pipeline.input_files import InputFiles
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import SqliteStore, broken_rules

Put = Callable[..., LedgerEntry]

IDENTITY = AccountIdentity("sample", "http://127.0.0.1/", "", "key")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock."""
    monkeypatch.setattr(file_locks, "_PATIENCE", 0.0)


def test_what_earlier_runs_left(store: SqliteStore, put: Put) -> None:
    """A run finds what waits of its own account, and of no other and of no server."""
    waits = put(State.READY, served=False)
    put(Outcome.DELIVERED, served=False)
    put(State.READY, served=True)
    put(State.READY, served=False, destination="another")
    account = store.accounts().find(IDENTITY)
    assert account is not None
    with open_run_store(store, account.id, IDENTITY, reconcile_after=30.0) as kept:
        assert kept.source is not None
        assert [one.id for one in kept.source.ready(10)] == [waits.id]
        assert kept.scope.id == waits.scope
        known = kept.queue.history(kept.scope, [waits.message_id])
        assert list(known) == [waits.message_id]


def test_what_a_killed_run_was_sending(store: SqliteStore, put: Put) -> None:
    """It may have been applied: it is unknown, and the partner is asked when it must know of it."""
    entry = put(State.SENDING, served=False, settled_at=2_000.0)
    served = put(State.SENDING)
    account = store.accounts().find(IDENTITY)
    assert account is not None
    with open_run_store(store, account.id, IDENTITY, reconcile_after=30.0) as kept:
        assert kept.source is not None
        (unknown,) = kept.source.unknown()
        assert (unknown.id, unknown.effect) == (entry.id, Effect.MAYBE)
        after = store.ledger().get(entry.id)
        assert (after.status, after.next_at) == (State.UNKNOWN, 2_030.0)
        assert after.reason == "under way when the process ended; it may have been applied"
        # That of a server is its own to look after.
        assert store.ledger().get(served.id).status is State.SENDING
    assert broken_rules(store.database) == []


def test_nobody_else_delivers_meanwhile(store: SqliteStore) -> None:
    """Another run of the account is told by what it is known; a run of another account may go."""
    accounts = store.accounts()
    first = accounts.add(IDENTITY)
    other = AccountIdentity("sample", "http://127.0.0.1/", "", "other key", "acme")
    second = accounts.add(other)
    with (
        open_run_store(store, first, IDENTITY, reconcile_after=30.0),
        open_run_store(store, second, other, reconcile_after=30.0),
    ):
        for account, identity, shown in (
            (first, IDENTITY, "sample at http://127.0.0.1/, unnamed-1"),
            (second, other, "sample at acme"),
        ):
            with pytest.raises(TemporaryError, match=f"another run delivers to {shown} from"):
                open_run_store(store, account, identity, reconcile_after=30.0).__enter__()
        assert is_in_use(store.path)
    assert not is_in_use(store.path)
    with lock_server(store.path), pytest.raises(TemporaryError, match="a server delivers"):
        open_run_store(store, first, IDENTITY, reconcile_after=30.0).__enter__()


def test_answers_are_those_of_the_endpoint(store: SqliteStore) -> None:
    """What an endpoint can do is asked once, whichever account asks."""
    account = store.accounts().add(IDENTITY)
    with open_run_store(store, account, IDENTITY, reconcile_after=30.0) as kept:
        kept.answers["request"] = {"can": True}
    assert dict(store.answers("sample http://127.0.0.1/")) == {"request": {"can": True}}


class _Pipe(io.BytesIO):
    """What can be read once only."""

    def seekable(self) -> bool:
        return False


def _digest(stream: io.BytesIO) -> str | None:
    return InputFiles([InputFile("a.ndjson", stream)]).digest()


class _Agains:
    """Sends inputs again at a time, and keeps what is told of it."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.told: list[float | list[str]] = []

    def __call__(self, stream: io.BytesIO, now: float, scope: int = 1, **given: Any) -> Rerun:
        """Return one that has seen the first line, as a run does."""
        again = Rerun(
            self.store,
            scope,
            given.pop("source", "a.ndjson"),
            digest=_digest(stream),
            now=lambda: now,
            goes_on=self.told.append,
            cut=lambda others: self.told.append([f"{one.source} {one.since}" for one in others]),
            **given,
        )
        self.since = again.since(stream.readline().strip())
        return again


@pytest.mark.parametrize("kind", [io.BytesIO, _Pipe])
def test_since_when_an_input_is_sent_again(store: SqliteStore, kind: type[io.BytesIO]) -> None:
    """One that was cut goes on where it was, until all of it was sent, whatever it is called."""
    agains, lines = _Agains(store), b"1\n2\n"
    agains(kind(lines), 100.0)
    assert (agains.since, agains.told) == (100.0, [])
    agains(kind(lines), 200.0, source="renamed.ndjson")
    assert (agains.since, agains.told) == (100.0, [100.0])
    agains(kind(lines), 300.0, scope=2)
    assert (agains.since, agains.told) == (300.0, [100.0])
    with SqliteStore(store.path) as later:
        agains.store = later
        again = agains(kind(lines), 400.0)
        assert agains.since == 100.0
        again.end()
        agains(kind(lines), 500.0)
    assert (agains.since, agains.told) == (500.0, [100.0, 100.0])


@pytest.mark.parametrize("last_settled", [0.0, 1_795_889_672.41, 1_795_889_672.999])
@pytest.mark.parametrize("now", [100.0, 1_795_889_672.4104, 1_795_889_672.4106, 1_795_889_673.0])
def test_what_ends_just_then_is_not_before_it(
    store: SqliteStore, put: Put, now: float, last_settled: float
) -> None:
    """Rows have whole milliseconds: rounded to them, no end of this run seems to be of before."""
    if last_settled:
        put(Outcome.DELIVERED, served=False, settled_at=last_settled)
    agains = _Agains(store)
    agains(io.BytesIO(b"1\n2\n"), now)
    stored = round(agains.since * 1000)
    assert stored / 1000 >= agains.since >= now
    assert stored > round(last_settled * 1000)


@pytest.mark.parametrize(
    ("kind", "lines", "given"),
    [
        (io.BytesIO, b"3\n2\n", {}),
        (io.BytesIO, b"1\n3\n", {}),
        (io.BytesIO, b"1\n2\n3\n", {}),
        (io.BytesIO, b"1\n", {}),
        (_Pipe, b"3\n2\n", {}),
        (_Pipe, b"1\n2\n", {"input_ids": ["monday"]}),
    ],
)
def test_another_input_is_sent_again(
    store: SqliteStore, kind: type[io.BytesIO], lines: bytes, given: dict[str, Any]
) -> None:
    """It is another one by its content, also under the same name; the first is not forgotten."""
    agains = _Agains(store)
    agains(kind(b"1\n2\n"), 100.0)
    again = agains(kind(lines), 200.0, **given)
    assert (agains.since, agains.told) == (200.0, [["a.ndjson 100.0"]])
    again.end()
    agains(kind(b"1\n2\n"), 300.0)
    assert (agains.since, agains.told[1:]) == (100.0, [100.0])


def test_an_input_is_left_where_it_is(store: SqliteStore) -> None:
    """All of what is still to be read says what it is, and it is told before anything is read."""
    agains = _Agains(store)
    stream = io.BytesIO(b"0\n1\n2\n")
    stream.readline()
    agains(stream, 100.0)
    stream.seek(2)
    Rerun(store, 1, "b", digest=_digest(stream), goes_on=agains.told.append)
    assert (agains.told, stream.tell()) == ([100.0], 2)


def test_an_input_without_events_is_not_sent_again(store: SqliteStore) -> None:
    """Nothing is noted of it."""
    Rerun(store, 1, "-", digest=None).end()
    assert dict(store.notes_with_prefix("again ")) == {}


# -- what is old -----------------------------------------------------------------------------------

DAY = 86_400.0


@pytest.mark.parametrize(
    ("noted", "days", "goes"),
    [(None, 29, False), (None, 31, True), (Periods(2, 2), 3, True), (Periods(90, 90), 80, False)],
)
def test_what_is_old_goes(
    store: SqliteStore, put: Put, noted: Periods | None, days: float, *, goes: bool
) -> None:
    """After a month, or as a server has said; what somebody has to decide stays."""
    put(Outcome.DELIVERED, served=False)
    dead = put(Outcome.DEAD, {}, served=False)
    if noted is not None:
        note_server(store, [], noted)
    done = prune_after_run(store, 2_000.0 + days * DAY)
    assert done == (Pruned(0, 1, 1) if goes else Pruned())
    assert store.ledger().get(dead.id) == dead
    assert len(list(store.ledger().find(Selection()))) == (1 if goes else 2)


def test_it_is_looked_at_once_an_hour(store: SqliteStore, put: Put) -> None:
    """Many short runs do not look again and again; a clock that was set back is no excuse."""
    now = 100 * DAY
    assert prune_after_run(store, now) == Pruned()
    put(Outcome.DELIVERED, served=False)
    assert prune_after_run(store, now + 3_599) == Pruned()
    assert prune_after_run(store, now + 3_600).deliveries == 1
    put(Outcome.DELIVERED, served=False)
    assert prune_after_run(store, now - DAY).deliveries == 1


def test_it_takes_about_a_second(
    store: SqliteStore, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is for the next run, which then looks at once."""
    monkeypatch.setattr("destinations.store.retention._CHUNK", 1)
    for _ in range(9):
        put(Outcome.DELIVERED, served=False)
    times = itertools.count(0, 0.25)
    first = prune_after_run(store, 100 * DAY, lambda: next(times))
    assert 0 < first.deliveries < 9
    second = prune_after_run(store, 100 * DAY + 1, lambda: 0.0)
    assert first.deliveries + second.deliveries == 9
    assert second.messages == 9
    assert prune_after_run(store, 100 * DAY + 2) == Pruned()
