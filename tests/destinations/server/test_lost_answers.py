"""Lost answers over HTTP: a server, a partner that loses answers, and a clock that jumps."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.clock import SystemClock
from destinations.operations import resolve
from destinations.outcome import Effect, Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import Service, read_config
from destinations.store import SqliteStore
from destinations.telemetry import Observation
from tests.case_tables import each_value

Act = Callable[[bool, list[str]], str]
"""What a partner does with a request: it counts or asks, and names things."""


class JumpingClock(SystemClock):
    """The machine's time, and what a test adds to it."""

    def __init__(self) -> None:
        self.jumped = 0.0

    def time(self) -> float:
        """See `destinations.clock.WallClock`."""
        return super().time() + self.jumped

    def monotonic(self) -> float:
        """See `destinations.clock.Clock`."""
        return super().monotonic() + self.jumped


class LossyPartner:
    """Counts things, shows what it counted, and does with each request as it is told.

    ``done`` answers; ``lost`` does it and says nothing, ``none`` does nothing and says nothing;
    ``late`` says nothing, and does it when ``arrive`` is called; ``hang`` does so while the test
    lasts, ``slow`` is ``none`` when ``gives_up`` is released. ``whole`` is an error that names no
    event; a number is an HTTP status, with nothing done.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.acts: Act = lambda _counts, _things: "done"
        self.gives_up = threading.Semaphore(0)
        self.requests: list[tuple[bool, list[str], str]] = []
        self.underway = 0
        self.most_underway = 0
        self._late: list[tuple[str, int]] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                partner.answer(self)

            def log_message(self, *_: object) -> None:
                """Nobody wants to know."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/graphql"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        """Do as it is told."""
        body = json.loads(to.rfile.read(int(to.headers["content-length"])))
        variables, counts = body["variables"], "mutation" in body["query"]
        numbers = sorted(int(key[6:]) for key in variables if re.fullmatch(r"thing_\d+", key))
        things = [variables[f"thing_{number}"] for number in numbers]
        added = [
            (thing, variables.get(f"by_{n}", 0)) for n, thing in zip(numbers, things, strict=True)
        ]
        with self._lock:
            act = self.acts(counts, things)
            self.requests.append((counts, things, act))
            if counts and act in {"done", "lost"}:
                for thing, by in added:
                    self.counts[thing] += by
            shown = [self.counts[thing] for thing in things]
            if act in {"late", "hang"}:
                self._late += added
        if act == "hang":
            self._closing.wait(60)
        if act == "slow":
            self.gives_up.acquire(timeout=60)
        if act in {"lost", "none", "late", "hang", "slow"}:
            to.close_connection = True
            return
        found: dict[str, Any] = {
            "data": {
                f"e{n}": {"done": True} if counts else {"used": used}
                for n, used in enumerate(shown)
            }
        }
        if act == "whole":
            found = {"errors": [{"message": "something went wrong"}]}
        answer = json.dumps(found).encode()
        to.send_response(int(act) if act.isdigit() else 200)
        to.send_header("content-length", str(len(answer)))
        to.end_headers()
        with contextlib.suppress(ConnectionError):
            to.wfile.write(answer)

    def arrive(self) -> None:
        """Let what is late arrive."""
        with self._lock:
            for thing, by in self._late:
                self.counts[thing] += by
            self._late.clear()

    def asked(self) -> int:
        """How many questions there were."""
        return sum(not counts for counts, _, _ in self.requests)

    def sent(self, thing: str) -> int:
        """How often a thing was in a request that counts."""
        return sum(things.count(thing) for counts, things, _ in self.requests if counts)

    def close(self) -> None:
        """End all that is under way."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Bench:
    """A server of one destination whose answers get lost."""

    def __init__(
        self,
        write: Callable[[str, Any], Path],
        write_definition: Callable[..., Path],
        observation: Observation,
        path: Path,
    ) -> None:
        self.partner = LossyPartner()
        self.clock = JumpingClock()
        self.path = path
        self._write = write
        self._write_definition = write_definition
        self._observation = observation
        self._services: list[Service] = []
        self._looking: sqlite3.Connection | None = None
        self._found: tuple[int, list[LedgerEntry]] | None = None

    def start(
        self,
        *,
        after: float | None = None,
        asks: bool = True,
        on_lost_answer: str | None = None,
        batch: int = 50,
        drain: float = 30.0,
        **delivery: Any,
    ) -> Service:
        """Start a server; ``after`` and ``on_lost_answer`` are of the definition."""

        def change(documents: dict[str, Any]) -> None:
            _counting(documents, asks=asks, after=after, on_lost_answer=on_lost_answer, batch=batch)

        self._write_definition(change)
        document = {
            "store": {"path": self.path.name},
            "listen": {"port": 0},
            "drainSeconds": drain,
            "destinations": [
                {
                    "name": "one",
                    "destination": "./sample",
                    "settings": {"apiKey": "${KEY}", "endpoint": self.partner.url},
                    "delivery": delivery,
                }
            ],
        }
        config = read_config(self._write("c.yaml", json.dumps(document)), {"KEY": "api-key-one"})
        service = Service(config, self._observation, clock=self.clock)
        service.start()
        service.watch_queues()
        self._services.append(service)
        return service

    def post(self, *events: tuple[str, int], start: int = 0) -> None:
        """Send events of things, each with what it adds; they are acknowledged."""
        body = [
            {
                "type": "track",
                "event": "E",
                "userId": f"user of {thing}",
                "messageId": f"m{number}",
                "properties": {"by": by, "thing": thing},
            }
            for number, (thing, by) in enumerate(events, start)
        ]
        url = self._services[-1].urls["one"]
        answer = requests.post(url, json=body, timeout=30)
        assert (answer.status_code, answer.json()) == (200, {"accepted": len(events)})

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric."""
        url = re.sub("/v1/.*", "/metrics", self._services[-1].urls["one"])
        shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        for line in requests.get(url, timeout=30).text.splitlines():
            if line.startswith(f"destinations_{name}{{{shown}}} "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(name)

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.jumped += seconds
        self._services[-1]._engine.wake()

    def until(self, is_so: Callable[[], bool], *, step: float = 0.0, most: float = 1e6) -> None:
        """Return when it is so; ``step`` seconds pass between two looks, ``most`` in all."""
        pause, began = threading.Event(), self.clock.jumped
        for _ in range(6_000):
            if is_so():
                return
            assert self.clock.jumped - began < most, self.statuses
            if step:
                self.jump(step)
                for _ in range(2):  # a round lies between two of them, so no time is missed
                    self._services[-1]._engine.call(lambda: None)
            pause.wait(0.005)
        raise AssertionError(self.statuses)

    @property
    def entries(self) -> list[LedgerEntry]:
        """Everything that the ledger has; it is read again only when something was written.

        Tests look hundreds of times, and would keep the server from its work.
        """
        if self._looking is None:
            self._looking = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
        (version,) = self._looking.execute("PRAGMA data_version").fetchone()
        if self._found is None or self._found[0] != version:
            with SqliteStore(self.path, read_only=True) as store:
                self._found = (version, list(store.ledger().find(Selection())))
        return self._found[1]

    @property
    def statuses(self) -> dict[str, Status]:
        """What became of each event, by its messageId."""
        return {one.message_id: one.status for one in self.entries}

    def are(self, status: Status, *ids: str) -> Callable[[], bool]:
        """Return whether these events have a status."""

        def they_have() -> bool:
            found = self.statuses
            return all(found.get(one) is status for one in ids)

        return they_have

    def close(self) -> None:
        """End everything."""
        self.partner._closing.set()
        for service in self._services:
            service.stop()
        self.partner.close()
        if self._looking is not None:
            self._looking.close()


def _counting(
    documents: dict[str, Any],
    *,
    asks: bool,
    after: float | None,
    on_lost_answer: str | None,
    batch: int,
) -> None:
    """Let things be counted, and what was counted be asked for."""
    del documents["sync"]
    destination = documents["destination"]
    destination["presets"] = [
        preset for preset in destination["presets"] if preset["partnerAction"] != "sync"
    ]
    destination["transport"]["timeout"] = {"connect": 30, "read": 60, "total": 60}
    destination["transport"]["retry"]["backoff"] = {"base": 1, "cap": 10}
    thing = {"@path": "$.payload.thing"}
    count = destination["requests"]["count"]
    count["batch"] = {"size": batch}
    count["graphql"] = {
        "document": "mutation Count($by: Int!, $thing: String!)"
        " { count(by: $by, thing: $thing) { done why } }",
        "variables": {"by": {"@path": "$.payload.by"}, "thing": thing},
    }
    if on_lost_answer is not None:
        count["onLostAnswer"] = on_lost_answer
    if not asks:
        return
    destination["requests"]["shown"] = {
        "description": "What was counted.",
        "idempotent": True,
        "batch": {"size": 50},
        "graphql": {
            "document": "query Shown($thing: String!) { shown(thing: $thing) { used } }",
            "variables": {"thing": thing},
        },
    }
    count["reconcile"] = {
        "ask": "shown",
        "key": [thing],
        "amount": {"@path": "$.payload.by"},
        "shown": {"@path": "$.answer.used"},
        **({} if after is None else {"after": after}),
    }


@pytest.fixture
def bench(
    write: Callable[[str, Any], Path],
    write_definition: Callable[..., Path],
    observation: Observation,
    tmp_path: Path,
) -> Iterator[Bench]:
    """A server whose answers get lost."""
    with contextlib.closing(
        Bench(write, write_definition, observation, tmp_path / "s.sqlite3")
    ) as made:
        yield made


# -- questions --------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", ["500", "none", "whole", "403"])
@pytest.mark.parametrize("loses", ["lost", "none"])
def test_a_question_that_fails_for_one_user(bench: Bench, fails: str, loses: str) -> None:
    """The others are told apart at once, whatever the failure is; that one is asked for later."""
    things = [f"t{number}" for number in range(20)]
    loss = {"is": True}

    def acts(counts: bool, things: list[str]) -> str:
        if counts:
            return loses if loss["is"] else "done"
        return fails if loss["is"] and "t7" in things and bench.partner.sent("t7") else "done"

    bench.partner.acts = acts
    bench.start(settleAfterSeconds=5)
    bench.post(*((thing, 2) for thing in things))
    ids = [f"m{number}" for number in range(20)]
    bench.until(bench.are(State.UNKNOWN, *ids), step=0.5)
    others = [one for one in ids if one != "m7"]
    loss_ends = loses == "none"
    bench.partner.acts = lambda counts, things: (
        "done" if counts and loss_ends else acts(counts, things)
    )
    bench.until(bench.are(Outcome.DELIVERED, *others), step=0.1, most=60.0)
    assert bench.statuses["m7"] is State.UNKNOWN
    loss["is"] = False
    bench.until(bench.are(Outcome.DELIVERED, *ids), step=1.0, most=120.0)
    assert bench.partner.counts == dict.fromkeys(things, 2)


# -- when it is asked -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "delivery", "seconds"),
    [
        (None, {}, 120.0),
        (40.0, {}, 40.0),
        (40.0, {"settleAfterSeconds": 10}, 10.0),
        (None, {"settleAfterSeconds": 300}, 300.0),
        (None, {"reconcileAfterSeconds": 10}, 10.0),
    ],
)
def test_when_the_partner_is_asked(
    bench: Bench, after: float | None, delivery: dict[str, Any], seconds: float
) -> None:
    """So long after the request as the definition says, or the configuration, if that does."""
    bench.partner.acts = lambda counts, _things: "lost" if counts else "done"
    bench.start(after=after, **delivery)
    bench.post(("a", 3))
    bench.until(bench.are(State.UNKNOWN, "m0"))
    (entry,) = bench.entries
    assert entry.next_at is not None
    assert entry.first_attempt_at is not None
    assert entry.next_at - entry.first_attempt_at == pytest.approx(seconds, abs=0.01)
    asked = bench.partner.asked()
    bench.jump(seconds - 3.0)
    bench.post(("b", 1), start=1)  # so that there was a round, and a question of its own
    bench.until(lambda: bench.partner.asked() > asked)
    assert bench.statuses["m0"] is State.UNKNOWN
    bench.jump(3.0)
    bench.until(bench.are(Outcome.DELIVERED, "m0"))
    assert bench.partner.sent("a") == 1


