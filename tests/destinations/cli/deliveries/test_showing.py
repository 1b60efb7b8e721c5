from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Put = Callable[..., int]
Run = Callable[..., Any]


def test_a_dead_one(deliveries: Run, dead: Put, path: Path):
    """All that is known, the event, and the commands that may be used on it."""
    done = deliveries("show", dead(first_attempt_at=1_500.0))
    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    for line in (
        "delivery: 1 of event 1",
        "destination: sample",
        "action: count",
        "event: track/m1",
        "user: u1",
        "state: done, dead",
        "reason: the partner is down",
        "code: SERVICE_UNAVAILABLE 503",
        "stage: send",
        "attempts: 3",
        "definition version: 1.2.3",
        "accepted: 1970-01-01T00:16:40Z",
        "first attempt: 1970-01-01T00:25:00Z",
        "settled: 1970-01-01T00:33:20Z",
        '"userId": "u1",',
    ):
        assert line in lines
    assert f"  destinations deliveries replay 1 --dry-run --store {path}  # what" in done.out
    assert f"  destinations deliveries drop 1 --reason TEXT --store {path}  # give" in done.out
    assert "resolve" not in done.out


def test_a_held_one(deliveries: Run, held: Put):
    """Both numbers stand there, and the two ways to decide."""
    done = deliveries("show", held())
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "to be added: 5 under u1 calls" in lines
    assert "expected: 12,000" in lines
    assert "found: 9" in lines
    assert "note: another writer" in lines
    assert "destinations deliveries resolve 1 --applied" in done.out
    assert "destinations deliveries resolve 1 --not-applied" in done.out
    assert "replay" not in done.out


@pytest.mark.parametrize(
    ("columns", "commands"),
    [
        ({}, []),
        ({"state": "unknown", "next_at": 1_100.0}, []),
        ({"destination": "gone"}, ["drop"]),
        ({"destination": "gone", "state": "unknown"}, ["resolve", "resolve"]),
        ({"state": "done", "outcome": "dead", "code": "DROPPED", "settled_at": 1.0}, []),
        ({"state": "done", "outcome": "delivered", "settled_at": 1.0}, []),
        ({"state": "done", "outcome": "filtered", "settled_at": 1.0}, ["replay", "replay"]),
        ({"state": "done", "outcome": "invalid", "settled_at": 1.0}, ["replay", "replay", "drop"]),
        ({"state": "held"}, ["resolve", "resolve", "drop"]),
    ],
)
def test_what_can_be_done(
    deliveries: Run, put: Put, served: Any, columns: dict[str, Any], commands: list[str]
):
    """Only commands that would be accepted, beside a server that delivers for ``sample``."""
    delivery = put(**columns)
    with served("sample"):
        found = deliveries("show", delivery, "--json").json
    assert [text.split()[2] for text in found["commands"]] == commands
    assert found["event"]["userId"] == "u1"


def test_one_that_is_on_its_way(deliveries: Run, put: Put):
    """Who has it, and since when."""
    lease = "process 4711 since 2026-05-04T10:00:00.123+00:00"
    delivery = put(state="sending", lease=lease)
    lines = [" ".join(line.split()) for line in deliveries("show", delivery).out.splitlines()]
    assert f"on its way: {lease}" in lines
    assert deliveries("show", delivery, "--json").json["lease"] == lease


def test_an_event_that_is_gone(deliveries: Run, put: Put):
    """The row is shown without it, and no replay is offered."""
    delivery = put(None, state="done", outcome="rejected", settled_at=1.0)
    done = deliveries("show", delivery)
    assert "The event itself is not kept any more" in done.out
    assert "replay" not in done.out
    assert deliveries("show", delivery, "--json").json["event"] is None


def test_nothing_drives_the_terminal(deliveries: Run, put: Put):
    """Neither the event nor the reason reaches the terminal as it is."""
    raw = {"type": "track", "userId": "\x1b[2J", "name": "\x9b2J"}
    text = deliveries("show", put(raw, reason="\x1b]0;x\x07")).out
    assert not {"\x1b", "\x9b", "\x07"} & set(text)


def test_no_such_delivery(deliveries: Run):
    """The message names it."""
    done = deliveries("show", 7)
    assert done.code == 2
    assert "there is no delivery 7" in done.err
