"""What an answer without an error means: a success, a refusal, or nothing that is certain."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition import PendingDefinition, Refusal, RequestDefinition
from destinations.http import Answer, Failure
from destinations.http.success import SuccessCheck

CONSTANTS: list[Any] = [True, False, "ok", "", "True", 1, 0, 1.0, 0.0, None, [], {}, [1], {"a": 1}]
NAMES = ["done", "status", "why"]


def _check(expect: Any, *refusals: Refusal) -> SuccessCheck:
    call = PendingDefinition("all.")
    return SuccessCheck(
        RequestDefinition("r", "R.", idempotent=True, call=call, expect=expect, refusals=refusals)
    )


_constants = st.sampled_from(CONSTANTS)
_words = st.sampled_from([{}, {"title": "T"}, {"description": "D"}])
_members = st.one_of(
    st.builds(lambda value, words: {"const": value, **words}, _constants, _words),
    st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "string"},
            {"type": ["string", "null"]},
            {"type": ["object", "null"], "required": ["a"]},
            {"type": "array", "items": {"type": ["boolean", "integer"]}},
            {"type": "array", "items": {"type": "object", "properties": {"a": {"const": "ok"}}}},
            {"enum": ["ok", True]},
        ]
    ),
)
SCHEMAS = st.builds(
    lambda parts, words: {**parts, **words},
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                ["object", "object", "object", "array", "string", ["object", "null"], ["array"]]
            ),
            "items": _members,
            "required": st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
            "properties": st.dictionaries(st.sampled_from(NAMES), _members, max_size=3),
            "const": _constants,
            "minProperties": st.integers(0, 2),
            "additionalProperties": st.booleans(),
        },
    ),
    _words,
)
VALUES = st.one_of(
    st.dictionaries(st.sampled_from([*NAMES, "more"]), _constants, max_size=4),
    _constants,
    st.lists(_constants, max_size=2),
)


@given(schema=SCHEMAS, value=VALUES)
def test_it_is_what_the_schema_says(schema: dict[str, Any], value: Any) -> None:
    """Every answer fits exactly if the schema library says so, compiled or not."""
    valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert _check(schema).fits(value) is valid


@given(
    constants=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([True, False, "ok", ""])),
    required=st.lists(st.sampled_from(NAMES), unique=True),
    value=VALUES,
)
def test_the_usual_schema(constants: dict[str, Any], required: list[str], value: Any) -> None:
    """An object with constant members, which every event is asked for, fits as in the library."""
    schema = {
        "type": "object",
        "required": required,
        "properties": {name: {"const": constant} for name, constant in constants.items()},
    }
    valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert _check(schema).fits(value) is valid
    # A schema that says more is not compiled, and says the same.
    assert _check({**schema, "minProperties": 0}).fits(value) is valid


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"done": True}, True),
        ({"done": True, "more": [1]}, True),
        ({"done": 1}, False),
        ({"done": 1.0}, False),
        ({"done": "true"}, False),
        ({"done": None}, False),
        ({}, False),
        ([], False),
        (None, False),
        ("done", False),
        (True, False),
    ],
    ids=json.dumps,
)
def test_only_the_very_constant_is_a_success(value: object, fits: bool) -> None:
    """A number is not true, and text is neither."""
    expect = {"type": "object", "required": ["done"], "properties": {"done": {"const": True}}}
    assert _check(expect).fits(value) is fits


@pytest.mark.parametrize("value", [None, {}, "x", 5, [], {"done": False}], ids=json.dumps)
def test_without_expectation_all_is_a_success(value: object) -> None:
    """Where nothing is expected, an answer without an error is enough."""
    assert _check(None).judge(value, 200) == Answer("ok", value)


DENIED = {"type": "object", "required": ["done"], "properties": {"done": {"const": False}}}
DONE = {"type": "object", "required": ["done"], "properties": {"done": {"const": True}}}


@pytest.mark.parametrize(
    ("value", "message", "final"),
    [
        ({"done": True, "why": "x"}, None, False),
        ({"done": False, "why": "full"}, "not done: full", True),
        ({"done": False}, "not done: ", True),
        ({"done": "no"}, "the answer is not the expected one", False),
        ({"done": "never"}, "never", True),
    ],
)
def test_judgements(value: dict[str, Any], message: str | None, final: bool) -> None:
    """A refusal is for good and changed nothing, its first rule counts; all else is open."""
    check = _check(
        DONE,
        Refusal(DENIED, {"@template": "not done: {{answer.why}}"}),
        Refusal({"type": "object", "properties": {"done": {"const": "never"}}}, "never"),
    )
    verdict = check.judge(value, 200)
    if message is None:
        assert verdict == Answer("ok", value)
        return
    assert isinstance(verdict, Failure)
    assert (verdict.message, verdict.status, verdict.whole_request) == (message, 200, False)
    assert (verdict.retryable, verdict.nothing_applied) == (not final, final)


@pytest.mark.parametrize("why", ["", " ", "\n\t", None])
def test_a_refusal_without_a_word(why: str | None) -> None:
    """Its reason says so, and is never empty."""
    check = _check(DONE, Refusal(DENIED, {"@template": "{{answer.why}}"}))
    verdict = check.judge({"done": False, "why": why}, 200)
    assert isinstance(verdict, Failure)
    assert verdict.message == "rejected by the partner, without a reason"


def test_a_refusal_whose_words_cannot_be_read() -> None:
    """It is a refusal all the same."""
    unreadable = {"@path": {"@path": "$.answer.done"}}
    verdict = _check(DONE, Refusal(DENIED, unreadable)).judge({"done": False}, 200)
    assert isinstance(verdict, Failure)
    assert verdict.message.startswith("rejected by the partner (unreadable reason: ")
    assert (verdict.retryable, verdict.nothing_applied) == (False, True)