def test_it_is_counted_from_the_request_also_after_a_restart(bench: Bench) -> None:
    """What was under way when the process ended is asked about as long after its intent."""
    bench.partner.acts = lambda counts, _things: "hang" if counts else "done"
    service = bench.start(drain=0.0)
    bench.post(("a", 3))
    bench.until(lambda: bench.partner.sent("a") == 1)
    bench.until(bench.are(State.SENDING, "m0"))
    began = bench.clock.time()
    service.stop()
    bench.jump(50.0)
    bench.partner.arrive()
    bench.start()
    (entry,) = bench.entries
    assert (entry.status, entry.effect) == (State.UNKNOWN, Effect.MAYBE)
    assert entry.next_at == pytest.approx(began + 120.0, abs=5.0)
    bench.jump(71.0)
    bench.until(bench.are(Outcome.DELIVERED, "m0"))
    assert bench.partner.counts == {"a": 3}


# -- other writers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others_add", "act", "sole", "status"),
    [
        (5, "none", None, Outcome.DELIVERED),  # said in the docs: nobody else may add there
        (0, "none", False, State.HELD),
        (0, "lost", False, State.HELD),
        (5, "none", False, State.HELD),
        (3, "lost", False, State.HELD),
        (3, "lost", True, State.HELD),
        (0, "lost", True, Outcome.DELIVERED),
        (0, "none", True, Outcome.DELIVERED),
    ],
)
def test_another_writer(
    bench: Bench,
    others_add: int,
    act: str,
    sole: bool | None,
    status: Status,
) -> None:
    """Where somebody else adds to the same balances, nothing is guessed: an operator decides."""
    acts = [act]
    bench.partner.acts = lambda counts, _things: acts.pop() if counts and acts else "done"
    given: dict[str, Any] = {} if sole is None else {"soleWriter": sole}
    bench.start(**given)
    bench.post(("a", 5))
    bench.until(bench.are(State.UNKNOWN, "m0"))
    bench.partner.counts["a"] += others_add
    bench.jump(121.0)
    bench.until(bench.are(status, "m0"), step=1.0, most=60.0)
    (entry,) = bench.entries
    if status is State.HELD:
        assert bench.partner.sent("a") == 1
        assert entry.evidence["before"] == 0
        assert entry.evidence["found"] == others_add + (5 if act == "lost" else 0)
        assert "proposed" not in entry.evidence
        assert ("soleWriter" in entry.evidence["why"]) is (sole is False)


