"""A run accounts for every entry, goes on where an earlier one stopped, and loses nothing."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from destinations.clock import SystemClock
from destinations.errors import StoreFullError, StoreGoneError, TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Effect, Outcome, State
from destinations.pipeline import run as run_module
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import Round
from destinations.pipeline.reading import (
    Entry,
    ThreadedEntries,
    read_json_entries,
    read_lines,
)
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.report import Report, Row
from destinations.pipeline.run import LEAST_SILENCE, Run, RunOptions, RunStore
from destinations.pipeline.undelivered import Undelivered
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.secrets import Masker
from destinations.segment.filters import EventFilter
from destinations.store import SqliteStore, StoredQueue, broken_rules
from tests.case_tables import each_value
from tests.destinations.pipeline.conftest import Partner, with_reconcile

Bind = Callable[..., Destination]
LOST = TransportError("no answer: timed out", sent=True, timeout=True)


def _track(by: object = 1, user: str = "u1", **more: Any) -> dict[str, Any]:
    event = {"type": "track", "userId": user, "event": "Used", "timestamp": "2026-01-01T00:00:00Z"}
    return {**event, "properties": {"by": by, "thing": "t"}, **more}


def _tracks(count: int) -> list[dict[str, Any]]:
    """As many events, each of another user, recognised by their messageIds."""
    return [_track(number, f"u{number}", messageId=f"m{number}") for number in range(count)]


def _lines(*events: dict[str, Any] | bytes) -> bytes:
    return b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in events)


def _entries(*events: dict[str, Any] | bytes) -> Iterator[Entry]:
    return read_lines(BytesIO(_lines(*events)))


class Runner:
    """Runs entries against a transport, and keeps rows and what was not delivered.

    With a ``path`` all runs have the same store, as runs of one account do.
    """

    def __init__(self, destination: Destination, path: Path | None = None) -> None:
        self.destination = destination
        self.clock: Any = StillClock()
        self.inline = True
        self.path = path
        self.rows: list[Row] = []
        self.undelivered = BytesIO()
        self.waits: list[int] = []
        self.unanswered: Callable[[], None] = lambda: None

    def __call__(
        self, transport: Any, entries: Iterable[Entry] | ThreadedEntries, **options: Any
    ) -> Report:
        self.rows.clear()
        self.clock.now += 1  # a run begins after the one before
        if self.path is None:
            return self._run(transport, entries, None, options)
        with SqliteStore(self.path) as store:
            accounts = store.accounts()
            identity = identity_of(self.destination)
            known = accounts.find(identity)
            account = accounts.add(identity) if known is None else known.id
            scope = accounts.run("sample", account)
            queue = store.queue(self.clock)
            queue.recover([scope], 30.0)
            kept = RunStore(queue, scope, queue.source(scope), store.answers(identity.partner))
            try:
                return self._run(transport, entries, kept, options)
            finally:
                assert broken_rules(store.database) == []

    def _run(
        self, transport: Any, entries: Any, store: RunStore | None, options: dict[str, Any]
    ) -> Report:
        dry_run, silent = options.pop("dry_run", False), options.pop("silent", 0.0)
        clock = options.pop("clock", self.clock if self.inline else SystemClock())
        run = Run(
            self.destination,
            transport,
            store=store,
            options=RunOptions(**options),
            clock=clock,
            recorders=[self._record, Undelivered(self.undelivered, Masker()).record],
            waits=self.waits.append,
            unanswered=self.unanswered,
            draw=lambda: 1.0,
            inline=self.inline,
            dry_run=dry_run,
            silent=silent,
        )
        if isinstance(entries, ThreadedEntries):
            entries.start(run.wake)
        return run.execute(entries)

    def _record(self, rows: Any) -> None:
        self.rows.extend(row for row, _ in rows)

    @property
    def outcomes(self) -> dict[int, list[str]]:
        """The outcomes of each line."""
        found: dict[int, list[str]] = {}
        for row in self.rows:
            found.setdefault(row.line, []).append(row.result.outcome.value)
        return dict(sorted(found.items()))

    @property
    def reasons(self) -> dict[int, str]:
        """The reason of each line."""
        return {row.line: row.result.reason for row in self.rows}

    @property
    def ledger(self) -> list[LedgerEntry]:
        """What the store has of all runs."""
        assert self.path is not None
        with SqliteStore(self.path, read_only=True) as store:
            return list(store.ledger().find(Selection()))


@pytest.fixture
def runner(bind: Bind) -> Runner:
    """A runner of the small destination, without a store."""
    return Runner(bind())


@pytest.fixture
def kept(bind: Bind, tmp_path: Path) -> Runner:
    """A runner with a store."""
    return Runner(bind(), tmp_path / "store.sqlite3")


@pytest.fixture(params=["without a store", "with a store"])
def either(request: pytest.FixtureRequest, bind: Bind, tmp_path: Path) -> Runner:
    """A runner with and without a store."""
    path = tmp_path / "store.sqlite3" if request.param == "with a store" else None
    return Runner(bind(), path)


def _partner(replies: Any) -> Callable[[HttpRequest], Any]:
    """Counts everything, saves every page, and finds everybody."""

    def answer(request: HttpRequest) -> Any:
        if request.method == "PUT":
            return replies.http(200)
        if "person" in json.loads(request.body or b"")["query"]:
            return replies.data({"id": "u1", "name": "Ada"})
        return replies.success(request)

    return answer


# -- rows ------------------------------------------------------------------------------------------


def test_every_line_has_its_row(either: Runner, scripted: Any, replies: Any) -> None:
    """Whatever is in a file: one outcome for each line, and totals that add up to the lines."""
    events: list[tuple[dict[str, Any] | bytes, str | None]] = [
        (_track(messageId="m1"), "delivered"),
        (b"not json", "invalid"),
        (b"", None),
        (b"[]", "invalid"),
        ({"type": "page", "userId": "u1", "name": "home"}, "delivered"),
        ({"type": "group", "userId": "u1", "groupId": "g"}, "filtered"),
        ({"type": "identify", "userId": "u1"}, "delivered"),
        ({"type": "identify", "anonymousId": "a"}, "invalid"),
        (_track(messageId="m1"), "filtered"),
        (_track(integrations={"Sample": False}), "filtered"),
        ({**_track(), "properties": {"by": 1}}, "unmapped"),
        ({**_track(), "properties": {"thing": "t"}}, "invalid"),
        (_track("many"), "invalid"),
        (b'{"type": "track", "type": "page"}', "invalid"),
        (b"x" * 40_000, "invalid"),
        (b"", None),
    ]
    report = either(scripted([_partner(replies)]), _entries(*[event for event, _ in events]))
    assert either.outcomes == {
        line: [outcome] for line, (_, outcome) in enumerate(events, start=1) if outcome is not None
    }
    assert (report.lines, report.empty) == (15, 1)  # the last line is empty: it is the file's end
    assert report.totals.rows == len(either.rows) == report.lines - report.empty
    assert report.totals.outcomes == {
        Outcome.DELIVERED: 3,
        Outcome.FILTERED: 3,
        Outcome.UNMAPPED: 1,
        Outcome.INVALID: 7,
    }
    assert report.stopped is None
    assert report.requests == 3
    assert report.internal_errors == []
    actions = {row.line: row.key and row.key.action for row in either.rows}
    assert [actions[line] for line in (1, 2, 5, 6, 7, 11, 13)] == [
        "count",
        None,
        "save",
        None,
        "sync",
        "count",
        "count",
    ]


def test_a_line_may_be_for_several_subscriptions(bind: Bind, scripted: Any, replies: Any) -> None:
    """One row for each subscription that takes it."""
    runner = Runner(bind(_pages_take_tracks))
    report = runner(scripted([_partner(replies)]), _entries(_track(), _track()))
    assert report.lines == 2
    assert report.totals.rows == 4
    keys = sorted(row.key.name if row.key else "" for row in runner.rows)
    assert keys == ["Counts", "Counts", "Pages", "Pages"]


def _pages_take_tracks(documents: Any) -> None:
    documents["destination"]["presets"][1] |= {
        "subscribe": 'type = "track"',
        "mapping": {"page": {"@path": "$.event"}},
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_each_user_is_kept(bind: Bind, scripted: Any, replies: Any, seed: int) -> None:
    """Whatever mix of actions and users with several requests under way: each in their order."""
    draw = random.Random(seed)
    events = [(draw.choice("abc"), draw.choice(["track", "page"])) for _ in range(300)]
    seen: list[int] = []
    lock = threading.Lock()

    def partner(request: HttpRequest) -> Any:
        with lock:
            if request.method == "PUT":
                seen.append(int(request.url.rpartition("/")[2]))
            else:
                variables = json.loads(request.body or b"")["variables"]
                seen.extend(value for _, value in sorted(variables.items()))
        return _partner(replies)(request)

    made = [
        _track(number, user)
        if kind == "track"
        else {"type": "page", "userId": user, "name": str(number)}
        for number, (user, kind) in enumerate(events)
    ]
    runner = Runner(bind())
    runner.inline = False
    report = runner(scripted([partner]), _entries(*made))
    assert report.totals.outcomes[Outcome.DELIVERED] == len(events)
    assert sorted(seen) == list(range(len(events)))
    for user in "abc":
        own = [number for number in seen if events[number][0] == user]
        assert own == sorted(own)


def test_tracks_share_requests(either: Runner, scripted: Any, replies: Any) -> None:
    """Events of one action go in batches of the definition's size."""
    transport = scripted([_partner(replies)])
    report = either(transport, _entries(*_tracks(9)))
    assert report.totals.outcomes == {Outcome.DELIVERED: 9}
    assert [len(variables) for variables in transport.variables] == [4, 4, 1]
    assert report.requests == 3


