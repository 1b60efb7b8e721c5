from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_mapping, compile_value

DATA: dict[str, Any] = {"name": "Zoë", "n": 5, "yes": True, "none": None, "path": "name", "o": {}}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ("$.name", "Zoë"),
        ("name.length", 3),
        ({"@path": "path"}, "Zoë"),
        ("nope", UNDEFINED),
        ("", DATA),
    ],
)
def test_paths_are_followed(argument: Any, result: Any) -> None:
    """The argument is a path, or a directive that gives one."""
    assert compile_value({"@path": argument}).resolve(DATA) == result


@pytest.mark.parametrize("name", ["@path", "@template"])
@pytest.mark.parametrize(
    ("argument", "kind"),
    [({"@path": "nope"}, "undefined"), ({"@path": "o"}, "object"), ({"@path": "none"}, "null")],
)
def test_text_is_needed(name: str, argument: Any, kind: str) -> None:
    """What a directive gives in place of the text has to be text."""
    with pytest.raises(ResolveError, match=f"should be a string but is {kind}"):
        compile_value({name: argument}).resolve(DATA)


def test_functions_vanish_from_results() -> None:
    """A path to a method finds a function: it exists, but is no value of the result."""
    mapping = {
        "a": {"@path": "o.toString"},
        "b": {"@if": {"exists": {"@path": "o.constructor"}, "then": "yes"}},
        "c": [{"@path": {"@template": "o.{{nope}}valueOf"}}],
    }
    assert compile_mapping(mapping).resolve(DATA) == {"b": "yes", "c": [None]}


def test_templates_may_come_from_data() -> None:
    """A template that a directive gives is filled in as well."""
    value = {"@template": {"@literal": "{{n}}/{{name}}"}}
    assert compile_value(value).resolve(DATA) == "5/Zoë"
    computed = {"@template": {"@if": {"exists": {"@path": "n"}, "then": "<{{n}}>"}}}
    assert compile_value(computed).resolve(DATA) == "<5>"


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ({"operator": "upper", "value": {"@path": "name"}}, "ZOË"),
        ({"operator": "lower", "value": "İß"}, "i̇ß"),
        ({"operator": "upper", "value": "ß"}, "SS"),
        ({"operator": "upper", "value": {"@path": "n"}}, 5),
        ({"operator": "title", "value": {"@path": "n"}}, 5),
        ({"operator": "upper", "value": ""}, UNDEFINED),
        ({"operator": "upper"}, UNDEFINED),
    ],
)
def test_case_is_changed(argument: Any, result: Any) -> None:
    """Text changes its case, other values stay, a falsy argument gives nothing."""
    assert compile_value({"@case": argument}).resolve(DATA) == result


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"value": "x"}, '"operator"'),
        ({"operator": "title", "value": {"@path": "name"}}, '"lower" or "upper" but is title'),
    ],
)
def test_case_needs_an_operator(argument: Any, message: str) -> None:
    """A missing operator fails when reached, an unknown one when there is text to change."""
    with pytest.raises(ResolveError, match=message):
        compile_value({"@case": argument}).resolve(DATA)


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
