"""Random mappings are refused when loaded, or give a payload or a documented error."""

# ruff: noqa: PT017 - random input may be refused or not; what is refused must be so in good words
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.errors import MappingError, ResolveError
from destinations.segment.mapping import compile_mapping
from destinations.segment.mapping.directives import DIRECTIVES

pytestmark = pytest.mark.fuzz

ARGUMENTS: dict[str, list[Any]] = {
    # Arguments that loading lets pass: "?" stands for any mapping value.
    "@path": ["$.a", "properties.a.b", "", "a.length", "?"],
    "@template": ["{{a}}{{{b}}}", "{{ $.a.b }}{{", "?"],
    "@literal": ["?"],
    "@if": [{"exists": "?", "then": "?", "else": "?"}, {"blank": "?", "then": "?"}, {}],
    "@case": [{"operator": "lower", "value": "?"}, {"operator": "upper", "value": "?"}, {}],
    "@replace": [
        {"pattern": "a", "replacement": "$&$&", "value": "?"},
        {"pattern": "", "value": "?"},
        {"pattern": "b", "replacement": "$`$'", "pattern2": "a", "value": "?", "global": False},
    ],
    "@arrayPath": [["$.a", "?"], ["?", {"x": "?", "y": "?"}], []],
    "@json": [{"mode": "encode", "value": "?"}, {"mode": "decode", "value": "?"}, {}],
    "@flatten": [{"separator": "?", "value": "?"}, {"separator": ".", "value": "?"}],
    "@merge": [{"direction": "left", "objects": ["?", "?"]}, {"direction": "?", "objects": "?"}],
    "@transform": [{"apply": {"a": "?", "b": "?"}, "mapping": {"c": "?"}}, {"apply": "?"}],
    "@excludeWhenNull": ["?", {"a": "?", "b": None}],
    "@liquid": ["{{ a | append: b }}", "{{ a | json }}", "{% if a > b %}x{% endif %}", "{{", "?"],
    "@convert": [
        {"to": "iso", "value": "?"},
        {"to": ["text", "trim", "digits", "integer"], "value": "?"},
        {"to": ["lower", "sha256"], "value": "?"},
        {"to": ["number", "milliseconds"], "value": "?"},
        {"to": "?", "value": "?"},
        {},
    ],
    "@nothing": ["?"],
}
EVENTS: list[dict[str, Any]] = [
    {"a": "{{b}}", "b": {"a": [1, {"a": None}]}, "properties": {"a": {"b": "x" * 50}}},
    {"a": [{"a": 1, "b": [[], {}]}, "a", None], "b": "\ud800{{a}}", "properties": 0},
    {"a": {"a": {"a": {}}}, "b": 10**400, "0": "", "length": False},
]


def _filled(data: st.DataObject, node: Any, levels: int, leaves: st.SearchStrategy[Any]) -> Any:
    """``node`` with a random mapping value for every ``?``."""
    if node == "?":
        if levels == 0 or data.draw(st.booleans()):
            return data.draw(leaves)
        name = data.draw(st.sampled_from(sorted(ARGUMENTS)))
        argument = data.draw(st.sampled_from(ARGUMENTS[name]))
        return {name: _filled(data, argument, levels - 1, leaves)}
    if isinstance(node, dict):
        return {key: _filled(data, item, levels, leaves) for key, item in node.items()}
    if isinstance(node, list):
        return [_filled(data, item, levels, leaves) for item in node]
    return node


def _try(mapping: Any, events: list[Any]) -> None:
    try:
        compiled = compile_mapping(mapping)
    except MappingError as error:
        assert error.issues
        assert len(set(error.issues)) == len(error.issues)
        assert all(issue.message for issue in error.issues)
        return
    for event in events:
        before = repr(event)
        try:
            payload = compiled.resolve(event)
        except ResolveError as error:
            assert error.message
            with pytest.raises(ResolveError):
                compiled.trace(event)
        else:
            assert repr(compiled.trace(event)[0]) == repr(payload)
        assert repr(event) == before


def test_every_directive_is_tried() -> None:
    """Each directive has arguments here, and one name is that of none."""
    assert ARGUMENTS.keys() - DIRECTIVES.keys() == {"@nothing"}
    assert DIRECTIVES.keys() <= ARGUMENTS.keys()


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_json(data: st.DataObject, strategies: Any) -> None:
    """Any JSON is refused with issues, or resolves any event to a payload or a ResolveError."""
    mapping = data.draw(st.dictionaries(strategies.keys, strategies.json, max_size=3))
    _try(mapping, [*EVENTS, data.draw(strategies.json)])


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_directives(data: st.DataObject, strategies: Any) -> None:
    """The same for directives within directives; events stay as they were, and traces agree."""
    paths = st.sampled_from([{"@path": "$.a"}, {"@path": "$.b.a"}, {"@path": "$."}])
    mapping = {"x": _filled(data, "?", 4, st.one_of(paths, strategies.json))}
    event = data.draw(st.dictionaries(strategies.keys, strategies.json, max_size=4))
    _try(mapping, [*EVENTS, event])


@pytest.mark.parametrize(
    ("mapping", "issues"),
    [
        (
            {
                "a": {"@path": 5},
                "b": {"@unknown": 1},
                "c": {"@path": "x", "@case": {}},
                "d": {"@json": {"mode": "x"}},
                "e/f": {"@replace": {"pattern": "", "value": {"@template": []}}},
                "g": {"h": {"@arrayPath": {}}},
            },
            [
                "/a/@path: should be a string or a directive but is a number",
                "/b: has the unknown directive @unknown; should be one of ",
                "/c: should have one directive but has 2: @path, @case",
                '/d/@json: should have the field "value" but does not',
                '/d/@json/mode: should be one of encode, decode but is "x"',
                "/e~1f/@replace/pattern: should have 1 to 10 characters but has 0",
                "/e~1f/@replace/value/@template: should be a string or a directive but is an array",
                "/g/h/@arrayPath: should be an array but is an object",
            ],
        ),
        (
            {"a": {"@path": "x", "b": 1}, "c": {"@merge": {"direction": "up", "objects": [1]}}},
            [
                "/a: should have no keys besides @path but has b",
                "/c/@merge/direction: should be one of left, right but is",
                "/c/@merge/objects/0: should be an object or a directive but is a number",
            ],
        ),
    ],
)
def test_all_issues_at_once(mapping: Any, issues: list[str]) -> None:
    """A wrong mapping is refused with every issue, each with its path and what would be right."""
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping)
    found = sorted(map(str, caught.value.issues))
    assert len(found) == len(issues), found
    for issue, expected in zip(found, sorted(issues), strict=True):
        assert issue.startswith(expected)