def test_tracks_of_one_user(either: Runner, scripted: Any, replies: Any) -> None:
    """They do not share a request: one that is tried again must not come after a later one."""
    transport = scripted([_partner(replies)])
    report = either(transport, _entries(*[_track(number) for number in range(5)]))
    assert (report.totals.outcomes, report.requests) == ({Outcome.DELIVERED: 5}, 5)


# -- stopping --------------------------------------------------------------------------------------


def test_wrong_credentials_stop_the_run(either: Runner, scripted: Any, replies: Any) -> None:
    """Nothing more is read or sent; what was read can be fed back, and nothing is called dead."""
    read = []

    def entries() -> Iterator[Entry]:
        for entry in _entries(*_tracks(20_000)):
            read.append(entry.line)
            yield entry

    report = either(scripted([replies.errors({"message": "Who are you?"})]), entries())
    assert report.stopped is not None
    assert report.stopped.why == "authentication"
    assert report.stopped.message == "Who are you?"
    assert report.lines == len(read) < 20_000
    assert report.totals.outcomes == {State.READY: len(read)}
    assert len(either.undelivered.getvalue().splitlines()) == len(read)
    # As many as may be under way at once, each with the test of the key.
    assert report.requests <= 2 * either.destination.definition.transport.concurrency


def test_a_partner_that_stays_away(kept: Runner, scripted: Any, replies: Any) -> None:
    """The run stops, nothing is dead by it, and the same file delivers the rest later."""
    events = _tracks(30)
    report = kept(scripted([replies.refused]), _entries(*events), outage=20.0)
    assert report.stopped is not None
    assert report.stopped.why == "unavailable"
    assert report.totals.outcomes == {State.READY: 30}
    assert kept.clock.now < 60
    report = kept(scripted([_partner(replies)]), _entries(*events))
    assert report.stopped is None
    assert report.totals.outcomes == {Outcome.DELIVERED: 30}


@pytest.mark.parametrize(
    "page", [None, {"message": "We are back soon."}, "<html>maintenance</html>"], ids=str
)
@pytest.mark.parametrize("idempotent", [True, False])
def test_a_partner_that_answers_all_with_a_page(
    bind: Bind, tmp_path: Path, scripted: Any, replies: Any, page: object, idempotent: bool
) -> None:
    """It comes with a 200, and is an outage all the same: it ends no queue, and floods nobody."""

    def change(documents: Any) -> None:
        save = documents["destination"]["requests"]["save"]
        save |= {"expect": {"type": "object", "required": ["saved"]}, "idempotent": idempotent}

    runner = Runner(bind(change), tmp_path / "store.sqlite3")
    events = [{"type": "page", "userId": f"u{at}", "name": str(at)} for at in range(60)]
    transport = scripted([replies.http(200, page)])
    report = runner(transport, _entries(*events), outage=20.0)
    assert report.stopped is not None
    assert report.stopped.why == "unavailable"
    ready = report.totals.outcomes[State.READY]
    # What may have been applied is for an operator: only what was under way when it began.
    held = report.totals.outcomes.get(State.HELD, 0)
    assert (ready, held) == (60, 0) if idempotent else ready + held == 60
    assert held <= 10
    assert len(transport.requests) < 20
    report = runner(scripted([replies.http(200, {"saved": True})]), _entries(*events))
    assert report.totals.outcomes[Outcome.DELIVERED] == 60 - held


class _Hanging:
    """Does not answer some requests, until it is hung up, or never; ``seconds`` go by meanwhile."""

    def __init__(
        self, runner: Runner, partner: Partner, word: bytes, seconds: float, sent: bool, ends: bool
    ) -> None:
        self.partner: Callable[[HttpRequest], HttpResponse] = partner.send
        self.answers = False
        self._runner = runner
        self._word = word
        self._seconds = seconds
        self._sent = sent
        self._ends = ends
        self._over = threading.Event()

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        if self._word not in (request.body or b"") + request.method.encode():
            return self.partner(request)
        self._runner.clock.now += self._seconds
        if self.answers:
            return self.partner(request)
        assert self._over.wait(20), "the connection was not closed"
        raise TransportError("given up", sent=self._sent)

    def abort(self) -> None:
        """See `destinations.http.transport.AbortableTransport`."""
        self._runner.clock.now += 30
        if self._ends:
            self._over.set()

    def close(self) -> None:
        """Let what hangs end."""
        self._over.set()


@pytest.mark.parametrize(("before", "seconds"), [(0, 1.0), (1, 10.0)])
def test_a_partner_that_has_not_answered_yet(
    runner: Runner, replies: Any, before: int, seconds: float
) -> None:
    """It is told while the request is under way, sooner if none was ever answered."""
    told, answers = threading.Event(), itertools.count()
    runner.inline, runner.unanswered = False, told.set

    class Slow:
        """Answers some requests at once, and the next one when it was told of."""

        def send(self, request: HttpRequest) -> HttpResponse:
            if next(answers) == before:
                assert not told.wait(0.0)
                runner.clock.now += seconds
                assert told.wait(20), "the observer was not called"
            answer: HttpResponse = _partner(replies)(request)
            return answer

    events = [_track(messageId=f"m{number}") for number in range(before + 1)]
    report = runner(Slow(), _entries(*events), clock=runner.clock)
    assert report.totals.outcomes == {Outcome.DELIVERED: before + 1}
    assert told.is_set()


PAGE = {"type": "page", "userId": "u2", "name": "home", "messageId": "p1"}


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize(
    ("word", "sent", "outcomes"),
    [
        (b"mutation", True, (State.UNKNOWN, State.UNKNOWN)),
        (b"mutation", False, (State.READY, State.UNKNOWN)),
        (b"query Shown", True, (State.READY, State.READY)),
        (b"PUT", True, (State.READY, State.READY)),
    ],
)
def test_a_partner_that_never_answers(
    bind: Bind,
    tmp_path: Path,
    scripted: Any,
    *,
    word: bytes,
    sent: bool,
    outcomes: tuple[State, State],
    ends: bool,
) -> None:
    """The run ends when the outage time is over, and the next one delivers the rest.

    What was certainly not sent, or may be sent twice, is ready; what may have been applied is
    unknown, and so is what does not come back (``ends``).
    """
    runner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3")
    runner.inline = False
    partner = Partner()
    hanging = _Hanging(runner, partner, word, 20.0, sent=sent, ends=ends)
    if word == b"PUT":
        hanging.partner = lambda _: HttpResponse(200, {}, b"{}")
    event = PAGE if word == b"PUT" else _track(3, "u", messageId="m1")
    report = runner(hanging, _entries(event), outage=20.0, clock=runner.clock)
    hanging.close()
    assert report.stopped is not None
    assert report.stopped.why == "unavailable"
    assert report.stopped.message == "the partner has not answered for 20 s"
    assert report.totals.outcomes == {outcomes[not ends]: 1}
    runner.inline = True
    runner.clock.now += 60
    report = runner(scripted([hanging.partner]), _entries(event))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}, runner.reasons
    assert partner.counts == ({} if word == b"PUT" else {"t": 3})


@pytest.mark.parametrize(
    ("outage", "silent", "seconds", "is_over"),
    [
        (20.0, 0.0, 19.0, False),
        (20.0, 15.0, 5.0, True),
        (20.0, 30.0, 0.0, True),
        (0.0, 0.0, LEAST_SILENCE / 2, False),
        (0.0, 0.0, LEAST_SILENCE, True),
    ],
)
def test_for_how_long_nobody_answers(
    bind: Bind, tmp_path: Path, outage: float, silent: float, seconds: float, *, is_over: bool
) -> None:
    """Also before the run; and a request has a moment however short that time is."""
    runner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3")
    runner.inline = False
    partner = Partner()
    hanging = _Hanging(runner, partner, b"query Shown", seconds, sent=False, ends=True)
    if not is_over:  # the answer comes when that time has gone by
        hanging.answers = True
    event = _track(3, messageId="m1")
    report = runner(hanging, _entries(event), outage=outage, silent=silent, clock=runner.clock)
    if is_over:
        assert report.totals.outcomes == ({State.READY: 1} if seconds else {})
        assert report.stopped is not None
        assert report.stopped.message == f"the partner has not answered for {outage:g} s"
    else:
        assert (report.totals.outcomes, report.stopped) == ({Outcome.DELIVERED: 1}, None)


def test_a_partner_that_comes_back(either: Runner, scripted: Any, replies: Any) -> None:
    """A shorter outage is waited for."""
    away = [replies.refused] * 6
    report = either(scripted([*away, _partner(replies)]), _entries(*_tracks(30)), outage=600.0)
    assert report.stopped is None
    assert report.totals.outcomes == {Outcome.DELIVERED: 30}


