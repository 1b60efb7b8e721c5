"""Tenants of one destination take turns, whatever each of them has waiting."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import StoreFullError, UsageError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Outcome
from destinations.pipeline.breaker import CircuitBreaker, SharedBreaker
from destinations.pipeline.engine import Engine
from destinations.pipeline.fair_share import FairShare
from destinations.pipeline.intake import Intake
from destinations.pipeline.lease import LeaseLostError
from destinations.pipeline.ledger import Selection
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.prefetch import Room
from destinations.pipeline.queue import Arrival, Committed, QueuedDelivery, Round, Scope
from destinations.pipeline.retry import RetryPolicy
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.store import SqliteStore, broken_rules
from tests.destinations.pipeline.conftest import with_reconcile

_CONCURRENCY = 4
_IS_LONG = "CHAOS_SEEDS" in os.environ
_TENANTS = 10_000 if _IS_LONG else 30
_FLOOD = 100_000 if _IS_LONG else 600
_EACH = 2 if _IS_LONG else 5


class Claims(Observer):
    """Keeps who claimed, in order."""

    def __init__(self) -> None:
        self.by_user: list[str] = []
        self.errors: list[BaseException] = []

        self.keys: list[str] = []

    def credentials(self, destination: str, state: str, reason: str = "") -> None:  # noqa: ARG002
        """See `Observer.credentials`."""
        self.keys.append(state)

    def reached(self, destination: str, step: str, deliveries: Sequence[QueuedDelivery]) -> None:  # noqa: ARG002
        """See `Observer.reached`."""
        if step == "claimed":
            self.by_user.append(deliveries[0].user.partition("/")[0])

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `Observer.failed`."""
        self.errors.append(error)


class Partner:
    """Answers each tenant in its own way; ``sent`` counts the requests of each.

    Questions are answered by ``questioned``, if a tenant has a status there.
    """

    def __init__(self, tenant: str, partners: Partners) -> None:
        self._tenant = tenant
        self._partners = partners

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        partners, tenant = self._partners, self._tenant
        status = partners.statuses.get(tenant, partners.status)
        if b"mutation" in (request.body or b""):
            partners.sent[tenant] += 1
            return HttpResponse(status, {}, b'{"data": {"e0": {"done": true}}}')
        status = partners.questioned.get(tenant, status)
        return HttpResponse(status, {}, b'{"data": {"e0": {"used": 0}}}')

    def close(self) -> None:
        """Nothing is open."""


class Partners:
    """The partner as all tenants see it: ``status`` for those without one of their own."""

    def __init__(self) -> None:
        self.status = 200
        self.statuses: dict[str, int] = {}
        self.questioned: dict[str, int] = {}
        self.sent: Counter[str] = Counter()


class Bench:
    """An engine with a share on a store, on a still clock; a restart makes a new one of each."""

    def __init__(self, path: Path, destination: Destination, **options: Any) -> None:
        self.clock = StillClock()
        self.path = path
        self.destination = destination
        self.partners = Partners()
        self.options = options
        self.numbers: Counter[str] = Counter()
        self.broken: set[str] = set()
        self.failed: list[str] = []
        self.open()

    def open(self) -> None:
        """Begin, as a process does."""
        self.claims = Claims()
        self.store = SqliteStore(self.path)
        self.queue = self.store.queue(self.clock)
        most_open = self.options.get("max_open", 1_000_000)
        self.engine = Engine(
            self.queue, clock=self.clock, observer=self.claims, max_open=most_open, inline=True
        )
        self.policy = RetryPolicy(
            deadline=4 * 3600.0,
            base=1.0,
            cap=120.0,
            max_retry_after=3600.0,
            outage="dead",
            draw=lambda: 1.0,
        )
        self.endpoint = CircuitBreaker(lambda: 1.0, lambda *_: None)
        self.intake = Intake(self.destination)
        self.share = FairShare(
            "sample",
            self.make,
            most=_CONCURRENCY,
            breaker=self.endpoint,
            failed=lambda scope, _: self.failed.append(scope.tenant),
            kept=self.options.get("kept", 1_000),
        )
        scopes = [one for one in self.store.accounts().scopes() if one.tenant]
        self.engine.open_share(self.share, scopes)

    def make(self, scope: Scope) -> Pipeline:
        """Make the pipeline of a tenant."""
        if scope.tenant in self.broken:
            raise UsageError("its settings cannot be opened")
        self.queue.recover([scope], 30.0)
        own = CircuitBreaker(lambda: 1.0, lambda *_: None)
        return Pipeline(
            scope,
            self.destination,
            Sender(self.destination, Partner(scope.tenant, self.partners), clock=self.clock),
            self.queue,
            policy=self.policy,
            options=PipelineOptions(2, linger=0.0, room=Room(20, 100, 50, 65_536, 50, 20)),
            clock=self.clock,
            observer=self.claims,
            source=self.queue.source(scope),
            breaker=SharedBreaker(self.endpoint, own),
        )

    def restart(self) -> None:
        """End as a killed process does, and begin again on the same store."""
        self.store.close()
        self.open()

    def scope(self, tenant: str) -> Scope:
        """Return the scope of a tenant."""
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", tenant)
        return self.store.accounts().of_tenant("sample", tenant, identity)

    def accept(self, tenant: str, count: int = 1, users: int = 1) -> None:
        """Accept so many events of a tenant, of so many users in turn."""
        arrivals: list[Arrival] = []
        for _ in range(count):
            number = self.numbers[tenant]
            self.numbers[tenant] += 1
            raw = (
                f'{{"type":"track","event":"E","userId":"{tenant}/{number % users}",'
                f'"messageId":"{number}","properties":{{"by":1,"thing":"t"}}}}'
            )
            planned = plan(self.destination, raw.encode())
            arrivals.append(
                self.intake.arrival(
                    planned,
                    self.intake.digest,
                    message_id=planned.message_id,
                    accepted_at=self.clock.time(),
                )
            )
        future = self.engine.accept(self.scope(tenant), arrivals)
        self.engine.run_round(0.0)
        future.result(0)

    def run(self, claims: int | None = None) -> None:
        """Do rounds until all is delivered, or so many claims were made."""
        while self.share.waiting and (claims is None or len(self.claims.by_user) < claims):
            self.engine.run_round(1_000_000.0)
        assert self.claims.errors == []

    def delivered(self) -> Counter[str]:
        """Return how many deliveries of each tenant were delivered."""
        found = self.store.ledger().find(Selection(statuses=frozenset({Outcome.DELIVERED})))
        return Counter(one.user.partition("/")[0] for one in found)


