"""The whole of it, with a clock and figures of a test: who tells, what is kept, what goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from destinations.errors import StoreFullError, UsageError
from destinations.kit.testing.stand_ins import StillClock
from destinations.operations import AlertStatus, StoredAlerts, alert_status, silence_rule
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Tally
from destinations.telemetry.alerts import (
    AlertConfig,
    AlertRule,
    AlertWatch,
    CommandSink,
    Figures,
    Message,
    Sink,
)
from destinations.telemetry.alerts.sending import SinkError
from tests.stores import AnyStore, OpenStore, both_kinds, opener

MakeRule = Callable[..., AlertRule]


class Notes:
    """Keeps notes as JSON, as a store does; may be full, or away."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.left: list[str] = []
        self.silent: set[str] = set()
        self.error: Exception | None = None

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def read(self) -> Mapping[str, Any] | None:
        """See `AlertNotes.read`."""
        self._check()
        found: Mapping[str, Any] | None = json.loads(self.kept.get("alerts", "null"))
        return found

    def write(self, kept: Mapping[str, Any]) -> None:
        """See `AlertNotes.write`."""
        self._check()
        self.kept["alerts"] = json.dumps(kept)

    def read_counts(self) -> Mapping[str, Any] | None:
        """See `AlertNotes.read_counts`."""
        self._check()
        found: Mapping[str, Any] | None = json.loads(self.kept.get("counts", "null"))
        return found

    def write_counts(self, kept: Mapping[str, Any]) -> None:
        """See `AlertNotes.write_counts`."""
        self._check()
        self.kept["counts"] = json.dumps(kept)

    def leave(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """See `AlertNotes.leave`."""
        self._check()
        self.left.append(json.dumps(alerts))

    def take_left(self) -> Sequence[Mapping[str, Any]]:
        """See `AlertNotes.take_left`."""
        self._check()
        found, self.left = self.left, []
        return [one for alerts in found for one in json.loads(alerts)]

    def silenced(self, now: float) -> Collection[str]:  # noqa: ARG002 - see AlertNotes
        """See `AlertNotes.silenced`."""
        self._check()
        return self.silent


class Inbox:
    """What all sinks got, as pairs of the sink and the message."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Message]] = []

    def sender(self, sink: Sink) -> _Sender:
        """Return a sender to a sink."""
        return _Sender(self, sink.name)

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """The sinks and the kinds of messages."""
        return [(sink, message.kind) for sink, message in self.got]


class _Sender:
    def __init__(self, inbox: Inbox, name: str) -> None:
        self._inbox = inbox
        self._name = name

    def send(self, message: Message) -> None:
        """Take a message."""
        self._inbox.got.append((self._name, message))

    def close(self) -> None:
        """Do nothing."""


class Process:
    """A process that watches; its threads are the test's own."""

    def __init__(self, notes: Notes | StoredAlerts, inbox: Inbox, clock: StillClock) -> None:
        self.clock = clock
        self.is_chief: bool | Exception = True
        self.held = 0
        self.figures: Figures | None = None
        self.gathered = 0
        self.watch = AlertWatch(
            notes,
            gather=self._gather,
            is_chief=self._is_chief,
            make_sender=inbox.sender,
            tell=lambda *_: None,
            clock=clock,
        )

    def _is_chief(self) -> bool:
        if isinstance(self.is_chief, Exception):
            raise self.is_chief
        return self.is_chief

    def _gather(self, _: Sequence[AlertRule]) -> Figures:
        self.gathered += 1
        if self.figures is not None:
            return replace(self.figures, now=self.clock.time())
        held = [Tally("kana", "", "", State.HELD, 0, self.held)]
        return Figures(self.clock.time(), tallies=held)

    def turn(self) -> None:
        """Look, and send what there is to send."""
        self.watch.look()
        for worker in list(self.watch._workers.values()):
            while worker.turn() == 0:
                pass


def _config(*rules: AlertRule) -> AlertConfig:
    names = dict.fromkeys(sink for rule in rules for sink in rule.sinks)
    return AlertConfig(rules, {name: CommandSink(name, (name,)) for name in names})


@pytest.fixture
def inbox() -> Inbox:
    """What sinks get."""
    return Inbox()


@pytest.fixture
def held(rule: MakeRule) -> AlertRule:
    """A rule on held deliveries, of which there may be none."""
    return rule("held", sinks=("page", "mail"), close_after=60, repeat=3600)


def test_opened_and_closed(inbox: Inbox, clock: StillClock, held: AlertRule) -> None:
    """All sinks of the rule hear of it, once each."""
    process = Process(Notes(), inbox, clock)
    process.watch.configure(_config(held), ["kana"])
    process.turn()
    assert inbox.got == []
    process.held = 3
    for _ in range(20):
        clock.now += 5
        process.turn()
    assert inbox.kinds == [("page", "opened"), ("mail", "opened")]
    assert process.watch.open == {"held": 1}
    process.held = 0
    for _ in range(20):
        clock.now += 5
        process.turn()
    assert inbox.kinds[2:] == [("page", "closed"), ("mail", "closed")]
    assert process.watch.open == {"held": 0}


def test_a_restart_keeps_it(inbox: Inbox, clock: StillClock, held: AlertRule) -> None:
    """The next start tells nothing again, and closes what is over."""
    notes = Notes()
    before = Process(notes, inbox, clock)
    before.watch.configure(_config(held), ["kana"])
    before.held = 1
    before.turn()
    before.watch.close()
    assert len(inbox.got) == 2
    after = Process(notes, inbox, clock)
    after.watch.configure(_config(held), ["kana"])
    after.held = 1
    clock.now += 60
    after.turn()
    assert len(inbox.got) == 2
    after.held = 0
    for _ in range(3):
        clock.now += 60
        after.turn()
    assert inbox.kinds[2:] == [("page", "closed"), ("mail", "closed")]
    assert inbox.got[2][1].alert == inbox.got[0][1].alert


def test_a_restart_keeps_the_counts(inbox: Inbox, clock: StillClock, rule: MakeRule) -> None:
    """What died before a restart counts with what died after it, and meanwhile."""
    notes = Notes()
    day = int(clock.time() // 86_400)

    def at(process: Process, dead: int) -> None:
        clock.now += 10
        tally = Tally("kana", "", "", Outcome.DEAD, day, dead)
        process.figures = Figures(0, tallies=[tally])
        process.turn()

    config = _config(rule("dead", over=5))
    before = Process(notes, inbox, clock)
    before.watch.configure(config, ["kana"])
    at(before, 100)
    at(before, 102)
    before.watch.close()
    after = Process(notes, inbox, clock)
    after.watch.configure(config, ["kana"])
    at(after, 104)
    assert inbox.got == []
    at(after, 106)
    ((_, message),) = inbox.got
    assert message.what == "6 deliveries dead within 15m"


def test_what_was_not_sent_is_sent_after_a_restart(
    inbox: Inbox, clock: StillClock, held: AlertRule
) -> None:
    """A message that a process made and could not send is not lost with it; its id is the same."""
    notes = Notes()
    before = Process(notes, inbox, clock)
    before.watch.configure(_config(held), ["kana"])
    before.held = 1
    before.watch.look()  # and no worker gets to it
    made = json.loads(notes.kept["alerts"])["alerts"][0]["message"]["id"]
    after = Process(notes, inbox, clock)
    after.watch.configure(_config(held), ["kana"])
    after.held = 1
    after.turn()
    assert [(sink, message.id) for sink, message in inbox.got] == [("page", made), ("mail", made)]


def test_one_process_tells(inbox: Inbox, clock: StillClock, held: AlertRule) -> None:
    """Of two processes one does; if it is gone, the other goes on where it was."""
    notes = Notes()
    first, second = (Process(notes, inbox, clock) for _ in range(2))
    second.is_chief = False
    for process in (first, second):
        process.watch.configure(_config(held), ["kana"])
        process.held = 1
        process.turn()
    assert len(inbox.got) == 2
    assert second.gathered == 0
    assert (first.watch.open, second.watch.open) == ({"held": 1}, {"held": 0})
    first.is_chief, second.is_chief = False, True
    for _ in range(3):
        clock.now += 30
        first.turn()
        second.turn()
    assert len(inbox.got) == 2
    assert (first.watch.open, second.watch.open) == ({"held": 0}, {"held": 1})
    second.held = 0
    for _ in range(3):
        clock.now += 60
        first.turn()
        second.turn()
    assert inbox.kinds[2:] == [("page", "closed"), ("mail", "closed")]


def test_a_store_that_is_full(inbox: Inbox, clock: StillClock, rule: MakeRule) -> None:
    """People are told even if it cannot be kept, once, and it is kept later."""
    notes = Notes()
    process = Process(notes, inbox, clock)
    process.watch.configure(_config(rule("storeFull", 0.9, close_after=60)), ["kana"])
    process.turn()
    notes.error = StoreFullError("the disk is full", "the disk is full")
    notes.kept.clear()
    process.is_chief = UsageError("the store is away")  # then it is the one that it was
    process.figures = Figures(0, is_read=False, unwritable="the disk is full")
    for _ in range(20):
        clock.now += 5
        process.turn()
    assert inbox.kinds == [("page", "opened")]
    assert "the disk is full" in inbox.got[0][1].what
    assert notes.kept == {}
    notes.error, process.is_chief, process.figures = None, True, None
    for _ in range(3):
        clock.now += 60
        process.turn()
    assert inbox.kinds == [("page", "opened"), ("page", "closed")]
    assert json.loads(notes.kept["alerts"])["alerts"] == []


@pytest.mark.parametrize("is_seen_there", [False, True])
def test_what_could_not_be_kept_is_left_to_the_next(
    inbox: Inbox, clock: StillClock, rule: MakeRule, *, is_seen_there: bool
) -> None:
    """An alert that was told while the store was away is closed by the one that tells then."""
    notes = Notes()
    first, second = (Process(notes, inbox, clock) for _ in range(2))
    config = _config(rule("storeFull", 0.9, close_after=60))
    for process in (first, second):
        process.watch.configure(config, ["kana"])
    second.is_chief = False
    first.turn()
    notes.error = UsageError("away")
    first.is_chief = UsageError("away")
    first.figures = Figures(0, is_read=False, unwritable="the database is away")
    first.turn()
    assert inbox.kinds == [("page", "opened")]
    notes.error, first.figures = None, None
    first.is_chief, second.is_chief = False, True
    if is_seen_there:
        second.figures = Figures(0, unwritable="the disk is full")
        second.turn()
        assert inbox.kinds == [("page", "opened")] * 2
    for _ in range(3):
        clock.now += 30
        first.turn()
        second.turn()
    second.figures = None
    for _ in range(3):
        clock.now += 60
        first.turn()
        second.turn()
    opened = [one.alert for _, one in inbox.got if one.kind == "opened"]
    closed = [one.alert for _, one in inbox.got if one.kind == "closed"]
    assert sorted(opened) == sorted(closed)
    assert len(opened) == 1 + is_seen_there
    assert notes.left == []


def test_a_rule_that_is_silenced(inbox: Inbox, clock: StillClock, held: AlertRule) -> None:
    """It is told of once it is not silenced any more, if it still holds."""
    notes = Notes()
    notes.silent = {"held"}
    process = Process(notes, inbox, clock)
    process.watch.configure(_config(held), ["kana"])
    process.held = 1
    process.turn()
    assert inbox.got == []
    notes.silent = set()
    process.turn()
    assert len(inbox.got) == 2


def test_a_reload(inbox: Inbox, clock: StillClock, held: AlertRule) -> None:
    """Alerts of rules that stay go on; those of others are closed by a message."""
    process = Process(Notes(), inbox, clock)
    other = replace(held, name="other", sinks=("page",))
    process.watch.configure(_config(held, other), ["kana"])
    process.held = 1
    process.turn()
    assert len(inbox.got) == 3
    process.watch.configure(_config(held), ["kana"])
    process.turn()
    ((sink, message),) = inbox.got[3:]
    assert (sink, message.rule, message.kind) == ("page", "other", "closed")
    assert process.watch.open == {"held": 1}


def test_nothing_is_watched_without_rules(inbox: Inbox, clock: StillClock) -> None:
    """A server without alerts reads no figures, but for a former rule whose alert is open."""
    process = Process(Notes(), inbox, clock)
    process.watch.configure(AlertConfig(), ["kana"])
    process.turn()
    gathered = process.gathered
    for _ in range(5):
        process.turn()
    assert process.gathered == gathered <= 1


def test_a_sink_that_hangs_holds_nobody_up(inbox: Inbox, held: AlertRule) -> None:
    """The next look, and the other sink, do not wait for it."""
    hangs = threading.Event()

    class Hanging:
        def send(self, _: Message) -> None:
            hangs.wait(30)

        def close(self) -> None:
            hangs.set()

    def sender(sink: Sink) -> Any:
        return Hanging() if sink.name == "page" else inbox.sender(sink)

    looked = threading.Semaphore(0)
    held_now = [Tally("kana", "", "", State.HELD, 0, 1)]

    class Quick(StillClock):
        def wait(self, seconds: float, stop: threading.Event) -> bool:
            looked.release()
            return stop.wait(min(seconds, 0.01))

    quick = Quick()
    watch = AlertWatch(
        Notes(),
        gather=lambda _: Figures(quick.time(), tallies=held_now),
        is_chief=lambda: True,
        make_sender=sender,
        tell=lambda *_: None,
        clock=quick,
    )
    watch.configure(_config(held), ["kana"])
    watch.start()
    try:
        for _ in range(50):
            assert looked.acquire(timeout=10)
        assert inbox.kinds == [("mail", "opened")]
        assert watch.open == {"held": 1}
    finally:
        watch.close()


def test_a_message_under_way_ends_before_the_server(inbox: Inbox, held: AlertRule) -> None:
    """What a sink has taken is known to the next start; who stops does not cut it off."""
    notes, takes, is_cut_off = Notes(), threading.Event(), threading.Event()

    class Stopped(StillClock):
        """Waits for real and stands still: no later message takes the place of this one."""

        def wait(self, seconds: float, stop: threading.Event) -> bool:
            return stop.wait(seconds)

    class Slow:
        def send(self, _: Message) -> None:
            takes.set()
            assert watch._stop.wait(30)
            if is_cut_off.wait(0.2):
                raise SinkError("the server stops")

        def close(self) -> None:
            is_cut_off.set()

    def sender(sink: Sink) -> Any:
        return Slow() if sink.name == "page" else inbox.sender(sink)

    clock = Stopped()
    held_now = [Tally("kana", "", "", State.HELD, 0, 1)]
    watch = AlertWatch(
        notes,
        gather=lambda _: Figures(clock.time(), tallies=held_now),
        is_chief=lambda: True,
        make_sender=sender,
        tell=lambda *_: None,
        clock=clock,
    )
    watch.configure(_config(held), ["kana"])
    watch.look()
    watch.start()
    assert takes.wait(30)
    watch.close()
    (alert,) = (notes.read() or {})["alerts"]
    assert "page" not in alert["waiting"]


@pytest.fixture
def open_store(request: pytest.FixtureRequest, tmp_path: Any) -> OpenStore:
    """What opens the store of a test."""
    return opener(request.param, tmp_path / "s.sqlite3")


@both_kinds
def test_left_in_a_store(open_store: OpenStore) -> None:
    """It is taken once, by whoever comes first."""
    with open_store() as store:
        notes = StoredAlerts(store)
        assert notes.take_left() == []
        notes.leave([{"id": "a"}])
        notes.leave([{"id": "b"}])
        assert sorted(one["id"] for one in notes.take_left()) == ["a", "b"]
        assert notes.take_left() == []


@both_kinds
def test_kept_in_a_store(
    open_store: OpenStore, inbox: Inbox, clock: StillClock, held: AlertRule
) -> None:
    """It survives a restart there, and operators see it; a silence of theirs is heeded."""

    def status(store: AnyStore) -> AlertStatus:
        return alert_status(store, clock.time())

    with open_store() as store:
        process = Process(StoredAlerts(store), inbox, clock)
        process.watch.configure(_config(held), ["kana"])
        process.held = 1
        process.turn()
        (one,) = status(store).alerts
        assert (one.rule, one.destination, one.waiting) == ("held", "kana", ())
        assert one.what == "1 delivery held for an operator to decide"
        assert {sink.name: sink.failures for sink in status(store).sinks} == {"page": 0, "mail": 0}
        silence_rule(store, "held", clock.time() + 7_200)
        process.watch.close()
    with open_store() as store:
        process = Process(StoredAlerts(store), inbox, clock)
        process.watch.configure(_config(held), ["kana"])
        process.held = 1
        clock.now += 3_700  # it would be repeated
        process.turn()
        assert len(inbox.got) == 2
        assert status(store).silenced.keys() == {"held"}
        clock.now += 3_700
        process.turn()
        assert inbox.kinds[2:] == [("page", "repeated"), ("mail", "repeated")]
        assert status(store).silenced == {}