# -- a request that arrives late --------------------------------------------------------------


def _drifts(bench: Bench) -> list[tuple[str, int, int, tuple[int, ...]]]:
    with SqliteStore(bench.path, read_only=True) as store:
        found = store.ledger().drifts()
    return [
        (one.drift.key, one.drift.expected, one.drift.found, one.drift.deliveries) for one in found
    ]


def _asked_in(bench: Bench, seconds: float) -> bool:
    """Let time pass; tell whether the partner was asked because of it."""
    before = bench.partner.asked()
    bench.jump(seconds)
    # An event of somebody else has its own question, behind any that were due.
    marker = f"marker {bench.clock.jumped}"
    bench.post((marker, 1), start=int(bench.clock.jumped) + 1_000)
    bench.until(lambda: bench.partner.sent(marker) == 1)
    asked = [things for counts, things, _ in bench.partner.requests if not counts][before:]
    return ["a"] in asked


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("late", [True, False])
def test_a_request_that_arrives_late(
    bench: Bench, stream: io.StringIO, late: bool, goes_on: bool, restarts: bool
) -> None:
    """The balance is asked for 10 and 60 minutes after the second request; a surprise is told."""
    acts = ["late"]
    bench.partner.acts = lambda counts, _things: acts.pop() if counts and acts else "done"
    service = bench.start()
    bench.post(("a", 5))
    bench.until(bench.are(State.UNKNOWN, "m0"))
    bench.jump(121.0)
    bench.until(bench.are(Outcome.DELIVERED, "m0"), step=0.5, most=60.0)
    assert bench.partner.counts["a"] == 5
    if late:
        bench.partner.arrive()
    if goes_on:  # what is counted meanwhile is no surprise
        bench.post(("a", 7), start=1)
        bench.until(bench.are(Outcome.DELIVERED, "m1"))
    if restarts:
        service.stop()
        bench.start()
    assert _drifts(bench) == []
    assert not _asked_in(bench, 590.0)
    _asked_in(bench, 11.0)
    expected = 12 if goes_on else 5
    told = [('["a"]', expected, expected + 5, (1000,))] if late else []
    bench.until(lambda: _drifts(bench) == told and _asked(bench) >= 1)
    assert bench.metric("balance_drifts_total", destination="one") == len(told)
    assert ("unexpected balance found" in stream.getvalue()) is late
    # Once more, and then no more; what was told is not told again.
    assert not _asked_in(bench, 2_300.0)
    looks = _asked(bench)
    _asked_in(bench, 700.0)
    bench.until(lambda: _asked(bench) == looks + 1)
    assert not _asked_in(bench, 20_000.0)
    assert _asked(bench) == looks + 1
    assert _drifts(bench) == told


