"""Requests that are kept with their answers: which, for how long, whose, and in which form."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Outcome, State
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import Scope
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.retry import RetryPolicy
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.store import (
    Attempt,
    StoredQueue,
    Tenant,
    broken_rules,
    count_requests,
    erase_tenant,
    erase_user,
)
from destinations.store.queue import Commit
from destinations.store.tenant_merging import merge_tenants
from tests.destinations.conftest import API_KEY, Replies
from tests.destinations.pipeline.conftest import with_reconcile
from tests.stores import AnyStore, OpenStore

Reply = HttpResponse | TransportError
HOUR = 3_600.0
DAY = 86_400.0


def with_thing(documents: dict[str, Any]) -> None:
    """Let requests say of which thing an event is."""
    with_reconcile(documents)
    del documents["destination"]["requests"]["count"]["reconcile"]


def refused(text: str = "no") -> HttpResponse:
    """Return an answer that refuses a whole request, and proves that nothing was applied."""
    return Replies.errors({"message": text, "extensions": {"code": "BAD"}})


class Partner:
    """Answers as it is told; without that it has counted everything."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.answer: Callable[[HttpRequest], Reply] = Replies.success

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        self.requests.append(request)
        found = self.answer(request)
        if isinstance(found, TransportError):
            raise found
        return found

    def close(self) -> None:
        """Nothing is open."""


class Told(Observer):
    """Keeps errors."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `Observer.failed`."""
        self.errors.append(error)


class Bench:
    """An engine on a store, whose partner is scripted; samples are drawn from ``chance``."""

    def __init__(
        self, store: AnyStore, destination: Destination, scope: Scope | None = None
    ) -> None:
        self.store = store
        self.destination = destination
        self.clock = StillClock()
        self.partner = Partner()
        self.told = Told()
        self.chance = 1.0
        self.queue: StoredQueue = store.queue(self.clock)
        self.scope = scope or store.accounts().served("sample", identity_of(destination))
        self.engine = Engine(self.queue, clock=self.clock, observer=self.told, inline=True)
        self.sender = Sender(destination, self.partner, clock=self.clock)
        self.pipeline = self.engine.open(self._pipeline)
        self._count = 0

    def _pipeline(self) -> Pipeline:
        self.queue.recover([self.scope], 30.0)
        return Pipeline(
            self.scope,
            self.destination,
            self.sender,
            self.queue,
            policy=RetryPolicy(
                deadline=4 * HOUR,
                base=1.0,
                cap=60.0,
                max_retry_after=HOUR,
                outage="dead",
                draw=lambda: 1.0,
            ),
            options=PipelineOptions(
                2, linger=0.0, losses=LossOptions(30.0), sample=lambda: self.chance
            ),
            clock=self.clock,
            observer=self.told,
            source=self.queue.source(self.scope),
        )

    def accept(self, *users: str, kind: str = "track", **more: Any) -> None:
        """Accept an event of each user."""
        intake = Intake(self.destination)
        arrivals = []
        for user in users:
            self._count += 1
            properties = {"by": 1, "thing": user, **more}
            event = {"type": kind, "event": "E", "name": "p", "userId": user}
            event |= {"traits": properties["traits"]} if "traits" in properties else {}
            identity = {"messageId": f"m{self._count}", "properties": properties}
            raw = json.dumps({**event, **identity}).encode()
            planned = plan(self.destination, raw)
            arrivals.append(
                intake.arrival(
                    *(planned, intake.digest),
                    message_id=planned.message_id,
                    accepted_at=self.clock.time(),
                )
            )
        future = self.engine.accept(self.scope, arrivals)
        self.engine.run_round(0.0)
        future.result(0)

    def run(self, seconds: float = 100_000.0) -> None:
        """Do rounds, with time moving on, until nothing more is to be done."""
        for _ in range(200):
            scheduler = self.pipeline.prefetch.scheduler
            if not (self.pipeline.under_way or scheduler.waiting or self.engine.is_unwritten):
                break
            self.engine.run_round(seconds)
        assert self.told.errors == []

    def deliver(self, *users: str, **more: Any) -> None:
        """Accept events and deliver them."""
        self.accept(*users, **more)
        self.run()

    def entry(self, user: str) -> LedgerEntry:
        """Return the one delivery of a user."""
        (found,) = self.store.ledger().find(Selection(user=user))
        return found

    def attempts(self, user: str) -> Sequence[Attempt]:
        """Return what is kept for the one delivery of a user."""
        return self.store.attempts().of(self.entry(user).id)

    def rows(self, table: str) -> int:
        """Return how many rows a table has."""
        row = self.store.database.one(f"SELECT count(*) FROM {table}")  # noqa: S608 - a test's own
        assert row is not None
        return int(row[0])


