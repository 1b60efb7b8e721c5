from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import lock_run
from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.queue import Increment
from destinations.postgres import StoreAddress
from destinations.store import RecentBounds, StoredQueue
from tests.serving import delivering
from tests.stores import few_in_postgres

Put = Callable[..., int]
Run = Callable[..., Any]


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_dead_one(deliveries: Run, dead: Put, path: StoreAddress) -> None:
    """All that is known, the event, the payload, and the commands that may be used on it."""
    done = deliveries("show", dead(payload=b'{"by":2}'))
    assert done.code == 0
    lines = _lines(done.out)
    for line in (
        "delivery: 1000 of event 1",
        "destination: sample",
        "account: http://127.0.0.1/, unnamed-1",
        "subscription: Counts",
        "action: count",
        "event: track/m1",
        "user: u1",
        "status: dead",
        "effect: none",
        "reason: the partner is down",
        "code: SERVICE_UNAVAILABLE 503",
        "stage: send",
        "attempts: 3",
        "definition: plan",
        "accepted: 1970-01-01T00:16:40Z",
        "first attempt: 1970-01-01T00:33:20Z",
        "ended: 1970-01-01T00:33:20Z",
        "The event:",
        '"userId": "u1",',
        "The payload:",
        '"by": 2',
    ):
        assert line in lines
    assert f"  destinations deliveries replay 1000 --dry-run --store {path}  # show" in done.out
    assert f"  destinations deliveries drop 1000 --reason TEXT --store {path}  # give" in done.out
    assert "resolve" not in done.out
    assert "Those that change something ask first; in a script, add --yes." in lines
    assert "corrected" not in done.out


@few_in_postgres
@pytest.mark.parametrize(
    ("columns", "is_told"),
    [
        ({"status": Outcome.INVALID}, True),
        ({"status": Outcome.REJECTED}, True),
        ({"status": Outcome.REJECTED, "effect": Effect.MAYBE}, False),
        ({"status": Outcome.INVALID, "code": "CONFLICT"}, False),
        ({"status": Outcome.DROPPED}, False),
    ],
)
def test_one_that_may_be_corrected(
    deliveries: Run, put: Put, columns: Mapping[str, Any], is_told: bool
) -> None:
    """A sender is told that the same messageId may be used again, where that is so."""
    text = deliveries("show", put(**columns)).out
    told = "Or send the event again, corrected, with the same messageId."
    assert (told in text.splitlines()) == is_told


@few_in_postgres
@pytest.mark.parametrize(
    ("plan", "connection"),
    [("0123@a1b2c3d4", "a1b2c3d4"), ("0123@a1b2c3d4+9f8e7d6c", "a1b2c3d4+9f8e7d6c"), ("0123", "")],
)
def test_its_connection(deliveries: Run, dead: Put, plan: str, connection: str) -> None:
    """It is told by which connection an event was planned; nothing for presets."""
    delivery = dead(plan=plan)
    lines = _lines(deliveries("show", delivery).out)
    assert "definition: 0123" in lines
    assert [one for one in lines if one.startswith("connection: ")] == (
        [f"connection: {connection}"] if connection else []
    )
    assert deliveries("show", delivery, "--json").json["connection"] == (connection or None)


def test_a_held_one(deliveries: Run, held: Put) -> None:
    """Both numbers stand there in words, why it is held, and the two ways to decide."""
    done = deliveries("show", held())
    lines = _lines(done.out)
    assert "adds: 5 to u1 calls" in lines
    assert "balance expected: 12,000" in lines
    assert "balance found: 9" in lines
    assert "note: another writer" in lines
    assert "effect: maybe" in lines
    assert any(line.startswith("held since: ") for line in lines)
    assert not any(line.startswith("ended: ") for line in lines)
    assert "destinations deliveries resolve 1000 --applied" in done.out
    assert "destinations deliveries resolve 1000 --not-applied" in done.out
    assert "replay" not in done.out


def test_one_that_waits_for_its_next_attempt(deliveries: Run, put: Put) -> None:
    """Why it failed, and when it goes on."""
    delivery = put(
        status=State.UNKNOWN,
        attempts=2,
        reason="no answer",
        increment=Increment("u1 calls", 5),
        next_at=3_000.0,
    )
    lines = _lines(deliveries("show", delivery).out)
    assert "not before: 1970-01-01T00:50:00Z" in lines
    assert "reason: no answer" in lines
    assert not any(line.startswith("settled:") for line in lines)


# What may be done with a delivery of these columns.
COMMANDS: Sequence[tuple[Mapping[str, Any], Sequence[str]]] = [
    ({}, ["drop"]),
    ({"status": State.UNKNOWN}, ["resolve", "resolve"]),
    ({"status": State.HELD}, ["resolve", "resolve", "drop"]),
    ({"status": Outcome.DELIVERED}, []),
    ({"status": Outcome.FILTERED}, []),
    ({"status": Outcome.DROPPED}, []),
    ({"status": Outcome.UNMAPPED}, ["replay", "replay", "drop"]),
    ({"status": Outcome.INVALID}, ["replay", "replay", "drop"]),
    ({"status": Outcome.REJECTED}, ["replay", "replay", "drop"]),
    ({"status": Outcome.DEAD}, ["replay", "replay", "drop"]),
]