def _asked(bench: Bench) -> int:
    """How often the partner was asked for the balance of ``a``, apart from all others, since then.

    That is after the last request that adds to it.
    """
    last = max(
        n
        for n, (counts, things, _) in enumerate(bench.partner.requests)
        if counts and "a" in things
    )
    return sum("a" in things for counts, things, _ in bench.partner.requests[last:] if not counts)


def test_a_late_request_is_found_before_more_is_added(bench: Bench) -> None:
    """An event of the same user whose turn comes then is sent behind the question."""
    acts = ["late"]
    bench.partner.acts = lambda counts, _things: acts.pop() if counts and acts else "done"
    bench.start()
    bench.post(("a", 5))
    bench.until(bench.are(State.UNKNOWN, "m0"))
    bench.jump(121.0)
    bench.until(bench.are(Outcome.DELIVERED, "m0"), step=0.5, most=60.0)
    bench.partner.arrive()
    bench.clock.jumped += 600.0
    bench.post(("a", 7), start=1)
    bench.until(bench.are(Outcome.DELIVERED, "m1"))
    assert _drifts(bench) == [('["a"]', 5, 10, (1000,))]
    assert bench.partner.counts["a"] == 17


def test_what_an_operator_sends_again_is_looked_at_as_well(bench: Bench) -> None:
    """Whoever says that it was not applied may be wrong, or too early."""
    acts = ["late"]
    bench.partner.acts = lambda counts, _things: acts.pop() if counts and acts else "done"
    bench.start()
    bench.post(("a", 5))
    bench.until(bench.are(State.UNKNOWN, "m0"))
    with SqliteStore(bench.path) as store:
        ledger = store.ledger()
        assert resolve(ledger, list(ledger.find(Selection())), applied=False, now=0.0) == 1
    bench.until(bench.are(Outcome.DELIVERED, "m0"), step=0.5, most=60.0)
    bench.partner.arrive()
    bench.jump(601.0)
    bench.until(lambda: _drifts(bench) == [('["a"]', 5, 10, (1000,))], step=0.5, most=60.0)


