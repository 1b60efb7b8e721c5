"""A key says whose events they are; only the partner says which keys are good."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from destinations.definition.document import Document
from destinations.errors import (
    QueueFullError,
    TemporaryError,
    TransportError,
    UnsendableError,
    UsageError,
)
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.operations import (
    ask_server,
    await_tenant_change,
    merge_tenant,
    tenant_changes,
)
from destinations.pipeline.engine import Engine
from destinations.pipeline.queue import Arrival
from destinations.runtime.destination import Code, Destination
from destinations.runtime.plan import plan
from destinations.server.keys import KeyRefusedError, KeyRules
from destinations.server.tenant_changes import TenantChanges
from destinations.server.tenants import Admission, ServedTenants
from destinations.store import (
    SealedValues,
    Sealer,
    SealingKey,
    SqliteStore,
    Tenant,
    Tenants,
    TenantSecrets,
    broken_rules,
    erasures_path,
)

_SEALING_KEY = "A" * 43 + "="
RULES = KeyRules(events=3, all_events=5, all_bytes=2_000, keys=2, burst=4.0, per_second=1.0)


class Partner:
    """Knows keys, and counts the questions about each.

    ``gate`` holds its answers back, but for keys that are ``prompt``.
    """

    def __init__(self) -> None:
        self.good = {"good-key", "other-key"}
        self.forbidden: set[str] = set()
        self.unreachable: set[str] = set()
        self.malformed: set[str] = set()
        self.prompt: set[str] = set()
        self.is_away = False
        self.account = 1
        self.questions: Counter[str] = Counter()
        self.gate: threading.Event | None = None
        self.asked = threading.Event()

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        key = str(request.headers["Authorization"]).removeprefix("Bearer ")
        self.questions[key] += 1
        self.asked.set()
        if not key.isascii():
            raise UnsendableError("the request cannot be sent: a header is not Latin-1")
        if self.gate is not None and key not in self.prompt:
            self.gate.wait(10)
        if self.is_away or key in self.unreachable:
            raise TransportError("no answer: connection refused", sent=False)
        status = 403 if key in self.forbidden else 200 if key in self.good else 401
        status = 400 if key in self.malformed else status
        return HttpResponse(status, {}, b'{"data": {"e0": {"id": %d}}}' % self.account)

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


class AnyClock(StillClock):
    """A still clock whose time of day may be set to another one, by ``shift`` seconds."""

    shift = 0.0

    def time(self) -> float:
        """See `destinations.clock.WallClock.time`."""
        return super().time() + self.shift


class Bench:
    """The tenants of one destination on a store, whose partner answers as a test says."""

    def __init__(self, path: Path, destination: Destination) -> None:
        self.path = path
        self.base = destination
        self.clock = AnyClock()
        self.partner = Partner()
        self.pool: Executor | None = Inline()
        self.rules = RULES
        self.open()

    def open(self) -> None:
        """Begin, as a process does."""
        self.store = SqliteStore(self.path)
        self.queue = self.store.queue(self.clock)
        self.engine = Engine(self.queue, clock=self.clock, inline=True)
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
            rules=self.rules,
            pool=self.pool,
            join=self.join,
        )
        self.tenants.load()
        self.changes = TenantChanges(
            self.store, self.queue, self.engine, lambda _: self.tenants, clock=self.clock
        )

    def join(self, gone: Tenant, kept: Tenant) -> None:
        """Merge two tenants, as a server does that an operator asks for it."""
        ask_server(self.store, gone, kept.id, self.clock.time())
        self.changes.look()

    def tenants_of_another_account(self, key: str) -> Tenant:
        """Return the tenant of a key of which the partner says that it is of another account."""
        self.partner.account = 2
        found = self.admit(key).served.tenant
        self.partner.account = 1
        return found

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


def test_states_are_counted(bench: Bench) -> None:
    """Each tenant is in one state: paused by an operator, or else that of its key."""
    good, other = (bench.admit(key).served.tenant for key in ("good-key", "other-key"))
    bench.partner.is_away = True
    bench.admit("unchecked-key")
    counts = {"proven": 2, "unchecked": 1, "refused": 0, "paused": 0}
    assert bench.tenants.count_states() == counts
    bench.stored.refuse(good, 1.0)
    bench.stored.pause(other, 1.0)
    assert bench.tenants.count_states() == {**counts, "proven": 0, "refused": 1, "paused": 1}
    bench.stored.pause(good, 1.0)
    assert bench.tenants.count_states() == {**counts, "proven": 0, "paused": 2}


@pytest.mark.parametrize("restarts", [False, True])
def test_an_hour_in_which_nobody_asked(bench: Bench, restarts: bool) -> None:
    """Only what the partner said at its end refuses a sender: the key may be good again."""
    bench.send("good-key", "1")
    bench.partner.good.discard("good-key")
    bench.clock.now += RULES.good
    bench.send("good-key", "2")
    assert bench.tenants.paused()
    bench.partner.is_away = True
    if restarts:
        bench.close()
    bench.clock.now += 2 * RULES.refuse_after
    if restarts:
        bench.open()
    bench.send("good-key", "3")
    bench.partner.is_away = False
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.answer("good-key") == 401
    bench.partner.good.add("good-key")
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.answer("good-key") == 200
    assert bench.tenants.paused() == []


@pytest.mark.parametrize("shift", [-7_200.0, 7_200.0])
def test_another_time_of_day(bench: Bench, shift: float) -> None:
    """A clock that is set refuses nobody sooner, and keeps nobody waiting."""
    bench.send("good-key", "1")
    bench.partner.good.discard("good-key")
    bench.clock.now += RULES.good
    bench.send("good-key", "2")
    bench.partner.is_away = True
    bench.send("other-key", "1")
    bench.partner.is_away = False
    bench.clock.shift = shift
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.partner.questions["other-key"] == 2
    assert bench.answer("good-key") == 200
    bench.clock.now += RULES.refuse_after
    assert bench.answer("good-key") == 401


@pytest.mark.parametrize(("key", "status"), [("ключ-ключ", 400), ("malformed-key", 401)])
def test_a_key_that_the_partner_cannot_read(bench: Bench, key: str, status: int) -> None:
    """It is refused, and takes no room of keys that cannot be checked now."""
    bench.partner.malformed.add("malformed-key")
    assert bench.answer(key) == status
    assert bench.stored.all() == []
    bench.clock.now += RULES.wrong
    for number in range(int(RULES.burst)):
        assert bench.answer(f"stranger-{number}") == 401
    bench.send(key)
    assert len(bench.stored.all()) == 1
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.stored.all() == []


def test_a_good_key_is_not_malformed(bench: Bench) -> None:
    """If the partner suddenly cannot read a key that it took, its sender goes on."""
    bench.send("good-key", "1")
    bench.partner.malformed.add("good-key")
    for number in range(3):
        bench.clock.now += RULES.good
        bench.send("good-key", f"later-{number}")
    assert bench.partner.questions["good-key"] == 4
    assert bench.tenants.paused() == []


def test_questions_without_an_answer(bench: Bench) -> None:
    """Few wait for one: the next keys are kept at once, and customers' own do not wait behind."""
    bench.send("good-key")
    bench.close()
    bench.pool, bench.rules = None, replace(RULES, burst=100.0, keys=3)
    bench.open()
    bench.partner.gate = threading.Event()
    bench.partner.prompt.add("good-key")
    futures: list[Future[Admission]] = []
    for number in range(20):
        with suppress(KeyRefusedError):
            asked = bench.tenants.admit(f"stranger-{number}".encode())
            assert isinstance(asked, Future)
            futures.append(asked)
    kept = [one for one in as_completed(futures[8:], 10) if one.exception() is None]
    assert [one.done() for one in futures[:8]] == [False] * 8
    assert len(kept) == bench.rules.keys
    bench.clock.now += RULES.good
    bench.partner.asked.clear()
    bench.admit("good-key")
    assert bench.partner.asked.wait(10)
    assert bench.partner.questions["good-key"] == 2
    bench.partner.gate.set()
    wait(futures, 10)


