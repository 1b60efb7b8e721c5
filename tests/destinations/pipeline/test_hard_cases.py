"""What goes wrong around one delivery neither stops the others, nor gets lost, nor counts twice."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from destinations.errors import QueueFullError, TemporaryError, TransportError
from destinations.http import Failure, HttpResponse
from destinations.oauth2 import TokenError
from destinations.outcome import Outcome, State
from destinations.pipeline.pipeline import Job
from destinations.pipeline.queue import Round
from destinations.store import SqliteDatabase

Bench = Any
"""See ``conftest.py``."""

LOST = TransportError("no answer: timed out", sent=True, timeout=True)


@pytest.mark.parametrize("fails", ["answers 500", "loses the answer"])
def test_a_poison_event(bench: Callable[..., Bench], fails: str) -> None:
    """It fails alone, and is dead after the deadline; the others of its batch are delivered."""
    one = bench(deadline=4 * 3600.0)
    sizes: list[int] = []

    def hook(counts: bool, things: list[str]) -> HttpResponse | None:
        if not counts or "poison" not in things:
            return None
        sizes.append(len(things))
        if fails == "answers 500":
            return HttpResponse(500, {}, b"{}")
        raise LOST

    one.partner.hook = hook
    one.accept(("poison", 1), ("a", 1), ("b", 2), ("c", 3))
    one.run()
    assert one.partner.counts == {"a": 1, "b": 2, "c": 3}
    assert dict(one.statuses) == {
        "poison": Outcome.DEAD,
        "a": Outcome.DELIVERED,
        "b": Outcome.DELIVERED,
        "c": Outcome.DELIVERED,
    }
    assert sizes[0] == 4
    assert sizes.index(1) <= 3
    assert 4 * 3600 <= one.clock.now <= 4.2 * 3600
    # What is needed to look into it and to replay it is kept.
    (dead,) = [entry for entry in one.entries if entry.status is Outcome.DEAD]
    assert (dead.code, dead.http_status, dead.stage) == ("ANSWER_LOST", None, "reconcile")
    assert dead.reason == (
        "it was not known whether it was applied; the partner shows that it was not"
    )
    assert json.loads(one.store.ledger().raw_event(dead.event_id) or b"")["userId"] == "poison"
    assert json.loads(one.store.ledger().payload(dead)) == {"by": 1, "thing": "poison"}


def test_what_was_sent_is_asked_about(bench: Callable[..., Bench]) -> None:
    """Whatever the mapping makes of the event by then: what is found out is about what was sent."""
    one = bench()
    asked: list[list[str]] = []

    def hook(counts: bool, things: list[str]) -> HttpResponse | None:
        if not counts:
            asked.append(things)
        return None

    def lose() -> HttpResponse | None:
        one.partner.on_count = lambda: None
        one.partner.counts["a"] = 5
        mapping = one.destination.subscriptions[0]
        usual = mapping.payload
        mapping.payload = lambda event: {**usual(event), "thing": "other"}
        raise LOST

    one.partner.hook = hook
    one.partner.on_count = lose
    one.accept(("a", 5))
    one.run()
    assert asked == [["a"], ["a"]]
    assert (one.partner.counts, one.statuses) == ({"a": 5}, [("a", Outcome.DELIVERED)])


def test_a_balance_that_two_users_add_to(bench: Callable[..., Bench]) -> None:
    """It cannot tell whose event was applied, so a lost answer is left to an operator."""
    one = bench()
    for number, user in enumerate("ab"):
        one.accept_raw(one.event(user, 5, f"{number}", properties={"by": 5, "thing": "shared"}))
        if user == "a":
            one.run()

            def lose() -> None:
                raise LOST

            one.partner.on_count = lose
    one.run()
    assert one.statuses == [("a", Outcome.DELIVERED), ("b", State.HELD)]
    assert "several users" in one.entries[1].evidence["why"]


class _Held:
    """Keeps jobs until somebody lets them go on."""

    def __init__(self, one: Bench) -> None:
        self.jobs: list[Job] = []
        self._done = one.engine._inbox.put

    def submit(self, job: Job) -> None:
        """Keep a job."""
        self.jobs.append(job)

    def go(self) -> None:
        """Do the job that was submitted last."""
        job = self.jobs.pop()
        job.run()
        self._done(job)

    def close(self, *, wait: bool = True) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_balance_that_another_user_adds_to_meanwhile(
    bench: Callable[..., Bench], is_killed: bool
) -> None:
    """What was on its way for the first user cannot be judged by it, also by the next process."""
    one = bench(concurrency=2)
    held = one.engine._workers[one.scope] = _Held(one)
    shared = {"by": 5, "thing": "shared"}

    def lose() -> None:
        one.partner.on_count = lambda: None
        raise TransportError("no answer: timed out", sent=True, timeout=True)

    one.accept_raw(one.event("a", 5, "1", properties=shared))
    one.step()
    held.go()  # asked for what is there
    one.step()
    lost = held.jobs.pop()
    one.accept_raw(one.event("b", 5, "2", properties=shared))
    for _ in range(2):
        one.step()
        held.go()
    one.step()
    assert one.partner.counts == {"shared": 5}
    if not is_killed:
        one.partner.on_count = lose
        held.jobs.append(lost)
        held.go()
        one.step()
    one.restart()
    one.run()
    assert sorted(entry.status for entry in one.entries) == [Outcome.DELIVERED, State.HELD]


def test_balances_beyond_reason(any_bench: Callable[..., Bench]) -> None:
    """A partner that shows an absurd amount shows none: the event goes out, and nothing breaks."""
    one = any_bench()
    one.partner.counts["a"] = 2**70
    one.accept(("a", 1), ("b", 1))
    one.run()
    assert one.statuses == [("a", Outcome.DELIVERED), ("b", Outcome.DELIVERED)]
    assert one.told.errors == []


def test_retry_after_of_a_question(any_bench: Callable[..., Bench]) -> None:
    """It pauses the whole destination, as that of any other request does."""
    one = any_bench()
    one.partner.on_ask = lambda _: HttpResponse(429, {"retry-after": "600"}, b"{}")
    one.accept(("a", 1), ("b", 1))
    one.step()
    one.step()
    assert one.pipeline.breaker.wait(one.clock.now) == 600
    one.partner.on_ask = lambda _: None
    one.run()
    assert one.partner.asked == 2
    assert one.clock.now >= 600
    assert one.partner.counts == {"a": 1, "b": 1}


@pytest.mark.parametrize("asked", ["86400", "31536000"])
def test_retry_after_of_years(any_bench: Callable[..., Bench], asked: str) -> None:
    """After an hour the partner is asked again, with the same event."""
    one = any_bench()
    answers = [HttpResponse(429, {"retry-after": asked}, b"{}")]
    one.partner.on_count = lambda: answers.pop() if answers else None
    one.accept(("a", 1))
    one.run()
    assert one.statuses == [("a", Outcome.DELIVERED)]
    assert one.clock.now == pytest.approx(3600)


def test_a_user_of_whom_nobody_can_tell(any_bench: Callable[..., Bench]) -> None:
    """The partner answers: the breaker stays closed, and other users' events go on at once."""
    one = any_bench(deadline=1_000.0)
    broken = {"message": "no", "extensions": {"code": "BROKEN"}}
    one.partner.on_ask = lambda thing: broken if thing == "bad" else None
    one.accept(("bad", 1))
    one.run()
    assert one.told.breaker_states == []
    assert one.pipeline.breaker.state == "closed"
    assert one.statuses == [("bad", Outcome.DEAD)]


