from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from destinations.outcome import Outcome, State

_IDENTIFY = ("user", "createUser")

FAULTS: list[dict[str, Any]] = [
    {"status": 429, "retryAfter": 1},
    {"status": 429, "apply": False},
    *({"status": status, "apply": True} for status in (400, 409, 422)),
    # These refuse a request before anything is done, which is how they are read.
    *({"status": status} for status in (401, 403, 413)),
    {"status": 500},
    {"status": 502, "apply": True},
    {"status": 503},
    {"status": 408, "apply": True},
    {"drop": "before"},
    {"drop": "after"},
    {"cut": 10},
    {"cut": 60},
    {"body": "<html>busy</html>"},
    {"body": "<html>busy</html>", "apply": True},
    {"body": "{}", "apply": True},
    {"body": "[]", "apply": True},
    {"body": '{"data": {}}', "apply": True},
    {"dataNull": True},
    {"omitAlias": ["e0"]},
    {"errors": {"e1": {"message": "no", "exception": "FeatureNotFoundError"}}},
    {"errors": {"e0": {"message": "?", "exception": "NetworkError"}}},
    {"errors": {"*": {"message": "bad", "code": "BAD_USER_INPUT"}}},
]


def _events(chance: random.Random) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Tracks of a few users, with the sum of the deltas of each."""
    sums = {f"u{number}": 0 for number in range(8)}
    events = []
    for number in range(120):
        user, delta = chance.choice(list(sums)), chance.randint(1, 9)
        sums[user] += delta
        properties = {"featureId": "calls", "delta": delta}
        event = {"type": "track", "event": "Used", "userId": user, "messageId": f"m{number}"}
        events.append({**event, "properties": properties})
    return events, sums


@pytest.mark.parametrize("reconcile", [True, False], ids=["Kana is asked", "Kana is not asked"])
@pytest.mark.parametrize("seed", range(12))
def test_no_fault_makes_usage_exceed_the_sum_of_the_events(
    make_kana: Callable[..., Any], seed: int, reconcile: bool
) -> None:
    """Usage lies between the delivered deltas and those with the open ones; never above."""
    chance = random.Random(seed)
    events, sums = _events(chance)
    kana = make_kana(
        {
            "users": [{"id": user} for user in sums],
            "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
        }
    )
    kana.reconcile = reconcile
    kana.sandbox.faults.add(
        *({"nth": nth, **chance.choice(FAULTS)} for nth in sorted(chance.sample(range(1, 25), 10)))
    )
    report = kana.run(*events)
    assert report.totals.rows == len(events)
    sure = dict.fromkeys(sums, 0)
    perhaps = dict.fromkeys(sums, 0)
    for line, event in enumerate(events, start=1):
        delta = event["properties"]["delta"]
        outcome = kana.result(line).outcome
        sure[event["userId"]] += delta if outcome is Outcome.DELIVERED else 0
        perhaps[event["userId"]] += delta if outcome in {State.HELD, State.UNKNOWN} else 0
    for user, total in sums.items():
        used = kana.usage.get(user, {}).get("calls", 0)
        assert sure[user] <= used <= sure[user] + perhaps[user] <= total


# What Kana documents as errors, and what becomes of a track and of an identify that meet them.
DOCUMENTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "SubscriptionError": ({"exception": "SubscriptionError"}, "rejected", "rejected"),
    "SubscriptionNotFoundError": (
        {"exception": "SubscriptionNotFoundError"},
        "rejected",
        "rejected",
    ),
    "PackageNotFoundError": ({"exception": "PackageNotFoundError"}, "rejected", "rejected"),
    "FeatureNotFoundError": ({"exception": "FeatureNotFoundError"}, "rejected", "rejected"),
    "UserNotFoundError": ({"exception": "UserNotFoundError"}, "dead", "delivered"),
    "AuthenticationError": ({"exception": "AuthenticationError"}, "ready", "ready"),
    "NetworkError": ({"exception": "NetworkError"}, "held", "dead"),
    "Error": ({"exception": "Error"}, "held", "dead"),
    "BAD_USER_INPUT": ({"code": "BAD_USER_INPUT"}, "rejected", "rejected"),
    # As an API answers that hides what went wrong within it.
    "INTERNAL_SERVER_ERROR": (
        {"code": "INTERNAL_SERVER_ERROR", "exception": None},
        "held",
        "dead",
    ),
    "Unauthenticated": ({"message": "Unauthenticated: no such key"}, "ready", "ready"),
}


@pytest.mark.parametrize(("error", "track", "identify"), DOCUMENTED.values(), ids=DOCUMENTED)
def test_every_documented_error_has_a_rule(
    kana: Any, error: Any, track: str, identify: str
) -> None:
    """Each error name and code ends as it says, also when it is answered every time.

    Kana is not asked what it holds, as a run would do for what is held here.
    """
    kana.reconcile = False
    rule = {"message": "because", **error}
    kana.sandbox.faults.add(
        {"match": {"rootField": "recordUsage"}, "times": None, "errors": {"e0": rule}},
        {"match": {"rootField": "user"}, "times": None, "errors": {"e0": rule}},
        # Whether it is the key that is refused is for the test of the credentials to say.
        {"match": {"rootField": "features"}, "times": None, "errors": {"e0": rule}},
    )
    usage = {"type": "track", "event": "E", "userId": "u1", "messageId": "1"}
    kana.run({**usage, "properties": {"featureId": "calls"}})
    assert kana.result(1).outcome == track
    assert kana.usage == {}
    kana.run({"type": "identify", "userId": "new", "messageId": "2", "traits": {"name": "N"}})
    assert kana.result(1).outcome == identify


_INTERNAL = {"message": "Internal server error", "exception": None}


@pytest.mark.parametrize("alias", ["e0", "e1", "e2", "*"])
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_usage_whose_request_met_an_internal_error(kana: Any, alias: str, *, applied: bool) -> None:
    """Nobody knows whether it was recorded: Kana is asked, and each amount counts once."""
    if applied and alias == "*":
        error = {"message": "m", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}
        fault = {"apply": True, "body": json.dumps({"data": None, "errors": [error]})}
    elif applied:
        recorded = {"recorded": True, "reason": None}
        data = dict.fromkeys(("e0", "e1", "e2"), recorded) | {alias: None}
        extensions = {"code": "INTERNAL_SERVER_ERROR"}
        error = {"message": "m", "path": [alias], "extensions": extensions}
        fault = {"apply": True, "body": json.dumps({"data": data, "errors": [error]})}
    else:
        fault = {"errors": {alias: _INTERNAL}}
    kana.sandbox.faults.add({"match": {"rootField": "recordUsage"}, **fault})
    usage = {"type": "track", "event": "E", "userId": "u1"}
    report = kana.run(
        *(
            {**usage, "messageId": str(at), "properties": {"featureId": "calls", "delta": 10**at}}
            for at in range(3)
        )
    )
    assert report.totals.outcomes == {"delivered": 3}
    assert kana.usage["u1"]["calls"] == 111


def test_identifies_whose_request_met_an_internal_error(kana: Any) -> None:
    """It may pass, and each may be repeated: all of them are sent again, and delivered."""
    kana.sandbox.faults.add(
        *({"match": {"rootField": field}, "errors": {"e1": _INTERNAL}} for field in _IDENTIFY)
    )
    events = [
        {"type": "identify", "userId": f"n{at}", "messageId": f"{at}", "traits": {"name": "N"}}
        for at in range(3)
    ]
    report = kana.run(*events)
    assert report.totals.outcomes == {"delivered": 3}
    assert {"n0", "n1", "n2"} <= kana.users.keys()


@pytest.mark.parametrize(("revoked", "outcome"), [(True, "ready"), (False, "rejected")])
def test_a_key_that_is_refused_event_by_event(kana: Any, revoked: bool, outcome: str) -> None:
    """GraphQL says of each event that the key is refused; if it is, none of them is rejected."""
    refused = {"message": "Unauthenticated: revoked"}
    each = {"errors": {f"e{nth}": refused for nth in range(3)}, "times": None}
    kana.sandbox.faults.add({"match": {"rootField": "recordUsage"}, **each})
    if revoked:
        kana.sandbox.faults.add({"match": {"rootField": "features"}, **each})
    usage = {"type": "track", "event": "E", "properties": {"featureId": "calls"}}
    report = kana.run(*({**usage, "userId": "u1", "messageId": str(nth)} for nth in range(3)))
    assert report.totals.outcomes == {outcome: 3}
    assert (report.stopped is not None) == revoked


def test_each_documented_error_name_and_code_is_in_the_definition(kana: Any) -> None:
    """None is left to the default by status."""
    rules = [
        *kana.definition.error_rules,
        *kana.definition.requests["recordUsage"].error_rules,
    ]
    known = {rule.when.exception for rule in rules} | {rule.when.code for rule in rules}
    known |= {"Unauthenticated" for rule in rules if rule.when.message == "^Unauthenticated"}
    assert set(DOCUMENTED) <= known


def test_a_track_of_an_unknown_user_is_tried_again_for_a_while(kana: Any) -> None:
    """Its identify may be on its way: once the user exists the event is delivered."""
    missing = {"message": "User not found", "exception": "UserNotFoundError"}
    kana.sandbox.faults.add(
        {"match": {"rootField": "recordUsage"}, "times": 2, "errors": {"e0": missing}}
    )
    usage = {"type": "track", "event": "E", "userId": "u1", "messageId": "1"}
    kana.run({**usage, "properties": {"featureId": "calls"}})
    assert kana.result(1).outcome == "delivered"
    assert kana.result(1).attempts == 3
    assert kana.usage["u1"]["calls"] == 1


def test_a_slow_drip_meets_the_total_time_out(make_kana: Callable[..., Any]) -> None:
    """An answer that never ends is given up, and an operator has to decide about its usage."""
    kana = make_kana()
    kana.reconcile = False
    kana.limit_time(0.2)
    kana.sandbox.faults.add({"drip": {"bytes": 1, "interval": 0.05}})
    usage = {"type": "track", "event": "E", "userId": "user_0001", "messageId": "1"}
    kana.run({**usage, "properties": {"featureId": "api-calls"}})
    assert kana.result(1).outcome == "held"
    assert "took longer than 0.2 s" in kana.result(1).reason