def test_keys_without_an_answer_keep_no_other_waiting(bench: Bench) -> None:
    """Those that were asked about less often come first, however many are due."""
    bench.partner.is_away = True
    bench.close()
    bench.rules = replace(RULES, keys=20)
    bench.open()
    for number in range(10):
        assert bench.answer(f"stranger-{number}") == 200
        bench.clock.now += 1
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.answer("good-key") == 200
    assert bench.partner.questions["good-key"] == 0
    bench.clock.now += RULES.again
    bench.tenants.tick()
    assert bench.partner.questions["good-key"] == 1


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


# -- tenants that become one, or are erased ------------------------------------------------------


def _two_before_accounts_had_names(bench: Bench, of_account: Bench) -> tuple[Tenant, Tenant]:
    """Return two tenants of one account that a definition made which named no accounts."""
    first = bench.admit("good-key").served.tenant
    second = bench.admit("other-key").served.tenant
    bench.close()
    of_account.close()
    of_account.path = bench.path
    of_account.open()
    return first, second


@pytest.mark.parametrize("beside", [True, False], ids=["beside a server", "without one"])
def test_a_third_key_of_a_merged_account(bench: Bench, of_account: Bench, *, beside: bool) -> None:
    """It is of the tenant that is left: the partner is asked which account that is, once."""
    partner = of_account.partner
    partner.good |= {"third-key", "fourth-key"}
    gone, kept = _two_before_accounts_had_names(bench, of_account)
    if beside:
        of_account.join(gone, kept)
    else:
        of_account.close()
        with SqliteStore(bench.path) as store:
            merge_tenant(store, gone, kept, 1.0)
        of_account.open()
    assert of_account.admit("third-key").served.tenant.id == kept.id
    assert [one.id for one in of_account.stored.all()] == [kept.id]
    assert partner.questions == {"third-key": 1, "other-key": 1}
    assert of_account.admit("fourth-key").served.tenant.id == kept.id
    assert partner.questions == {"third-key": 1, "other-key": 1, "fourth-key": 1}
    of_account.close()
    bench.open()


