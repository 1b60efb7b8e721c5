"""What walkers learn of a mapping: which parts it has, and what becomes of each."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.mapping.directives import DIRECTIVES
from destinations.segment.mapping.parts import alternatives, members, split

A, B = {"@path": "$.a"}, {"@path": "$.b"}

# A mapping; then the place, role and root of each of its parts.
PARTS: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
    ({"@literal": A}, [("/@literal", "result", "data")]),
    ({"@excludeWhenNull": A, "_metadata": {}}, [("/@excludeWhenNull", "result", "data")]),
    (
        {"@if": {"exists": A, "then": 0, "else": B}},
        [("/@if/exists", "input", "data"), ("/@if/then", "result", "data"),
         ("/@if/else", "result", "data")],
    ),
    ({"@if": {"blank": A, "else": 0}}, [("/@if/blank", "input", "data")]),
    ({"@if": "$.a"}, []),
    ({"@case": {"operator": "lower", "value": A}}, [("/@case/value", "text", "data")]),
    ({"@replace": {"pattern": "a", "value": A}}, [("/@replace/value", "text", "data")]),
    ({"@path": "$.a"}, [("/@path", "code", "data")]),
    ({"@template": "{{a}}"}, [("/@template", "code", "data")]),
    ({"@liquid": "{{a}}"}, [("/@liquid", "code", "data")]),
    ({"@arrayPath": ["$.a"]}, [("/@arrayPath/0", "code", "data")]),
    ({"@arrayPath": ["$.a", {}]}, [("/@arrayPath/0", "code", "data")]),
    ({"@arrayPath": ["$.a", "b"]}, [("/@arrayPath/0", "code", "data")]),
    (
        {"@arrayPath": ["$.a", {"b": B}]},
        [("/@arrayPath/0", "code", "data"), ("/@arrayPath/1", "input", "item")],
    ),
    ({"@arrayPath": []}, []),
    ({"@arrayPath": "$.a"}, []),
    (
        {"@flatten": {"separator": ".", "value": A, "omitArrays": True}},
        [("/@flatten/separator", "input", "data"), ("/@flatten/value", "input", "data")],
    ),
    ({"@json": {"mode": "encode", "value": A}}, [("/@json/value", "input", "data")]),
    (
        {"@merge": {"direction": "left", "objects": [A, B]}},
        [("/@merge/direction", "input", "data"), ("/@merge/objects/0", "input", "data"),
         ("/@merge/objects/1", "input", "data")],
    ),
    ({"@merge": {"direction": "left", "objects": 1}}, []),
    ({"@merge": 1}, []),
    (
        {"@transform": {"apply": A, "mapping": B}},
        [("/@transform/apply", "root", "data"), ("/@transform/mapping", "result", "root")],
    ),
    ({"@transform": 1}, []),
    ({"@convert": {"value": A, "to": "iso"}}, [("/@convert/value", "input", "data")]),
    ({"@convert": 1}, []),
]  # fmt: skip


@pytest.mark.parametrize(("mapping", "expected"), PARTS, ids=str)
def test_parts_of_directives(mapping: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    """Each part has its place, what becomes of it, and what it is resolved on."""
    found = split(mapping)
    assert found is not None
    assert [(part.place, part.role, part.on) for part in found.parts] == expected
    (argument,) = (mapping[key] for key in mapping if key in DIRECTIVES)
    for part in found.parts:
        value = argument
        for key in part.place.split("/")[2:]:
            value = value[int(key) if isinstance(value, list) else key]
        assert part.value == value


def test_every_directive_has_parts() -> None:
    """A directive without parts would be one that no walker looks into."""
    assert {key for mapping, parts in PARTS for key in mapping if parts} >= set(DIRECTIVES)


@pytest.mark.parametrize("mapping", [None, "$.a", [A], {}, {"a": A}, {"@path": "$.a", "b": 1},
                                     {"@unknown": 1}])  # fmt: skip
def test_what_is_no_directive(mapping: object) -> None:
    """Other keys beside one make an object of it, as they do for events."""
    assert split(mapping) is None


PATHS: list[tuple[str, str, list[tuple[str, ...]]]] = [
    ("@path", "$.a.b[0]", [("a", "b", "0")]),
    ("@path", "$.", [()]),
    ("@arrayPath", "$.a", [("a",)]),
    ("@template", "{{a.b}} {{ c }}{{{d}}}", [("a", "b"), ("c",), ("d",)]),
    ("@template", "{{$.a}}", [("$", "a")]),
    ("@template", "", []),
    ("@liquid", "{{ a.b | upcase }}{% if c %}{% endif %}", [("a", "b"), ("c",)]),
    ("@liquid", "{{ a", []),
    ("@liquid", "{{ a }}" + " " * 1000, []),
]


@pytest.mark.parametrize(("name", "code", "paths"), PATHS)
def test_paths_of_a_text(name: str, code: str, paths: list[tuple[str, ...]]) -> None:
    """They are those that the directive follows, by their keys; none if it fails."""
    assert list(DIRECTIVES[name].paths(code)) == paths


@pytest.mark.parametrize(
    ("name", "kind"),
    [("@path", None), ("@if", None), ("@json", None), ("@arrayPath", "array"),
     ("@flatten", "object"), ("@merge", "object"), ("@template", "string"),
     ("@liquid", "string")],
)  # fmt: skip
def test_type_of_a_result(name: str, kind: str | None) -> None:
    """It is None where the result is whatever is found."""
    assert DIRECTIVES[name].gives == kind


TRANSFORM = {"@transform": {"apply": {"a": A}, "mapping": {"@literal": A}}}
ALTERNATIVES: list[tuple[object, list[tuple[str, object, str]]]] = [
    (1, [("", 1, "data")]),
    ({"a": A}, [("", {"a": A}, "data")]),
    (A, [("", A, "data")]),
    ({"@literal": {"@literal": 1}}, [("/@literal/@literal", 1, "data")]),
    (
        {"@if": {"exists": A, "then": {"@excludeWhenNull": A}, "else": TRANSFORM}},
        [("/@if/then/@excludeWhenNull", A, "data"),
         ("/@if/else/@transform/mapping/@literal", A, "root")],
    ),
    ({"@if": {"exists": A}}, [("", {"@if": {"exists": A}}, "data")]),
]  # fmt: skip


@pytest.mark.parametrize(("mapping", "expected"), ALTERNATIVES, ids=str)
def test_alternatives(mapping: object, expected: list[tuple[str, object, str]]) -> None:
    """They are what is left of a mapping when all that passes on values is taken away."""
    assert [(one.place, one.value, one.on) for one in alternatives(mapping)] == expected


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"a": A}, {"a": A}),
        ({}, {}),
        (A, None),
        ({"__segment_internal_directive": A, "b": 1}, None),
        ([A], None),
    ],
)
def test_members_of_an_object(mapping: object, expected: object) -> None:
    """Only an object that is written as one tells its members."""
    assert members(mapping) == expected