@pytest.fixture
def bench(store: AnyStore, bind: Callable[..., Destination]) -> Iterator[Bench]:
    """An engine on a store of each kind; afterwards every rule holds in it."""
    made = Bench(store, bind(with_thing))
    yield made
    made.engine.close()
    assert broken_rules(store.database) == []


def failing(*replies: Reply) -> Callable[[HttpRequest], Reply]:
    """Return what answers by these replies first, and takes everything after them."""
    left = list(replies)
    return lambda request: left.pop(0) if left else Replies.success(request)


# -- what is kept ----------------------------------------------------------------------------------


def test_an_attempt(bench: Bench) -> None:
    """When, how long, what was sent, what came back, and what decided about it."""

    def slow(_: HttpRequest) -> HttpResponse:
        bench.clock.now += 0.25
        return Replies.http(200, {"data": {"e0": {"done": False, "why": "no"}}}, server="x")

    bench.clock.now = 10.0
    bench.partner.answer = slow
    bench.deliver("ann")
    (one,) = bench.attempts("ann")
    assert (one.number, one.kind, one.request, one.method) == (1, "send", "count", "POST")
    assert one.at == pytest.approx(bench.clock.time() - 0.25, abs=0.002)
    assert one.seconds == pytest.approx(0.25)
    assert one.url == "http://127.0.0.1:9/graphql"
    assert one.request_headers["Authorization"] == "Bearer ***"
    body = bench.partner.requests[0].body
    assert (one.request_body, one.request_bytes) == (body, len(body or b""))
    assert (one.status, one.answer_headers) == (200, {"server": "x"})
    assert json.loads(one.answer_body or b"")["data"]["e0"]["why"] == "no"
    assert (one.error, one.error_class) == ("", "invalid")
    assert one.rule == "requests.count.refusals[0]"
    assert (one.outcome, one.deliveries) == (Outcome.REJECTED, 1)


def test_attempts_of_steps(
    store: AnyStore, bind: Callable[..., Destination], with_steps: Any
) -> None:
    """Each request has the name of its step, also where several steps make the same request."""

    def change(documents: Any) -> None:
        with_steps(documents)
        documents["sync"]["perform"]["steps"].append(
            {"name": "check", "request": "search", "when": {"create": "ok"}}
        )

    bench = Bench(store, bind(change))
    bench.chance = 0.0
    replies = [{"results": []}, {"id": "c1"}, {"results": [{"id": "c1"}]}]
    bench.partner.answer = lambda _: Replies.http(200, replies.pop(0))
    bench.accept("ann", kind="identify", traits={"email": "a@x", "name": "A"})
    bench.run()
    found = [(one.step, one.request) for one in bench.attempts("ann")]
    assert found == [("find", "search"), ("create", "add"), ("check", "search")]
    bench.engine.close()
    assert broken_rules(store.database) == []


def test_an_attempt_without_steps(bench: Bench) -> None:
    """Then there is no name; and none is left of what is erased."""
    bench.partner.answer = failing(refused())
    bench.deliver("ann")
    assert {one.step for one in bench.attempts("ann")} == {""}


RULES: dict[str, tuple[Reply, str, str | None, str, int | None]] = {
    "a rule of the destination": (
        Replies.errors({"message": "x", "extensions": {"code": "BAD"}, "path": ["e0"]}, data=None),
        *("errorRules[3]", "invalid", "", 200),
    ),
    "no rule": (Replies.http(400, "no"), "built-in: HTTP 400", "invalid", "", 400),
    "another shape": (
        Replies.data({"done": "perhaps"}),
        *("requests.count.expect", "internal", "", 200),
    ),
    "no answer": (Replies.refused, "built-in: no answer", "unavailable", "no connection", None),
    "a lost answer": (Replies.lost, "built-in: no answer", "timeout", "no answer: timed", None),
}


