"""The values that mappings can give, as the sandbox derives them from a definition."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from destinations.definition.settings import Settings
from destinations.sandbox.possible_values import (
    PossibleValue,
    PossibleValues,
    pattern_of,
    shown_text,
)

VALUES = PossibleValues(
    Settings({"apiKey": "k.1", "region": "eu"}, ("apiKey",)),
    settled=frozenset({"apiKey", "region"}),
    payload={
        "id": PossibleValue({"type": "string"}, optional=False),
        "count": PossibleValue({"type": "integer"}, optional=True),
    },
)
ID, COUNT, NOTE = ({"@path": f"$.payload.{name}"} for name in ("id", "count", "note"))
KEY, REGION = ({"@path": f"$.settings.{name}"} for name in ("apiKey", "region"))


@pytest.mark.parametrize(
    ("mapping", "fits", "fails", "optional"),
    [
        ("text", ["text"], ["other", 1, None], False),
        (3, [3], [4, "3"], False),
        (ID, ["a"], [1, None], False),
        (COUNT, [1], ["1"], True),
        (NOTE, ["a", 1, {}], [], True),
        ({"@path": "$.payload"}, [{"id": "a"}], ["a"], False),
        (KEY, ["k.1"], ["k-1", "other"], False),
        (REGION, ["eu", "us"], [], False),
        ({"@path": "$.settings.other"}, ["x"], [], True),
        (
            {"@template": "{{payload.id}}/{{settings.apiKey}}"},
            ["a/k.1", "a\nb/k.1"],
            ["a/k-1", "a/k.1\n", 5],
            False,
        ),
        ({"a": ID, "b": COUNT}, [{"a": "x"}, {"a": "x", "b": 1}], [{"b": 1}, {"a": 1}], False),
        ({"a": ID}, [{"a": "x"}], [{"a": "x", "c": 1}, []], False),
        ([ID], [["a"], []], ["a"], False),
        ({"@if": {"exists": NOTE, "then": "a", "else": "b"}}, ["a", "b"], ["c"], False),
        ({"@if": {"exists": NOTE, "then": ID}}, ["a"], [1], True),
        ({"@literal": ID}, ["a"], [1], False),
        ({"@transform": {"apply": {"x": ID}, "mapping": NOTE}}, ["a", 1], [], True),
        (
            {"@merge": {"direction": "right", "objects": [{"a": ID}, {"b": COUNT}]}},
            [{"a": "x"}, {"a": "x", "b": 1}],
            [{"b": 1}, {"a": "x", "c": 1}],
            False,
        ),
        (
            {"@merge": {"direction": "right", "objects": [NOTE, {"a": ID}]}},
            [{"a": "x"}, {"a": 5, "c": 1}],
            [{"c": 1}, "x"],
            False,
        ),
        (
            {"@merge": {"direction": "right", "objects": [{"a": ID}, {"a": COUNT}]}},
            [{"a": "x"}, {"a": 1}, {}],
            [{"a": None}],
            False,
        ),
    ],
    ids=str,
)
def test_values(mapping: Any, fits: list[Any], fails: list[Any], optional: bool) -> None:
    """A value that the mapping can give fits; one that it cannot does not, as far as it tells."""
    value = VALUES.of(mapping)
    validator = Draft202012Validator(value.schema)
    assert [one for one in fits if not validator.is_valid(one)] == []
    assert [one for one in fails if validator.is_valid(one)] == []
    assert value.optional is optional


@pytest.mark.parametrize(
    ("mapping", "shown", "fits", "fails"),
    [
        ("plain", "plain", ["plain"], ["plainer"]),
        (7, "7", ["7"], ["8"]),
        (ID, "{payload.id}", ["a", ""], []),
        (KEY, "***", ["k.1"], ["kx1"]),
        ({"@template": "Bearer {{settings.apiKey}}"}, "Bearer ***", ["Bearer k.1"], ["k.1"]),
        ({"@template": "{{settings.region}}-{{payload.id}}"}, None, ["eu-1", "us-2"], ["eu"]),
        ({"@if": {"exists": NOTE, "then": "a", "else": ID}}, "a or {payload.id}", ["a"], []),
        ({"@case": {"operator": "upper", "value": KEY}}, "{any}", ["K.1"], []),
    ],
    ids=str,
)
def test_texts(mapping: Any, shown: str | None, fits: list[str], fails: list[str]) -> None:
    """What is shown has names for gaps and never a secret; the pattern has the secret itself."""
    texts = VALUES.texts(mapping)
    assert shown in (None, " or ".join(map(shown_text, texts)))
    pattern = re.compile("|".join(map(pattern_of, texts)))
    assert [one for one in fits if not pattern.fullmatch(one)] == []
    assert [one for one in fails if pattern.fullmatch(one)] == []
