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
        ({"pattern": 5, "pattern2": "a", "replacement2": "o"}, ""),
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


@pytest.mark.parametrize(("replacement", "result"), [("", "b"), ("y" * 10, "y" * 10 + "b")])
def test_patterns_and_replacements_may_have_ten_characters(replacement: str, result: str) -> None:
    """Ten characters are allowed when loading and when reached; a replacement may be empty."""
    value = {"@replace": {"pattern": "x" * 10, "replacement": replacement, "value": "x" * 10 + "b"}}
    compiled = compile_value(value)
    assert compiled.warnings == ()
    assert compiled.resolve({}) == result


def test_booleans_are_replaced_as_text() -> None:
    """False is the text ``false`` for patterns."""
    value = {"@replace": {"pattern": "f", "value": {"@path": "no"}}}
    assert compile_value(value).resolve({"no": False}) == "alse"


def test_text_that_grows_too_large_fails_with_its_place() -> None:
    """Replacing may not make text of more than the largest size."""
    value = {"@replace": {"pattern": "a", "replacement": "b" * 10, "value": {"@path": "x"}}}
    with pytest.raises(ResolveError, match=r"^/@replace: "):
        compile_value(value).resolve({"x": "a" * 100_001})