@pytest.mark.parametrize(
    ("reply", "rule", "error_class", "error", "status"), RULES.values(), ids=RULES
)
def test_what_decided(
    bench: Bench,
    *,
    reply: Reply,
    rule: str,
    error_class: str | None,
    error: str,
    status: int | None,
) -> None:
    """The rule of the definition, by its place; or the one that is built in."""
    bench.partner.answer = failing(reply)
    bench.deliver("ann")
    one = bench.attempts("ann")[0]
    assert (one.rule, one.error_class, one.status) == (rule, error_class, status)
    assert one.error.startswith(error) if error else not one.error


def test_a_delivery_that_failed_before(bench: Bench) -> None:
    """The attempt that delivers it is kept as well, whatever the sample: with what came before."""
    bench.partner.answer = failing(Replies.http(503), Replies.refused, Replies.http(200))
    bench.deliver("ann", kind="page")
    found = bench.attempts("ann")
    assert [one.number for one in found] == [1, 2, 3]
    assert [one.status for one in found] == [503, None, 200]
    assert [one.outcome for one in found] == [State.READY, State.READY, Outcome.DELIVERED]
    assert [one.error_class for one in found] == ["unavailable", "unavailable", None]
    assert [one.rule for one in found] == [
        "built-in: HTTP 503",
        "built-in: no answer",
        "built-in: HTTP 200",
    ]
    assert found[0].at < found[1].at < found[2].at


@pytest.mark.parametrize(
    ("sample", "chance", "kept"),
    [(0.01, 0.5, 0), (0.01, 0.009, 1), (0.0, 0.0, 0), (1.0, 0.999, 1), (0.5, 0.5, 0)],
)
def test_a_share_of_the_delivered(bench: Bench, sample: float, chance: float, kept: int) -> None:
    """It is drawn for a batch as a whole: all of its deliveries have the attempt, or none."""
    bench.queue.attempts = AttemptPolicy(sample=sample)
    bench.chance = chance
    bench.deliver("ann", "bob", "eve")
    assert len(bench.partner.requests) == 1
    assert [len(bench.attempts(user)) for user in ("ann", "bob", "eve")] == [kept] * 3
    assert bench.rows("exchanges") == kept


def test_nothing_is_kept_when_it_is_off(bench: Bench) -> None:
    """Neither of what failed."""
    bench.queue.attempts = None
    bench.partner.answer = failing(refused())
    bench.deliver("ann")
    assert bench.entry("ann").status is Outcome.REJECTED
    assert bench.rows("exchanges") == bench.rows("exchange_contents") == 0


def test_a_batch_is_kept_once(bench: Bench) -> None:
    """One request, of which each delivery that failed has an attempt with its own class."""
    answer = Replies.data({"done": True}, {"done": False, "why": "x"}, {"done": True})
    bench.partner.answer = failing(answer)
    bench.deliver("ann", "bob", "eve")
    (one,) = bench.attempts("bob")
    assert (one.deliveries, one.item, one.error_class) == (3, 1, "invalid")
    assert bench.attempts("ann") == bench.attempts("eve") == []
    assert bench.rows("exchanges") == 1


def test_halves(bench: Bench) -> None:
    """A batch that is refused because of one event: each of its parts has its own request."""

    def refuse(request: HttpRequest) -> Reply:
        is_bad = b'"bad"' in (request.body or b"")
        return refused() if is_bad else Replies.success(request)

    bench.partner.answer = refuse
    bench.deliver("ann", "bob", "bad", "eve")
    sizes = [one.deliveries for one in bench.attempts("bad")]
    assert sizes == [4, 2, 1]
    assert [one.outcome for one in bench.attempts("bad")] == [None, None, Outcome.REJECTED]
    # The others were delivered by a later request, after one that failed.
    assert [one.deliveries for one in bench.attempts("ann")] == [4, 2]
    assert bench.attempts("ann")[-1].outcome is Outcome.DELIVERED
    assert bench.rows("exchanges") == len(bench.partner.requests)


def test_plugin_code(bench: Bench) -> None:
    """All requests of a generator, in order; an answer that is no error is no failure."""
    missing = Replies.errors(
        {"message": "x", "extensions": {"code": "MISSING"}, "path": ["e0"]}, data={"e0": None}
    )
    bench.partner.answer = failing(missing, refused())
    bench.deliver("ann", kind="identify")
    first, second = bench.attempts("ann")
    assert (first.request, first.error_class, first.rule) == (
        *("find", None),
        "requests.find.answers[0]",
    )
    assert (second.request, second.error_class) == ("create", "invalid")
    assert (first.outcome, second.outcome) == (None, Outcome.REJECTED)


