"""A run goes on where an earlier one stopped, and never sends the same event twice."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest

from destinations.cli import run_execution
from destinations.errors import UsageError
from destinations.pipeline.queue import (
    ClaimedBatch,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
)
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import SqliteStore

Use = Callable[..., dict[str, Any]]


# Requests of an identify fail: that is after the usage, or before it.
PERSON = {"type": "identify", "userId": "cleo", "messageId": "i1", "traits": {"name": "C"}}
NO_PERSON = {"match": {"text": "cleo"}, "status": 503, "times": None}


def _lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def test_what_is_said_of_a_second_run(runs: Any, use: Use) -> None:
    """It counts the rows that were known by their code; the store has each event once.

    A row that is planned again has the time at which the second run took it.
    """
    bad = use(by=1.5)
    events = runs.file(use(), use("bob"), bad)
    runs(events=events)
    listed = ("deliveries", "list", "--all", "--store", runs.store, "--json")
    before = runs.command(*listed).json["deliveries"]
    found = [
        (one["outcome"], one["code"], one["rows"], one["line"])
        for one in runs(events=events).json["reasons"]
    ]
    assert found == [
        ("filtered", "DUPLICATE", 2, 1),
        ("invalid", "PAYLOAD_VALIDATION_FAILED", 1, 3),
    ]
    after = runs.command(*listed).json["deliveries"]
    assert [one["code"] for one in after].count("DUPLICATE") == 0
    times = {
        new["message_id"]: (old["accepted_at"], new["accepted_at"])
        for old, new in zip(before, after, strict=True)
    }
    assert {name for name, (old, new) in times.items() if old != new} == {bad["messageId"]}


def test_the_same_file_twice(runs: Any, use: Use) -> None:
    """The second run sends nothing, and says when an earlier one delivered it."""
    events = runs.file(*(use("ann", 2) for _ in range(3)), use("bob"))
    first = runs(events=events)
    assert (first.code, runs.counts(first)) == (0, {"delivered": 4})
    again = runs(events=events)
    assert (again.code, runs.counts(again)) == (0, {"filtered": 4})
    assert again.json["requests"] == 0
    assert "delivered by an earlier run at 20" in again.err
    assert "from before" not in again.err
    assert runs.usage == {"ann": 6, "bob": 1}


def test_a_file_that_grew(runs: Any, use: Use) -> None:
    """What is new in it is delivered."""
    events = [use() for _ in range(3)]
    runs(events=runs.file(*events))
    done = runs(events=runs.file(*events, use("bob")))
    assert (done.code, runs.counts(done)) == (0, {"delivered": 1, "filtered": 3})
    assert runs.usage == {"ann": 3, "bob": 1}


@pytest.mark.parametrize("times", [1, 2])
def test_a_partner_that_stays_away(runs: Any, use: Use, times: int) -> None:
    """The run exits 75 and leaves the rest; the same command delivers exactly that."""
    events = [use() for _ in range(6)]
    runs(events=runs.file(*events[:2]))
    file = runs.file(*events)
    runs.partner.faults.add({"status": 503, "times": None})
    for _ in range(times):
        done = runs("--outage", "0", "--no-check", events=file)
        assert (done.code, done.json["stopped"]) == (75, "unavailable")
        assert runs.counts(done) == {"filtered": 2, "ready": 4}
        assert "the partner has not answered for 0 s" in done.err
        assert "The same command continues where it stopped." in done.err
    runs.partner.faults.clear()
    done = runs(events=file)
    assert (done.code, runs.counts(done)) == (0, {"delivered": 4, "filtered": 2})
    assert runs.usage == {"ann": 6}


def test_a_corrected_file(runs: Any, use: Use) -> None:
    """What was wrong in it is delivered in its row; the old content does not come back."""
    right, wrong = use(), use("bob")
    corrected = {**wrong, "properties": {"featureId": "calls", "delta": 3}}
    wrong["properties"] = {"featureId": "nosuch"}
    old, new = runs.file(right, wrong), runs.file(right, corrected)
    assert runs.counts(runs(events=old)) == {"delivered": 1, "rejected": 1}
    done = runs(events=new)
    assert (done.code, runs.counts(done)) == (0, {"delivered": 1, "filtered": 1})
    assert runs.counts(runs(events=old)) == {"filtered": 2}
    assert runs.usage == {"ann": 1, "bob": 3}
    assert runs.statuses.count("delivered") == 2


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "wrong", [{"featureId": "calls", "delta": "x"}, {"featureId": "nosuch", "delta": 1}, {}]
)
def test_a_correction_in_the_same_file(
    runs: Any, use: Use, wrong: dict[str, Any], *, keep: bool
) -> None:
    """The report tells of the wrong line what the store does: it was replaced, and needs nobody."""
    right = use()
    events = runs.file({**right, "properties": wrong}, use("bob"), right)
    done = runs(*([] if keep else ["--no-store"]), events=events, keep=keep)
    assert (done.code, runs.counts(done)) == (0, {"delivered": 2, "filtered": 1})
    assert sum(done.json["outcomes"].values()) == done.json["rows"] == 3
    assert runs.usage == {"ann": 1, "bob": 1}
    if keep:
        assert runs.statuses == ["filtered", "delivered", "delivered"]


def test_what_was_corrected_needs_nobody(runs: Any, use: Use) -> None:
    """It is counted as filtered from then on: there is nothing to decide."""
    right = use()
    wrong = {**right, "properties": {"featureId": "calls", "delta": "x"}}
    done = runs(events=runs.file(wrong))
    assert runs.counts(done) == {"invalid": 1}
    assert "Kept for you to decide: 1 invalid." in done.err
    done = runs(events=runs.file(right))
    assert runs.counts(done) == {"delivered": 1}
    assert "Kept for you to decide" not in done.err
    assert runs.statuses == ["filtered", "delivered"]
    where = ("--store", runs.store)
    listed = runs.command("deliveries", "list", "--json", *where).json
    assert (listed["total"], listed["deliveries"]) == (0, [])
    (old,) = runs.command("deliveries", "list", "--outcome", "filtered", "--json", *where).json[
        "deliveries"
    ]
    assert old["reason"].startswith("replaced by 2000 (a corrected event); was invalid: ")
    shown = runs.command("deliveries", "show", str(old["id"]), *where)
    assert "Nothing needs to be done." in shown.out
    refused = runs.command("deliveries", "replay", str(old["id"]), *where)
    assert "a corrected event has replaced its event" in refused.err


def test_what_is_offered_of_a_conflict(runs: Any, use: Use) -> None:
    """It names the delivery that is in the way as `show` takes it, and offers no refused replay."""
    one = use()
    runs(events=runs.file(one))
    done = runs(events=runs.file({**one, "properties": {"featureId": "calls", "delta": 7}}))
    assert runs.counts(done) == {"rejected": 1}
    where = ("--store", runs.store)
    shown = runs.command("deliveries", "show", "2000", *where)
    reason = "delivery 1000 has the same messageId and different content, and has an effect"
    assert reason in shown.out
    assert runs.command("deliveries", "show", "1000", *where).code == 0
    assert "deliveries replay" not in shown.out
    assert "deliveries drop 2000" in shown.out


@pytest.mark.parametrize("decision", ["drop", "replay"])
def test_what_an_operator_decided(runs: Any, use: Use, decision: str) -> None:
    """What was dropped is filtered; what was replayed waits, and goes with the next run."""
    events = runs.file({**use(), "properties": {"featureId": "later"}})
    assert runs.counts(runs(events=events)) == {"rejected": 1}
    more = ("--reason", "test data", "--yes") if decision == "drop" else ()
    options = ("--outcome", "rejected", *more, "--store", runs.store)
    assert runs.command("deliveries", decision, *options).code == 0
    done = runs(events=events)
    assert runs.counts(done) == ({"filtered": 1} if decision == "drop" else {"rejected": 1})


def test_what_was_dropped_has_a_line_of_its_own(runs: Any, use: Use) -> None:
    """The report of a later run does not count it among what was delivered or filtered."""
    dropped = {**use(), "properties": {"featureId": "later"}}
    events = runs.file(use(), dropped, {**use(), "integrations": {"All": False}})
    assert runs.counts(runs(events=events)) == {"delivered": 1, "filtered": 1, "rejected": 1}
    options = ("--outcome", "rejected", "--reason", "test data", "--yes", "--store", runs.store)
    assert runs.command("deliveries", "drop", *options).code == 0
    done = runs(events=events)
    assert runs.counts(done) == {"filtered": 3}
    for what in ("delivered", "filtered", "dropped"):
        assert f"{what} by an earlier run at 20" in done.err


# -- what is old -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "options", "goes"), [(29, (), False), (31, (), True), (31, ("--dry-run",), False)]
)
def test_what_is_old_goes(
    runs: Any,
    use: Use,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    options: tuple[str, ...],
    goes: bool,
) -> None:
    """A run deletes what was finished a month ago; what somebody has to decide stays."""
    old, wrong, new = use(), use(), use()
    wrong["properties"] = {"featureId": "nosuch"}
    runs(events=runs.file(old, wrong))
    with contextlib.closing(sqlite3.connect(runs.store)) as connection, connection:
        connection.execute("UPDATE identity SET noted_at = NULL")  # it has no time of its own yet
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + days * 86_400)
    assert runs(*options, events=runs.file(new)).code == 0
    assert runs.statuses == [
        *([] if goes else ["delivered"]),
        "rejected",
        *([] if options else ["delivered"]),
    ]
    done = runs("--dry-run", events=runs.file(old))
    assert runs.counts(done) == ({"ready": 1} if goes else {"filtered": 1})


def test_a_run_that_is_cut_looks_for_nothing_old(
    runs: Any, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stopped it waits for its end."""
    runs(events=runs.file(use()))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 31 * 86_400)
    runs.partner.faults.add({"status": 503, "times": None})
    assert runs("--outage", "0", "--no-check", events=runs.file(use())).code == 75
    runs.partner.faults.clear()
    assert runs.statuses == ["delivered"]


