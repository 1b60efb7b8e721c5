"""What directives say, and where, when their arguments or values are not what they need."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import MappingError, ResolveError
from destinations.segment.mapping import compile_mapping, compile_value
from destinations.segment.mapping.directives.liquid import read_liquid
from destinations.segment.mapping.limits import LARGEST_VALUE

NO_PATTERN = 'should have the field "pattern" with text'

TOO_LONG = "should have patterns of at most 10 characters and replacements of at most 10"

NO_CONDITION = 'should have the field "exists" or "blank" with a value'


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("@arrayPath", "x", "should be an array but is string"),
        ("@case", "x", 'should have the field "operator": "lower" or "upper"'),
        ("@case", {"operator": ""}, 'should have the field "operator": "lower" or "upper"'),
        ("@convert", "x", 'should be an object with the fields "value" and "to"'),
        ("@convert", {"to": "iso"}, 'should have the field "value" but does not'),
        ("@convert", {"value": 1}, 'should have the field "to" but does not'),
        ("@flatten", "x", 'should have the field "separator" with text'),
        ("@flatten", {"value": {}}, 'should have the field "separator" with text'),
        ("@if", "x", 'should be an object with the field "exists" or "blank" but is string'),
        ("@if", {"exists": 0, "blank": ""}, NO_CONDITION),
        ("@json", "x", 'should be an object with the fields "mode" and "value"'),
        ("@json", {"value": 1}, 'should have the field "mode" with a value'),
        ("@json", {"mode": "encode"}, 'should have the field "value" with a value'),
        ("@liquid", 5, "should be a string but is number"),
        ("@liquid", "x" * 1001, "should have at most 1000 characters but has 1001"),
        ("@merge", "x", 'should have the field "direction": "left" or "right"'),
        ("@merge", {"objects": []}, 'should have the field "direction": "left" or "right"'),
        ("@merge", {"direction": "left"}, 'should have the field "objects" with an array'),
        ("@replace", "x", NO_PATTERN),
        ("@replace", {"value": "x"}, NO_PATTERN),
        ("@replace", {"pattern": "x" * 11, "value": "x"}, TOO_LONG),
        ("@replace", {"pattern": "x", "replacement": "y" * 11, "value": "x"}, TOO_LONG),
        ("@transform", "x", 'should be an object with "apply" and "mapping"'),
        ("@transform", {"apply": {"a": 1}}, 'should have the field "mapping" with an object'),
        ("@transform", {"mapping": {"a": 1}}, 'should have the field "apply" with an object'),
    ],
)
def test_arguments_that_loading_lets_pass_fail_when_reached(
    name: str, argument: Any, message: str
) -> None:
    """Within arrays, where loading does not look, an issue is a warning, then an error."""
    compiled = compile_value([{name: argument}])
    assert [(issue.path, issue.message) for issue in compiled.warnings] == [(f"/0/{name}", message)]
    with pytest.raises(ResolveError) as caught:
        compiled.resolve({})
    assert str(caught.value) == f"/0/{name}: {message}"


BAD = {"@path": {"@path": "n"}}
"""Fails when reached, with the place where it stands."""


@pytest.mark.parametrize(
    ("name", "argument", "path"),
    [
        ("@arrayPath", [BAD], "/0"),
        ("@arrayPath", ["items", {"a": BAD}], "/1/a"),
        ("@arrayPath", ["items", BAD], "/1"),
        ("@case", {"operator": "upper", "value": BAD}, "/value"),
        ("@convert", {"value": BAD, "to": "iso"}, "/value"),
        ("@flatten", {"separator": BAD, "value": {}}, "/separator"),
        ("@flatten", {"separator": ".", "value": BAD}, "/value"),
        ("@if", {"exists": BAD}, "/exists"),
        ("@if", {"blank": BAD}, "/blank"),
        ("@if", {"exists": 1, "then": BAD}, "/then"),
        ("@if", {"exists": {"@path": "none"}, "else": BAD}, "/else"),
        ("@json", {"mode": "encode", "value": BAD}, "/value"),
        ("@json", {"mode": "decode", "value": BAD}, "/value"),
        ("@merge", {"direction": BAD, "objects": []}, "/direction"),
        ("@merge", {"direction": "left", "objects": [{}, BAD]}, "/objects/1"),
        ("@replace", {"pattern": "x", "value": BAD}, "/value"),
        ("@transform", {"apply": {"n": 1}, "mapping": {"a": BAD}}, "/mapping/a"),
        ("@excludeWhenNull", {"a": BAD}, "/a"),
        ("@literal", {"a": BAD}, "/a"),
    ],
)
def test_what_fails_within_is_named_with_its_place(name: str, argument: Any, path: str) -> None:
    """The error of a value within a directive has the pointer to that value."""
    with pytest.raises(ResolveError) as caught:
        compile_value([{name: argument}]).resolve({"n": 1, "items": [{"n": 1}]})
    assert str(caught.value) == f"/0/{name}{path}/@path: should be a string but is number"


@pytest.mark.parametrize(
    ("name", "argument", "error"),
    [
        (
            "@case",
            {"operator": "title", "value": "x"},
            '/operator: should be "lower" or "upper" but is title',
        ),
        (
            "@flatten",
            {"separator": {"@path": "n"}, "value": {}},
            "/separator: should be a string but is number",
        ),
    ],
)
def test_values_of_the_wrong_kind_are_named_with_their_place(
    name: str, argument: Any, error: str
) -> None:
    """The error says what a member should be, and what it is."""
    with pytest.raises(ResolveError) as caught:
        compile_value([{name: argument}]).resolve({"n": 1})
    assert str(caught.value) == f"/0/{name}{error}"


@pytest.mark.parametrize(
    ("name", "argument", "member"),
    [
        ("@if", {"exists": {"@nope": 1}}, "exists"),
        ("@if", {"then": {"@nope": 1}}, "then"),
        ("@if", {"else": {"@nope": 1}}, "else"),
        ("@case", {"value": {"@nope": 1}}, "value"),
        ("@flatten", {"separator": ".", "value": {"@nope": 1}}, "value"),
        ("@json", {"mode": "encode", "value": {"@nope": 1}}, "value"),
        ("@merge", {"objects": [{"@nope": 1}]}, "objects/0"),
        ("@replace", {"pattern": "x", "value": {"@nope": 1}}, "value"),
        ("@replace", {"pattern": "", "value": "x"}, "pattern"),
        ("@replace", {"pattern": "x", "replacement": 1, "value": "x"}, "replacement"),
        ("@replace", {"pattern": "x", "ignorecase": 1, "value": "x"}, "ignorecase"),
        ("@replace", {"pattern": "x", "global": 1, "value": "x"}, "global"),
        ("@transform", {"apply": {"@nope": 1}, "mapping": {}}, "apply"),
        ("@transform", {"apply": {}, "mapping": {"@nope": 1}}, "mapping"),
    ],
)
def test_each_member_of_an_argument_is_checked(name: str, argument: Any, member: str) -> None:
    """Loading looks into every member that a directive knows."""
    with pytest.raises(MappingError) as caught:
        compile_mapping({"a": {name: argument}})
    assert [issue.path for issue in caught.value.issues] == [f"/a/{name}/{member}"]


def test_values_may_be_as_large_as_the_limit() -> None:
    """What a directive makes may have exactly the largest size; one more is an error there."""
    items = compile_value({"@arrayPath": ["items", {"a": 1}]})
    encode = compile_value({"@json": {"mode": "encode", "value": {"@path": "text"}}})
    flatten = compile_value({"@flatten": {"separator": ".", "value": {"@path": "object"}}})
    merge = compile_value({"@merge": {"direction": "left", "objects": [{"@path": "items"}]}})
    most = LARGEST_VALUE // 2
    cases: list[tuple[str, Any, str, Any, Any]] = [
        ("@arrayPath", items, "items", [None] * most, [None] * (most + 1)),
        ("@json", encode, "text", "x" * (LARGEST_VALUE - 2), "x" * (LARGEST_VALUE - 1)),
        ("@flatten", flatten, "object", {"x" * LARGEST_VALUE: 1}, {"x" * (LARGEST_VALUE + 1): 1}),
        ("@merge", merge, "items", [None] * LARGEST_VALUE, [None] * (LARGEST_VALUE + 1)),
    ]
    for name, compiled, member, fits, too_large in cases:
        assert compiled.resolve({member: fits})
        with pytest.raises(ResolveError, match=f"^/{name}: "):
            compiled.resolve({member: too_large})


def test_templates_may_have_a_thousand_characters() -> None:
    """A template of exactly the longest length is rendered."""
    compiled = compile_value({"@liquid": "x" * 1000})
    assert compiled.warnings == ()
    assert compiled.resolve({}) == "x" * 1000


def test_what_the_longest_template_reads_is_known() -> None:
    """A template of exactly the longest length is looked into; a longer one is not."""
    longest = "{{ payload.user }}".ljust(1000, "x")
    assert read_liquid(longest) is not None
    assert read_liquid(longest + "x") is None
