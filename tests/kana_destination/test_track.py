from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.outcome import WaitFor

_COUNTER = itertools.count()


def _track(user: str = "u1", **properties: Any) -> dict[str, Any]:
    number = next(_COUNTER)
    return {
        "type": "track",
        "event": "Used",
        "userId": user,
        "properties": properties,
        "messageId": f"t{number}",
    }


NO_DELTAS: list[object] = [
    *(None, "", " ", "\u00a0", True, False, "true", "0x10", "0b1", "1e3", "5.0", "5."),
    *("1 000", "1,000", "1_000", "--1", "+", "\u0661", "Infinity", "NaN", "null"),
    *([5], ["5"], [], {}, 1e300, "9" * 400),
]


@pytest.mark.parametrize(
    ("properties", "outcome", "used"),
    [
        ({"featureId": "calls"}, "delivered", 1),
        ({"featureId": "calls", "delta": 5}, "delivered", 5),
        ({"featureId": "calls", "delta": -5}, "delivered", -5),
        ({"featureId": "calls", "delta": 0}, "delivered", 0),
        ({"featureId": "calls", "delta": "7"}, "delivered", 7),
        ({"featureId": "calls", "delta": 3.0}, "delivered", 3),
        ({"featureId": "calls", "delta": "+7"}, "delivered", 7),
        ({"featureId": "calls", "delta": " -007\t"}, "delivered", -7),
        ({"featureId": "calls", "delta": -0.0}, "delivered", 0),
        ({"featureId": "calls", "delta": "2147483647"}, "delivered", 2147483647),
        ({"featureId": "calls", "delta": "2147483648"}, "invalid", 0),
        *(({"featureId": "calls", "delta": delta}, "invalid", 0) for delta in NO_DELTAS),
        ({"featureId": "calls", "delta": 2147483647}, "delivered", 2147483647),
        ({"featureId": "calls", "delta": 2147483648}, "invalid", 0),
        ({"featureId": "calls", "delta": -2147483649}, "invalid", 0),
        ({"featureId": "calls", "delta": 1.5}, "invalid", 0),
        ({"featureId": "calls", "delta": "many"}, "invalid", 0),
        ({"featureId": "calls", "delta": {"by": 1}}, "invalid", 0),
        ({"featureId": {"id": "calls"}}, "invalid", 0),
        ({}, "unmapped", 0),
        ({"featureId": ""}, "unmapped", 0),
        ({"featureId": None, "delta": 1.5}, "unmapped", 0),
        ({"featureId": "nope"}, "rejected", 0),
        ({"featureId": "sso"}, "rejected", 0),
    ],
    ids=str,
)
def test_what_a_track_event_records(kana: Any, properties: Any, outcome: str, used: int) -> None:
    """Usage grows by the delta of a delivered event and by nothing else."""
    kana.run(_track(**properties))
    assert kana.result(1).outcome == outcome
    assert kana.usage.get("u1", {}).get("calls", 0) == used


def _roots(record: Any) -> set[str]:
    return {field for _, field in record.roots}


def test_many_events_go_out_in_one_request(kana: Any) -> None:
    """A hundred events are one document; each event that fails does so alone."""
    events = [_track(featureId="calls") for _ in range(98)]
    events.insert(40, _track(featureId="nope"))
    events.insert(70, _track("ghost", featureId="calls"))
    report = kana.run(*events)
    assert report.totals.outcomes == {"delivered": 98, "rejected": 1, "dead": 1}
    assert kana.result(41).reason == "Feature 'nope' does not exist"
    assert kana.result(71).outcome == "dead"  # its identify might have been on its way
    assert kana.usage["u1"]["calls"] == 98
    # The ghost is tried again without the others, as often as its rule says.
    (rule,) = kana.definition.requests["recordUsage"].error_rules
    counts = [record.roots for record in kana.sandbox.requests if "recordUsage" in _roots(record)]
    assert [len(roots) for roots in counts] == [100] + [1] * (rule.attempts - 1)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_track_never_overtakes_the_identify_of_its_user(kana: Any, side_by_side: bool) -> None:
    """Users who are created in the stream have all their usage: none was sent too early."""
    kana.side_by_side = side_by_side
    events: list[dict[str, Any]] = []
    for number in range(60):
        user = f"new{number}"
        events.append({"type": "identify", "userId": user, "messageId": f"{user}-i"})
        events += [_track(user, featureId="calls") for _ in range(3)]
    report = kana.run(*events)
    assert report.totals.outcomes == {"delivered": 240}
    assert {amounts["calls"] for amounts in kana.usage.values()} == {3}


# A fault of the partner; then what was counted at once, and the outcomes of five events of one user
# where Kana is not asked.
FAULTS: dict[str, tuple[dict[str, Any], dict[str, int], int]] = {
    "429 is tried again": ({"status": 429, "retryAfter": 3}, {"delivered": 5}, 5),
    "a 500 may have been applied": ({"status": 500}, {"held": 5}, 0),
    "a 503 may have been applied": ({"status": 503}, {"held": 5}, 0),
    "an answer lost after it was applied": ({"drop": "after"}, {"held": 5}, 5),
    "an answer lost before it was applied": ({"drop": "before"}, {"held": 5}, 0),
    "an answer that is not JSON": ({"body": "<html>", "apply": True}, {"held": 5}, 5),
    "an answer cut in the middle": ({"cut": 30}, {"held": 5}, 5),
    "data null": ({"dataNull": True}, {"held": 5}, 5),
    "an alias that is missing": ({"omitAlias": ["e1"]}, {"delivered": 4, "held": 1}, 5),
    "an error of one alias": (
        {"errors": {"e1": {"message": "no", "exception": "FeatureNotFoundError"}}},
        {"delivered": 4, "rejected": 1},
        4,
    ),
    "an error without a rule proves nothing": (
        {"errors": {"e1": {"message": "?", "code": "NEW", "exception": "NewError"}}},
        {"delivered": 4, "held": 1},
        4,
    ),
    "a refusal of the whole document is found out one by one": (
        {"errors": {"*": {"message": "bad variable", "code": "BAD_USER_INPUT"}}},
        {"delivered": 5},
        5,
    ),
}


