"""Under a thousand faults of all kinds, usage comes to exactly what was delivered."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from destinations.outcome import Outcome

FAULTS = int(os.environ.get("CHAOS_FAULTS", "150"))
RECORD = {"rootField": "recordUsage"}

# What may go wrong with any request, and how often beside the others.
ANY: list[tuple[int, dict[str, Any]]] = [
    (6, {"status": 429, "retryAfter": 0}),
    (6, {"status": 429, "retryAfter": 1}),
    (4, {"status": 429}),
    (4, {"status": 500}),
    (4, {"status": 502, "apply": True}),
    (4, {"status": 503, "retryAfter": 1}),
    (3, {"status": 504, "apply": True}),
    (2, {"status": 408, "apply": True}),
    (8, {"drop": "before"}),
    (8, {"drop": "after"}),
    (3, {"cut": 10}),
    (3, {"cut": 60}),
    (3, {"drip": {"bytes": 400, "interval": 0.001}}),
    (3, {"body": "<html>busy</html>"}),
    (3, {"body": "<html>busy</html>", "apply": True}),
    (3, {"body": "{}", "apply": True}),
    (2, {"body": "[1, 2", "apply": True}),
    (3, {"body": '{"data": {}}', "apply": True}),
    (3, {"dataNull": True}),
    (3, {"omitAlias": ["e0"]}),
    (3, {"omitAlias": ["e1", "e2"]}),
    (2, {"status": 401, "body": "{}"}),
]

# What may go wrong with single events of a request.
PARTIAL: list[tuple[int, dict[str, Any]]] = [
    (4, {"errors": {"e1": {"message": "?", "exception": "NetworkError"}}}),
    (4, {"errors": {"e0": {"message": "?", "exception": "Error"}}}),
    (4, {"errors": {"e0": {"message": "not yet", "exception": "UserNotFoundError"}}}),
    (2, {"errors": {"e2": {"message": "no", "exception": "FeatureNotFoundError"}}}),
    (2, {"errors": {"*": {"message": "bad", "code": "BAD_USER_INPUT"}}}),
    (2, {"errors": {"*": {"message": "?", "exception": "NetworkError"}}}),
]


def _rules(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """So many faults: those of any request at fixed numbers, the others as their requests come."""
    rules = ANY + PARTIAL
    picked = chance.choices([rule for _, rule in rules], [weight for weight, _ in rules], k=count)
    partial = [rule for _, rule in PARTIAL]
    numbers = chance.sample(range(1, count * 3 // 2), count)
    return [
        {**rule, "match": RECORD} if rule in partial else {**rule, "nth": number}
        for rule, number in zip(picked, numbers, strict=True)
    ]


def _possible(
    said: Iterable[tuple[str, Mapping[str, str], str]],
) -> dict[tuple[str, str], set[str | None]]:
    """What a trait of a user may be in the end: as the last delivered identify with it said.

    One that was rejected after a lost answer may have been carried out, or not.
    """
    possible: dict[tuple[str, str], set[str | None]] = {}
    for user, traits, outcome in said:
        for name, value in traits.items():
            before = possible.get((user, name), {None})
            possible[user, name] = {value} if outcome == "delivered" else before | {value}
    return possible


@pytest.mark.parametrize("concurrency", [1, 3])
def test_usage_is_what_was_delivered(  # noqa: PLR0917 - fixtures
    concurrency: int,
    heavy_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runner: Callable[..., Any],
    ledger: Any,
    differences: Callable[..., Any],
    canary: str,
) -> None:
    """Everything ends, nothing is held, and the partner has what is delivered to the last unit.

    Each trait of a user is as the last identify that was delivered said. Given up are only tracks
    of users that the partner does not have: an identify was rejected, or the partner said so.
    """
    chance = random.Random(f"{heavy_seed} {FAULTS} {concurrency}")
    events = traffic(chance, users=40, events=FAULTS * 5)
    kana = partner(events.seed)
    # Some are for a request that another one was for as well.
    rules = _rules(chance, FAULTS * 11 // 10)
    # The slowest take their time, so they are few: an answer that never ends, and an echo.
    rules.append({"nth": FAULTS * 5 // 3, "drip": {"bytes": 1, "interval": 0.2}})
    echo = f'{{"errors": [{{"message": "no such key: {canary}"}}]}}'
    rules.append({"nth": FAULTS * 5 // 3 + 1, "status": 400, "body": echo})
    kana.sandbox.faults.add(*rules)
    running = runner(kana.settings, deadline=1e9, seed=heavy_seed, concurrency=concurrency)
    running.accept(events.events)
    running.run()
    running.close()
    requests, outcomes = kana.sandbox.requests, ledger.outcomes
    faulty = FAULTS * 11 // 10 + 2 - len(kana.sandbox.faults)
    print(f"seed {heavy_seed}: {faulty} faults in {requests.count} requests: {dict(outcomes)}")
    assert faulty >= FAULTS
    assert set(outcomes) <= {"delivered", "rejected", "dead"}
    given_up = [one for one in ledger.entries if one.outcome is Outcome.DEAD]
    assert {(one.type, one.http_status) for one in given_up} <= {("track", 404)}
    assert outcomes["delivered"] > len(events.messages) * 0.9
    assert differences(kana.added, ledger.deltas(events.messages)) == {}
    possible = _possible(ledger.said(events.messages))
    found = {key: kana.traits.get(key[0], {}).get(key[1]) for key in possible}
    assert {key: value for key, value in found.items() if value not in possible[key]} == {}
    assert canary.encode() not in ledger.bytes