def test_a_test_of_the_credentials(bench: Bench) -> None:
    """The request that decides whether a refusal is about the key belongs to what was refused."""
    bench.partner.answer = failing(Replies.http(403, "no"), Replies.data({"id": "x", "name": "y"}))
    bench.deliver("ann")
    kinds = [(one.kind, one.request, one.status) for one in bench.attempts("ann")]
    assert kinds[:2] == [("send", "count", 403), ("credentials", "find", 200)]


def test_questions_about_lost_answers(store: AnyStore, bind: Callable[..., Destination]) -> None:
    """They belong to the deliveries that they are asked for."""
    bench = Bench(store, bind(with_reconcile))
    counted = {"ann": 0}

    def answer(request: HttpRequest) -> Reply:
        if b"query" in (request.body or b"") and b"shown" in (request.body or b""):
            return Replies.data({"used": counted["ann"]})
        counted["ann"] += 1
        return Replies.lost

    bench.partner.answer = answer
    bench.deliver("ann")
    found = bench.attempts("ann")
    assert [one.kind for one in found] == ["send", "question"]
    assert found[-1].request == "shown"
    assert found[-1].outcome is Outcome.DELIVERED
    assert bench.entry("ann").status is Outcome.DELIVERED
    bench.engine.close()
    assert broken_rules(store.database) == []


def test_equal_texts_are_kept_once(bench: Bench) -> None:
    """Whatever number of requests has them, and as long as one has."""
    bench.partner.answer = lambda _: refused("the same")
    for user in ("ann", "bob", "eve"):
        bench.deliver(user)
    # A body each; one head, and one answer, for all of them.
    assert bench.rows("exchange_contents") == 3 + 1 + 1
    scopes = [bench.scope.id]
    erase_user(bench.store.database, "ann", scopes, b"k" * 32, 1.0)
    assert bench.rows("exchange_contents") == 2 + 1 + 1
    assert b"the same" in (bench.attempts("bob")[0].answer_body or b"")


def test_it_is_in_the_commit_of_the_outcome(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed in it leaves neither; else both are there."""
    real = Commit.finish

    def killed(commit: Commit) -> None:
        if commit.attempt_bytes:
            raise ZeroDivisionError
        real(commit)

    bench.partner.answer = failing(refused())
    bench.accept("ann")
    with monkeypatch.context() as patched:
        patched.setattr(Commit, "finish", killed)
        for _ in range(3):
            bench.engine.run_round(0.0)
    assert [type(error) for error in bench.told.errors] == [ZeroDivisionError]
    bench.told.errors.clear()
    assert bench.entry("ann").status is not Outcome.REJECTED
    assert bench.rows("exchanges") == bench.rows("attempts") == bench.rows("exchange_bytes") == 0
    bench.run(10.0)
    assert bench.entry("ann").status is Outcome.REJECTED
    assert len(bench.attempts("ann")) == 1


def test_what_cannot_be_kept_delivers_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while it is prepared is told, and changes nothing else."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("destinations.pipeline.keeping._prepared", fail)
    bench.partner.answer = failing(refused())
    bench.accept("ann")
    for _ in range(5):
        bench.engine.run_round(0.0)
    assert bench.entry("ann").status is Outcome.REJECTED
    assert [type(error) for error in bench.told.errors] == [ZeroDivisionError]


def test_a_store_that_is_nearly_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliveries end all the same, and nothing is kept."""
    bench.partner.answer = failing(refused())
    bench.accept("ann")
    monkeypatch.setattr(type(bench.store.database), "has_room", lambda *_: False)
    bench.run()
    assert bench.entry("ann").status is Outcome.REJECTED
    assert bench.rows("exchanges") == 0


# -- how long, and how much ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "after", "left"),
    [
        (AttemptPolicy(), 0.0, ["failed", "delivered"]),
        (AttemptPolicy(), HOUR - 1, ["failed", "delivered"]),
        (AttemptPolicy(), HOUR + 1, ["failed"]),
        (AttemptPolicy(), 30 * DAY - 1, ["failed"]),
        (AttemptPolicy(), 30 * DAY + 1, []),
        (AttemptPolicy(failed=60.0), 61.0, ["delivered"]),
        (None, 0.0, []),
    ],
)
def test_how_long(
    bench: Bench, policy: AttemptPolicy | None, after: float, left: list[str]
) -> None:
    """What failed longer than what was delivered; nothing without a policy."""
    bench.chance = 0.0
    bench.deliver("delivered")
    bench.partner.answer = failing(refused())
    bench.deliver("failed")
    now = bench.clock.time() + after
    bench.store.attempts().prune(now, policy)
    assert [one for one in ("failed", "delivered") if bench.attempts(one)] == left
    assert bench.rows("exchanges") == bench.rows("attempts") == len(left)
    if not left:
        assert bench.store.attempts().bytes == bench.rows("exchange_contents") == 0