def test_one_event_that_fails(either: Runner, scripted: Any, replies: Any) -> None:
    """It is dead when the time is over; that is no outage, and the others are delivered."""

    def partner(request: HttpRequest) -> Any:
        if request.method == "PUT":
            return replies.http(503)
        return _partner(replies)(request)

    page = {"type": "page", "userId": "p", "name": "home", "messageId": "p"}
    events = [page, *_tracks(60)]
    report = either(scripted([partner]), _entries(*events), outage=20.0)
    assert report.totals.outcomes[Outcome.DELIVERED] == 60
    assert either.outcomes[1] in (["dead"], ["ready"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_loses_nothing(
    either: Runner, scripted: Any, replies: Any, number: signal.Signals
) -> None:
    """A signal ends the reading, what was read has its row, and the same file goes on."""
    events = _tracks(50)

    def entries() -> Iterator[Entry]:
        yield from _entries(*events)
        signal.raise_signal(number)

    report = either(scripted([_partner(replies)]), entries())
    assert report.stopped is not None
    assert report.stopped.why == "interrupted"
    assert report.totals.rows == 50
    assert set(report.totals.outcomes) <= {Outcome.DELIVERED, State.READY}
    if either.path is not None:
        delivered = report.totals.outcomes[Outcome.DELIVERED]
        report = either(scripted([_partner(replies)]), _entries(*events))
        assert report.totals.outcomes[Outcome.DELIVERED] == 50 - delivered


def test_an_interrupt_before_a_question(bind: Bind, tmp_path: Path) -> None:
    """What the partner was not asked any more has not failed: it is as it was read."""
    runner, partner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3"), Partner()

    def interrupt(_thing: str) -> None:
        partner.on_ask = lambda _thing: None  # twice would end it at once
        signal.raise_signal(signal.SIGTERM)

    partner.on_ask = interrupt
    events = [_track(1, f"u{number}", messageId=f"m{number}") for number in range(12)]
    for number, event in enumerate(events):
        event["properties"]["thing"] = f"t{number}"
    report = runner(partner, _entries(*events))
    assert report.totals.outcomes == {State.READY: 12}
    assert set(runner.reasons.values()) == {"not sent: the run was stopped first"}
    assert {row.result.attempts for row in runner.rows} == {0}
    report = runner(partner, _entries(*events))
    assert report.totals.outcomes == {Outcome.DELIVERED: 12}


def test_a_source_that_breaks_loses_nothing(either: Runner, scripted: Any, replies: Any) -> None:
    """What was read before has its rows when the error comes out."""

    def entries() -> Iterator[Entry]:
        yield from _entries(*_tracks(600))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        either(scripted([_partner(replies)]), entries())
    assert len(either.rows) == 600
    assert {row.result.outcome for row in either.rows} <= {Outcome.DELIVERED, State.READY}


def test_a_recorder_that_breaks_ends_the_run(either: Runner, scripted: Any, replies: Any) -> None:
    """A full disk ends the run, and nothing more is sent."""

    def full(rows: Any) -> None:
        assert rows
        raise OSError("no space left")

    transport = scripted([_partner(replies)])
    either._record = full  # type: ignore[method-assign]  # of this one alone
    with pytest.raises(OSError, match="no space left"):
        either(transport, _entries(*_tracks(5000)))
    assert len(transport.requests) <= 2 * either.destination.definition.transport.concurrency


def test_an_error_of_this_package(either: Runner, scripted: Any) -> None:
    """It is told, and what was sent when it came is held: nobody knows what became of it."""

    def broken(_: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    report = either(scripted([broken]), _entries(*_tracks(6)))
    assert {type(error) for error in report.internal_errors} == {ZeroDivisionError}
    assert report.totals.outcomes == {State.HELD: 6}


def test_texts_that_cannot_be_written_are_reported_all_the_same(
    bind: Bind, scripted: Any, replies: Any
) -> None:
    """A mapping can make half a surrogate pair; its event alone is invalid, and can be fed back."""

    def change(documents: Any) -> None:
        fields = documents["count"]["fields"]["properties"]
        fields["by"]["default"] = {
            "@json": {"mode": "decode", "value": {"@path": "$.properties.by"}}
        }

    runner = Runner(bind(change))
    events = [_track("1"), _track('"\\ud800"'), _track('["\\udfff"]'), _track("2")]
    report = runner(scripted([_partner(replies)]), _entries(*events))
    assert report.totals.outcomes == {Outcome.DELIVERED: 2, Outcome.INVALID: 2}
    again = runner(
        scripted([_partner(replies)]), read_lines(BytesIO(runner.undelivered.getvalue()))
    )
    assert again.totals.outcomes == {Outcome.INVALID: 2}
    assert [row.line for row in runner.rows] == [1, 2]
    assert {row.result.code for row in runner.rows} == {"PAYLOAD_VALIDATION_FAILED"}


# -- what is fed back ------------------------------------------------------------------------------


def test_what_was_not_delivered_can_be_fed_back(
    runner: Runner, scripted: Any, replies: Any
) -> None:
    """A second run over the file delivers the rest, but not what may have been applied."""

    def partner(request: HttpRequest) -> Any:
        return replies.refused if request.method == "PUT" else replies.lost

    page = {"type": "page", "userId": "u2", "name": "home", "messageId": "p1"}
    first = runner(
        scripted([partner]), _entries(_track(messageId="m1"), page, b"not json"), outage=5.0
    )
    assert first.totals.outcomes == {State.HELD: 1, State.READY: 1, Outcome.INVALID: 1}
    fed = BytesIO(runner.undelivered.getvalue())
    transport = scripted([_partner(replies)])
    second = runner(transport, read_lines(fed))
    assert second.totals.outcomes == {Outcome.DELIVERED: 1, State.HELD: 1, Outcome.INVALID: 1}
    assert [request.method for request in transport.requests] == ["PUT"]


def test_what_is_fed_back_is_for_its_subscription_only(
    bind: Bind, scripted: Any, replies: Any
) -> None:
    """An event that two subscriptions took, and only one delivered, goes to the other one alone."""

    def only(method: str) -> Callable[[HttpRequest], Any]:
        refused = replies.errors("BAD") if method == "PUT" else replies.http(403)
        return lambda request: _partner(replies)(request) if request.method == method else refused

    for delivered, missing in (("PUT", "POST"), ("POST", "PUT")):
        runner = Runner(bind(_pages_take_tracks))
        runner(scripted([only(delivered)]), _entries(_track(messageId="m1")))
        fed = runner.undelivered.getvalue()
        assert len(fed.splitlines()) == 1
        transport = scripted([_partner(replies)])
        report = runner(transport, read_lines(BytesIO(fed)))
        assert report.totals.outcomes == {Outcome.DELIVERED: 1}
        assert [request.method for request in transport.requests] == [missing]


@pytest.mark.parametrize("with_store", [False, True])
@pytest.mark.parametrize(
    "order", ["fed", "fed fed", "event fed", "fed event", "event event fed event"]
)
def test_duplicates_in_what_is_fed_back(
    bind: Bind, tmp_path: Path, scripted: Any, replies: Any, order: str, with_store: bool
) -> None:
    """Both subscriptions of a message are delivered, each once, whatever else is read."""
    first = Runner(bind(_pages_take_tracks))
    event = _track(messageId="m1")
    first(scripted([replies.refused]), _entries(event), outage=5.0)
    parts = {"fed": first.undelivered.getvalue(), "event": json.dumps(event).encode() + b"\n"}
    data = b"".join(parts[name] for name in order.split())
    runner = Runner(first.destination, tmp_path / "store.sqlite3" if with_store else None)
    transport = scripted([_partner(replies)])
    runner(transport, read_lines(BytesIO(data)))
    assert sorted(request.method for request in transport.requests) == ["POST", "PUT"]
    outcomes = [outcome for found in runner.outcomes.values() for outcome in found]
    assert outcomes.count("delivered") == 2
    assert set(outcomes) <= {"delivered", "filtered"}


INVALID: tuple[bytes, ...] = (
    b'{ "type": "track",  "userId": "u1", "messageId": "unusable" }',
    b'{"type": "track", "event": "Used"}',
    b'{"type":"track","userId":1.0,"event":"\\u00e9"}',
    b'{"type": "identify", "anonymousId": "a"}',
    b"not json",
    b'"\xff',
    b'{"type": "track", "type": "page"}',
    b"[ 1 ]",
    b"x" * 200_000,
    b" " * 10 + b'{"type": "page", "pad": "' + b"x" * 40_000 + b'"}',
)


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_fed_back_is_the_same(
    kept: Runner, scripted: Any, replies: Any, times: int
) -> None:
    """Whatever it is, also without a usable messageId: it ends in the row that it has."""
    events: list[dict[str, Any] | bytes] = [*INVALID, *INVALID[:2], _track("many")]
    transport = scripted([_partner(replies)])
    report = kept(transport, _entries(*events))
    assert report.totals.outcomes == {Outcome.INVALID: len(events)}
    before = [(entry.id, entry.message_id) for entry in kept.ledger]
    assert len(before) == len(events)
    for _ in range(times):
        fed = kept.undelivered.getvalue()
        kept.undelivered = BytesIO()
        report = kept(transport, read_lines(BytesIO(fed)))
        assert report.totals.outcomes == {Outcome.INVALID: len(events)}
    assert [(entry.id, entry.message_id) for entry in kept.ledger] == before


def test_an_item_of_an_array_is_fed_back(kept: Runner, scripted: Any, replies: Any) -> None:
    """Its line breaks are spaces then, and yet it is the same."""
    data = b'[{"type":\n "track",\r\n "userId": "u1"},\n\n {"type": "no"}]'
    kept(scripted([_partner(replies)]), read_json_entries(BytesIO(data)))
    before = [entry.id for entry in kept.ledger]
    kept(scripted([_partner(replies)]), read_lines(BytesIO(kept.undelivered.getvalue())))
    assert [entry.id for entry in kept.ledger] == before
    assert len(before) == 2


def test_one_of_equal_lines_is_fed_back(kept: Runner, scripted: Any, replies: Any) -> None:
    """It is the one that failed, not the first, which has been delivered."""
    transport = scripted([_partner(replies), replies.errors("BAD"), _partner(replies)])
    kept(transport, _entries(*[_track()] * 3))
    assert [row.result.outcome for row in kept.rows].count(Outcome.DELIVERED) == 2
    transport = scripted([_partner(replies)])
    report = kept(transport, read_lines(BytesIO(kept.undelivered.getvalue())))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}
    assert report.derived.total() == 0
    assert [entry.status for entry in kept.ledger] == [Outcome.DELIVERED] * 3


def test_a_corrected_line_is_fed_back(kept: Runner, scripted: Any, replies: Any) -> None:
    """It takes the place of what was wrong, also without a messageId."""
    kept(scripted([_partner(replies)]), _entries(_track("many")))
    fed = kept.undelivered.getvalue().replace(b'"many"', b"3")
    report = kept(scripted([_partner(replies)]), read_lines(BytesIO(fed)))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}
    assert [entry.status for entry in kept.ledger] == [Outcome.FILTERED, Outcome.DELIVERED]
    again = kept(scripted([]), read_lines(BytesIO(fed)))
    assert again.totals.outcomes == {Outcome.FILTERED: 1}


# -- going on --------------------------------------------------------------------------------------


def test_a_file_that_is_run_again(kept: Runner, scripted: Any, replies: Any) -> None:
    """Nothing is sent twice, and each row says since when it is delivered."""
    events = _tracks(12)
    kept(scripted([_partner(replies)]), _entries(*events))
    transport = scripted([_partner(replies)])
    report = kept(transport, _entries(*events))
    assert report.totals.outcomes == {Outcome.FILTERED: 12}
    assert transport.requests == []
    assert all("delivered by an earlier run at 20" in reason for reason in kept.reasons.values())
    assert len(kept.ledger) == 12


def test_a_file_that_grew(kept: Runner, scripted: Any, replies: Any) -> None:
    """What is new in it is delivered."""
    kept(scripted([_partner(replies)]), _entries(*_tracks(5)))
    report = kept(scripted([_partner(replies)]), _entries(*_tracks(8)))
    assert report.totals.outcomes == {Outcome.FILTERED: 5, Outcome.DELIVERED: 3}


def test_what_failed_comes_twice_in_a_file_that_is_run_again(
    kept: Runner, scripted: Any, replies: Any
) -> None:
    """It ends anew in its row, once; the second is a duplicate, as totals tell."""
    events = [_track("many", messageId="m1"), _track("many", messageId="m1")]
    for _ in range(2):
        kept(scripted([_partner(replies)]), _entries(*events))
        assert kept.outcomes == {1: ["invalid"], 2: ["filtered"]}
        assert [entry.status for entry in kept.ledger] == [Outcome.INVALID]


@pytest.mark.parametrize("order", ["fed event", "event fed", "fed fed event event"])
def test_what_was_delivered_is_not_fed_back_with_the_rest(
    bind: Bind, tmp_path: Path, scripted: Any, replies: Any, order: str
) -> None:
    """Of two subscriptions, only the one that failed is sent again, whatever else is read."""
    runner = Runner(bind(_pages_take_tracks), tmp_path / "store.sqlite3")
    event = _track(messageId="m1")

    def refuses_posts(request: HttpRequest) -> Any:
        is_put = request.method == "PUT"
        return _partner(replies)(request) if is_put else replies.errors("BAD")

    runner(scripted([refuses_posts]), _entries(event))
    parts = {"fed": runner.undelivered.getvalue(), "event": json.dumps(event).encode() + b"\n"}
    data = b"".join(parts[name] for name in order.split())
    transport = scripted([_partner(replies)])
    runner(transport, read_lines(BytesIO(data)))
    assert [request.method for request in transport.requests] == ["POST"]
    assert [entry.status for entry in runner.ledger] == [Outcome.DELIVERED] * 2


@pytest.mark.parametrize(
    ("answer", "first"),
    [("refused", Outcome.REJECTED), ("unmapped", Outcome.UNMAPPED), ("invalid", Outcome.INVALID)],
)
def test_what_failed_is_tried_anew(
    kept: Runner, scripted: Any, replies: Any, answer: str, first: Outcome
) -> None:
    """If certainly nothing was applied, today's definition decides, in the same row."""
    event = _track(messageId="m1")
    usual = kept.destination.subscriptions[0].payload
    if answer == "refused":
        partner: Any = replies.errors("BAD")
    else:
        partner = _partner(replies)
        properties = {"by": 1} if answer == "unmapped" else {"by": "x", "thing": "t"}
        kept.destination.subscriptions[0].payload = lambda event: usual(  # type: ignore[method-assign]
            {**event, "properties": properties}
        )
    report = kept(scripted([partner]), _entries(event))
    assert report.totals.outcomes == {first: 1}
    kept.destination.subscriptions[0].payload = usual  # type: ignore[method-assign]
    report = kept(scripted([_partner(replies)]), _entries(event))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}
    (entry,) = kept.ledger
    assert entry.status is Outcome.DELIVERED