# -- the deadline -----------------------------------------------------------------------------


@each_value
@pytest.mark.parametrize("shown", ["done", "503", "none"])
@pytest.mark.parametrize("settle", [0, 10, 30, 55, 70])
def test_the_deadline_counts_after_a_lost_answer(bench: Bench, shown: str, settle: float) -> None:
    """An event whose answers get lost is over when its time is, counted from the first request."""
    bench.partner.acts = lambda counts, _things: (
        "none" if counts else "done" if not bench.partner.requests else shown
    )
    bench.start(deadlineSeconds=60, settleAfterSeconds=settle)
    bench.post(("a", 1))
    bench.until(lambda: bench.partner.sent("a") > 0)
    began = bench.clock.time()
    over = {Outcome.DEAD, State.HELD}
    bench.until(lambda: bench.statuses["m0"] in over, step=0.5, most=200.0)
    # At its end it is asked about once more, at most.
    assert bench.clock.time() - began <= max(60.0, settle) + max(settle, 30.0) + 5.0
    (entry,) = bench.entries
    assert entry.status is (Outcome.DEAD if shown == "done" else State.HELD)
    assert bench.partner.counts["a"] == 0


@pytest.mark.parametrize("dies_first", [False, True])
def test_the_deadline_counts_from_the_request(bench: Bench, dies_first: bool) -> None:
    """Not from its answer, or the end of waiting for one, or the start of the next process."""
    bench.partner.acts = lambda counts, _things: "slow" if counts else "done"
    service = bench.start(deadlineSeconds=60, settleAfterSeconds=30, drain=0.0)
    bench.post(("a", 1))
    bench.until(lambda: bench.partner.sent("a") == 1)
    bench.until(bench.are(State.SENDING, "m0"))
    if dies_first:
        service.stop()
    bench.jump(40.0)
    bench.partner.gives_up.release()
    if dies_first:
        bench.start(deadlineSeconds=60, settleAfterSeconds=30)
    bench.until(lambda: bench.partner.sent("a") == 2, step=0.5, most=10.0)
    bench.jump(40.0)
    bench.partner.gives_up.release()
    bench.until(bench.are(Outcome.DEAD, "m0"), step=0.1, most=5.0)