def test_how_much(bench: Bench) -> None:
    """The oldest go first, as soon as there is too much, without any maintenance."""
    chance = random.Random(1)
    bench.queue.attempts = AttemptPolicy(max_bytes=150_000)
    bench.partner.answer = lambda _: refused(chance.randbytes(3_000).hex())
    users = [f"u{number}" for number in range(150)]
    for user in users:
        bench.deliver(user)
        assert bench.store.attempts().bytes < 150_000 + 80_000
    kept = [user for user in users if bench.attempts(user)]
    assert 10 < len(kept) < len(users)
    assert kept == users[-len(kept) :]
    bench.store.attempts().prune(bench.clock.time(), AttemptPolicy(max_bytes=65_536))
    assert bench.store.attempts().bytes <= 65_536
    assert bench.rows("exchange_bytes") == 1


def test_deliveries_that_are_gone(bench: Bench) -> None:
    """Their attempts go with the next look, and those of others stay."""
    bench.partner.answer = lambda _: refused()
    bench.deliver("ann", "bob")
    gone = bench.entry("ann").id
    with bench.store.database.transaction() as connection:
        connection.execute("DELETE FROM kept WHERE id = ?", (gone,))
        connection.execute("DELETE FROM tallies")
        connection.execute(
            "INSERT INTO tallies SELECT scope, subscription, status, settled_at / 86400000,"
            " count(*) FROM kept GROUP BY 1, 2, 3, 4"
        )
        connection.execute("DELETE FROM events WHERE id = ?", (gone // 1000,))
    assert bench.store.attempts().of(gone)
    bench.store.attempts().prune(bench.clock.time(), AttemptPolicy())
    assert bench.store.attempts().of(gone) == []
    assert bench.attempts("bob")


# -- whose -----------------------------------------------------------------------------------------


def test_a_user_who_is_erased(bench: Bench) -> None:
    """What is only of the user goes; of a batch, the rows of others stay and say so."""

    def answer(request: HttpRequest) -> Reply:
        return refused(f"no: {len(request.body or b'')}")

    bench.partner.answer = answer
    bench.deliver("ann")
    bench.deliver("bob")
    bench.partner.answer = failing(
        Replies.data({"done": False, "why": "eve@x.example"}, {"done": False, "why": "y"})
    )
    bench.deliver("eve", "mallory")
    scopes = [bench.scope.id]
    database = bench.store.database
    assert count_requests(database, "eve", scopes) == 1
    done = erase_user(database, "eve", scopes, b"k" * 32, 1.0)
    assert done.requests == 1
    (left,) = bench.attempts("mallory")
    assert left.is_erased
    assert (left.request_body, left.answer_body, left.url) == (None, None, "")
    assert (left.request_headers, left.answer_headers) == ({}, {})
    assert (left.status, left.error_class) == (200, "invalid")
    assert not bench.attempts("bob")[0].is_erased
    erase_user(database, "ann", scopes, b"k" * 32, 1.0)
    assert bench.rows("attempts") == 2
    assert count_requests(database, "ann", scopes) == count_requests(database, "eve", scopes) == 0


def test_a_user_whom_another_one_names(bench: Bench) -> None:
    """A request of another user with the id in it loses its texts, and stays."""
    bench.partner.answer = failing(refused("not with ann, please"))
    bench.deliver("bob")
    erase_user(bench.store.database, "ann", [bench.scope.id], b"k" * 32, 1.0)
    assert bench.attempts("bob")[0].is_erased


def test_a_user_whose_rows_are_gone(bench: Bench) -> None:
    """A delivered event of a batch has no attempt; what was sent for it goes all the same.

    Nothing in the request has the id of the user.
    """
    answer = Replies.data({"done": True}, {"done": False, "why": "x"})
    bench.partner.answer = failing(answer)
    bench.deliver("ann", "bob", thing="of nobody")
    with bench.store.database.transaction() as connection:
        connection.execute("DELETE FROM ledger")
        connection.execute("DELETE FROM tallies WHERE status = 0")
    erase_user(bench.store.database, "ann", [bench.scope.id], b"k" * 32, 1.0)
    (left,) = bench.attempts("bob")
    assert left.is_erased
    assert left.request_body is None


def test_tenants(
    store: AnyStore, bind: Callable[..., Destination], add_tenant: Callable[..., Tenant]
) -> None:
    """One that is erased takes its attempts with it; one that is merged brings them along."""
    tenants = [add_tenant(store, key) for key in ("key-a", "key-b", "key-c")]
    deliveries = []
    for number, tenant in enumerate(tenants):
        bench = Bench(store, bind(with_thing), tenant.scope)
        bench.partner.answer = failing(refused("the same"))
        bench.deliver(f"user-{number}")
        deliveries.append(bench.entry(f"user-{number}").id)
        bench.engine.close()
    erase_tenant(store.database, tenants[0])
    merge_tenants(store.database, tenants[1], tenants[2], 1.0)
    assert [len(store.attempts().of(one)) for one in deliveries] == [0, 1, 1]
    row = store.database.one("SELECT count(*) FROM exchanges")
    scopes = store.database.all("SELECT DISTINCT scope FROM exchanges")
    assert (row, len(scopes)) == ((2,), 1)
    assert broken_rules(store.database) == []


def test_another_process_reads_them(bench: Bench, open_store: OpenStore) -> None:
    """Also one that only reads."""
    bench.partner.answer = failing(refused())
    bench.deliver("ann")
    with open_store(read_only=True) as again:
        assert again.attempts().of(bench.entry("ann").id) == bench.attempts("ann")
        assert again.attempts().of(4_711) == []


# -- secrets, and hostile bytes --------------------------------------------------------------------


def _all_bytes(bench: Bench, user: str) -> bytes:
    parts: list[bytes] = []
    for one in bench.attempts(user):
        texts = [one.url, one.error, *one.request_headers.values(), *one.answer_headers.values()]
        parts += [text.encode("utf-8", "surrogateescape") for text in texts]
        parts += [one.request_body or b"", one.answer_body or b""]
    return b"\n".join(parts)


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(1_000),
    "all bytes but letters and digits": (bytes(range(32)) + bytes(range(128, 256))) * 4,
    "half a character": "€".encode()[:2],
    "UTF-16": "überraschung".encode("utf-16"),
    "huge": b"x" * 3_000_000,
    "huge, in characters of 4 bytes": "😀".encode() * 100_000,
    "masks": b"*** ******",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answers(bench: Bench, body: bytes) -> None:
    """They are kept byte by byte up to the cut, with their whole length."""
    bench.partner.answer = failing(HttpResponse(400, {"x": "a\udc80\0b"}, body))
    bench.deliver("ann")
    (one,) = bench.attempts("ann")
    assert one.answer_bytes == len(body)
    assert one.answer_body == (body[:16_384] or None)
    assert one.is_answer_cut == (len(body) > 16_384)


@pytest.mark.parametrize("place", ["body", "answer", "header of the answer", "error"])
def test_secrets(bench: Bench, place: str) -> None:
    """Wherever it stands, it is masked before it is written."""
    more: dict[str, Any] = {}
    if place == "body":
        more["thing"] = f"<{API_KEY}>"
        bench.partner.answer = failing(refused())
    elif place == "answer":
        bench.partner.answer = failing(refused(f"not {API_KEY}"))
    elif place == "error":
        error = TransportError(f"no connection: {API_KEY}", sent=False)
        bench.partner.answer = lambda _: error
    else:
        bench.partner.answer = failing(HttpResponse(400, {"x-key": API_KEY}, b"no"))
    bench.accept("ann", **more)
    bench.engine.run_round(0.0)
    bench.engine.run_round(0.0)
    found = _all_bytes(bench, "ann")
    assert b"***" in found
    assert API_KEY.encode() not in found