def test_what_fails_again_stays_in_its_row(kept: Runner, scripted: Any, replies: Any) -> None:
    """However often a file is given, there is one row for each event and subscription."""
    group = {"type": "group", "userId": "u"}
    events: list[dict[str, Any] | bytes] = [_track(messageId="m1"), b"not json", b"not json", group]
    for _ in range(3):
        report = kept(scripted([replies.errors("BAD")]), _entries(*events))
        assert report.totals.rows == 4
    assert [entry.status for entry in kept.ledger] == [
        Outcome.INVALID,
        Outcome.INVALID,
        Outcome.INVALID,
        Outcome.REJECTED,
    ]


def test_what_may_have_been_applied_is_not_sent(kept: Runner, scripted: Any, replies: Any) -> None:
    """It is held when the partner cannot be asked, and reported as such as often as it comes."""
    event = _track(messageId="m1")
    report = kept(scripted([replies.lost]), _entries(event))
    assert report.totals.outcomes == {State.HELD: 1}
    transport = scripted([_partner(replies)])
    report = kept(transport, _entries(event))
    assert report.totals.outcomes == {State.HELD: 1}
    assert transport.requests == []


def test_a_request_that_may_be_repeated(kept: Runner, scripted: Any, replies: Any) -> None:
    """What failed although it may have been applied is sent again where that does no harm."""
    page = {"type": "page", "userId": "u", "name": "home", "messageId": "p1"}

    def partner(_: HttpRequest) -> Any:
        return replies.http(422)

    report = kept(scripted([replies.lost, partner]), _entries(page))
    assert report.totals.outcomes == {Outcome.REJECTED: 1}
    report = kept(scripted([_partner(replies)]), _entries(page))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}


@pytest.mark.parametrize("is_dropped", [True, False])
def test_what_an_operator_decided(
    kept: Runner, scripted: Any, replies: Any, is_dropped: bool
) -> None:
    """What was dropped is filtered; what was resolved as not applied is delivered."""
    event = _track(messageId="m1")
    kept(scripted([replies.lost]), _entries(event))
    assert kept.path is not None
    with SqliteStore(kept.path) as store:
        ledger = store.ledger()
        entries = list(ledger.find(Selection()))
        if is_dropped:
            ledger.drop(entries, "test", kept.clock.time())
        else:
            ledger.resolve(entries, applied=False, now=kept.clock.time())
    report = kept(scripted([_partner(replies)]), _entries(event))
    expected = Outcome.FILTERED if is_dropped else Outcome.DELIVERED
    assert report.totals.outcomes == {expected: 1}


def test_a_corrected_event(kept: Runner, scripted: Any, replies: Any) -> None:
    """It takes the place of one that changed nothing; the old content is filtered from then on."""
    wrong, right = _track("many", messageId="m1"), _track(3, messageId="m1")
    assert kept(scripted([_partner(replies)]), _entries(wrong)).totals.outcomes == {
        Outcome.INVALID: 1
    }
    report = kept(scripted([_partner(replies)]), _entries(right))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}
    report = kept(scripted([_partner(replies)]), _entries(wrong, right))
    assert kept.outcomes == {1: ["filtered"], 2: ["filtered"]}
    assert "replaced" in kept.reasons[1]
    old, new = kept.ledger
    assert (old.status, new.status) == (Outcome.FILTERED, Outcome.DELIVERED)
    assert old.code == "REPLACED"
    new = kept.ledger[-1]
    assert old.reason.startswith(f"replaced by {new.id} (a corrected event); was invalid: ")


@pytest.mark.parametrize("first", ["invalid", "unmapped", "rejected"])
def test_what_was_replaced_needs_no_operator(
    kept: Runner, scripted: Any, replies: Any, first: str
) -> None:
    """It is filtered, whatever had become of it."""
    wrong = {
        "invalid": _track("many", messageId="m1"),
        "unmapped": {**_track(messageId="m1"), "properties": {"by": 1}},
        "rejected": _track(1, messageId="m1"),
    }
    report = kept(scripted([replies.errors("BAD")]), _entries(wrong[first]))
    assert report.totals.outcomes == {Outcome(first): 1}
    kept(scripted([_partner(replies)]), _entries(_track(3, messageId="m1")))
    assert [entry.status for entry in kept.ledger] == [Outcome.FILTERED, Outcome.DELIVERED]