@pytest.fixture
def bench(tmp_path: Path, bind: Callable[..., Destination]) -> Iterator[Callable[..., Bench]]:
    """Makes benches."""
    made: list[Bench] = []

    def one_at_a_time(documents: dict[str, Any]) -> None:
        documents["destination"]["requests"]["count"]["batch"]["size"] = 1
        documents["destination"]["requests"]["count"]["idempotent"] = True

    def asking_before(documents: dict[str, Any]) -> None:
        with_reconcile(documents)
        for request in ("count", "shown"):
            documents["destination"]["requests"][request]["batch"]["size"] = 1

    def make(*, asks: bool = False, **options: Any) -> Bench:
        change = asking_before if asks else one_at_a_time
        made.append(Bench(tmp_path / "store.sqlite3", bind(change), **options))
        return made[-1]

    yield make
    for one in made:
        one.engine.close()
        one.store.close()
        with SqliteStore(one.path, read_only=True) as store:
            assert broken_rules(store.database) == []


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("kept", [1_000, 3])
def test_turns(bench: Callable[..., Bench], restarts: bool, kept: int) -> None:
    """Between two claims of a tenant lie at most those of the others, once each, and some more.

    However much one has waiting, of however many users, and although another is always refused.
    """
    one = bench(kept=kept)
    tenants = [f"t{number}" for number in range(_TENANTS)]
    one.partners.statuses["refused"] = 401
    one.engine.pause([one.scope(name) for name in ("flood", "refused", *tenants)])
    for _ in range(_FLOOD // 600):
        one.accept("flood", 600, users=_FLOOD)
    one.accept("refused", 20, users=20)
    for tenant in tenants:
        one.accept(tenant, _EACH, users=_EACH)
    if restarts:
        one.restart()
    else:
        one.engine.unpause([one.scope(name) for name in ("flood", "refused", *tenants)])
    with_work = len(tenants) + 2
    one.run(claims=with_work * (_EACH + 2))
    found: dict[str, list[int]] = {}
    for at, name in enumerate(one.claims.by_user):
        found.setdefault(name, []).append(at)
    for tenant in tenants:
        places = found[tenant]
        gaps = [after - before for before, after in pairwise(places)]
        assert len(places) == _EACH
        assert max(gaps) <= with_work + _CONCURRENCY
        assert places[0] <= with_work + _CONCURRENCY


@pytest.mark.parametrize("kept", [1_000, 0])
def test_everything_is_delivered_once(bench: Callable[..., Bench], kept: int) -> None:
    """Whether pipelines are kept or made again for each event, each event counts once."""
    one = bench(kept=kept)
    for turn in range(6):
        if turn == 3:
            one.run()
            one.engine.pause([one.scope(f"t{number}") for number in range(12)])
        for number in range(12):
            one.accept(f"t{number}", 1 + number % 3)
        if turn == 3:
            one.restart()
    one.run()
    assert one.delivered() == {f"t{number}": 6 * (1 + number % 3) for number in range(12)}
    assert sum(one.partners.sent.values()) == 144


@pytest.mark.parametrize("error", [StoreFullError("full", "full"), LeaseLostError("lost")])
def test_what_could_not_begin(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A tenant whose request could not be noted has another turn, though nothing more arrives."""
    one = bench()
    commit, faults = one.queue.commit, [error]

    def failing(round_: Round) -> Committed:
        if round_.batches and faults:
            raise faults.pop()
        return commit(round_)

    monkeypatch.setattr(one.queue, "commit", failing)
    one.accept("t0", 3)
    for _ in range(20):
        one.clock.now += 60.0
        one.engine.run_round(0.0)
    assert faults == []
    assert one.delivered() == {"t0": 3}


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize(("status", "others_wait"), [(429, False), (401, False), (503, True)])
def test_whose_breaker(
    bench: Callable[..., Bench], status: int, others_wait: bool, asks: bool
) -> None:
    """What the partner says of an account stops its tenant; what it says of itself, all of them.

    Be it the answer to an event, or to a question that is asked before. A refused key is told of.
    """
    one = bench(asks=asks)
    (one.partners.questioned if asks else one.partners.statuses)["bad"] = status
    for _ in range(8):
        one.accept("bad", 1, users=1)
    one.accept("bad", 8, users=1_000)
    for _ in range(50):
        one.engine.run_round(0.0)
    assert (one.endpoint.untaken_since is not None) is (others_wait and not asks)
    one.accept("good", 3, users=3)
    for _ in range(10):
        one.engine.run_round(0.0)
    assert one.delivered()["good"] == (0 if others_wait else 3)
    assert one.claims.keys == (["refused"] if status == 401 else [])


def test_one_probe_for_all(bench: Callable[..., Bench]) -> None:
    """While the endpoint is down, one request of all tenants is the probe, at growing intervals."""
    one = bench()
    one.partners.status = 503
    for number in range(40):
        one.accept(f"t{number}")
    began = one.clock.time()
    while one.clock.time() < began + 300:
        one.engine.run_round(300.0)
    sent = sum(one.partners.sent.values())
    assert sent <= 5 + _CONCURRENCY + 14  # then 1, 2, 4 ... 60 seconds apart
    one.partners.status = 200
    one.run()
    assert one.delivered() == {f"t{number}": 1 for number in range(40)}


def test_a_tenant_has_a_tenth_of_the_queue(bench: Callable[..., Bench]) -> None:
    """One that sends more is refused alone; the others, until all of the queue is full."""
    one = bench(max_open=100)
    scopes = [one.scope(f"t{number}") for number in range(11)]
    one.engine.pause(scopes)
    one.accept("t0", 10)
    with pytest.raises(Exception, match="the queue is full: 10 waiting"):
        one.accept("t0")
    for number in range(1, 10):
        one.accept(f"t{number}", 10)
    with pytest.raises(Exception, match="the queue is full: 100 waiting"):
        one.accept("t10")
    one.engine.unpause(scopes)
    one.run()
    one.accept("t10")
    one.run()
    assert sum(one.delivered().values()) == 101


def test_a_paused_tenant(bench: Callable[..., Bench]) -> None:
    """It accepts and delivers nothing, and then all; the others go on."""
    one = bench()
    one.engine.pause([one.scope("a")])
    one.accept("a", 3)
    one.accept("b", 3)
    for _ in range(20):
        one.engine.run_round(0.0)
    assert one.delivered() == {"b": 3}
    one.engine.unpause([one.scope("a")])
    one.run()
    assert one.delivered() == {"a": 3, "b": 3}


def test_a_tenant_whose_pipeline_cannot_be_made(bench: Callable[..., Bench]) -> None:
    """It alone waits, and is tried again some time later; the others go on."""
    one = bench()
    one.broken.add("a")
    one.accept("a", 2)
    for _ in range(3):
        one.accept("b")
        one.engine.run_round(0.0)
    for _ in range(5):
        one.engine.run_round(0.0)
    assert one.delivered() == {"b": 3}
    assert one.failed == ["a"]
    one.broken.clear()
    one.run()
    assert one.delivered() == {"a": 2, "b": 3}
    assert one.clock.now >= 30


def test_closing(bench: Callable[..., Bench]) -> None:
    """A closed share claims nothing more; what waits stays in the queue for the next one."""
    one = bench()
    one.engine.pause([one.scope("a")])
    one.accept("a", 3)
    one.engine.drain([], 1.0, [one.share])
    one.engine.close_share(one.share)
    one.engine.run_round(0.0)
    assert one.delivered() == {}
    one.restart()
    one.run()
    assert one.delivered() == {"a": 3}


def test_a_tenant_that_is_another_one_now() -> None:
    """After a merge a scope has the id of another tenant: the pipeline is made for that one."""
    made: list[str] = []

    def make(scope: Scope) -> Pipeline:
        made.append(scope.tenant)
        raise UsageError("it is enough to know for whom")

    share = FairShare(
        "sample", make, most=1, breaker=CircuitBreaker(lambda: 0.5, lambda _state, _why: None)
    )
    share.touch(Scope(1, "sample", "gone"))
    share.forget(Scope(1, "sample", "gone"))
    share.touch(Scope(1, "sample", "kept"))
    assert list(share.claim(0.0, 0.0, Round())) == []
    assert made == ["kept"]
