"""Under a thousand faults of all kinds, usage comes to exactly what was delivered."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from destinations.outcome import Outcome

FAULTS = int(os.environ.get("CHAOS_FAULTS", "60"))


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
    scripted: Callable[..., list[dict[str, Any]]],
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
    rules = scripted(chance, FAULTS * 11 // 10)
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