def test_a_correction_in_the_same_file(either: Runner, scripted: Any, replies: Any) -> None:
    """The later line takes the place of the earlier one, if that changed nothing."""
    events = [
        _track("many", messageId="m1"),
        _track(3, messageId="m1"),
        _track("many", messageId="m1"),
    ]
    report = either(scripted([_partner(replies)]), _entries(*events))
    assert either.outcomes == {1: ["invalid"], 2: ["delivered"], 3: ["filtered"]}
    assert report.totals.outcomes == {Outcome.DELIVERED: 1, Outcome.FILTERED: 2}


_CONTENTS: tuple[Callable[[int], dict[str, Any]], ...] = (
    lambda line: _track(f"many{line}"),
    lambda line: {**_track(), "properties": {"by": line}},
    lambda line: _track(line, thing="refused"),
    lambda line: _track(line, integrations={"Sample": False}),
    lambda line: {**_track(line), "userId": None, "anonymousId": f"a{line}"},
    _track,
)
"""Events that are invalid, unmapped, rejected, filtered, invalid as a whole, and delivered."""


def _partner_that_rejects(replies: Any) -> Callable[[HttpRequest], Any]:
    """Rejects what its events say."""
    usual = _partner(replies)

    def answer(request: HttpRequest) -> Any:
        return replies.errors("BAD") if b"refused" in (request.body or b"") else usual(request)

    return answer


@pytest.mark.parametrize("inline", [True, False], ids=["in one thread", "in several"])
@pytest.mark.parametrize("seed", range(8))
def test_the_report_and_the_store_say_the_same(
    kept: Runner, scripted: Any, replies: Any, bind: Bind, seed: int, *, inline: bool
) -> None:
    """Of every row, whatever contents come under one messageId, and so does a run with no store."""
    draw = random.Random(seed)
    events = [
        {**draw.choice(_CONTENTS)(line), "messageId": f"m{draw.randrange(20)}"}
        for line in range(1, 121)
    ]
    without = Runner(bind())
    reports = []
    for one in (kept, without):
        one.inline = inline
        transport = scripted([_partner_that_rejects(replies)])
        reports.append(one(transport, _entries(*events)))
    report, other = reports
    assert report.totals.outcomes == Counter(entry.status for entry in kept.ledger)
    actions = Counter((entry.action or "-", entry.status) for entry in kept.ledger)
    assert actions == {
        (action, outcome): count
        for action, counts in report.totals.by_action.items()
        for outcome, count in counts.items()
    }
    assert sum(one.count for one in report.totals.reasons) + report.totals.outcomes[
        Outcome.DELIVERED
    ] == len(events)
    assert report.totals.outcomes == other.totals.outcomes
    assert report.totals.by_action == other.totals.by_action
    replaced = [entry for entry in kept.ledger if entry.code == "REPLACED"]
    assert replaced
    (told,) = (one for one in report.totals.reasons if one.code == "REPLACED")
    assert told.count == len(replaced)


def test_a_correction_that_was_not_sent(either: Runner, scripted: Any, replies: Any) -> None:
    """As long as it is in the input alone, the wrong line is what it was, also in the report."""
    events = [_track(messageId="m0"), _track("many", messageId="m1"), _track(3, messageId="m1")]
    report = either(scripted([replies.refused]), _entries(*events), outage=0.0)
    assert report.stopped is not None
    assert report.totals.outcomes == {Outcome.INVALID: 1, State.READY: 2}
    if either.path is not None:
        assert {entry.status for entry in either.ledger} == {State.READY, Outcome.INVALID}


@pytest.mark.parametrize("distance", [1, 2, 5, 100, 400, 700])
def test_an_event_that_comes_again_while_it_is_under_way(
    either: Runner, scripted: Any, replies: Any, distance: int
) -> None:
    """It is sent once, whether the first waits, is claimed, or is under way."""
    first = _tracks(distance)
    counted: Counter[int] = Counter()
    all_read = threading.Event()

    def partner(request: HttpRequest) -> Any:
        all_read.wait(5)
        counted.update(json.loads(request.body or b"")["variables"].values())
        return replies.success(request)

    def entries() -> Iterator[Entry]:
        yield from _entries(*first, *first, *first)
        all_read.set()

    either.inline = False
    report = either(scripted([partner]), entries())
    assert counted == Counter(range(distance))
    assert report.totals.outcomes == {Outcome.DELIVERED: distance, Outcome.FILTERED: 2 * distance}


@pytest.mark.parametrize("wrong", range(3))
def test_an_event_that_fails_twice(either: Runner, scripted: Any, replies: Any, wrong: int) -> None:
    """In one run it is done once, however far apart its lines are: the second is a duplicate."""
    event = {**_CONTENTS[wrong](1), "messageId": "m1"}
    others = [{"type": "group", "userId": "u1", "groupId": str(one)} for one in range(1_200)]
    transport = scripted([_partner_that_rejects(replies)])
    report = either(transport, _entries(event, *others, event))
    assert either.outcomes[1_202] == ["filtered"]
    assert "read before in this run" in either.reasons[1_202]
    assert report.totals.outcomes[Outcome.FILTERED] == 1_201


@pytest.mark.parametrize("apart", [False, True])
def test_another_event_under_the_same_message_id(
    kept: Runner, scripted: Any, replies: Any, apart: bool
) -> None:
    """Where the first has an effect, the other is rejected as a conflict, as often as it comes."""
    one, other = _track(1, messageId="m1"), _track(2, messageId="m1")
    partner = _partner(replies)
    if apart:
        kept(scripted([partner]), _entries(one))
        kept(scripted([partner]), _entries(other))
        assert kept.outcomes == {1: ["rejected"]}
    else:
        kept(scripted([partner]), _entries(one, other))
        assert kept.outcomes == {1: ["delivered"], 2: ["rejected"]}
    report = kept(scripted([partner]), _entries(one, other))
    assert kept.outcomes == {1: ["filtered"], 2: ["rejected"]}
    assert {row.result.code for row in kept.rows} == {"DUPLICATE", "CONFLICT"}
    assert report.requests == 0


@pytest.mark.parametrize(
    ("first", "second", "is_old"),
    [(5, 5.0, False), (5.0, 5, False), (5.0, 5.0, False), (5, 5.0, True), (5.0, 5.0, True)],
)
def test_numbers_in_another_spelling(
    kept: Runner, scripted: Any, replies: Any, first: float, second: float, is_old: bool
) -> None:
    """They are one value, so the event is the same; what an earlier version noted stays known."""
    partner = _partner(replies)
    one = _track(first, messageId="m1")
    kept(scripted([partner]), _entries(one))
    if is_old:
        assert kept.path is not None
        encoded = msgspec.json.encode(one, order="sorted")
        noted = int.from_bytes(hashlib.blake2b(encoded, digest_size=6).digest())
        with contextlib.closing(sqlite3.connect(kept.path)) as connection, connection:
            assert connection.execute("UPDATE ledger SET fingerprint = ?", (noted,)).rowcount == 1
    report = kept(scripted([partner]), _entries(_track(second, messageId="m1")))
    assert kept.outcomes == {1: ["filtered"]}
    assert {row.result.code for row in kept.rows} == {"DUPLICATE"}
    assert report.requests == 0


@pytest.mark.parametrize("apart", [False, True])
def test_a_conflict_that_comes_twice(
    kept: Runner, scripted: Any, replies: Any, apart: bool
) -> None:
    """It has one row: replayed, it would be sent once."""
    one, other = _track(1, messageId="m1"), _track(2, messageId="m1")
    partner = _partner(replies)
    if apart:
        kept(scripted([partner]), _entries(one))
        kept(scripted([partner]), _entries(other, other))
        assert kept.outcomes == {1: ["rejected"], 2: ["rejected"]}
    else:
        kept(scripted([partner]), _entries(one, other, other))
    assert sorted(entry.status for entry in kept.ledger) == [Outcome.DELIVERED, Outcome.REJECTED]


def test_a_subscription_that_was_added(
    kept: Runner, scripted: Any, replies: Any, bind: Bind
) -> None:
    """Events that it takes go to it; what the others delivered stays delivered."""
    kept(scripted([_partner(replies)]), _entries(_track(messageId="m1")))
    kept.destination = bind(_pages_take_tracks)
    transport = scripted([_partner(replies)])
    kept(transport, _entries(_track(messageId="m1")))
    assert [request.method for request in transport.requests] == ["PUT"]
    assert sorted(kept.outcomes[1]) == ["delivered", "filtered"]


def test_a_subscription_that_was_renamed(
    kept: Runner, scripted: Any, replies: Any, bind: Bind
) -> None:
    """What it delivered under its former name is not sent again."""
    kept(scripted([_partner(replies)]), _entries(_track(messageId="m1")))

    def rename(documents: Any) -> None:
        documents["destination"]["presets"][0]["name"] = "Renamed"

    kept.destination = bind(rename)
    report = kept(scripted([_partner(replies)]), _entries(_track(messageId="m1")))
    assert report.totals.outcomes == {Outcome.FILTERED: 1}


# -- events without a messageId --------------------------------------------------------------------


