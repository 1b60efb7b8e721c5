"""Answers that are no answer to what was asked: they may pass, so the event is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.case_tables import each_value

OTHER = {"id": "u9", "billingId": None, "name": "N", "email": "one@example.com", "metadata": None}
ODD: list[Any] = [
    *(None, True, 1, "x", [], {}, {"id": 1}, {"id": "u1"}, [OTHER], OTHER),
    {key: value for key, value in OTHER.items() if key != "id"},
    {**OTHER, "id": "u1", "email": 5},
    {**OTHER, "id": None},
]
WRITTEN: list[Any] = [None, True, [], {"id": 1}, OTHER]
LISTS: list[Any] = [None, True, 1, "x", {}, [None], [True], [[]], [{"id": "u1"}], [{"id": 1}]]

STRIPE = {"id": "s@example.com", "email": "s@example.com", "billingId": "cus_1"}
SEED = {
    "users": [{"id": "u1"}, {"id": "u2", "email": "one@example.com"}, STRIPE],
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
}
_PERIOD = "2022-01-01T00:00:00Z"


def _identify(user: str, email: str) -> dict[str, Any]:
    traits = {"name": "N", "email": email}
    return {"type": "identify", "messageId": "m", "userId": user, "traits": traits}


def _answers(field: str, data: Any, times: int | None) -> dict[str, Any]:
    body = json.dumps({"data": data})
    return {"match": {"rootField": field}, "body": body, "times": times}


CASES = {
    "findUser": ("user", _identify("u1", "one@example.com"), ODD),
    "createUser": ("createUser", _identify("new", "new@example.com"), WRITTEN),
    "updateUser": ("updateUser", _identify("u2", "one@example.com"), WRITTEN),
    "rename": ("updateUser", _identify("new", "s@example.com"), WRITTEN),
    "listUsers": ("users", _identify("u1", "s@example.com"), LISTS),
    "listFeatures": ("features", _identify("u1", "s@example.com"), [None, True, {}, [1]]),
    "describeUpdateUser": (
        *("__type", _identify("u1", "one@example.com")),
        [True, [], {}, {"inputFields": None}, {"inputFields": [1]}, {"inputFields": [{}]}],
    ),
}
ALL = [
    pytest.param(field, event, odd, id=f"{name}-{json.dumps(odd)}")
    for name, (field, event, answers) in CASES.items()
    for odd in answers
]


@each_value
@pytest.mark.parametrize(("field", "event", "odd"), ALL)
def test_an_answer_of_another_shape(
    make_kana: Callable[..., Any], field: str, event: dict[str, Any], odd: Any
) -> None:
    """Another attempt delivers the event. If all fail it is dead, or waits if nothing came."""
    kana = make_kana(SEED)
    kana.sandbox.faults.add(_answers(field, {"e0": odd}, None))
    kana.run(event)
    result = kana.result(1)
    assert result.outcome == ("ready" if odd is None else "dead")
    assert result.attempts > 3
    assert "generator" not in result.reason
    kana.sandbox.faults.clear()
    kana.sandbox.faults.add(_answers(field, {"e0": odd}, 1))
    kana.run(event)
    assert kana.result(1).outcome == "delivered"
    assert kana.users[event["userId"]]["name"] == "N"


USAGES: list[Any] = [
    *(True, 1, [], {}, {"current": True}),
    {"current": {"consumption": None}},
]
RECORDED: list[Any] = [True, 1, [], {}, {"recorded": 1, "reason": None}]
MERGES: list[tuple[str, dict[str, Any]]] = [
    *(("showUsage", {"goes": value, "stays": {"current": None}}) for value in USAGES),
    *(("recordUsage", {"claim": {"id": "u1~left-over~1"}, "move": value}) for value in RECORDED),
]


@pytest.mark.parametrize(("field", "values"), MERGES, ids=json.dumps)
def test_a_merge_that_meets_one(
    make_kana: Callable[..., Any], field: str, values: dict[str, Any]
) -> None:
    """The merge goes on with the next attempt, and its usage is moved once."""
    kana = make_kana(SEED)
    usage = {"type": "track", "event": "E", "messageId": "t", "userId": "u1"}
    kana.run({**usage, "properties": {"featureId": "calls", "delta": 7}})
    odd = {f"e0_{key}": value for key, value in values.items()}
    kana.sandbox.faults.add({**_answers(field, odd, 1), "apply": True})
    kana.run(_identify("u1", "s@example.com"))
    assert kana.result(1).outcome == "delivered"
    assert kana.users["u1"]["billingId"] == "cus_1"
    assert kana.usage["u1"] == {"calls": 7}
