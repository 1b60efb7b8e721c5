"""Killed at any point of its way, the worker loses nothing and counts nothing twice."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

POINTS = (
    "before recover",
    "after recover",
    "statement",
    "before commit",
    "after commit",
    "accepted",
    "claimed",
    "sending",
    "before send",
    "during send",
    "after send",
    "answered",
    "settling",
    "settled",
    "start",
    "before close",
)
MOST_CRASHES = 4


def _crash(chance: random.Random) -> dict[str, Any]:
    point = chance.choice(POINTS)
    often = {"statement": 400, "before recover": 1, "after recover": 1, "before close": 1}
    crash: dict[str, Any] = {"point": point, "nth": chance.randint(1, often.get(point, 6))}
    if point == "start":
        return {"point": point, "nth": 1, "seconds": chance.uniform(0.001, 0.15)}
    if point == "before commit":
        crash["held"] = 0.02  # so that nobody may have told what is not durable yet
    if point == "during send":
        crash["seconds"] = chance.uniform(0.0005, 0.02)
    return crash


def test_killed_at_any_point(  # noqa: PLR0917 - fixtures
    seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    workers: Any,
    ledger: Any,
    differences: Callable[..., Any],
    canary: str,
    tmp_path: Path,
) -> None:
    """Whatever was acknowledged is delivered: a track exactly once, to the last unit of usage.

    Steps of an identify may be repeated; in the end each user is as the last of theirs said.
    """
    chance = random.Random(seed)
    events = traffic(chance)
    kana = partner(events.seed)
    if chance.random() < 0.5:
        # An answer that takes its time: so that there is a while between "applied" and "told".
        rule = {"match": {"rootField": "recordUsage"}, "delay": 0.01, "times": None}
        kana.sandbox.faults.add(rule)
    path, acknowledged = tmp_path / "events.ndjson", tmp_path / "acknowledged"
    path.write_text("\n".join(map(json.dumps, events.events)), encoding="utf-8")
    acknowledged.touch()
    task = {
        "deliver": True,
        "store": str(ledger.path),
        "settings": kana.settings,
        "events": str(path),
        "acknowledged": str(acknowledged),
        "reconcileAfter": 0.05,
    }
    crashes = [_crash(chance) for _ in range(chance.randint(1, MOST_CRASHES))]
    ends = [workers.run({**task, "crash": crash}) for crash in crashes]
    print(f"seed {seed}: {crashes} {ends}")
    durable = ledger.accepted
    assert set(ends) <= {0, -signal.SIGKILL}
    assert set(acknowledged.read_text(encoding="utf-8").split()) <= set(durable)
    # The sender sends again what was not acknowledged; what had been is recognised.
    assert workers.run({**task, "crash": {}}) == 0
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
    assert kana.traits == events.traits
    assert canary.encode() not in ledger.bytes
    assert canary.encode() not in workers.log.read_bytes()


@pytest.mark.parametrize("point", POINTS)
def test_each_point_is_on_the_way(
    point: str,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    workers: Any,
    ledger: Any,
    tmp_path: Path,
) -> None:
    """A worker comes to every point that it may be killed at: no seed is spent in vain."""
    events = traffic(random.Random(0), events=8)
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(map(json.dumps, events.events)), encoding="utf-8")
    crash: dict[str, Any] = {"point": point}
    if point == "during send":
        crash["seconds"] = 0.0001
    task = {
        "deliver": True,
        "store": str(ledger.path),
        "settings": partner(events.seed).settings,
        "events": str(path),
        "acknowledged": str(tmp_path / "acknowledged"),
        "reconcileAfter": 0.05,
        "crash": crash,
    }
    assert workers.run(task) == -signal.SIGKILL


@pytest.mark.parametrize("nth", range(1, 9))
def test_nothing_is_acknowledged_before_it_is_durable(
    nth: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    workers: Any,
    ledger: Any,
    tmp_path: Path,
) -> None:
    """Killed before any commit, after everybody had time to tell of it, nobody has told."""
    events = traffic(random.Random(0), events=30)
    path, acknowledged = tmp_path / "events.ndjson", tmp_path / "acknowledged"
    path.write_text("\n".join(map(json.dumps, events.events)), encoding="utf-8")
    acknowledged.touch()
    task = {
        "deliver": True,
        "store": str(ledger.path),
        "settings": partner(events.seed).settings,
        "events": str(path),
        "acknowledged": str(acknowledged),
        "reconcileAfter": 0.0,
        "crash": {"point": "before commit", "nth": nth, "held": 0.03},
    }
    assert workers.run(task) == -signal.SIGKILL
    assert set(acknowledged.read_text(encoding="utf-8").split()) <= set(ledger.accepted)