def test_equal_lines_count_as_many_as_they_are(either: Runner, scripted: Any, replies: Any) -> None:
    """Without a messageId equal events of one input are different events."""
    report = either(scripted([_partner(replies)]), _entries(*[_track(user="a")] * 3))
    assert report.totals.outcomes == {Outcome.DELIVERED: 3}
    assert report.derived.total() == 0


def test_equal_lines_of_another_run(kept: Runner, scripted: Any, replies: Any) -> None:
    """They are recognised by their content, which is said and counted apart."""
    kept(scripted([_partner(replies)]), _entries(*[_track(user="a")] * 3))
    report = kept(scripted([_partner(replies)]), _entries(*[_track(user="a")] * 4))
    assert report.totals.outcomes == {Outcome.FILTERED: 3, Outcome.DELIVERED: 1}
    assert report.derived.total() == 3
    assert {row.result.code for row in kept.rows} == {"DUPLICATE_CONTENT", None}


def _timeless(**more: Any) -> dict[str, Any]:
    event = _track(**more)
    del event["timestamp"]
    return event


def _adding(documents: Any) -> None:
    """Its counts are amounts, so that the same line of another day must not get lost."""
    requests = documents["destination"]["requests"]
    requests["count"]["reconcile"] = {
        "ask": "find",
        "key": [{"@path": "$.payload.thing"}],
        "amount": {"@path": "$.payload.by"},
        "shown": {"@path": "$.answer.used"},
    }


def test_lines_without_an_id_and_without_a_time(
    bind: Bind, tmp_path: Path, scripted: Any, replies: Any
) -> None:
    """Where they add to an amount they are invalid, with what to do; the other lines go on."""
    runner = Runner(bind(_adding), tmp_path / "store.sqlite3")
    page = {"type": "page", "userId": "u", "name": "home"}
    report = runner(
        scripted([_partner(replies)]), _entries(_timeless(), page, _timeless(messageId="m"))
    )
    assert runner.outcomes[1] == ["invalid"]
    assert "--input-id" in runner.reasons[1]
    assert (runner.outcomes[2], runner.outcomes[3]) == (["delivered"], ["delivered"])
    assert report.totals.rows == 3


def test_a_named_input(bind: Bind, tmp_path: Path, scripted: Any, replies: Any) -> None:
    """Its lines are recognised by their number: again nothing is sent, another name is another."""
    runner = Runner(bind(_adding), tmp_path / "store.sqlite3")
    for input_id, expected in (
        ("monday", Outcome.DELIVERED),
        ("monday", Outcome.FILTERED),
        ("tuesday", Outcome.DELIVERED),
    ):
        report = runner(
            scripted([_partner(replies)]), _entries(*[_timeless()] * 3), input_ids=[input_id]
        )
        assert report.totals.outcomes == {expected: 3}
        assert report.derived == ({"line": 3} if expected is Outcome.FILTERED else {})


def test_an_input_that_is_named_later(
    bind: Bind, tmp_path: Path, scripted: Any, replies: Any
) -> None:
    """What it delivered before, as it has times of its own, is not sent again."""
    runner = Runner(bind(_adding), tmp_path / "store.sqlite3")
    events = [_track(), _timeless(), _track()]
    for options, expected in (
        ({}, ["delivered", "invalid", "delivered"]),
        ({"input_ids": ["monday"]}, ["filtered", "delivered", "filtered"]),
        ({"input_ids": ["monday"]}, ["filtered", "filtered", "filtered"]),
    ):
        runner(scripted([_partner(replies)]), _entries(*events), **options)
        assert runner.outcomes == {line: [one] for line, one in enumerate(expected, start=1)}


@pytest.mark.parametrize("input_id", [None, "monday"])
def test_a_named_input_is_fed_back(
    bind: Bind, tmp_path: Path, scripted: Any, replies: Any, input_id: str | None
) -> None:
    """Its lines are those of the input that they were read from, named again or not."""
    runner = Runner(bind(_adding), tmp_path / "store.sqlite3")
    events = [_timeless(user="a"), _timeless(user="b")]
    refused = scripted([replies.errors("BAD")])
    report = runner(refused, _entries(_track(), *events), input_ids=["monday"])
    assert report.totals.outcomes == {Outcome.REJECTED: 3}
    before = {entry.message_id for entry in runner.ledger}
    assert len(before) == 3
    assert before > {"monday:2", "monday:3"}
    fed = runner.undelivered.getvalue()
    report = runner(
        scripted([_partner(replies)]),
        read_lines(BytesIO(fed)),
        input_ids=[input_id] if input_id else [],
    )
    assert report.totals.outcomes == {Outcome.DELIVERED: 3}
    assert {entry.message_id for entry in runner.ledger} == before
    assert len(runner.ledger) == 3


def test_without_a_store_they_are_sent(bind: Bind, scripted: Any, replies: Any) -> None:
    """Nothing is remembered, so nothing can be mistaken."""
    runner = Runner(bind(_adding))
    report = runner(scripted([_partner(replies)]), _entries(*[_timeless()] * 3))
    assert report.totals.outcomes == {Outcome.DELIVERED: 3}


# -- what earlier runs left ------------------------------------------------------------------------


def test_what_another_input_left_is_not_mixed_in(kept: Runner, scripted: Any, replies: Any) -> None:
    """It stays as it is, until it is asked for."""
    left = [_track(1, f"l{number}", messageId=f"l{number}") for number in range(5)]

    def entries() -> Iterator[Entry]:
        yield from _entries(*left)
        signal.raise_signal(signal.SIGINT)

    refused = scripted([replies.errors({"message": "Who are you?"})])
    kept(refused, entries(), keep_unsent=True)
    assert [entry.status for entry in kept.ledger] == [State.READY] * 5
    transport = scripted([_partner(replies)])
    report = kept(transport, _entries(*_tracks(3)))
    assert report.totals.outcomes == {Outcome.DELIVERED: 3}
    assert [entry.status for entry in kept.ledger].count(State.READY) == 5
    report = kept(scripted([_partner(replies)]), (), deliver_waiting=True)
    assert report.totals.outcomes == {Outcome.DELIVERED: 5}
    assert report.earlier == {Outcome.DELIVERED: 5}
    assert [entry.status for entry in kept.ledger] == [Outcome.DELIVERED] * 8


def test_a_lost_answer_of_an_earlier_run(bind: Bind, tmp_path: Path) -> None:
    """The partner is asked about it first; what it got is delivered, and nothing is sent twice."""
    runner, partner = _lost_by_another_input(bind, tmp_path)
    events = [_track(3, "u", messageId="m1"), _track(4, "u", messageId="m2")]
    report = runner(partner, _entries(*events))
    assert runner.outcomes == {1: ["delivered"], 2: ["delivered"]}
    assert partner.counts == {"t": 7}
    assert report.earlier == {}


def test_what_waits_behind_a_lost_answer_is_none(bind: Bind, tmp_path: Path) -> None:
    """A run tells how many lost answers it waits for, whatever else of the user waits for them."""
    runner, partner = _lost_by_another_input(bind, tmp_path)
    events = [_track(4, "u", messageId=f"m{number}") for number in range(2, 7)]
    report = runner(partner, _entries(*events), deliver_waiting=True)
    assert report.totals.outcomes == {Outcome.DELIVERED: 6}
    assert set(runner.waits) == {1}


class KilledError(BaseException):
    """The process ends in the middle of a request."""


def _lost_by_another_input(bind: Bind, tmp_path: Path) -> tuple[Runner, Partner]:
    """Return what runs after a run that lost the answer to an event of the user u."""
    runner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3")
    partner = Partner()

    def die() -> None:
        partner.on_count = lambda: None
        partner.counts["t"] = 3
        raise KilledError

    partner.on_count = die
    with pytest.raises(KilledError):
        runner(partner, _entries(_track(3, "u", messageId="m1")))
    return runner, partner


def test_what_another_input_lost_is_not_waited_for(bind: Bind, tmp_path: Path) -> None:
    """It is not due yet, and nothing of this input waits for it: the run ends when it is done."""
    runner, partner = _lost_by_another_input(bind, tmp_path)
    before = runner.clock.now
    other = _track(4, "v", messageId="m2")
    other["properties"]["thing"] = "t2"
    report = runner(partner, _entries(other))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}
    assert report.earlier == {State.UNKNOWN: 1}
    assert runner.clock.now - before < 5
    assert [entry.status for entry in runner.ledger] == [State.UNKNOWN, Outcome.DELIVERED]
    report = runner(partner, (), deliver_waiting=True)
    assert report.earlier == {Outcome.DELIVERED: 1}
    assert runner.clock.now - before >= 25
    assert partner.counts == {"t": 3, "t2": 4}


def test_what_another_input_lost_is_asked_about_when_it_is_due(bind: Bind, tmp_path: Path) -> None:
    """Nobody has to wait for the answer then."""
    runner, partner = _lost_by_another_input(bind, tmp_path)
    runner.clock.now += 60
    before = runner.clock.now
    report = runner(partner, _entries(_track(4, "v", messageId="m2")))
    assert report.earlier == {Outcome.DELIVERED: 1}
    assert runner.clock.now - before < 5
    assert partner.counts == {"t": 7}


