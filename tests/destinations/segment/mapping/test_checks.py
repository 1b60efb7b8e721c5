from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from destinations.errors import MappingError
from destinations.segment.mapping import compile_mapping, compile_value


@pytest.mark.parametrize(
    ("mapping", "path", "message"),
    [
        ({"a": {"@nope": 1}}, "/a", "unknown directive @nope"),
        ({"a": {"@path": "x", "@if": {}}}, "/a", "one directive but has 2: @path, @if"),
        ({"a": {"@path": "x", "b": 1}}, "/a", "no keys besides @path but has b"),
        ({"a": {"@path": 5}}, "/a/@path", "a string or a directive but is a number"),
        ({"a": {"@template": None}}, "/a/@template", "a string or a directive but is null"),
        ({"a/b": {"c~d": {"@path": 5}}}, "/a~1b/c~0d/@path", "but is a number"),
        ({"a": {"@path": {"@path": 5}}}, "/a/@path/@path", "but is a number"),
        ({"a": {"@if": []}}, "/a/@if", "an object but is an array"),
        ({"a": {"@if": {"then": {"@nope": 1}}}}, "/a/@if/then", "unknown directive"),
        ({"a": {"@if": {"@path": "x"}}}, "/a/@if", "an object but is a directive"),
        ({"a": {"@case": {"operator": 5}}}, "/a/@case/operator", "a string but is a number"),
        ({"a": {"@case": {"value": []}}}, "/a/@case/value", "but is an array"),
        ({"a": {"@replace": {"value": "x"}}}, "/a/@replace", 'should have the field "pattern"'),
        (
            {"a": {"@replace": {"pattern": "", "value": "x"}}},
            "/a/@replace/pattern",
            "1 to 10 characters but has 0",
        ),
        (
            {"a": {"@replace": {"pattern": "😀😀😀😀😀😀", "value": "x"}}},
            "/a/@replace/pattern",
            "1 to 10 characters but has 12",
        ),
        (
            {"a": {"@replace": {"pattern": "x", "value": "x", "global": 1}}},
            "/a/@replace/global",
            "a boolean but is a number",
        ),
        ({"a": {"@arrayPath": "x"}}, "/a/@arrayPath", "an array but is a string"),
        ({"a": {"@arrayPath": [5]}}, "/a/@arrayPath/0", "a string or a directive"),
        ({"a": {"@arrayPath": []}}, "/a/@arrayPath/0", "but is undefined"),
        ({"a": {"@arrayPath": ["x", {"@no": 1}]}}, "/a/@arrayPath/1", "unknown directive"),
        (
            {"a": {"@json": {"value": 1, "mode": "x"}}},
            "/a/@json/mode",
            'should be one of encode, decode but is "x"',
        ),
        ({"a": {"@json": {"mode": "encode"}}}, "/a/@json", 'should have the field "value"'),
        ({"a": {"@flatten": {"separator": 1, "value": 1}}}, "/a/@flatten/separator", "a string"),
        ({"a": {"@merge": {"objects": {}}}}, "/a/@merge/objects", "an array but is an object"),
        ({"a": {"@merge": {"objects": [1]}}}, "/a/@merge/objects/0", "an object or a directive"),
        (
            {"a": {"@merge": {"objects": [], "direction": "up"}}},
            "/a/@merge/direction",
            "left, right",
        ),
        ({"a": {"@transform": {"apply": {}}}}, "/a/@transform", 'should have the field "mapping"'),
        ({"a": {"@transform": {"apply": 1, "mapping": {}}}}, "/a/@transform/apply", "an object"),
        ({"a": {"@liquid": {"@path": "x"}}}, "/a/@liquid", "a string but is a directive"),
        ({"a": {"@literal": b"x"}}, "/a/@literal", "a directive or a JSON value but is a bytes"),
        ({"a": dt.date(2020, 1, 1)}, "/a", "a directive or a JSON value but is a date"),
        ({"a": {5: 1}}, "/a", "keys that are text but has 5"),
        ([], "", "should be an object but is an array"),
        ({"__segment_internal_directive": 5}, "/__segment_internal_directive", "one directive"),
        (
            {"__segment_internal_directive": {"@path": "x"}},
            "/__segment_internal_directive/@path",
            "should be an object but is string",
        ),
    ],
)
def test_mappings_are_refused_with_their_place(mapping: Any, path: str, message: str) -> None:
    """Each issue that the reference refuses is refused, with its JSON pointer and what is right."""
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping)
    (issue,) = caught.value.issues
    assert issue.path == path
    assert message in issue.message


def test_all_issues_are_reported() -> None:
    """One refusal names every issue, each once, in the order of the mapping."""
    mapping = {
        "a": {"@path": 5},
        "b": {"@replace": {"pattern": "x" * 11, "replacement": 5, "value": 1}},
        "c": {"d": {"@nope": 1}},
        "e": {"@path": "fine"},
    }
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping, root="/presets/0/mapping")
    assert [issue.path.removeprefix("/presets/0/mapping") for issue in caught.value.issues] == [
        "/a/@path",
        "/b/@replace/pattern",
        "/b/@replace/replacement",
        "/b/@replace/value",
        "/c/d",
    ]


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"a": [{"@nope": 1}]}, "/a/0", "unknown directive @nope"),
        ({"a": {"@literal": {"b": {"@nope": 1}}}}, "/a/@literal/b", "unknown directive @nope"),
        ({"a": {"@if": {"then": 1}}}, "/a/@if", '"exists" or "blank"'),
        ({"a": {"@case": {"value": "x"}}}, "/a/@case", '"operator"'),
        ({"a": {"@flatten": {"value": {}}}}, "/a/@flatten", '"separator"'),
        ({"a": {"@merge": {"objects": []}}}, "/a/@merge", '"direction"'),
        ({"a": {"@json": {"mode": "encode", "value": 0}}}, "/a/@json", '"value"'),
        ({"a": {"@liquid": "{% for %}"}}, "/a/@liquid", "disabled"),
        ({"a": {"@liquid": "x" * 1001}}, "/a/@liquid", "at most 1000 characters but has 1001"),
        (
            {"a": {"@transform": {"apply": {"@path": "x"}, "mapping": {}}}},
            None,
            None,
        ),
        (
            {"a": [{"@transform": {"apply": {"b": {"@path": 5}}, "mapping": {"c": 1}}}]},
            "/a/0/@transform/apply",
            "/b/@path: should be a string",
        ),
    ],
)
def test_other_issues_are_warnings(value: Any, path: str | None, message: str | None) -> None:
    """What the reference does not look for when loading is a warning here."""
    warnings = compile_mapping(value).warnings
    assert [issue.path for issue in warnings] == ([] if path is None else [path])
    assert all(message is not None and message in issue.message for issue in warnings)


@pytest.mark.parametrize("value", ["x", 5, None, True, [], [{"@path": "a"}], {"@path": "a"}])
def test_any_value_can_be_compiled(value: Any) -> None:
    """Values of any kind may stand in templates of requests, not only objects."""
    assert compile_value(value).warnings == ()