def test_a_third_key_while_the_account_cannot_be_told(bench: Bench, of_account: Bench) -> None:
    """It is no new tenant, which could not be undone: the sender is told to come again."""
    partner = of_account.partner
    partner.good.add("third-key")
    of_account.join(*_two_before_accounts_had_names(bench, of_account))
    partner.unreachable.add("other-key")
    assert of_account.answer("third-key") == 503
    assert len(of_account.stored.all()) == 1
    partner.unreachable.clear()
    of_account.clock.now += RULES.again
    of_account.tenants.tick()
    assert of_account.answer("third-key") == 200
    assert len(of_account.stored.all()) == 1
    of_account.close()
    bench.open()


def test_an_account_that_proves_to_be_a_known_one(of_account: Bench) -> None:
    """What was kept with a key that could not be checked becomes a part of the account's tenant."""
    bench = of_account
    bench.send("good-key", "1")
    first = bench.admit("good-key").served.tenant
    bench.partner.is_away = True
    bench.send("other-key", "2")
    bench.send("other-key", "1")  # which came with the other key before
    assert len(bench.stored.all()) == 2
    bench.partner.is_away = False
    bench.clock.now += RULES.again
    bench.tenants.tick()
    (only,) = bench.stored.all()
    assert only.id == first.id
    for key in ("good-key", "other-key"):
        assert bench.admit(key).served.tenant.scope == only.scope
    assert set(bench.queue.history(only.scope, ["1", "2"])) == {"1", "2"}
    assert bench.engine.length(only.scope) == 2 + 1  # a message of both stays with both
    assert bench.tenants.paused() == []


@pytest.mark.parametrize("is_early", [False, True], ids=["brought later", "brought before"])
@pytest.mark.parametrize("is_newer", [False, True])
def test_events_that_come_as_tenants_become_one(
    bench: Bench, *, is_newer: bool, is_early: bool
) -> None:
    """What was admitted before is of the one that is left, whenever it is written."""
    bench.send("good-key", "1")
    bench.send("other-key", "1")
    gone, kept = (bench.admit(key).served.tenant for key in ("good-key", "other-key"))
    if is_newer:
        bench.stored.prove(gone, bench.clock.time() + 1)
    admissions = [bench.admit(key) for key in ("good-key", "other-key")]
    brought = []
    for admission in admissions:
        for message_id in ("1", "2"):
            raw = f'{{"type":"track","event":"E","userId":"u","messageId":"{message_id}"}}'
            planned = plan(admission.destination, raw.encode())
            arrival = admission.intake.arrival(planned, "", message_id=message_id, accepted_at=0.0)
            brought.append((admission.served.tenant.scope, arrival))
    futures = [bench.engine.accept(scope, [one]) for scope, one in brought] if is_early else []
    bench.join(gone, kept)
    futures = futures or [bench.engine.accept(scope, [one]) for scope, one in brought]
    bench.engine.run_round(0.0)
    receipts = [one for future in futures for one in future.result(0)]
    assert [one.duplicate or one.conflict for one in receipts] == [True, False, True, True]
    (only,) = bench.stored.all()
    assert only.id == kept.id
    for served in (bench.admit("good-key").served, bench.admit("other-key").served):
        assert served.tenant.scope == only.scope
        assert served.tenant.scope.tenant == kept.id
    settings = bench.tenants.bound(only.scope).settings
    assert settings["apiKey"].reveal() == ("good-key" if is_newer else "other-key")


