"""A key says whose events they are; only the partner says which keys are good."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from destinations.definition.document import Document
from destinations.errors import QueueFullError, TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.pipeline.engine import Engine
from destinations.pipeline.queue import Arrival
from destinations.runtime.destination import Code, Destination
from destinations.runtime.plan import plan
from destinations.server.tenants import Admission, KeyRefusedError, KeyRules, ServedTenants
from destinations.store import (
    SealedValues,
    Sealer,
    SealingKey,
    SqliteStore,
    Tenants,
    TenantSecrets,
    broken_rules,
)

_SEALING_KEY = "A" * 43 + "="
RULES = KeyRules(events=3, all_events=5, all_bytes=2_000, keys=2, burst=4.0, per_second=1.0)


class Partner:
    """Knows keys, and counts the questions about each. ``gate`` holds its answers back."""

    def __init__(self) -> None:
        self.good = {"good-key", "other-key"}
        self.forbidden: set[str] = set()
        self.is_away = False
        self.questions: Counter[str] = Counter()
        self.gate: threading.Event | None = None
        self.asked = threading.Event()

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        key = str(request.headers["Authorization"]).removeprefix("Bearer ")
        self.questions[key] += 1
        self.asked.set()
        if self.gate is not None:
            self.gate.wait(10)
        if self.is_away:
            raise TransportError("no answer: connection refused", sent=False)
        status = 403 if key in self.forbidden else 200 if key in self.good else 401
        return HttpResponse(status, {}, b'{"data": {"e0": {"id": 1}}}')

    def close(self) -> None:
        """Nothing is open."""


class Inline(Executor):
    """Asks at once, in the thread of the caller."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor.submit`."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - its caller gets it
            done.set_exception(error)
        return done


class Bench:
    """The tenants of one destination on a store, whose partner answers as a test says."""

    def __init__(self, path: Path, destination: Destination) -> None:
        self.path = path
        self.base = destination
        self.clock = StillClock()
        self.partner = Partner()
        self.pool: Executor = Inline()
        self.open()

    def open(self) -> None:
        """Begin, as a process does."""
        self.store = SqliteStore(self.path)
        self.engine = Engine(self.store.queue(self.clock), clock=self.clock, inline=True)
        sealed = SealedValues(self.store.database, Sealer(SealingKey.parse(_SEALING_KEY)))
        self.stored = Tenants(self.store.database)
        self.tenants = ServedTenants(
            "sample",
            self.base,
            Document("serve.yaml", {}, {}),
            "apiKey",
            tenants=self.stored,
            secrets=TenantSecrets(self.store.database, sealed),
            engine=self.engine,
            transport=self.partner,
            code=lambda _: Code(),
            clock=self.clock,
            stop=threading.Event(),
            rules=RULES,
            pool=self.pool,
        )
        self.tenants.load()

    def close(self) -> None:
        """End all of it."""
        self.tenants.close()
        self.engine.close()
        self.store.close()

    def admit(self, key: str | bytes | None) -> Admission:
        """Return who sends with a key, or raise why it is refused."""
        presented = key.encode() if isinstance(key, str) else key
        found = self.tenants.admit(presented)
        return found.result(10) if isinstance(found, Future) else found

    def answer(self, key: str | bytes | None) -> int:
        """Return the status of a request with a key: 200 if it is admitted."""
        try:
            self.admit(key)
        except KeyRefusedError as refused:
            return refused.status
        return 200

    def send(self, key: str, message_id: str = "1") -> None:
        """Send an event with a key."""
        admission = self.admit(key)
        raw = (
            f'{{"type":"track","event":"E","userId":"u","messageId":"{message_id}",'
            '"properties":{"by":1,"thing":"t"}}'
        ).encode()
        planned = plan(admission.destination, raw)
        arrival: Arrival = admission.intake.arrival(
            planned,
            admission.intake.digest,
            message_id=planned.message_id,
            accepted_at=self.clock.time(),
        )
        with self.tenants.keeping(admission.served, 1, len(raw)):
            future = self.engine.accept(admission.served.tenant.scope, [arrival])
            self.engine.run_round(0.0)
            future.result(0)


@pytest.fixture
def bench(tmp_path: Path, bind: Callable[..., Destination]) -> Iterator[Bench]:
    """A bench with the small destination, whose authentication test asks who it is."""
    one = Bench(tmp_path / "store.sqlite3", bind())
    yield one
    one.close()
    with SqliteStore(one.path, read_only=True) as store:
        assert broken_rules(store.database) == []


@pytest.mark.parametrize(
    ("key", "status", "questions"),
    [
        ("good-key", 200, 1),
        ("wrong-key", 401, 1),
        ("forbidden-key", 403, 1),
        (None, 401, 0),
        ("", 401, 0),
        (b"\xff\xfe", 401, 0),
        ("two\nlines", 401, 0),
        (" good-key", 401, 0),
        ("k" * 10_240, 401, 0),
    ],
)
def test_a_key_that_was_never_seen(
    bench: Bench, key: str | bytes | None, status: int, questions: int
) -> None:
    """The partner decides on what can be a key; what cannot be one is not asked about."""
    bench.partner.forbidden.add("forbidden-key")
    assert bench.answer(key) == status
    assert sum(bench.partner.questions.values()) == questions
    assert len(bench.stored.all()) == (1 if status == 200 else 0)


