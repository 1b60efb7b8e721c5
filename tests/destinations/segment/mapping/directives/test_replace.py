from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {"name": "Zoë", "n": 5, "yes": True, "none": None, "path": "name", "o": {}}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ({"pattern": "a", "replacement": "o", "value": "banana"}, "bonono"),
        ({"pattern": "a", "replacement": "o", "value": "banana", "global": False}, "bonana"),
        ({"pattern": "A", "replacement": "o", "value": "banana", "ignorecase": True}, "bonono"),
        ({"pattern": "a", "value": "banana"}, "bnn"),
        ({"pattern": "5", "replacement": "x", "value": {"@path": "n"}}, "x"),
        ({"pattern": "tr", "replacement": "x", "value": {"@path": "yes"}}, "xue"),
        ({"pattern": "a", "value": {"@path": "none"}}, ""),
        ({"pattern": "a", "value": {"@path": "o"}}, ""),
        ({"pattern": "a", "value": ""}, UNDEFINED),
        ({"pattern": "a", "replacement": "b", "value": "ab", "pattern2": "b"}, ""),
        (
            {"pattern": "a", "replacement": "b", "value": "ab", "pattern2": "b",
             "replacement2": "c"},
            "cc",
        ),
        ({"pattern": "a", "value": "ab", "pattern2": 5}, "b"),
    ],
)  # fmt: skip
def test_patterns_are_replaced(argument: Any, result: Any) -> None:
    """One pattern is replaced, then perhaps a second; what is no text gives empty text."""
    assert compile_value({"@replace": argument}).resolve(DATA) == result


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({"replacement": None, "global": None, "ignorecase": None}, "bnn"),
        ({"replacement": 5}, ""),
        ({"global": 1}, ""),
        ({"pattern": 5}, ""),
    ],
)
def test_options_of_the_wrong_type_give_nothing(options: Any, result: str) -> None:
    """Where loading does not look, null means the default and any other type gives empty text."""
    value = [{"@replace": {"pattern": "a", "value": "banana", **options}}]
    assert compile_value(value).resolve(DATA) == [result]


def test_a_long_second_pattern_fails_when_reached() -> None:
    """Loading lets a second pattern of any length pass; replacing with it fails."""
    value = {"@replace": {"pattern": "a", "value": {"@path": "x"}, "pattern2": "y" * 11}}
    compiled = compile_value(value)
    assert len(compiled.warnings) == 1
    assert compiled.resolve({"x": None}) == ""
    with pytest.raises(ResolveError, match="at most 10"):
        compiled.resolve({"x": "text"})
