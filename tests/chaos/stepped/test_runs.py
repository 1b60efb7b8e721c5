"""A run under many faults of all kinds: usage comes to exactly what was delivered."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

FAULTS = int(os.environ.get("CHAOS_FAULTS", "60"))


@pytest.mark.parametrize("with_store", [False, True])
def test_usage_is_what_was_delivered(  # noqa: PLR0917 - fixtures
    with_store: bool,
    heavy_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    run: Callable[..., Any],
    scripted: Callable[..., list[dict[str, Any]]],
    ledger: Any,
    differences: Callable[..., Any],
) -> None:
    """Every line has its outcome, in memory and in a store, and what is delivered was added once.

    With a store, a run that is stopped as the credentials were refused goes on in the next one.
    """
    chance = random.Random(f"run {heavy_seed} {FAULTS} {with_store}")
    events = traffic(chance, users=40, events=FAULTS * 5)
    kana = partner(events.seed)
    if with_store:
        refused = {"status": 401, "body": "{}"}
        # A list of users that is refused would only be asked for in another way.
        half = len(events.events) // 2
        user = next(one["userId"] for one in events.events[half:] if one["type"] == "track")
        match = {"rootField": "recordUsage", "text": user}
        kana.sandbox.faults.add({"match": match, **refused})
        # So does the test of the credentials: else it would be a matter of single events.
        kana.sandbox.faults.add({"match": {"rootField": "features"}, **refused})
    kana.sandbox.faults.add(*scripted(chance, FAULTS, refusals=with_store))
    path = ledger.path if with_store else None
    lines = [json.dumps(event).encode() for event in events.events]
    outcomes: dict[str, set[str]] = {}
    stopped = 0
    while True:
        report, rows = run(path, kana.settings, lines, chance)
        assert report.internal_errors == []
        assert report.totals.rows == report.lines
        for row in rows:
            name = events.events[row.line - 1]["messageId"]
            outcomes.setdefault(name, set()).add(str(row.result.outcome))
        if report.stopped is None:
            break
        assert report.stopped.why == "authentication"
        stopped += 1
    faulty = FAULTS - len(kana.sandbox.faults)
    print(f"seed {heavy_seed}: {faulty} faults, stopped {stopped} times: {report.totals.outcomes}")
    assert set(outcomes) == set(events.messages)
    added: Counter[tuple[str, str]] = Counter()
    for name, found in outcomes.items():
        assert found & {"delivered", "rejected", "dead"}
        event = events.messages[name]
        if "delivered" in found and event["type"] == "track":
            properties = event["properties"]
            added[event["userId"], properties["featureId"]] += properties["delta"]
    assert differences(kana.added, added) == {}
    if with_store:
        assert stopped
        assert Counter(ledger.accepted) == Counter(list(events.messages))
        assert differences(kana.added, ledger.deltas(events.messages)) == {}
    assert sum("delivered" in found for found in outcomes.values()) > len(outcomes) * 0.9
