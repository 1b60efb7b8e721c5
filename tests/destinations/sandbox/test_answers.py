from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, ErrorCondition, ErrorRule
from destinations.http import Answer, Failure, compile_request
from destinations.sandbox.answers import (
    error_answer,
    partial_answer,
    rule_that_reads,
    success,
)

Load = Callable[..., DestinationDefinition]


def _read(definition: DestinationDefinition, name: str, response: Any, count: int) -> list[Any]:
    request = definition.requests[name]
    compiled = compile_request(request, definition.transport, definition.error_rules)
    return compiled.read(response, count)


@pytest.mark.parametrize(("name", "count"), [("find", 1), ("create", 1), ("count", 3), ("save", 1)])
def test_a_success_is_read_as_one(load: Load, name: str, count: int) -> None:
    """For every event of the request, from the example or from what is expected."""
    definition = load()
    verdicts = _read(definition, name, success(definition.requests[name], count), count)
    assert [verdict.name for verdict in verdicts] == ["ok"] * count


def test_a_partial_answer_of_graphql(load: Load) -> None:
    """The last event fails, the others do not."""
    definition = load()
    response = partial_answer(definition.requests["count"], 3)
    first, second, last = _read(definition, "count", response, 3)
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert isinstance(last, Failure)


def _two(documents: dict[str, Any]) -> None:
    """Two root fields, of which the definition gives an answer to one alone."""
    request = documents["destination"]["requests"]["count"]
    request["graphql"]["document"] = "mutation M($by: Int) { a: count(by: $by) { done } b: ping }"
    request["example"] = {"a": {"done": True}}
    request["answers"] = [
        {"name": name, "when": {"code": "BAD", "rootField": name}} for name in ("a", "b")
    ]
    del request["expect"], request["refusals"]


def test_answers_of_several_root_fields(load: Load) -> None:
    """A success has them all, a partial answer fails in the last one of the last event."""
    definition = load(_two)
    request = definition.requests["count"]
    done = {"a": {"done": True}, "b": {}}
    assert _read(definition, "count", success(request, 2), 2) == [Answer("ok", done)] * 2
    first, last = _read(definition, "count", partial_answer(request, 2), 2)
    assert first == Answer("ok", done)
    assert isinstance(last, Failure)
    for rule in request.answers:
        response = error_answer(rule.when, request)
        nothing = {"a": None, "b": None}
        assert _read(definition, "count", response, 1) == [Answer(rule.name, nothing)]


def _batch(documents: dict[str, Any]) -> None:
    documents["destination"]["requests"]["save"] |= {
        "batch": {
            "size": 10,
            "failures": {
                "status": [207],
                "items": {"@path": "$.result.failed"},
                "index": {"@path": "$.at"},
                "message": {"@path": "$.why"},
            },
        },
        "rest": {
            "method": "PUT",
            "url": "http://127.0.0.1:9/",
            "json": {"by": {"@path": "$.event.userId"}},
        },
    }


def test_a_partial_answer_of_rest(load: Load) -> None:
    """Made for the places where the definition looks for the items that failed."""
    definition = load(_batch)
    response = partial_answer(definition.requests["save"], 2)
    assert response is not None
    assert response.status == 207
    first, last = _read(definition, "save", response, 2)
    assert isinstance(first, Answer)
    assert isinstance(last, Failure)
    assert "testing kit" in last.message


def test_no_partial_answer_without_places(load: Load) -> None:
    """A REST request that stands or falls as a whole has none."""
    assert partial_answer(load().requests["save"], 1) is None


CONDITIONS = [
    ErrorCondition(code="BAD"),
    ErrorCondition(exception="Missing"),
    ErrorCondition(message="^Too (much|many)"),
    ErrorCondition(status=("5xx",), message="busy"),
    ErrorCondition(status=(409, "4xx")),
    ErrorCondition(code="BAD", exception="Missing", message="no"),
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_an_error_fits_its_condition(load: Load, condition: ErrorCondition) -> None:
    """The runtime reads it by just that condition."""
    definition = load()
    request = definition.requests["create"]
    response = error_answer(condition, request)
    assert response is not None
    rule = ErrorRule(condition, "conflict", retryable=False, nothing_applied=True)
    changed = replace(definition, error_rules=(rule,))
    assert rule_that_reads(response, request, changed) is condition
    (verdict,) = _read(changed, "create", response, 1)
    assert verdict.error_class == "conflict"


@pytest.mark.parametrize(
    "condition",
    [
        ErrorCondition(body={"type": "object", "required": ["x"]}),
        ErrorCondition(
            status=(400,),
            message="wrong",
            body={"type": "object", "properties": {"code": {"const": 7}}, "required": ["code"]},
        ),
        ErrorCondition(message="^sorry"),
    ],
    ids=str,
)
def test_an_error_of_rest_fits_its_condition(load: Load, condition: ErrorCondition) -> None:
    """Also by its body."""
    definition = load()
    request = definition.requests["save"]
    response = error_answer(condition, request)
    assert response is not None
    rule = ErrorRule(condition, "conflict", retryable=False, nothing_applied=True)
    changed = replace(definition, error_rules=(rule,))
    assert rule_that_reads(response, request, changed) is condition
    (verdict,) = _read(changed, "save", response, 1)
    assert (verdict.error_class, verdict.status) == ("conflict", 400)


def test_no_answer_for_a_pattern_that_is_too_clever(load: Load) -> None:
    """None, instead of one that would be read by something else."""
    condition = ErrorCondition(message=r"(a)\1")
    assert error_answer(condition, load().requests["save"]) is None