def test_a_store_that_cannot_be_pruned(
    runs: Any, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told; what the run did is done all the same."""

    def fail(*_: object) -> None:
        raise UsageError("cannot write to the store")

    monkeypatch.setattr(run_execution, "prune_after_run", fail)
    done = runs(events=runs.file(use()))
    assert (done.code, runs.counts(done)) == (0, {"delivered": 1})
    assert done.err.endswith("The store could not be pruned: cannot write to the store\n")


# -- what an earlier run left ----------------------------------------------------------------------


@pytest.fixture
def left(runs: Any, use: Use) -> Any:
    """Two events of another input wait: the partner was away, and it was standard input."""
    lines = runs.file(use("bob"), use("bob")).read_bytes()
    runs.partner.faults.add({"status": 503, "times": None})
    done = runs.process("--outage", "0", "--no-check", events="-", lines=lines)
    runs.partner.faults.clear()
    assert (done.code, runs.counts(done)) == (75, {"ready": 2})
    assert "Read and not sent: 2, in the store; continue with: destinations run kana" in done.err
    assert runs.statuses == ["ready", "ready"]
    return runs


def test_it_is_not_mixed_in(left: Any, use: Use) -> None:
    """It is named at the start, and stays as it is."""
    done = left(events=left.file(use()))
    assert (done.code, left.counts(done)) == (0, {"delivered": 1})
    assert done.err.startswith("Earlier runs left in the store: 2 ready.")
    assert "use --resume to deliver the others first" in done.err
    assert "Waiting in the store for the next run: 2 ready." in done.err
    assert left.usage == {"ann": 1}


@pytest.mark.parametrize("with_ready", [True, False])
def test_a_lost_answer_of_another_input(
    request: pytest.FixtureRequest, runs: Any, use: Use, with_ready: bool
) -> None:
    """It is said that the partner is asked, and the run ends without waiting for that."""
    if with_ready:
        request.getfixturevalue("left")
    runs(events=runs.file(use()))
    with SqliteStore(runs.store) as store:
        (mine,) = store.ledger().totals(0.0)
        raw = json.dumps(use("cleo", messageId="lost")).encode()
        event = QueuedEvent("lost", "track", "cleo", time.time(), raw, 7, count=1)
        key = SubscriptionKey("Record usage", "track")
        delivery = QueuedDelivery(event, key, 0, b"{}", "plan", Increment("cleo calls", 1))
        scope = Scope(mine.id, mine.destination)
        batch = ClaimedBatch(scope, [delivery], at=time.time())
        store.queue().commit(Round(batches=[batch]))
    began = time.monotonic()
    done = runs(events=runs.file(use()))
    assert (done.code, runs.counts(done)) == (0, {"delivered": 1})
    assert time.monotonic() - began < 20
    told, *_ = done.err.splitlines()
    assert told == (
        f"Earlier runs left in the store: {'2 ready, ' if with_ready else ''}1 unknown. "
        "This run delivers those that are in its input; use --resume to deliver the others first."
    )
    assert "1 unknown." in done.err.splitlines()[-1]


def test_resume(left: Any, use: Use) -> None:
    """With --resume it is delivered first, and reported apart."""
    done = left("--resume", events=left.file(use()))
    assert (done.code, left.counts(done)) == (0, {"delivered": 1})
    assert (done.json["rows"], done.json["earlier"]) == (1, {"delivered": 2})
    assert "2 rows of earlier runs." in done.err
    assert "0 lines read" not in done.err
    assert left.usage == {"ann": 1, "bob": 2}
    assert left.statuses == ["delivered"] * 3


def test_resume_what_is_refused(runs: Any, use: Use) -> None:
    """What was not delivered of it makes the exit code 1, whatever became of the file."""
    lines = runs.file({**use(), "properties": {"featureId": "nosuch"}}).read_bytes()
    runs.partner.faults.add({"status": 503, "times": None})
    runs.process("--outage", "0", "--no-check", events="-", lines=lines)
    runs.partner.faults.clear()
    done = runs("--resume", events=runs.file(use()))
    assert (done.code, runs.counts(done)) == (1, {"delivered": 1})
    assert done.json["earlier"] == {"rejected": 1}


def test_resume_while_the_partner_is_away(left: Any, use: Use) -> None:
    """Nothing of the file is read then."""
    left.partner.faults.add({"status": 503, "times": None})
    done = left("--resume", "--outage", "0", "--no-check", events=left.file(use()))
    assert (done.code, left.counts(done)) == (75, {"ready": 2})
    assert done.json["lines"] == 0
    assert "2 rows of earlier runs." in done.err
    assert "Stopped: the partner has not answered for 0 s." in done.err


def test_without_events(left: Any) -> None:
    """What waits is delivered; where nothing does, that is fine as well."""
    done = left()
    assert (done.code, left.counts(done)) == (0, {"delivered": 2})
    assert left.usage == {"bob": 2}
    done = left()
    assert (done.code, left.counts(done)) == (0, {})
    assert "unnamed-1: earlier runs left nothing to deliver.\n" in done.err
    assert "Nothing waits for kana at http://127.0.0.1:" in done.err
    for word in ("line", "Outcomes", "0 "):
        assert word not in done.err


def test_without_events_while_the_partner_is_away(runs: Any, use: Use) -> None:
    """Where nothing waits, it is not asked, nor waited for."""
    runs(events=runs.file(use()))
    runs.partner.faults.add({"status": 503, "times": None})
    done = runs()
    assert (done.code, done.json["requests"]) == (0, 0)
    assert "does not answer" not in done.err


def test_the_command_that_goes_on(runs: Any, use: Use, tmp_path: Any) -> None:
    """What standard input left is delivered by the command that was printed, as it was printed."""
    folder = tmp_path / "two words"
    folder.mkdir()
    runs.store = folder / "the store.sqlite3"
    lines = runs.file(use("bob"), use("bob")).read_bytes()
    runs.partner.faults.add({"status": 503, "times": None})
    given = ("--outage", "0", "--no-check", "--account", "two words", "--input-id", "first")
    done = runs.process(*given, events="-", lines=lines)
    runs.partner.faults.clear()
    _, _, printed = done.err.partition("continue with: ")
    program, *arguments = shlex.split(printed.splitlines()[0])
    assert program == "destinations"
    again = runs.command(*arguments)
    assert (again.code, runs.counts(again)) == (0, {"delivered": 2})
    assert runs.usage == {"bob": 2}


# -- sent on purpose -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "options", "code", "usage"),
    [
        ("y\n", (), 0, 4),
        ("n\n", (), 1, 2),
        ("", (), 2, 2),
        ("", ("--yes",), 0, 4),
    ],
)
def test_again(
    runs: Any, use: Use, typed: str, options: tuple[str, ...], code: int, usage: int
) -> None:
    """It is sent once more after a yes; where nobody can be asked, --yes is named."""
    events = runs.file(use(), use())
    runs(events=events)
    runs.type(typed)
    done = runs("--again", *options, events=events)
    assert done.code == code
    assert runs.usage == {"ann": usage}
    assert ("will count them once more." in done.err) == (not options)
    assert ("Use --yes to skip the prompt" in done.err) == (code == 2)
    assert ("Nothing changed." in done.err) == (code == 1)


def test_again_that_was_cut(runs: Any, use: Use) -> None:
    """Given again it goes on where it was; a third time sends everything once more."""
    events = runs.file(use(), PERSON)
    runs(events=events)
    runs.partner.faults.add(NO_PERSON)
    done = runs("--again", "--yes", "--outage", "0.2", events=events)
    runs.partner.faults.clear()
    sent = runs.counts(done).get("delivered", 0)
    assert (done.code, runs.counts(done)["ready"]) == (75, 2 - sent)
    done = runs("--again", "--yes", events=events)
    assert (done.code, runs.counts(done)["delivered"]) == (0, 2 - sent)
    assert runs.usage == {"ann": 2}
    assert runs.counts(runs("--again", "--yes", events=events)) == {"delivered": 2}
    assert runs.usage == {"ann": 3}


HOUR = 3_600.0


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of the machine forth or back, by so many seconds from what it is."""

    def shift(seconds: float) -> None:
        monkeypatch.setattr("destinations.clock.unix_time", lambda: time.time() + seconds)

    return shift


@pytest.mark.parametrize(
    ("before", "cut"),
    [(40 * 24 * HOUR, 0), (HOUR, HOUR), (0, HOUR), (0, -HOUR), (-HOUR, 40 * 24 * HOUR)],
)
def test_again_with_a_clock_that_was_set(
    runs: Any, use: Use, shift: Callable[[float], None], before: float, cut: float
) -> None:
    """Whatever the clock shows meanwhile, each --again sends all of it once more, and only once."""
    events = runs.file(*(use() for _ in range(3)), PERSON)
    shift(before)
    runs(events=events)
    shift(cut)
    runs.partner.faults.add(NO_PERSON)
    sent = runs.counts(runs("--again", "--yes", "--outage", "0.2", events=events))
    shift(0)
    sent_next = runs.counts(runs("--again", "--yes", "--outage", "0.2", events=events))
    runs.partner.faults.clear()
    done = runs("--again", "--yes", events=events)
    assert done.code == 0
    delivered = [one.get("delivered", 0) for one in (sent, sent_next, runs.counts(done))]
    assert sum(delivered) == 4
    assert runs.usage == {"ann": 6}
    assert runs.counts(runs("--again", "--yes", events=events)) == {"delivered": 4}
    assert runs.usage == {"ann": 9}


@pytest.mark.parametrize("then", [40 * 24 * HOUR, HOUR, 0, -HOUR])
def test_what_failed_with_a_clock_that_was_set(
    runs: Any, use: Use, shift: Callable[[float], None], then: float
) -> None:
    """It is planned anew whenever it failed, and counted as what it is."""
    late = {**use(), "properties": {"featureId": "later", "delta": 1}}
    events = runs.file(use(), late, late)
    shift(then)
    assert runs.counts(runs(events=events)) == {"delivered": 1, "rejected": 1, "filtered": 1}
    shift(0)
    done = runs(events=events)
    assert (done.code, runs.counts(done)) == (1, {"filtered": 2, "rejected": 1})
    assert done.json["requests"] > 0


def test_another_input_is_sent_again(runs: Any, use: Use) -> None:
    """A cut --again is not taken up by other content of its name: that is sent once more whole."""
    first = use()
    events, other = runs.file(first, PERSON), runs.file(first, use("bob"))
    runs(events=events)
    runs.partner.faults.add(NO_PERSON)
    assert runs("--again", "--yes", "--outage", "0.2", events=events).code == 75
    runs.partner.faults.clear()
    assert runs(events=other).code == 0
    before = runs.usage
    events.write_bytes(other.read_bytes())
    done = runs("--again", "--yes", events=events)
    assert (done.code, runs.counts(done)) == (0, {"delivered": 2})
    assert runs.usage == {"ann": before["ann"] + 1, "bob": 2}
    assert f"An --again of {events} that began at 20" in done.err
    assert "This input has different content: all of it is sent once more." in done.err


@pytest.mark.parametrize("is_same", [True, False])
def test_another_stream_is_sent_again(runs: Any, use: Use, *, is_same: bool) -> None:
    """Standard input is known by its first event: that of another stream is another input."""
    streams = [_lines(use(), PERSON), _lines(use("bob"))]
    assert runs.process(events="-", lines=streams[0]).code == 0
    runs.partner.faults.add(NO_PERSON)
    cut = runs.process("--again", "--yes", "--outage", "0.2", events="-", lines=streams[0])
    assert cut.code == 75
    runs.partner.faults.clear()
    assert runs.process().code == 0  # what waits
    assert runs.process(events="-", lines=streams[1]).code == 0
    assert runs.usage == {"ann": 2, "bob": 1}
    done = runs.process("--again", "--yes", events="-", lines=streams[not is_same])
    assert (done.code, runs.counts(done)) == (0, {"filtered": 2} if is_same else {"delivered": 1})
    assert runs.usage == {"ann": 2, "bob": 1 if is_same else 2}
    told = (
        "Continuing the --again of this input"
        if is_same
        else "An --again of standard input that began at 20"
    )
    assert told in done.err


# -- events without a messageId --------------------------------------------------------------------


def test_a_named_input(runs: Any, use: Use) -> None:
    """Without a time of their own such events need --input-id; the other lines go on."""
    bare = use()
    del bare["messageId"]
    events = runs.file(bare, bare, use("bob"))
    done = runs(events=events)
    assert (done.code, runs.counts(done)) == (1, {"delivered": 1, "invalid": 2})
    assert "name the input with --input-id NAME" in done.err
    assert runs.usage == {"bob": 1}
    for expected in ({"delivered": 2, "filtered": 1}, {"filtered": 3}):
        done = runs("--input-id", "monday", events=events)
        assert (done.code, runs.counts(done)) == (0, expected)
        assert "had the same content" not in done.err
    runs("--input-id", "tuesday", events=events)
    assert runs.usage == {"ann": 4, "bob": 1}


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0"])
def test_a_message_id_of_blanks(runs: Any, use: Use, blank: str) -> None:
    """It names nothing: two different events that have it are two."""
    times = [{"timestamp": f"2026-11-0{day}T00:00:00Z", "messageId": blank} for day in (1, 2)]
    events = runs.file(*({**use(), **time} for time in times))
    assert runs.counts(runs(events=events)) == {"delivered": 2}
    assert runs.counts(runs(events=events)) == {"filtered": 2}
    assert runs.usage == {"ann": 2}


def test_events_with_a_time_of_their_own(runs: Any, use: Use) -> None:
    """Equal ones of a file count as many as they are; in a later run that is said and counted."""
    timed = use(timestamp="2026-01-01T00:00:00Z")
    del timed["messageId"]
    events = runs.file(timed, timed)
    assert runs.counts(runs(events=events)) == {"delivered": 2}
    done = runs(events=events)
    assert (runs.counts(done), done.json["duplicates_by_content"]) == ({"filtered": 2}, 2)
    assert "2 events without a messageId had the same content as one of an earlier" in done.err
    assert "Events that are not the same need a messageId each." in done.err
    assert "--input-id" not in done.err
    assert runs.usage == {"ann": 2}


def test_events_known_by_their_line(runs: Any, use: Use) -> None:
    """What an input of the same name drops by them says so, and is counted apart."""
    timeless = use()
    del timeless["messageId"]
    timeless.pop("timestamp", None)
    events = runs.file(timeless, timeless, use(messageId="own"))
    assert runs.counts(runs("--input-id", "monday", events=events)) == {"delivered": 3}
    done = runs("--input-id", "monday", events=events)
    assert (runs.counts(done), done.json["duplicates_by_line"]) == ({"filtered": 3}, 2)
    assert "2 events without a messageId stood in the same line of an input" in done.err
    assert "Another input needs another name." in done.err
    assert "the event without a messageId of this line of the named input was delivered" in done.err
    assert runs.usage == {"ann": 3}


@pytest.mark.parametrize("by", ["run", "export"])
def test_what_is_fed_back(runs: Any, use: Use, tmp_path: Any, by: str) -> None:
    """It goes on in the rows that it had, whatever it lacks, also if it is corrected."""
    timed = use(timestamp="2026-01-01T00:00:00Z")
    del timed["messageId"]
    refused = {**timed, "properties": {"featureId": "nosuch"}}
    lines = ['{ "type": "track",  "userId": "ann" }', "junk", '{"type": "page", "name": 1.0}']
    undelivered = tmp_path / "undelivered.ndjson"
    events = runs.file(timed, refused, refused, *lines, *lines)
    done = runs("--undelivered", undelivered, events=events)
    assert runs.counts(done) == {"delivered": 1, "rejected": 2, "invalid": 6}
    if by == "export":
        undelivered.unlink()
        where = ("--store", runs.store, "--output", undelivered)
        assert runs.command("deliveries", "export", *where).code == 0
    done = runs(events=undelivered)
    assert runs.counts(done) == {"rejected": 2, "invalid": 6}
    assert len(runs.statuses) == 9
    undelivered.write_text(undelivered.read_text().replace("nosuch", "calls"))
    done = runs(events=undelivered)
    assert runs.counts(done) == {"delivered": 2, "invalid": 6}
    assert runs.counts(runs(events=undelivered)) == {"filtered": 2, "invalid": 6}
    assert runs.usage == {"ann": 3}


# -- runs that keep nothing ------------------------------------------------------------------------


@pytest.mark.parametrize("options", [("--no-store",), ("--sandbox",)])
def test_without_a_store(runs: Any, use: Use, home: Any, options: tuple[str, ...]) -> None:
    """Nothing is remembered, so the same file is sent again, and no file is made."""
    event = use(**({"userId": "user_0001"} if options == ("--sandbox",) else {}))
    if options == ("--sandbox",):
        event["properties"] = {"featureId": "api-calls"}
    events = runs.file(event, event)
    for _ in range(2):
        done = runs(*options, events=events, keep=False)
        assert (done.code, runs.counts(done)) == (0, {"delivered": 1, "filtered": 1})
    assert runs.usage == ({"ann": 2} if options == ("--no-store",) else {})
    assert not home.exists()


@pytest.mark.parametrize(
    ("options", "settings", "said"),
    [
        ((), {"key": ""}, "/apiKey: is required but missing"),
        ((), {"key": "${NOT_SET_ANYWHERE}"}, "NOT_SET_ANYWHERE is not set"),
        ((), {"where": "no-url"}, "endpoint"),
        (("--undelivered",), {}, "exists and is not empty"),
    ],
    ids=["invalid", "not set", "no URL", "undelivered"],
)
def test_a_run_that_is_refused(runs: Any, use: Use, options: Any, settings: Any, said: str) -> None:
    """A command that cannot begin makes no store; the next one, which can, does."""
    given = [*options, runs.file(use())] if options else []
    events = runs.file(use())
    done = runs(*given, events=events, **settings)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not runs.store.exists()
    assert runs.counts(runs(events=events)) == {"delivered": 1}
    assert runs.store.exists()


def test_settings_that_can_be_read_once(runs: Any, use: Use) -> None:
    """Settings may come by a pipe, such as a shell's ``<(command)``, where a store is made, too."""
    settings = {"apiKey": "prv_test_first", "endpoint": runs.partner.url}
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe, os.fdopen(writer, "w") as file:
        json.dump(settings, file)
        file.close()
        given = ("--events", runs.file(use()), "--store", runs.store, "--json")
        done = runs.command("run", "kana", "--settings", f"/dev/fd/{pipe.fileno()}", *given)
    assert runs.counts(done) == {"delivered": 1}, done.err


def test_a_run_that_keeps_nothing_is_cut(runs: Any, use: Use, tmp_path: Any) -> None:
    """What was read and not sent is in the file of --undelivered, which can be fed back."""
    undelivered = tmp_path / "undelivered.ndjson"
    events = runs.file(use(), use("bob"))
    runs.partner.faults.add({"status": 503, "times": None})
    options = ("--no-store", "--no-check", "--outage", "0", "--undelivered", undelivered)
    done = runs(*options, events=events, keep=False)
    assert (done.code, runs.counts(done)) == (75, {"ready": 2})
    assert f"Read and not sent: 2, in {undelivered}; feed it back" in done.err
    assert "What comes after line 2 was not read." in done.err
    runs.partner.faults.clear()
    done = runs("--no-store", events=undelivered, keep=False)
    assert (done.code, runs.counts(done)) == (0, {"delivered": 2})
    assert runs.usage == {"ann": 1, "bob": 1}


@pytest.mark.parametrize("keeps", [True, False])
def test_a_dry_run(runs: Any, use: Use, keeps: bool) -> None:
    """Nobody is asked, nothing is written; what would become of each event is said."""
    first, second = use(), use("bob")
    if keeps:
        runs(events=runs.file(first))
    asked = runs.partner.requests.count
    before = runs.store.read_bytes() if keeps else None
    done = runs("--dry-run", events=runs.file(first, second))
    known = {"filtered": 1, "ready": 1} if keeps else {"ready": 2}
    assert (done.code, runs.counts(done)) == (0, known)
    assert runs.partner.requests.count == asked
    assert runs.store.exists() == keeps
    assert not keeps or runs.store.read_bytes() == before