@pytest.mark.parametrize(
    ("answer", "code", "status"),
    [
        (HttpResponse(503, {}, b"{}"), "SERVICE_UNAVAILABLE", 503),
        (HttpResponse(500, {}, b"{}"), "INTERNAL_SERVER_ERROR", 500),
        (HttpResponse(401, {}, b"{}"), "UNAUTHORIZED", 401),
    ],
)
def test_dead_after_questions(
    any_bench: Callable[..., Bench], answer: HttpResponse, code: str, status: int
) -> None:
    """What could not be sent, as asking failed until the end, has the class of that failure."""
    one = any_bench(deadline=50.0)
    one.partner.on_ask = lambda _: answer
    one.accept(("a", 1))
    one.run()
    (found,) = one.told.latest.values()
    result = found.result
    assert (result.outcome, result.code, result.status) == (Outcome.DEAD, code, status)


@pytest.mark.parametrize("applies", [True, False])
@pytest.mark.parametrize("can_ask", [True, False])
def test_an_answer_that_does_not_say(
    bench: Callable[..., Bench], *, applies: bool, can_ask: bool
) -> None:
    """The reasons of what follows a 500 are true: an answer came, so none was lost."""
    one = bench(deadline=50.0)
    failed = HttpResponse(500, {}, b"{}")
    answers = [failed]
    ask = one.partner.on_ask

    def count() -> HttpResponse | None:
        if not answers:
            return None
        if not can_ask:
            one.partner.on_ask = lambda _: failed
        if applies:
            one.partner.counts["a"] = 1
        return answers.pop()

    one.partner.on_count = count
    one.accept(("a", 1))
    one.run()
    one.partner.on_ask = ask
    (entry,) = one.entries
    said = entry.reason + json.dumps(entry.evidence)
    assert "lost" not in said
    if not can_ask:
        assert entry.status is State.HELD
        assert entry.reason.startswith("it is not known whether it was applied, and asking failed:")
    elif applies:
        assert entry.reason == (
            "it was not known whether it was applied; the partner shows that it was"
        )


