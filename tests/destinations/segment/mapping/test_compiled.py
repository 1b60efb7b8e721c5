from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import MappingError, ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import Step, compile_mapping, compile_value

EVENT: dict[str, Any] = {
    "type": "track",
    "userId": "u1",
    "none": None,
    "properties": {"price": 2, "items": [{"n": "A"}, {"n": "B"}], "text": "a{{userId}}"},
}


def test_undefined_values_vanish_and_null_stays() -> None:
    """Missing values vanish from objects at any depth; null is kept; in arrays both are null."""
    mapping = {
        "a": {"@path": "nope"},
        "b": {"c": {"@path": "nope"}},
        "d": {"@path": "none"},
        "e": [{"@path": "nope"}, 1],
        "f": "constant",
    }
    assert compile_mapping(mapping).resolve(EVENT) == {
        "b": {},
        "d": None,
        "e": [None, 1],
        "f": "constant",
    }


def test_metadata_may_stand_beside_a_directive() -> None:
    """A directive may carry _metadata, which means nothing."""
    mapping = {"a": {"@path": "userId", "_metadata": {"label": "x"}}}
    assert compile_mapping(mapping).resolve(EVENT) == {"a": "u1"}


def test_the_root_directive_takes_the_mapping() -> None:
    """The root directive gets all other keys as its mapping."""
    mapping = {
        "__segment_internal_directive": {"@transform": {"apply": {"id": {"@path": "userId"}}}},
        "user": {"@path": "id"},
    }
    assert compile_mapping(mapping).resolve(EVENT) == {"user": "u1"}


def test_a_mapping_may_be_one_directive() -> None:
    """A mapping that is a directive resolves to whatever that gives."""
    assert compile_mapping({"@path": "properties.items"}).resolve(EVENT) == [{"n": "A"}, {"n": "B"}]


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_events_are_objects(data: Any) -> None:
    """A mapping cannot be resolved on anything but an object."""
    with pytest.raises(ResolveError, match="the event should be an object"):
        compile_mapping({}).resolve(data)


@pytest.mark.parametrize(
    ("value", "constant"),
    [
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ("x", "x"),
        ({"@literal": {"a": 1}}, {"a": 1}),
        ({"@template": "plain"}, "plain"),
        ({"@path": "x"}, UNDEFINED),
        ({"a": 1, "b": {"@template": "{{x}}"}}, UNDEFINED),
    ],
)
def test_constants_are_known(value: Any, constant: Any) -> None:
    """What does not depend on the data is known without any."""
    assert compile_value(value).constant == constant


def test_constants_cannot_be_changed_from_outside() -> None:
    """Objects of the mapping are copied into each result."""
    compiled = compile_mapping({"a": {"b": [1]}})
    compiled.resolve(EVENT)["a"]["b"].append(2)
    assert compiled.resolve(EVENT) == {"a": {"b": [1]}}


def test_failures_name_the_directive() -> None:
    """An error at run time has the JSON pointer of the directive that failed."""
    compiled = compile_mapping({"a": {"b": {"@path": {"@path": "properties"}}}}, root="/root")
    with pytest.raises(ResolveError, match="should be a string but is object") as caught:
        compiled.resolve(EVENT)
    assert caught.value.path == "/root/a/b/@path"


def test_nesting_too_deep_is_an_error_of_the_event() -> None:
    """Data nested deeper than Python can walk fails this event, not the program."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ResolveError, match="nested too deeply"):
        compile_mapping({"a": {"@json": {"mode": "encode", "value": {"@path": "x"}}}}).resolve(
            {"x": deep}
        )
    while isinstance(deep, list):  # taken apart by hand: freeing it in one go nests as deeply
        deep = deep.pop()


def test_trace_tells_what_each_directive_gave() -> None:
    """The steps list every directive that ran, inner ones first, with the same result."""
    mapping = {
        "a": {"@if": {"exists": {"@path": "userId"}, "then": {"@template": "<{{userId}}>"}}},
        "b": {"@path": "nope"},
    }
    compiled = compile_mapping(mapping)
    result, steps = compiled.trace(EVENT)
    assert result == compiled.resolve(EVENT) == {"a": "<u1>"}
    assert steps == [
        Step("/a/@if/exists", "@path", "u1"),
        Step("/a/@if/then", "@template", "<u1>"),
        Step("/a", "@if", "<u1>"),
        Step("/b", "@path", UNDEFINED),
    ]


PATHS = st.sampled_from(
    ["", "$.properties", "userId", "properties.items", "properties.text", "none", "nope.x", "n"]
)
SCALARS = st.sampled_from([None, True, False, 0, 1.5, 1e21, "", "x", "lower", "left", "encode"])
PLAIN = SCALARS | PATHS.map(lambda path: {"@path": path})


def directives(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Directives and containers around ``values``, right and wrong ones."""

    def options(*names: str) -> st.SearchStrategy[dict[str, Any]]:
        return st.dictionaries(st.sampled_from(names), values, max_size=len(names))

    arguments = {
        "@if": options("exists", "blank", "then", "else"),
        "@case": options("operator", "value"),
        "@replace": options("pattern", "replacement", "value", "pattern2", "global"),
        "@arrayPath": st.lists(values, max_size=2),
        "@path": values,
        "@template": values | st.sampled_from(["{{userId}}", "{{{properties.text}}}"]),
        "@literal": values,
        "@flatten": options("separator", "value", "omitArrays"),
        "@json": options("mode", "value"),
        "@merge": options("direction", "objects"),
        "@transform": options("apply", "mapping"),
        "@excludeWhenNull": values,
        "@liquid": st.sampled_from(
            ["{{ userId | upcase }}", "{% if %}", "{{ properties | first }}"]
        ),
        "@convert": options("value", "to")
        | st.fixed_dictionaries(
            {"value": values, "to": st.sampled_from(["iso", "integer", "text", "sha256"])}
        ),
        "@nope": values,
    }
    return st.one_of(
        st.lists(values, max_size=3),
        st.dictionaries(st.sampled_from(["a", "n", "0"]), values, max_size=3),
        *[st.fixed_dictionaries({name: argument}) for name, argument in arguments.items()],
    )


@given(st.recursive(PLAIN, directives, max_leaves=12))
def test_any_mapping_resolves_or_fails_as_documented(value: Any) -> None:
    """Nothing but MappingError and ResolveError is raised, and the event is never changed."""
    event = copy.deepcopy(EVENT)
    source = copy.deepcopy(value)
    try:
        compiled = compile_mapping({"v": value})
        result = compiled.resolve(event)
        traced, _ = compiled.trace(event)
        assert repr(traced) == repr(result)
        assert "undefined" not in repr(result)
    except (MappingError, ResolveError):
        pass
    assert event == EVENT
    assert value == source
