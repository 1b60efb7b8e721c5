"""Random mappings, schemas and events: all ways to make a payload make the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destinations.errors import MappingError
from tests.destinations.segment.payload.conftest import Ways
from tests.example_counts import examples

KEYS = ["a", "b", "traits", "0", "length", "value"]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1.5, 2.0, 10**30, "", " ", "a", " a", "12", " 12 ", "0x1", "true",
    "2020-01-01", "{{a}}",
    [], [""], ["a"], [None, 1], {}, {"a": "x"}, {"a": None, "b": ""}, [{"a": 1}, {"b": "y"}, "z"],
]  # fmt: skip
TYPES = ["string", "number", "integer", "boolean", "null", "object", "array"]


def _paths() -> st.SearchStrategy[Any]:
    keys = st.lists(st.sampled_from([*KEYS, "toString", "search"]), min_size=1, max_size=3)
    return keys.map(lambda found: {"@path": "$." + ".".join(found)})


def _mappings() -> st.SearchStrategy[Any]:
    leaf = st.one_of(
        _paths(), _paths(), st.sampled_from(VALUES), st.just({"@template": "{{a}}-{{traits.b}}"})
    )

    def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        members = st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        return st.one_of(
            members,
            st.lists(inner, max_size=2),
            st.fixed_dictionaries(
                {"@if": st.fixed_dictionaries({"exists": inner, "then": inner, "else": inner})}
            ),
            st.fixed_dictionaries({"@if": st.fixed_dictionaries({"blank": inner, "else": inner})}),
            st.tuples(st.just("$.traits"), members).map(lambda pair: {"@arrayPath": list(pair)}),
            st.tuples(st.just("$.a"), members).map(lambda pair: {"@arrayPath": list(pair)}),
            members.map(lambda shape: {"@arrayPath": [{"@arrayPath": ["$.a", shape]}, shape]}),
            inner.map(lambda value: {"@literal": value}),
            st.lists(inner, max_size=2).map(
                lambda parts: {"@merge": {"direction": "left", "objects": parts}}
            ),
            inner.map(lambda value: {"@flatten": {"separator": ".", "value": value}}),
        )

    return st.recursive(leaf, around, max_leaves=6)


def _schemas() -> st.SearchStrategy[Any]:
    types = st.one_of(
        st.sampled_from(TYPES),
        st.sampled_from([["string", "null"], ["string", "number"], ["integer", "null"]]),
    )
    leaf = st.fixed_dictionaries(
        {},
        optional={
            "type": types,
            "enum": st.lists(st.sampled_from(["a", "12", 1, None, True]), min_size=1, unique=True),
            "format": st.sampled_from(["date-like", "text", "int32", "email"]),
            "minimum": st.integers(-1, 2),
            "maxLength": st.integers(0, 2),
            "minLength": st.integers(0, 2),
            "pattern": st.just("^[a1]"),
            "x-identifier": st.sampled_from([True, ["A", "true"]]),
            "x-wholeNumber": st.just(value=True),
            "x-otherwise": st.sampled_from(["a", 1, True]),
            "x-refuse": st.just([{"pattern": "[a2]$", "message": "ends badly"}]),
        },
    )

    def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        array = st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner},
            optional={
                "minItems": st.integers(0, 2),
                "maxItems": st.integers(0, 2),
                "uniqueItems": st.booleans(),
            },
        )
        return st.one_of(_object(inner), array)

    return st.recursive(st.one_of(leaf, st.just({"type": "string"})), around, max_leaves=5)


def _object(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        },
        optional={
            "additionalProperties": st.booleans(),
            "required": st.lists(st.sampled_from(KEYS), max_size=1),
            "minProperties": st.integers(0, 2),
            "maxProperties": st.integers(0, 2),
            "const": _SMALL_OBJECTS,
            "enum": st.lists(_SMALL_OBJECTS, min_size=2, max_size=2),
        },
    )


_SMALL_OBJECTS = st.dictionaries(st.sampled_from(KEYS[:2]), st.sampled_from(["a", "1", 1]))


def _conditions() -> st.SearchStrategy[Any]:
    part = st.one_of(
        st.sampled_from(KEYS).map(lambda key: {"required": [key]}),
        st.tuples(st.sampled_from(KEYS), st.sampled_from(["a", 1, None])).map(
            lambda pair: {"properties": {pair[0]: {"const": pair[1]}}}
        ),
        st.sampled_from(KEYS).map(lambda key: {"properties": {key: {"type": "null"}}}),
    )
    return st.one_of(
        st.just({}),
        st.tuples(part, part).map(lambda pair: {"if": pair[0], "then": pair[1]}),
        part.map(lambda inner: {"not": inner}),
        st.lists(part, min_size=1, max_size=2).map(lambda parts: {"anyOf": parts}),
    )


EVENTS = st.dictionaries(
    st.sampled_from(KEYS),
    st.one_of(
        st.sampled_from(VALUES), st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
    ),
    min_size=2,
)
MEMBERS = st.dictionaries(st.sampled_from(KEYS), _mappings(), min_size=1, max_size=4)


@settings(max_examples=examples(120), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    mapping=MEMBERS,
    schema=st.tuples(_object(_schemas()), _conditions()).map(lambda pair: {**pair[0], **pair[1]}),
    events=st.lists(EVENTS, min_size=1, max_size=4),
)
def test_all_ways_make_the_same(
    ways: Ways, mapping: dict[str, Any], schema: dict[str, Any], events: list[dict[str, Any]]
) -> None:
    """A payload and all that is wrong with it are the same, in the same order, in each way."""
    try:
        made = ways(mapping, schema)
    except MappingError:
        return
    for event in events:
        before = repr(event)
        found = {name: make(event) for name, make in made.items()}
        assert found == dict.fromkeys(found, found["rules"])
        assert repr(event) == before