@pytest.mark.parametrize("when", ["before it is sent", "after its answer was lost"])
def test_no_secret_in_the_store(bench: Callable[..., Bench], when: str) -> None:
    """A partner that repeats the key in its answer to a question does not bring it there."""
    one = bench(deadline=50.0)
    (secret,) = [
        "".join(value)
        for value in one.destination.settings.values()
        if type(value).__name__ == "Secret"
    ]
    echo = json.dumps({"errors": [{"message": f"bad key {secret}"}]}).encode()
    if when == "before it is sent":
        one.partner.on_ask = lambda _: HttpResponse(503, {}, echo)

    def lose() -> None:
        one.partner.on_ask = lambda _: HttpResponse(503, {}, echo)
        raise LOST

    one.partner.on_count = lose
    one.accept(("a", 1))
    one.run()
    (entry,) = one.entries
    assert "bad key ***" in entry.reason
    assert secret not in entry.reason + json.dumps(entry.evidence)
    one.engine.close()
    one.kill()
    assert secret.encode() not in one.path.read_bytes()


@pytest.mark.parametrize("status", [400, 429, 503])
def test_text_that_is_not_text(any_bench: Callable[..., Bench], status: int) -> None:
    """Half a character in a partner's message is no reason to stop."""
    one = any_bench(deadline=50.0)
    broken = b'{"errors": [{"message": "\\ud800 and \\u0000"}]}'
    answers = [HttpResponse(status, {}, broken)]
    one.partner.on_count = lambda: answers.pop() if answers else None
    one.accept(("a", 1), ("b", 1))
    one.run()
    assert one.told.errors == []
    assert {type(found) for _, found in one.statuses} == {Outcome}