def test_what_another_input_lost_and_the_partner_is_away(bind: Bind, tmp_path: Path) -> None:
    """All of this input is delivered, so the run has done what it was for."""
    runner, partner = _lost_by_another_input(bind, tmp_path)
    runner.clock.now += 60
    before = runner.clock.now
    partner.hook = lambda counts, _: None if counts else HttpResponse(503, {}, b"")
    page = {"type": "page", "userId": "v", "name": "home", "integrations": {"All": False}}
    report = runner(partner, _entries(page))
    assert report.totals.outcomes == {Outcome.FILTERED: 1}
    assert (report.stopped, report.earlier) == (None, {State.UNKNOWN: 1})
    assert runner.clock.now - before < 5


def test_an_event_behind_what_another_input_lost(bind: Bind, tmp_path: Path) -> None:
    """It waits for its user's turn, as in any run."""
    runner, partner = _lost_by_another_input(bind, tmp_path)
    before = runner.clock.now
    report = runner(partner, _entries(_track(4, "u", messageId="m2")))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}
    assert report.earlier == {Outcome.DELIVERED: 1}
    assert runner.clock.now - before >= 25
    assert partner.counts == {"t": 7}


def test_it_waits_for_lost_answers(bind: Bind, tmp_path: Path) -> None:
    """A run that lost an answer asks before it ends, and says that it waits."""
    runner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3")
    partner = Partner()

    def lose() -> None:
        partner.on_count = lambda: None
        raise LOST

    partner.on_count = lose
    report = runner(partner, _entries(_track(3, "u", messageId="m1")))
    assert report.totals.outcomes == {Outcome.DELIVERED: 1}
    assert partner.counts == {"t": 3}
    assert runner.clock.now >= 120


@pytest.mark.parametrize("taken", [0, 4])
def test_a_partner_that_takes_nothing(bind: Bind, tmp_path: Path, taken: int) -> None:
    """Where questions are answered and nothing is taken, no event ends: the run does.

    A database that may only be read from is the commonest outage of that kind. Afterwards the same
    file delivers all of it, once. The first request is lost before the outage, so that the time of
    its events is over first.
    """
    runner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3")
    partner = Partner()
    events = [{**one, "properties": {"by": 1, "thing": one["userId"]}} for one in _tracks(30)]
    requests = iter(range(1_000))

    def count() -> HttpResponse | None:
        runner.clock.now += 10.0
        return None if 0 < next(requests) <= taken else HttpResponse(503, {}, b"")

    partner.on_count = count
    losses = LossOptions(settle_after=5.0)
    began = runner.clock.now
    report = runner(partner, _entries(*events), outage=60.0, losses=losses)
    delivered = report.totals.outcomes.pop(Outcome.DELIVERED, 0)
    assert (delivered > 0) is (taken > 0)
    assert set(report.totals.outcomes) <= {State.READY, State.UNKNOWN}
    assert sum(report.totals.outcomes.values()) == 30 - delivered
    assert report.stopped is not None
    assert report.stopped.why == "unavailable"
    assert report.stopped.message == "the partner has taken no event for 65 s"
    assert partner.asked > 1
    assert runner.clock.now - began < 200
    partner.on_count = lambda: None
    runner.clock.now += 200
    report = runner(partner, _entries(*events), outage=20.0)
    assert report.totals.outcomes[Outcome.DELIVERED] == 30 - delivered
    assert set(partner.counts.values()) == {1}


def test_a_partner_that_takes_some(bind: Bind, tmp_path: Path) -> None:
    """One event that it never answers is dead when its time is over, as others were taken."""
    runner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3")
    partner = Partner()

    def hook(counts: bool, things: list[str]) -> HttpResponse | None:
        runner.clock.now += 1.5
        return HttpResponse(503, {}, b"") if counts and "u0" in things else None

    partner.hook = hook
    events = [{**one, "properties": {"by": 1, "thing": one["userId"]}} for one in _tracks(400)]
    report = runner(partner, _entries(*events), outage=20.0)
    assert report.stopped is None
    assert report.totals.outcomes[Outcome.DELIVERED] >= 396  # but for those of its request
    assert runner.outcomes[1] == ["dead"]


@pytest.mark.parametrize("is_late", [True, False])
def test_a_balance_that_is_looked_at_again(bind: Bind, tmp_path: Path, is_late: bool) -> None:
    """No run waits for that; the next one asks, if it is time, and what it finds is told."""
    path = tmp_path / "store.sqlite3"
    runner = Runner(bind(with_reconcile), path)
    partner = Partner()

    def lose() -> None:
        partner.on_count = lambda: None
        raise LOST

    partner.on_count = lose
    runner(partner, _entries(_track(3, "u", messageId="m1")))
    assert runner.clock.now < 200
    if is_late:
        partner.counts["t"] += 3
    asked = partner.asked
    runner(partner, _entries())
    assert partner.asked == asked
    runner.clock.now += 700
    runner(partner, _entries(_track(3, "u", messageId="m1")))  # nothing to send
    assert partner.asked == asked + 1
    runner.clock.now += 3_600
    runner(partner, [], deliver_waiting=True)
    runner.clock.now += 36_000
    runner(partner, _entries())
    assert partner.asked == asked + 2
    with SqliteStore(path, read_only=True) as store:
        found = [(one.drift.expected, one.drift.found) for one in store.ledger().drifts()]
    assert found == ([(3, 6)] if is_late else [])


def test_a_partner_who_is_away_when_it_is_looked_at_again(bind: Bind, tmp_path: Path) -> None:
    """The run ends all the same, and a later one looks."""
    runner = Runner(bind(with_reconcile), tmp_path / "store.sqlite3")
    partner = Partner()

    def lose() -> None:
        partner.on_count = lambda: None
        raise LOST

    partner.on_count = lose
    runner(partner, _entries(_track(3, "u", messageId="m1")))
    runner.clock.now += 700
    partner.on_ask = lambda _: HttpResponse(503, {}, b"{}")
    asked, began = partner.asked, runner.clock.now
    runner(partner, _entries())
    assert (partner.asked, runner.clock.now < began + 10) == (asked + 1, True)
    partner.on_ask = lambda _: None
    runner(partner, _entries())
    assert partner.asked == asked + 2


def test_sending_again(kept: Runner, scripted: Any, replies: Any) -> None:
    """What was delivered before a time is sent once more; what was so since then is not."""
    events = _tracks(5)
    kept(scripted([_partner(replies)]), _entries(*events))
    kept.clock.now += 100
    since = kept.clock.time()
    report = kept(scripted([_partner(replies)]), _entries(*events[:2]), again_since=lambda _: since)
    assert report.totals.outcomes == {Outcome.DELIVERED: 2}
    report = kept(scripted([_partner(replies)]), _entries(*events), again_since=lambda _: since)
    assert report.totals.outcomes == {Outcome.FILTERED: 2, Outcome.DELIVERED: 3}
    assert len(kept.ledger) == 5


def test_what_is_not_sent_again_stays_delivered(kept: Runner, scripted: Any, replies: Any) -> None:
    """Where today's definition does not send it, or the partner refuses it, nobody forgets that."""
    event = _track(messageId="m1")
    kept(scripted([_partner(replies)]), _entries(event))
    kept.clock.now += 100
    since = kept.clock.time()
    usual = kept.destination.subscriptions[0].payload
    kept.destination.subscriptions[0].payload = lambda event: usual(  # type: ignore[method-assign]
        {**event, "properties": {"by": 1}}
    )
    report = kept(scripted([_partner(replies)]), _entries(event), again_since=lambda _: since)
    assert report.totals.outcomes == {Outcome.UNMAPPED: 1}
    assert [entry.status for entry in kept.ledger] == [Outcome.DELIVERED]
    kept.destination.subscriptions[0].payload = usual  # type: ignore[method-assign]
    report = kept(scripted([replies.errors("BAD")]), _entries(event), again_since=lambda _: since)
    assert report.totals.outcomes == {Outcome.REJECTED: 1}
    assert [(one.status, one.effect) for one in kept.ledger] == [(Outcome.REJECTED, Effect.MAYBE)]
    report = kept(scripted([_partner(replies)]), _entries(event))
    assert report.totals.outcomes == {State.HELD: 1}


# -- standard input --------------------------------------------------------------------------------


def test_standard_input_that_was_not_sent_is_kept(
    kept: Runner, scripted: Any, replies: Any
) -> None:
    """All of it while the partner is away, since it cannot be read again."""
    kept.inline = False
    data = _lines(*_tracks(1_500))
    report = kept(
        scripted([replies.refused]),
        ThreadedEntries(read_lines(BytesIO(data))),
        keep_unsent=True,
        outage=0.2,
    )
    assert report.stopped is not None
    assert report.stopped.why == "unavailable"
    assert report.totals.outcomes == {State.READY: 1_500}
    assert len(kept.ledger) == 1_500
    report = kept(scripted([_partner(replies)]), (), deliver_waiting=True)
    assert report.totals.outcomes == {Outcome.DELIVERED: 1_500}


