"""`run` that ends anywhere on its way, and again: each event has one outcome, usage is exact."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import lock_run
from destinations.outcome import Outcome
from destinations.pipeline.dedupe import fingerprint
from destinations.store import SqliteStore

Event = Mapping[str, Any]
POINTS = (
    "start",
    "before recover",
    "after recover",
    "read",
    "statement",
    "before commit",
    "after commit",
    "claimed",
    "sending",
    "before send",
    "during send",
    "after send",
    "answered",
    "settling",
    "settled",
    "before report",
    "after report",
    "before close",
    "after close",
)
ONCE = ("before recover", "after recover", "read", "before report", "after report")
SIGNALS = ("SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")
MOST_CRASHES = 4


def _crash(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.1:
        return {"full": chance.randint(0, 20)}
    point = chance.choice(POINTS)
    crash: dict[str, Any] = {"point": point, "by": chance.choice(SIGNALS)}
    if point == "start":
        return {**crash, "seconds": chance.uniform(0.001, 0.3)}
    most = {"statement": 500, "before close": 1, "after close": 1} | dict.fromkeys(ONCE, 1)
    crash["nth"] = chance.randint(1, most.get(point, 8))
    if point == "during send":
        crash["seconds"] = chance.uniform(0.0005, 0.02)
    if crash["by"] == "SIGINT" and chance.random() < 0.3:
        crash["repeat"] = 2  # whoever presses Ctrl-C twice wants out at once
    return crash


class Runs:
    """``destinations run`` with one store: one process after another."""

    def __init__(self, workers: Any, folder: Path, store: Path, settings: Any) -> None:
        self._workers = workers
        self._folder = folder
        self._store = store
        self._settings = folder / "settings.json"
        self._settings.write_text(json.dumps(settings), encoding="utf-8")
        self._out = folder / "report.json"

    def __call__(
        self, *more: str, source: Path | None = None, full: int | None = None, **crash: Any
    ) -> int:
        """Runs with further arguments; the exit code, or minus the signal that ended it.

        After ``full`` commits, the disk is full.
        """
        command = ["run", "kana", "--settings", str(self._settings), "--json", *more]
        self._out.unlink(missing_ok=True)
        task = {
            "command": [*command, "--store", str(self._store)],
            "out": str(self._out),
            "reconcileAfter": 0.1,
            "crash": crash,
            "full": full,
        }
        if source is not None:
            task["in"] = str(source)
        return int(self._workers.run(task))

    def file(self, name: str, events: Sequence[Event]) -> list[str]:
        """The arguments that give these events."""
        path = self._folder / name
        path.write_text("".join(json.dumps(one) + "\n" for one in events), encoding="utf-8")
        return ["--events", str(path)]

    @property
    def report(self) -> Any:
        """What the last process printed at its end, if it came to that; its rows add up."""
        text = self._out.read_text(encoding="utf-8") if self._out.exists() else ""
        if not text:
            return None
        report = json.loads(text)
        assert sum(report["outcomes"].values()) == report["rows"]
        return report

    @property
    def outcomes(self) -> dict[str, int]:
        """Those of the last process that occurred."""
        return {name: count for name, count in self.report["outcomes"].items() if count}

    def is_ended_by(self, end: int, crash: Mapping[str, Any]) -> None:
        """A process was ended by its signal, or ended in order, as it says itself, or at once."""
        if "full" in crash:
            assert end in {0, 1, 75}
            return
        number = signal.Signals[crash["by"]]
        assert end in {0, 1, -number} | ({130} if number != signal.SIGKILL else set())


@pytest.fixture
def runs(workers: Any, ledger: Any, tmp_path: Path) -> Callable[[Mapping[str, str]], Runs]:
    """Makes runs with settings."""
    return lambda settings: Runs(workers, tmp_path, ledger.path, settings)


@contextmanager
def _fed(path: Path, lines: Sequence[bytes], chance: random.Random) -> Iterator[None]:
    """A pipe that brings lines as long as somebody reads it, in pieces."""
    over = threading.Event()

    def feed() -> None:
        pipe = None
        while pipe is None and not over.wait(0.001):
            with suppress(OSError):  # nobody has opened it yet
                pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        if pipe is None:
            return
        os.set_blocking(pipe, True)
        rest = list(lines)
        try:
            while rest and not over.is_set():
                count = chance.randint(1, 20)
                os.write(pipe, b"".join(rest[:count]))
                del rest[:count]
                over.wait(chance.choice([0, 0, 0.02]))
        except BrokenPipeError:
            pass
        finally:
            os.close(pipe)

    os.mkfifo(path)
    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        path.unlink()


def _slow(kana: Any, chance: random.Random) -> None:
    """Sometimes an answer takes its time: so that there is a while between applied and told."""
    if chance.random() < 0.5:
        rule = {"match": {"rootField": "recordUsage"}, "delay": 0.01, "times": None}
        kana.sandbox.faults.add(rule)


def test_a_file(  # noqa: PLR0917 - fixtures
    cut_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Runs],
    ledger: Any,
    differences: Callable[..., Any],
    canary: str,
) -> None:
    """However often it is cut, the same command delivers exactly the rest; then there is none."""
    chance = random.Random(f"file {cut_seed}")
    events = traffic(chance)
    kana = partner(events.seed)
    _slow(kana, chance)
    run = runs(kana.settings)
    given = run.file("events.ndjson", events.events)
    notes = []
    for _ in range(chance.randint(1, MOST_CRASHES)):
        crash = _crash(chance)
        end = run(*given, **crash)
        notes.append((crash, end, dict(ledger.outcomes)))
        run.is_ended_by(end, crash)
        if run.report is not None:
            assert run.report["rows"] == run.report["lines"]
        assert set(ledger.outcomes) <= {"delivered", "ready", "sending", "unknown"}
    print(f"seed {cut_seed}: {notes}")
    assert run(*given) == 0
    assert run.report["rows"] == run.report["lines"] == len(events.events)
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
    assert kana.traits == events.traits
    assert canary.encode() not in ledger.bytes
    sent = kana.sandbox.requests.count_of("recordUsage")
    assert run(*given) == 0
    assert run.outcomes == {"filtered": len(events.events)}
    assert kana.sandbox.requests.count_of("recordUsage") == sent


BROKEN: Sequence[Mapping[str, Any]] = (
    {"delta": "many"},
    {"featureId": "nope"},
    {"featureId": None},
)
"""What makes an event invalid, rejected, or unmapped."""


def _with(event: Event, **properties: Any) -> Event:
    found = {**event["properties"], **properties}
    return {**event, "properties": {k: v for k, v in found.items() if v is not None}}


def test_a_corrected_file(
    cut_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Runs],
    ledger: Any,
    differences: Callable[..., Any],
) -> None:
    """What had no effect is corrected, what had is not: of each messageId one content counts.

    That is the corrected one of all that could not be delivered. What was delivered with another
    content, was under way, or waited, stays; its correction is told as a conflict, and delivered
    when it is given again after that came to nothing.
    """
    chance = random.Random(f"corrected {cut_seed}")
    events = traffic(chance)
    kana = partner(events.seed)
    _slow(kana, chance)
    run = runs(kana.settings)
    right, wrong, broken = dict(events.messages), dict(events.messages), set()
    for name, event in right.items():
        dice = chance.random()
        if event["type"] == "track" and dice < 0.2:
            wrong[name] = _with(event, **chance.choice(BROKEN))
            broken.add(name)
        elif event["type"] == "track" and dice < 0.35:
            wrong[name] = _with(event, delta=event["properties"]["delta"] + 1)
    order = [event["messageId"] for event in events.events]
    first = run.file("wrong.ndjson", [wrong[name] for name in order])
    second = run.file("right.ndjson", [right[name] for name in order])
    notes = []
    for given in [first] * chance.randint(1, 2) + [second] * chance.randint(0, 2):
        crash = _crash(chance)
        end = run(*given, **crash)
        notes.append((given[-1][-12:], crash, end, dict(ledger.outcomes)))
        run.is_ended_by(end, crash)
    assert run(*second) in {0, 1}
    assert run() in {0, 1}  # what waited of the first file, and may be refused now
    assert run(*second) in {0, 1}
    told = run.outcomes.get("rejected", 0)
    assert run() == 0
    entries = ledger.entries
    print(f"seed {cut_seed}: {notes}: {dict(ledger.outcomes)}")
    delivered = [one.message_id for one in entries if one.outcome is Outcome.DELIVERED]
    assert Counter(delivered) == Counter(list(right))
    conflicts = {one.message_id for one in entries if one.code == "CONFLICT"}
    stayed = 0
    due: Counter[tuple[str, str]] = Counter()
    for name, counted in _fingerprints(ledger.path).items():
        is_right = counted == fingerprint(right[name])
        assert is_right or counted == fingerprint(wrong[name])
        assert is_right or (name in conflicts and name not in broken)
        stayed += 0 if is_right else order.count(name)
        event = right[name] if is_right else wrong[name]
        if event["type"] == "track":
            due[event["userId"], event["properties"]["featureId"]] += event["properties"]["delta"]
    assert differences(kana.added, due) == {}
    assert told == stayed
    assert kana.traits == events.traits


def _fingerprints(store: Path) -> dict[str, int]:
    """By its messageId, what each delivered event is recognised by."""
    with closing(SqliteStore(store, read_only=True)) as opened:
        query = "SELECT message_id, fingerprint FROM ledger WHERE status = 0"
        return dict(opened.database.all(query))


def test_standard_input(  # noqa: PLR0917 - fixtures
    cut_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Runs],
    ledger: Any,
    differences: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """What was read has a row when a run ends in order; without an input, that is delivered.

    However it ends, the same input given again brings exactly what is missing.
    """
    chance = random.Random(f"stdin {cut_seed}")
    events = traffic(chance)
    kana = partner(events.seed)
    _slow(kana, chance)
    run = runs(kana.settings)
    lines = [json.dumps(event).encode() + b"\n" for event in events.events]
    pipe = tmp_path / "pipe"
    notes = []
    for _ in range(chance.randint(1, MOST_CRASHES)):
        crash = _crash(chance)
        if chance.random() < 0.25:
            end = run(**crash)  # what waits, alone
        else:
            with _fed(pipe, lines, chance):
                end = run("--events", "-", source=pipe, **crash)
            if end in {75, 130} and "full" not in crash and run.report is not None:
                read = {one["messageId"] for one in events.events[: run.report["lines"]]}
                assert run.report["rows"] == run.report["lines"]
                assert read <= set(ledger.accepted)
        run.is_ended_by(end, crash)
        notes.append((crash, end, dict(ledger.outcomes)))
    print(f"seed {cut_seed}: {notes}")
    assert run() == 0
    assert set(ledger.outcomes) <= {"delivered"}
    assert differences(kana.added, ledger.deltas(events.messages)) == {}
    with _fed(pipe, lines, chance):
        assert run("--events", "-", source=pipe) == 0
    assert run.report["rows"] == run.report["lines"] == len(lines)
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
    assert kana.traits == events.traits


def test_sending_again(
    cut_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Runs],
    ledger: Any,
    differences: Callable[..., Any],
) -> None:
    """What is sent once more, as somebody wants it so, is sent once more only, also when cut."""
    chance = random.Random(f"again {cut_seed}")
    events = traffic(chance)
    kana = partner(events.seed)
    _slow(kana, chance)
    run = runs(kana.settings)
    given = run.file("events.ndjson", events.events)
    assert run(*given) == 0
    twice = {key: 2 * total for key, total in events.deltas.items()}
    notes = []
    for number in range(MOST_CRASHES + 1):
        crash = _crash(chance) if number < MOST_CRASHES else {}
        end = run(*given, "--again", "--yes", **crash)
        is_going_on = ledger.notes("again %") != []
        notes.append((crash, end, is_going_on, dict(ledger.outcomes)))
        if not is_going_on and differences(kana.added, twice) == {}:
            break  # all of it was sent, whenever the process ended after that
    print(f"seed {cut_seed}: {notes}")
    assert not is_going_on
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, twice) == {}
    assert kana.traits == events.traits


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_point(
    point: str,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Runs],
    ledger: Any,
) -> None:
    """A run comes to every point that it may end at: no seed is spent in vain.

    Whichever it is, the same command delivers the rest.
    """
    events = traffic(random.Random(0), events=16)
    kana = partner(events.seed)
    run = runs(kana.settings)
    given = run.file("events.ndjson", events.events)
    seconds = {"during send": 0.0001, "start": 0.0001}.get(point, 0.0)
    assert run(*given, point=point, seconds=seconds) == -signal.SIGKILL
    assert run(*given) == 0
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert kana.added == {**dict.fromkeys(kana.before, 0), **events.deltas}


ON_THE_WAY = ("read", "claimed", "sending", "before send", "after send", "answered", "settling")
ENDS = list(itertools.product(ON_THE_WAY, ("SIGTERM", "SIGHUP", "SIGINT"), (False, True)))
if "CHAOS_SEEDS" not in os.environ:
    ENDS = ENDS[::5]  # which has all points, all signals, and both inputs


@pytest.mark.parametrize(("point", "by", "of_pipe"), ENDS)
def test_ended_at_each_point(  # noqa: PLR0917 - fixtures
    point: str,
    by: str,
    of_pipe: bool,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Runs],
    ledger: Any,
    tmp_path: Path,
) -> None:
    """Told to end, a run ends what is under way, and says what it has done and what is left.

    What it has read of a pipe and not sent is in the store, and is sent without that input.
    """
    events = traffic(random.Random(0), events=40)
    kana = partner(events.seed)
    run = runs(kana.settings)
    lines = [json.dumps(event).encode() + b"\n" for event in events.events]
    path = tmp_path / "pipe"
    with _fed(path, lines, random.Random(0)) if of_pipe else nullcontext():
        given = ["--events", "-"] if of_pipe else run.file("events.ndjson", events.events)
        # The first request tests the credentials: nothing is under way yet.
        nth = 2 if "send" in point.split() else 1
        source = path if of_pipe else None
        assert run(*given, source=source, point=point, by=by, nth=nth) == 130
    assert run.report["stopped"] == "interrupted"
    assert run.report["rows"] == run.report["lines"]
    assert run.outcomes.keys() <= {"delivered", "ready", "filtered"}
    assert ledger.outcomes.keys() <= {"delivered", "ready"}
    assert kana.added == {**dict.fromkeys(kana.before, 0), **ledger.deltas(events.messages)}
    if of_pipe:
        read = {one["messageId"] for one in events.events[: run.report["lines"]]}
        assert set(ledger.accepted) == read
        assert run() == 0
        assert ledger.outcomes == {"delivered": len(read)}
        given = run.file("events.ndjson", events.events)
    else:
        assert run.outcomes.get("ready")
    assert run(*given) == 0
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert kana.added == {**dict.fromkeys(kana.before, 0), **events.deltas}


def test_two_runs_at_once(
    traffic: Callable[..., Any], partner: Callable[..., Any], runs: Callable[..., Runs], ledger: Any
) -> None:
    """The second of one account is told to wait, and changes nothing."""
    events = traffic(random.Random(0), events=16)
    kana = partner(events.seed)
    run = runs(kana.settings)
    given = run.file("events.ndjson", events.events)
    assert run(*given) == 0
    before = ledger.entries
    with lock_run(ledger.path, before[0].scope, "kana"):
        assert run(*given) == 75
    assert ledger.entries == before