# -- what cannot be asked about ---------------------------------------------------------------


@each_value
@pytest.mark.parametrize(
    ("on_lost_answer", "lost_answers", "resends"),
    [
        (None, None, False),
        ("hold", None, False),
        ("resend", None, True),
        ("resend", "hold", False),
        (None, "resend", True),
    ],
)
@pytest.mark.parametrize("act", ["503", "none", "lost"])
def test_an_outage_of_seconds(
    bench: Bench,
    act: str,
    on_lost_answer: str | None,
    lost_answers: str | None,
    resends: bool,
) -> None:
    """It costs a few events at most, which are held, or sent again and counted."""
    down = {"is": True}
    bench.partner.acts = lambda _counts, _things: act if down["is"] else "done"
    given: dict[str, Any] = {} if lost_answers is None else {"lostAnswers": lost_answers}
    bench.start(asks=False, on_lost_answer=on_lost_answer, batch=5, **given)
    things = [f"t{number}" for number in range(100)]
    bench.post(*((thing, 1) for thing in things))
    lasts = bench.clock.jumped + 10.0

    def goes_on() -> bool:
        down["is"] = bench.clock.jumped < lasts
        return not (set(bench.statuses.values()) & {State.READY, State.SENDING})

    bench.until(goes_on, step=0.2, most=600.0)
    found = Counter(bench.statuses.values())
    held = [one for one in bench.entries if one.status is State.HELD]
    if resends:
        assert found == {Outcome.DELIVERED: 100}
        resent = bench.metric("answers_lost_resent_total", action="count", destination="one")
        assert resent == sum(bench.partner.sent(thing) - 1 for thing in things) > 0
    else:
        # Those that were under way together, and then one with each probe.
        assert set(found) == {Outcome.DELIVERED, State.HELD}
        assert len(held) <= 2 * 5 + 6
        assert all(bench.partner.sent(thing) == 1 for thing in things)
        assert all("cannot be asked" in one.evidence["why"] for one in held)
    assert all(one.effect is Effect.MAYBE for one in held)
    sizes = [(len(named), it) for _, named, it in bench.partner.requests]
    failed = [size for size, it in sizes if it != "done"]
    done = [size for size, it in sizes if it == "done"]
    assert max(failed[2:]) == 1
    assert (done[0], max(done)) == (1, 5)  # after a success the batches are whole again


def test_what_was_sent_again_never_ends_as_dead(bench: Bench) -> None:
    """At its deadline it is held: it may have been applied, so nobody may just replay it."""
    bench.partner.acts = lambda _counts, _things: "none" if not bench.partner.requests else "429"
    bench.start(asks=False, on_lost_answer="resend", deadlineSeconds=20)
    bench.post(("a", 1))
    bench.until(bench.are(State.HELD, "m0"), step=1.0, most=120.0)
    (entry,) = bench.entries
    assert entry.effect is Effect.MAYBE
    assert "may have been applied" in entry.evidence["why"]
    assert bench.partner.sent("a") > 1


def test_what_the_process_left_is_sent_again(bench: Bench) -> None:
    """Also where nobody knows what became of it, as the process ended while it was under way."""
    bench.partner.acts = lambda _counts, _things: "hang"
    service = bench.start(asks=False, on_lost_answer="resend", drain=0.0)
    bench.post(("a", 1))
    bench.until(lambda: bench.partner.sent("a") == 1)
    bench.until(bench.are(State.SENDING, "m0"))
    service.stop()
    bench.partner.acts = lambda _counts, _things: "done"
    bench.start(asks=False, on_lost_answer="resend")
    bench.until(bench.are(Outcome.DELIVERED, "m0"), step=1.0)
    assert bench.partner.sent("a") == 2
    assert bench.metric("answers_lost_resent_total", action="count", destination="one") == 1


def test_what_can_be_asked_about_is_never_just_sent_again(bench: Bench) -> None:
    """The question goes before the preference: where it does not tell, an operator decides."""
    bench.partner.acts = lambda counts, _things: "none" if counts else "done"
    bench.start(lostAnswers="resend")
    bench.post(("a", 5))
    bench.until(bench.are(State.UNKNOWN, "m0"))
    bench.partner.counts["a"] += 3
    bench.jump(121.0)
    bench.until(bench.are(State.HELD, "m0"))
    assert bench.partner.sent("a") == 1