@each_value
@pytest.mark.parametrize("commits", [0, 1, 2, 3])
@pytest.mark.parametrize("is_partner_away", [False, True])
def test_standard_input_that_cannot_be_kept(
    kept: Runner,
    scripted: Any,
    replies: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    commits: int,
    is_partner_away: bool,
) -> None:
    """What is not in the store is told, and from which line on the input has to come again."""
    kept.inline = False
    # So many that they take more commits than there is room for, however they are read.
    lines = list(read_lines(BytesIO(_lines(*_tracks(2_100)))))
    left = itertools.count(commits, -1)
    commit = StoredQueue.commit

    def full(queue: StoredQueue, round_: Round) -> Any:
        if not round_.is_empty and next(left) <= 0:
            raise StoreFullError("database or disk is full")
        return commit(queue, round_)

    monkeypatch.setattr(run_module, "_STORE_AWAY_SECONDS", 0.0)
    partner = replies.refused if is_partner_away else _partner(replies)
    with monkeypatch.context() as patched:
        patched.setattr(StoredQueue, "commit", full)
        report = kept(
            scripted([partner]), ThreadedEntries(iter(lines)), keep_unsent=True, outage=0.05
        )
    assert report.stopped is not None
    assert report.stopped.why == "unavailable"
    told = report.not_kept
    assert told is not None
    assert told.why == "database or disk is full"
    rows = {entry.message_id: entry.status for entry in kept.ledger}
    missing = [line for line in range(1, 2_101) if f"m{line - 1}" not in rows]
    assert told.first == missing[0]
    assert told.lines == len([line for line in missing if line <= report.lines])
    assert report.totals.rows == report.lines
    ready = list(rows.values()).count(State.READY)
    assert report.totals.outcomes[State.READY] - told.rows == ready
    again = scripted([_partner(replies)])
    kept.inline = True
    kept(again, lines[told.first - 1 :], deliver_waiting=True)
    found = {entry.message_id: entry.status for entry in kept.ledger}
    assert len(found) == len(kept.ledger) == 2_100
    was_sending = {one for one, status in rows.items() if status is not State.READY}
    assert {found[one] for one in found.keys() - was_sending} == {Outcome.DELIVERED}


@pytest.mark.parametrize("error", [StoreGoneError("removed"), StoreFullError("disk is full")])
def test_a_store_that_is_away_when_the_last_answer_comes(
    kept: Runner, scripted: Any, replies: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The run ends as it does when that happens earlier, and says what is not known of its rows."""
    kept.inline = False
    commit, sent = StoredQueue.commit, threading.Event()

    def fail(queue: StoredQueue, round_: Round) -> Any:
        if sent.is_set():
            raise error
        return commit(queue, round_)

    def partner(request: HttpRequest) -> Any:
        sent.set()
        return _partner(replies)(request)

    monkeypatch.setattr(run_module, "_STORE_AWAY_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(StoredQueue, "commit", fail)
        report = kept(scripted([partner]), _entries(_track(1, "u", messageId="m1")))
    assert report.stopped is not None
    assert (report.stopped.why, report.stopped.message) == ("unavailable", str(error))
    assert report.stopped.goes_on is isinstance(error, StoreFullError)
    assert report.internal_errors == []
    assert report.totals.outcomes == {State.UNKNOWN: 1}
    assert list(kept.reasons.values()) == [
        "it was sent, but its outcome could not be written to the store"
    ]


@pytest.mark.parametrize("end", [b"", b",", b", \n"])
def test_an_array_that_is_cut_off(either: Runner, scripted: Any, replies: Any, end: bytes) -> None:
    """What could be read is delivered, and the missing end has a row of its own."""
    data = b"[" + b",".join(_lines(one) for one in _tracks(2)) + end
    report = either(scripted([_partner(replies)]), read_json_entries(BytesIO(data)))
    assert report.totals.outcomes == {Outcome.DELIVERED: 2, Outcome.INVALID: 1}
    (end_row,) = [row for row in either.rows if row.result.outcome is Outcome.INVALID]
    assert "the array has no ] at its end" in end_row.result.reason


def test_a_pipe_that_does_not_end(kept: Runner, scripted: Any, replies: Any) -> None:
    """Whoever interrupts does not wait for its end: what was read is kept, and no more is read."""
    kept.inline = False
    go = threading.Event()

    def partner(request: HttpRequest) -> Any:
        go.set()
        return _partner(replies)(request)

    def source() -> Iterator[Entry]:
        for number in range(100_000):
            if number == 100:
                assert go.wait(10)
                signal.raise_signal(signal.SIGINT)
            event = _track(number, f"u{number}", messageId=f"m{number}")
            yield Entry(number + 1, json.dumps(event).encode())

    report = kept(scripted([partner]), ThreadedEntries(source()), keep_unsent=True)
    assert report.stopped is not None
    assert report.stopped.why == "interrupted"
    assert 100 <= report.lines < 10_000
    assert report.totals.rows == report.lines == len(kept.ledger)


def test_a_pipe_that_brings_nothing_for_now(runner: Runner, scripted: Any, replies: Any) -> None:
    """What has come is delivered meanwhile; nobody waits for more."""
    runner.inline = False
    go = threading.Event()

    def source() -> Iterator[Entry]:
        yield from _entries(*_tracks(3))
        assert go.wait(10)
        yield from _entries(_track(messageId="last"))

    def partner(request: HttpRequest) -> Any:
        go.set()
        return _partner(replies)(request)

    report = runner(scripted([partner]), ThreadedEntries(source()))
    assert report.totals.outcomes == {Outcome.DELIVERED: 4}


# -- dry runs --------------------------------------------------------------------------------------


def test_a_dry_run(kept: Runner, scripted: Any, replies: Any) -> None:
    """Nothing is sent or written, and every line says what would become of it."""
    transport = scripted([_partner(replies)])
    kept(transport, _entries(*_tracks(2)))
    before = kept.ledger
    transport.requests.clear()
    events: list[dict[str, Any] | bytes] = [*_tracks(4), b"not json"]
    events.append(_track(3, "u3", messageId="m3"))
    report = kept(transport, _entries(*events), dry_run=True)
    assert kept.outcomes == {
        1: ["filtered"],
        2: ["filtered"],
        3: ["ready"],
        4: ["ready"],
        5: ["invalid"],
        6: ["filtered"],
    }
    assert kept.reasons[3] == "would be sent"
    assert transport.requests == []
    assert kept.ledger == before
    assert report.requests == 0


class _Impatient(StillClock):
    """A clock for what has no reason to wait for long."""

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        assert len(self.waits) < 1_000, "it waits for what never comes"
        return super().wait(seconds, stop)


@pytest.mark.parametrize("seed", range(4))
def test_a_dry_run_of_several_contents(
    either: Runner, scripted: Any, replies: Any, bind: Bind, seed: int
) -> None:
    """It tells what a run makes of them, whatever comes under one messageId, and ends."""
    draw = random.Random(seed)
    contents = [one for at, one in enumerate(_CONTENTS) if at != 2]  # that the partner rejects
    events = [
        {**draw.choice(contents)(line), "messageId": f"m{draw.randrange(20)}"}
        for line in range(1, 81)
    ]
    either.clock = _Impatient()
    dry = either(scripted([]), _entries(*events), dry_run=True)
    real = Runner(bind())(scripted([_partner(replies)]), _entries(*events))
    expected = Counter(real.totals.outcomes)
    expected[State.READY] = expected.pop(Outcome.DELIVERED)
    assert dry.totals.outcomes == expected
    assert dry.totals.outcomes[Outcome.REJECTED]
    assert dry.totals.rows == dry.lines == 80


# -- beside an operator ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "expected"),
    [("applied", Outcome.DELIVERED), ("not applied", Outcome.DELIVERED), ("drop", None)],
)
def test_an_operator_decides_meanwhile(
    bind: Bind, tmp_path: Path, decision: str, expected: Outcome | None
) -> None:
    """What a run waits for and somebody else settles has its row all the same, and counts once."""
    path = tmp_path / "store.sqlite3"
    runner = Runner(bind(with_reconcile), path)
    partner = Partner()
    asked = []

    def lose() -> None:
        partner.on_count = lambda: None
        raise LOST

    def decide(_: str) -> HttpResponse | None:
        asked.append(1)
        if len(asked) == 2:  # the question about the lost answer is under way
            with SqliteStore(path) as store:
                ledger = store.ledger()
                (entry,) = ledger.find(Selection())
                assert ledger.resolve([entry], applied=decision == "applied", now=5.0) == 1
                if decision == "drop":
                    (entry,) = ledger.find(Selection())
                    assert ledger.drop([entry], "test", 5.0) == 1
        return None

    partner.on_count, partner.on_ask = lose, decide
    report = runner(partner, _entries(_track(3, "u", messageId="m1")))
    assert report.totals.outcomes == {expected or Outcome.DROPPED: 1}
    assert partner.counts.get("t", 0) == (3 if decision == "not applied" else 0)


def test_a_request_that_carries_the_event(bind: Bind, scripted: Any, tmp_path: Path) -> None:
    """It has not what the filters of a connection take out, whether it is kept or not."""

    def carries(documents: dict[str, Any]) -> None:
        _without_code(documents)
        save = documents["destination"]["requests"]["save"]
        save["rest"]["json"] = {"all": {"@path": "$.event.properties"}}

    bound = bind(carries)
    definition = replace(bound.definition, filters=(EventFilter("block", paths=("email",)),))
    destination = Destination(definition, bound.settings)
    page = {**PAGE, "properties": {"email": "e@example.com", "plan": "pro"}}
    for path in (None, tmp_path / "s.sqlite3"):
        transport = scripted([HttpResponse(200, {}, b"{}")])
        Runner(destination, path)(transport, _entries(page))
        (request,) = transport.requests
        assert json.loads(request.body) == {"all": {"plan": "pro"}}


def _without_code(documents: dict[str, Any]) -> None:
    del documents["sync"]
    documents["destination"]["presets"].pop()