def test_an_answer_about_a_key_before(bench: Bench) -> None:
    """What the partner says of a key that is not the tenant's any more changes nothing of it."""
    bench.close()
    bench.pool = ThreadPoolExecutor(1)
    bench.open()
    gone, kept = (bench.admit(key).served.tenant for key in ("good-key", "other-key"))
    bench.stored.prove(gone, bench.clock.time() + 1)
    bench.partner.gate = threading.Event()
    bench.partner.asked.clear()
    bench.partner.good.discard("other-key")
    bench.tenants.doubt(kept.scope)
    assert bench.partner.asked.wait(10)
    bench.join(gone, kept)
    bench.partner.gate.set()
    bench.pool.shutdown()
    (only,) = bench.stored.all()
    assert only.refused_since is None
    assert bench.tenants.paused() == []


def test_a_key_that_is_checked_as_its_tenant_goes(of_account: Bench) -> None:
    """A new key of an account whose tenant is merged meanwhile is of the one that is left."""
    bench = of_account
    bench.partner.good.add("third-key")
    gone = bench.admit("good-key").served.tenant
    kept = bench.tenants_of_another_account("other-key")
    bench.close()
    bench.pool = ThreadPoolExecutor(1)
    bench.open()
    bench.partner.gate = threading.Event()
    bench.partner.asked.clear()
    asked = bench.tenants.admit(b"third-key")
    assert bench.partner.asked.wait(10)
    bench.join(gone, kept)
    bench.partner.gate.set()
    assert isinstance(asked, Future)
    assert asked.result(10).served.tenant.id == kept.id
    assert [one.id for one in bench.stored.all()] == [kept.id]


def test_a_tenant_that_is_erased_and_comes_again(bench: Bench) -> None:
    """It is a new one; what was admitted before that is refused for now, and is not kept."""
    bench.send("good-key", "1")
    bench.send("other-key", "1")
    admission = bench.admit("good-key")
    tenant = admission.served.tenant
    ask_server(bench.store, tenant, "", bench.clock.time())
    bench.changes.look()
    assert bench.stored.get("sample", tenant.id) is None
    raw = b'{"type":"track","event":"E","userId":"u","messageId":"1"}'
    arrival = admission.intake.arrival(
        plan(admission.destination, raw), "", message_id="1", accepted_at=0.0
    )
    future = bench.engine.accept(tenant.scope, [arrival])
    bench.engine.run_round(0.0)
    with pytest.raises(QueueFullError):
        future.result(0)
    bench.send("good-key", "1")
    again = bench.admit("good-key").served.tenant
    assert again.id == tenant.id
    assert bench.engine.length(again.scope) == 1
    assert bench.store.database.one("SELECT count(*) FROM open") == (2,)


def test_an_erasure_that_cannot_be_noted(bench: Bench) -> None:
    """The tenant would come back with a backup: it stays, delivers again, and it is said why."""
    bench.send("good-key", "1")
    tenant = bench.admit("good-key").served.tenant
    path = erasures_path(bench.path)
    path.write_text("damaged")
    asked = ask_server(bench.store, tenant, "", bench.clock.time())
    bench.changes.look()
    with pytest.raises(UsageError, match="it is damaged; put it back as it was"):
        await_tenant_change(bench.store, asked)
    assert [one.id for one in bench.stored.all()] == [tenant.id]
    assert bench.tenants.paused() == []
    assert not bench.engine.looks_again
    path.unlink()


def test_a_store_that_cannot_be_written_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked is done as soon as it can be; until then nothing more is claimed."""
    gone, kept = (bench.admit(key).served.tenant for key in ("good-key", "other-key"))
    ask_server(bench.store, gone, kept.id, bench.clock.time())
    with monkeypatch.context() as broken:
        broken.setattr(
            tenant_changes,
            "merge_tenants",
            lambda *_: (_ for _ in ()).throw(TemporaryError("full")),
        )
        bench.changes.look()
    assert {one.id for one in bench.tenants.paused()} == {gone.scope.id, kept.scope.id}
    assert bench.engine.looks_again
    bench.engine.changed = bench.changes.look
    bench.clock.now += 1
    bench.engine.run_round(0.0)
    assert [one.id for one in bench.stored.all()] == [kept.id]
    assert bench.tenants.paused() == []