def test_a_disk_that_cannot_be_read(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine tells, waits, and goes on when the disk can be read again."""
    one = bench()
    one.engine.close()
    one.kill()
    one.open()
    one.partner.hook = lambda _counts, _things: None
    left = [3]
    usual = SqliteDatabase.all

    def flaky(self: SqliteDatabase, query: str, values: Any = ()) -> Any:
        if "FROM open" in query and left[0]:
            left[0] -= 1
            raise TemporaryError("disk I/O error")
        return usual(self, query, values)

    one.queue.commit(_accepted(one, ("a", 1)))
    one.pipeline.prefetch._more = True
    monkeypatch.setattr(SqliteDatabase, "all", flaky)
    one.run()
    assert one.statuses == [("a", Outcome.DELIVERED)]
    assert [type(error) for error in one.told.errors] == [TemporaryError] * 3


def _accepted(one: Bench, *events: tuple[str, int]) -> Any:
    raw = [one.event(user, by, f"r{number}") for number, (user, by) in enumerate(events)]
    return Round(arrivals=[(one.scope, arrival) for arrival in one.arrivals(*raw)])


def _failing(monkeypatch: pytest.MonkeyPatch, failures: list[Exception]) -> None:
    """Let as many transactions fail."""
    usual = SqliteDatabase.transaction

    @contextlib.contextmanager
    def transaction(self: SqliteDatabase) -> Iterator[sqlite3.Connection]:
        if failures:
            raise failures.pop()
        with usual(self) as connection:
            yield connection

    monkeypatch.setattr(SqliteDatabase, "transaction", transaction)


def _failing_from_the_first_count(
    one: Bench, monkeypatch: pytest.MonkeyPatch, errors: Sequence[Exception]
) -> list[Exception]:
    """Let writing fail while the partner counts, once for each error; returns those to come."""
    failures: list[Exception] = []
    _failing(monkeypatch, failures)

    def count() -> None:
        one.partner.on_count = lambda: None
        failures.extend(errors)

    one.partner.on_count = count
    return failures


def test_a_store_that_cannot_be_written_for_a_time(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent gets its outcome when the store can be written; nothing is sent meanwhile."""
    one = bench()
    errors = [TemporaryError("in use"), sqlite3.OperationalError("?"), OSError("?")]
    failures = _failing_from_the_first_count(one, monkeypatch, errors)
    one.accept(("a", 1), ("b", 1), ("a", 2))
    one.run()
    assert {found for _, found in one.statuses} == {Outcome.DELIVERED}
    assert one.partner.counts == {"a": 3, "b": 1}
    assert failures == []


def test_a_store_that_is_gone_while_pipelines_are_exchanged(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it for ever; what was under way is found out when it is there again."""
    one = bench()
    failures = _failing_from_the_first_count(one, monkeypatch, [TemporaryError("gone")] * 200)
    one.accept(("a", 1), ("b", 1), ("a", 2))
    while not failures:
        one.engine.run_round(0.0)
    before = one.clock.now
    one.engine.remove([one.scope])
    assert (len(failures) > 100, one.clock.now - before < 10) == (True, True)
    assert not one.engine.is_unwritten
    failures.clear()
    one.pipeline = one.engine.open(one.make)
    one.run()
    assert {found for _, found in one.statuses} == {Outcome.DELIVERED}
    assert one.partner.counts == {"a": 3, "b": 1}


def test_one_offer_that_cannot_be_written(bench: Callable[..., Bench]) -> None:
    """It alone fails; those that share its round are durable, and each is told its own."""
    one = bench()
    bad = one.arrivals(one.event("x", 1, "bad"))
    bad[0].event.user = None
    offers = [
        one.engine.accept(one.scope, one.arrivals(one.event("a", 1, "good"))),
        one.engine.accept(one.scope, bad),
        one.engine.accept(one.scope, one.arrivals(one.event("b", 1, "fine"))),
    ]
    one.run()
    assert [type(offer.exception(0)) for offer in offers] == [
        type(None),
        sqlite3.IntegrityError,
        type(None),
    ]
    assert one.partner.counts == {"a": 1, "b": 1}


def test_a_store_that_is_full(bench: Callable[..., Bench]) -> None:
    """What was acknowledged is there and is delivered; what was not, is not; and it recovers."""
    one = bench(concurrency=1)
    one.partner.on_count = lambda: HttpResponse(503, {}, b"{}")
    database = one.store.database
    (pages,), (page,) = (database.one(f"PRAGMA page_{what}") for what in ("count", "size"))
    database.limit_size((pages + 100) * page)
    acknowledged = []

    def fill() -> None:
        for number in range(10_000):
            one.accept_raw(one.event(f"u{number % 7}", 1, f"m{number}", context={"x": "y" * 500}))
            acknowledged.append(f"m{number}")

    with pytest.raises(
        QueueFullError, match="the store has reached its size limit; nothing was accepted"
    ) as raised:
        fill()
    assert raised.value.retry_after > 0
    assert len(acknowledged) > 100
    assert [entry.message_id for entry in one.entries] == acknowledged
    # A full store can still be worked off: what that writes has room.
    one.partner.on_count = lambda: None
    one.run()
    assert {found for _, found in one.statuses} == {Outcome.DELIVERED}
    assert sum(one.partner.counts.values()) == len(acknowledged)
    database.limit_size((pages + 10_000) * page)
    one.accept_raw(one.event("v", 1, "later"))
    one.run()
    assert one.partner.counts["v"] == 1


def test_an_event_that_is_gone(bench: Callable[..., Bench]) -> None:
    """What has to be planned anew and has no raw event is dead; the others go on."""
    one = bench()
    one.partner.on_count = lambda: HttpResponse(503, {}, b"{}")
    one.accept(("a", 1), ("b", 1))
    one.engine.close()
    with one.store.database.transaction() as connection:
        connection.execute("UPDATE open SET plan = 0")
        connection.execute("DELETE FROM events WHERE id = 1")
    one.restart()
    one.partner.on_count = lambda: None
    one.run()
    assert one.statuses == [("a", Outcome.DEAD), ("b", Outcome.DELIVERED)]
    assert one.entries[0].code == "EVENT_GONE"
    with one.store.database.transaction() as connection:  # so that the store is whole again
        connection.execute("INSERT INTO events (id, raw) VALUES (1, x'7b7d')")


@pytest.mark.parametrize("where", ["ask", "deliver"])
def test_an_internal_error_in_a_probe(
    any_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It does not leave the way closed for ever: the next probe is sent, and all goes on."""
    one = any_bench()
    one.partner.on_ask = lambda _: HttpResponse(503, {}, b"{}")
    one.accept(*((f"u{number}", 1) for number in range(30)))
    while one.pipeline.breaker.state != "open":
        one.step(1_000.0)
    one.partner.on_ask = lambda _: None

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr(one.sender, where, fail)
    one.run()
    assert {found for _, found in one.statuses} == {Outcome.DELIVERED}
    assert one.pipeline.breaker.state == "closed"
    assert [type(error) for error in one.told.errors] == [ZeroDivisionError]


def test_a_user_with_a_failing_event_keeps_order(any_bench: Callable[..., Bench]) -> None:
    """While an event is tried again the user's later ones wait; those of others do not."""
    one = any_bench()
    order: list[str] = []
    left = [3]

    def hook(counts: bool, things: list[str]) -> HttpResponse | None:
        if not counts:
            return None
        if "a" in things and left[0]:
            left[0] -= 1
            return HttpResponse(429, {"retry-after": "5"}, b"{}")
        order.extend(things)
        return None

    one.partner.hook = hook
    one.accept(("a", 1))
    one.step()
    one.accept_raw(one.event("a", 10, "later"), one.event("b", 1, "b"))
    one.run()
    assert order.count("a") == 2
    assert one.partner.counts == {"a": 11, "b": 1}
    assert {found for _, found in one.statuses} == {Outcome.DELIVERED}


@pytest.mark.parametrize("restarts", [False, True])
def test_the_time_without_an_access_token(any_bench: Any, restarts: bool) -> None:
    """However long it lasts, the deadline of an event begins with its first attempt."""
    one = any_bench(deadline=1_000.0)
    began, limited = one.clock.time(), [HttpResponse(429, {}, b"")] * 2

    def hook(_counts: bool, _things: list[str]) -> HttpResponse | None:
        if one.clock.time() - began < 5_000:
            failure = Failure(
                *("no access token from there", "unavailable", 503),
                retryable=True,
                nothing_applied=True,
                retry_after=60.0,
                for_operator=True,
                attempted=False,
            )
            raise TokenError(failure)
        return limited.pop() if limited else None

    one.partner.hook = hook
    one.accept(("u", 1))
    if restarts and one.store is not None:
        while one.clock.time() - began < 3_000 or one.pipeline.under_way or one.engine.is_unwritten:
            one.step(60.0)
        assert [entry.attempts for entry in one.entries] == [0]
        one.restart()
        one.partner.hook = hook
    one.run()
    assert one.statuses == [("u", Outcome.DELIVERED)]
    (found,) = one.told.latest.values()
    assert found.attempts == 3