@pytest.mark.parametrize(("fault", "outcomes", "used"), FAULTS.values(), ids=FAULTS)
def test_what_a_fault_makes_of_usage(kana: Any, fault: Any, outcomes: Any, used: int) -> None:
    """No fault is taken for a success, and none makes an event count twice.

    Where Kana is not asked what it holds, an operator decides about what a lost answer left open.
    """
    kana.reconcile = False
    kana.sandbox.faults.add({"match": {"rootField": "recordUsage"}, **fault})
    report = kana.run(*(_track(featureId="calls") for _ in range(5)))
    assert report.totals.outcomes == outcomes
    assert kana.usage.get("u1", {}).get("calls", 0) == used


@pytest.mark.parametrize("before", [0, 7])
@pytest.mark.parametrize(("fault", "outcomes"), [case[:2] for case in FAULTS.values()], ids=FAULTS)
def test_a_fault_is_settled_by_asking(kana: Any, fault: Any, outcomes: Any, before: int) -> None:
    """A run asks Kana what it holds: what was lost is found or sent again, and counts once."""
    if before:
        kana.run(_track(featureId="calls", delta=before))
    kana.sandbox.faults.add({"match": {"rootField": "recordUsage"}, **fault})
    report = kana.run(*(_track(featureId="calls") for _ in range(5)))
    rejected = outcomes.get("rejected", 0)
    expected = {"delivered": 5 - rejected, "rejected": rejected}
    assert report.totals.outcomes == {name: count for name, count in expected.items() if count}
    assert kana.usage["u1"]["calls"] == before + 5 - rejected


def test_a_settled_answer_is_asked_for_after_some_time(kana: Any) -> None:
    """The request may still be on its way for half a minute, in which nothing is asked."""
    kana.sandbox.faults.add({"match": {"rootField": "recordUsage"}, "drop": "after"})
    kana.run(_track(featureId="calls"))
    assert sum(kana.clock.waits) == 120.0
    assert kana.requested == ["showUsage", "recordUsage", "showUsage"]


def test_retry_after_is_honoured_and_clamped(kana: Any) -> None:
    """The partner's wait is kept, up to the definition's limit."""
    retry = replace(kana.definition.transport.retry, max_retry_after=10)
    transport = replace(kana.definition.transport, retry=retry)
    kana.definition = replace(kana.definition, transport=transport)
    kana.reconcile = False
    kana.sandbox.faults.add(
        {"nth": 1, "status": 429, "retryAfter": 7}, {"nth": 2, "status": 429, "retryAfter": 50}
    )
    kana.run(_track(featureId="calls"))
    assert kana.clock.waits == pytest.approx([7, 10])
    assert kana.result(1).attempts == 3


def test_an_identify_is_tried_again_after_a_lost_answer(kana: Any) -> None:
    """Requests that may be repeated are: the event is delivered in the end."""
    kana.sandbox.faults.add(
        {"match": {"rootField": "user"}, "status": 503},
        {"match": {"rootField": "createUser"}, "drop": "after"},
    )
    kana.run({"type": "identify", "userId": "new", "traits": {"name": "N"}, "messageId": "m"})
    assert kana.result(1).outcome == "delivered"
    assert kana.users["new"]["name"] == "N"


def test_a_partner_that_stays_down(kana: Any) -> None:
    """An outage ends the run after a minute; what it could not send is ready, none is lost."""
    events = [
        {"type": "identify", "userId": f"x{number}", "messageId": f"x{number}"}
        for number in range(50)
    ]
    kana.sandbox.stop()
    kana.sandbox = type(kana.sandbox)().start()
    report = kana.run(*events, endpoint="http://127.0.0.1:9/graphql")
    assert report.totals.outcomes == {"ready": 50}
    assert report.stopped.why == "unavailable"
    assert "Connection refused" in kana.result(1).reason
    assert 60 <= sum(kana.clock.waits) < 120


@pytest.mark.parametrize("key", ["prv_live_wrong", "wrong"])
def test_wrong_credentials_stop_the_run(kana: Any, key: str) -> None:
    """One clear message instead of a failure for every event; nothing counts as failed."""
    report = kana.run(*(_track(featureId="calls") for _ in range(300)), apiKey=key)
    assert report.stopped is not None
    assert report.stopped.why == "authentication"
    assert report.stopped.line >= 1
    assert set(report.totals.outcomes) == {"ready"}
    assert report.totals.rows == report.lines
    assert key not in report.stopped.message


def test_a_key_that_the_partner_echoes_is_masked(kana: Any) -> None:
    """A secret in the partner's message does not reach the result."""
    key = kana.sandbox.api_key
    message = {"message": f"no {key}", "exception": "FeatureNotFoundError"}
    kana.sandbox.faults.add({"match": {"rootField": "recordUsage"}, "errors": {"e0": message}})
    kana.run(_track(featureId="calls"))
    assert kana.result(1).reason == "no ***"


def test_how_long_usage_waits_for_its_user(kana_definition: DestinationDefinition) -> None:
    """A quarter of an hour, for an identify: what follows from that is tested with any partner."""
    rules = kana_definition.requests["recordUsage"].error_rules
    assert [one.wait_for for one in rules if one.wait_for] == [WaitFor("identify", 900)]