def test_a_key_that_does_not_fit_the_schema(
    tmp_path: Path, bind: Callable[..., Destination]
) -> None:
    """It is refused with the name of the setting, and without a question."""

    def with_pattern(documents: dict[str, Any]) -> None:
        settings = documents["destination"]["settings"]["properties"]
        settings["apiKey"]["pattern"] = "^key-"

    one = Bench(tmp_path / "store.sqlite3", bind(with_pattern, apiKey="key-12345"))
    with pytest.raises(KeyRefusedError, match="apiKey: ") as refused:
        one.admit("good-and-secret")
    assert refused.value.status == 400
    assert "secret" not in str(refused.value)
    assert not one.partner.questions
    one.close()


def test_answers_are_remembered(bench: Bench) -> None:
    """A good answer counts for an hour, a bad one for a minute."""
    for key in ("good-key", "good-key", "wrong-key", "wrong-key"):
        bench.answer(key)
    assert bench.partner.questions == {"good-key": 1, "wrong-key": 1}
    bench.clock.now += RULES.wrong + 1
    bench.answer("wrong-key")
    bench.answer("good-key")
    assert bench.partner.questions == {"good-key": 1, "wrong-key": 2}
    bench.clock.now += RULES.good
    assert bench.answer("good-key") == 200
    assert bench.partner.questions == {"good-key": 2, "wrong-key": 2}


def test_one_question_at_a_time_for_a_key(bench: Bench) -> None:
    """Requests with one new key wait for the same answer."""
    bench.close()
    bench.pool = ThreadPoolExecutor(4)
    bench.open()
    bench.partner.gate = threading.Event()
    asked = [bench.tenants.admit(b"good-key") for _ in range(20)]
    assert all(isinstance(one, Future) for one in asked)
    bench.partner.gate.set()
    scopes = {one.result(10).served.tenant.scope for one in asked if isinstance(one, Future)}
    assert len(scopes) == 1
    assert bench.partner.questions == {"good-key": 1}


def test_strangers_do_not_make_us_ask_without_end(bench: Bench) -> None:
    """Unknown keys share a budget; beyond it some are kept unproven, and the rest is put off."""
    statuses = Counter(bench.answer(f"stranger-{number}") for number in range(500))
    assert sum(bench.partner.questions.values()) == RULES.burst
    assert statuses == {401: RULES.burst, 200: RULES.keys, 503: 500 - RULES.burst - RULES.keys}
    assert bench.answer("good-key") == 503
    bench.clock.now += 1
    assert bench.answer("good-key") == 200


def test_unproven_keys_have_bounds(bench: Bench) -> None:
    """While the partner cannot be asked, a little is kept of each key, and of all together."""
    bench.partner.is_away = True
    for number in range(3):
        bench.send("good-key", str(number))
    with pytest.raises(KeyRefusedError) as refused:
        bench.send("good-key", "3")
    assert (refused.value.status, refused.value.retry_after) == (503, RULES.again)
    for number in range(2):
        bench.send("other-key", str(number))
    with pytest.raises(KeyRefusedError):
        bench.send("other-key", "2")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("is_good", [True, False])
def test_an_unproven_key(bench: Bench, restarts: bool, is_good: bool) -> None:
    """Its events wait until the partner has said what it is; if it is wrong they are erased."""
    bench.partner.is_away = True
    key = "good-key" if is_good else "wrong-key"
    bench.send(key)
    assert [one.proven_at for one in bench.stored.all()] == [None]
    assert bench.tenants.paused() == [one.scope for one in bench.stored.all()]
    if restarts:
        bench.close()
        bench.open()
    bench.partner.is_away = False
    bench.clock.now += RULES.again
    bench.tenants.tick()
    counted = bench.store.database.one("SELECT count(*) FROM open")
    if is_good:
        assert bench.tenants.paused() == []
        assert counted == (1,)
    else:
        assert bench.stored.all() == []
        assert counted == (0,)
        assert bench.answer("wrong-key") == 401


def test_a_batch_of_an_unproven_key(bench: Bench) -> None:
    """Bounds hold for all events of a request, and for those that are accepted at the same time."""
    bench.partner.is_away = True
    served = bench.admit("good-key").served
    with pytest.raises(KeyRefusedError), bench.tenants.keeping(served, RULES.events + 1, 10):
        pass
    with (
        pytest.raises(KeyRefusedError),
        bench.tenants.keeping(served, RULES.events, 10),
        bench.tenants.keeping(served, 1, 10),
    ):
        pass
    with pytest.raises(KeyRefusedError), bench.tenants.keeping(served, 1, RULES.all_bytes + 1):
        pass