@pytest.mark.parametrize("is_served", [True, False])
def test_what_can_be_done(deliveries: Run, put: Put, served: Any, *, is_served: bool) -> None:
    """Only commands that would be accepted, whether a server delivers meanwhile or not."""
    ids = [put(**columns) for columns, _ in COMMANDS]
    with served("sample" if is_served else "other"):
        shown = [
            (deliveries("show", one, "--json").json, deliveries("show", one).out) for one in ids
        ]
    for (found, text), (columns, commands) in zip(shown, COMMANDS, strict=True):
        assert [one.split()[2] for one in found["commands"]] == commands, columns
        waits = found["state"] in {"ready", "sending", "unknown"}
        shows_nothing = "Nothing needs to be done." in text
        assert shows_nothing is not (bool(commands) or waits), columns


@few_in_postgres("True-destinations", "False-destinations")
@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({}, "sends it in its turn"),
        ({"sending": True}, "asks the partner whether it was applied"),
        ({"status": State.UNKNOWN}, "asks the partner whether it was applied"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("is_served", "next_one"),
    [
        (True, "destinations serve --config FILE"),
        (False, "destinations run sample --settings FILE"),
    ],
)
def test_what_goes_on(
    deliveries: Run,
    put: Put,
    path: StoreAddress,
    served: Any,
    *,
    columns: dict[str, Any],
    what: str,
    is_served: bool,
    next_one: str,
) -> None:
    """What the process that delivers does with it; without one, how to start one."""
    delivery = put(served=is_served, **columns)
    text = deliveries("show", delivery).out
    where = "" if is_served else f" --store {path}"
    expected = f"No process delivers for this account now. The next one {what}: {next_one}{where}"
    assert expected in text.splitlines()
    if isinstance(path, Path):
        by_run = lock_run(path, 1, "sample")
    else:
        by_run = delivering(path, pool="run 1")
    with served("sample") if is_served else by_run:
        text = deliveries("show", delivery).out
    if not columns.get("sending"):
        assert f"The process that delivers now {what}." in text.splitlines()
    else:
        assert "The process that delivers now waits for its answer." in text.splitlines()


def test_as_json(deliveries: Run, dead: Put) -> None:
    """The same as in the list, with event, payload, attempts and commands."""
    delivery = dead(payload=b'{"by":2}', effect=Effect.MAYBE)
    found = deliveries("show", delivery, "--json").json
    (listed,) = deliveries("list", "--json").json["deliveries"]
    assert {key: found[key] for key in listed} == listed
    assert set(found) - set(listed) == {"payload", "event", "kept_attempts", "commands"}
    assert (found["payload"], found["event"]["userId"]) == ({"by": 2}, "u1")
    assert found["effect"] == "maybe"


@pytest.mark.parametrize("status", [Outcome.DELIVERED, Outcome.FILTERED])
def test_an_event_that_is_gone(deliveries: Run, put: Put, status: Outcome) -> None:
    """The row is shown without it; explain is named, and not a replay.

    What keeps events is named only for those that it would have kept.
    """
    delivery = put(status=status)
    done = deliveries("show", delivery)
    assert "The event itself was deleted" in done.out
    assert "destinations explain sample FILE\n" in done.out
    assert ("keepRecent" in done.out) == (status is Outcome.DELIVERED)
    assert "replay" not in done.out
    found = deliveries("show", delivery, "--json").json
    assert (found["event"], found["payload"]) == (None, None)


def test_an_event_that_is_kept_after_its_delivery(
    deliveries: Run, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keepRecent it is shown, and why it is there; a replay is not offered all the same."""
    make_queue = StoredQueue.__init__

    def keeping(queue: StoredQueue, *given: Any, **named: Any) -> None:
        make_queue(queue, *given, **named)
        queue.keep_recent = RecentBounds()

    monkeypatch.setattr(StoredQueue, "__init__", keeping)
    delivery = put(status=Outcome.DELIVERED, message_id="m" * 32)
    monkeypatch.undo()
    other = put(status=Outcome.DELIVERED, message_id="other")
    done = deliveries("show", delivery)
    assert "The event, which is kept to try a change with it (keepRecent):\n{" in done.out
    assert "was deleted" not in done.out
    assert "replay" not in done.out
    assert deliveries("show", delivery, "--json").json["event"]["type"] == "track"
    assert "The event itself was deleted" in deliveries("show", other).out


def test_nothing_drives_the_terminal(deliveries: Run, put: Put) -> None:
    """Neither the event nor the reason reaches the terminal as it is."""
    raw = {"type": "track", "userId": "\x1b[2J", "name": "\x9b2J"}
    delivery = put(raw, status=Outcome.DEAD, reason="\x1b]0;x\x07")
    text = deliveries("show", delivery).out
    assert not {"\x1b", "\x9b", "\x07"} & set(text)


def test_no_such_delivery(deliveries: Run) -> None:
    """The message names it."""
    done = deliveries("show", 7)
    assert done.code == 2
    assert "there is no delivery 7" in done.err