def test_a_key_that_was_erased_and_is_good_later(bench: Bench) -> None:
    """It begins with nothing, and its events are taken."""
    bench.partner.is_away = True
    bench.send("wrong-key")
    bench.partner.is_away = False
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.stored.all() == []
    bench.partner.good.add("wrong-key")
    bench.clock.now += RULES.wrong
    bench.send("wrong-key")
    assert bench.store.database.one("SELECT count(*) FROM open") == (1,)


def test_a_question_that_a_reload_cuts(bench: Bench) -> None:
    """Its sender is told to come again."""
    bench.close()
    bench.pool = ThreadPoolExecutor(1)
    bench.open()
    bench.partner.gate = threading.Event()
    asked = [bench.tenants.admit(key) for key in (b"good-key", b"other-key")]
    bench.tenants.close()
    bench.partner.gate.set()
    for one in asked:
        assert isinstance(one, Future)
        with pytest.raises(KeyRefusedError) as refused:
            one.result(10)
        assert refused.value.status == 503


@pytest.fixture
def of_account(tmp_path: Path, bind: Callable[..., Destination]) -> Iterator[Bench]:
    """A bench whose partner names the account of each key: all keys are of the same one."""

    def named(documents: dict[str, Any]) -> None:
        documents["destination"]["authentication"]["account"] = {"@path": "$.answer.id"}

    one = Bench(tmp_path / "store.sqlite3", bind(named))
    yield one
    one.close()


@pytest.mark.parametrize("restarts", [False, True])
def test_a_new_key_of_the_same_account(of_account: Bench, restarts: bool) -> None:
    """It is the same tenant; the former key is taken for an hour, and then asked about."""
    bench = of_account
    first = bench.admit("good-key").served.tenant
    if restarts:
        bench.close()
        bench.open()
    assert bench.admit("other-key").served.tenant.id == first.id
    assert len(bench.stored.all()) == 1
    bench.partner.good.discard("good-key")
    assert bench.answer("good-key") == 200
    bench.clock.now += RULES.refuse_after
    assert bench.answer("good-key") == 401
    assert bench.answer("other-key") == 200


def test_a_customer_who_goes_back_to_a_former_key(of_account: Bench) -> None:
    """While the latest key is refused, a former one that is good takes its place at once."""
    bench = of_account
    bench.admit("good-key")
    bench.admit("other-key")
    bench.partner.good.discard("other-key")
    bench.clock.now += RULES.good
    bench.admit("other-key")
    assert bench.tenants.paused()
    bench.partner.is_away = True
    assert bench.answer("good-key") == 200
    assert bench.tenants.paused()
    bench.partner.is_away = False
    served = bench.admit("good-key").served
    assert bench.tenants.paused() == []
    assert bench.tenants.bound(served.tenant.scope).settings["apiKey"].reveal() == "good-key"


def test_an_account_that_is_known_later(of_account: Bench) -> None:
    """A key that was kept unproven and proves good later belongs to the account as well."""
    bench = of_account
    bench.partner.is_away = True
    first = bench.admit("good-key").served.tenant
    bench.partner.is_away = False
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.admit("other-key").served.tenant.id == first.id


def test_events_that_come_as_a_key_proves_wrong(bench: Bench) -> None:
    """What is not durable yet is refused; nothing of it gets into the store."""
    bench.partner.is_away = True
    admission = bench.admit("wrong-key")
    raw = b'{"type":"track","event":"E","userId":"u","messageId":"1"}'
    planned = plan(admission.destination, raw)
    arrival = admission.intake.arrival(planned, "", message_id="1", accepted_at=0.0)
    bench.partner.is_away = False
    bench.clock.now += RULES.again
    bench.tenants.tick()
    future = bench.engine.accept(admission.served.tenant.scope, [arrival])
    bench.engine.run_round(0.0)
    with pytest.raises(QueueFullError):
        future.result(0)


def test_a_good_key_that_the_partner_refuses(bench: Bench) -> None:
    """Its events are kept for an hour, undelivered; then its sender is refused, too."""
    bench.send("good-key", "1")
    bench.partner.good.clear()
    bench.clock.now += RULES.good
    bench.send("good-key", "2")
    assert bench.tenants.paused()
    assert bench.answer("good-key") == 200
    bench.clock.now += RULES.refuse_after
    assert bench.answer("good-key") == 401
    bench.partner.good.add("good-key")
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.answer("good-key") == 200
    assert bench.tenants.paused() == []


def test_a_partner_that_is_away_refuses_nobody(bench: Bench) -> None:
    """A key that was good stays so while the partner cannot be asked."""
    bench.send("good-key")
    bench.partner.is_away = True
    bench.clock.now += 10 * RULES.good
    for number in range(20):
        bench.send("good-key", str(number))
    assert bench.tenants.paused() == []


def test_keys_are_in_no_file(bench: Bench) -> None:
    """Neither a key nor its plain digest is in any byte of the store."""
    bench.partner.good.add("a-very-secret-key")
    bench.send("a-very-secret-key")
    bench.close()
    found = [
        path for path in bench.path.parent.glob("store*") if b"very-secret" in path.read_bytes()
    ]
    assert found == []
    bench.open()
    assert bench.answer("a-very-secret-key") == 200
    assert bench.partner.questions["a-very-secret-key"] == 1
