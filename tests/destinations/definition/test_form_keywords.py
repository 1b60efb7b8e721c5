"""Keywords of forms: mistyped ones, conditions that never hold, and fields that no form shows."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from destinations.definition import check_folder, load_definition
from destinations.definition.form_keywords import KEYWORDS
from destinations.errors import DefinitionError, Issue

Write = Callable[..., Path]


def _schema(name: str) -> Any:
    schemas = importlib.resources.files("destinations.definition") / "schemas"
    return json.loads((schemas / f"{name}.schema.json").read_text(encoding="utf-8"))


def _keywords(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (key for key in part.get("properties", {}) if key.startswith("x-"))
        for inner in part.values():
            yield from _keywords(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _keywords(inner)


@pytest.mark.parametrize(("name", "kind"), [("action", "field"), ("destination", "setting")])
def test_they_are_those_of_the_schema(name: str, kind: str) -> None:
    """A new keyword has to be added to both."""
    assert set(_keywords(_schema(name))) == KEYWORDS[kind]


KINDS = {
    "field": lambda documents: documents["count"]["fields"]["properties"]["by"],
    "property": lambda documents: documents["count"]["fields"]["properties"]["o"]["properties"][
        "a"
    ],
    "setting": lambda documents: documents["destination"]["settings"]["properties"]["limit"],
}


def _with(kind: str, **keywords: Any) -> Callable[[Any], None]:
    def change(documents: Any) -> None:
        inner = {"a": {"title": "A", "description": "An a.", "type": "string"}}
        words = {"title": "Title", "description": "What it is.", "type": "object"}
        documents["count"]["fields"]["properties"]["o"] = {**words, "properties": inner}
        KINDS[kind](documents).update(keywords)

    return change


def _found(issues: tuple[Issue, ...]) -> list[Issue]:
    return [one for one in issues if "is never sent" not in one.message]


MISTYPED: list[tuple[str, str]] = [
    ("x-label", "x-labels"),
    ("x-lables", "x-labels"),
    ("x-dependson", "x-dependsOn"),
    ("x-depends-on", "x-dependsOn"),
    ("x-dependOn", "x-dependsOn"),
    ("x-required-when", "x-requiredWhen"),
    ("x-requiredIf", "x-requiredWhen"),
    ("x-Placeholder", "x-placeholder"),
    ("x-place_holder", "x-placeholder"),
    ("x-hiden", "x-hidden"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("key", "meant"), MISTYPED)
def test_a_mistyped_keyword(write_definition: Write, kind: str, key: str, meant: str) -> None:
    """It would have no effect: it is refused with what is meant, at any depth."""
    with pytest.raises(DefinitionError) as caught:
        load_definition(write_definition(_with(kind, **{key: ["a"]})))
    (issue,) = caught.value.issues
    assert issue.path.endswith(f"/{key}")
    assert issue.message == f"unknown keyword; did you mean {meant}?"
    assert issue.line is not None


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_keyword(write_definition: Write, kind: str) -> None:
    """It is a warning, as it does no harm; one of somebody else is none."""
    folder = write_definition(_with(kind, **{"x-colour": "red"}))
    (issue,) = _found(check_folder(folder))
    assert issue.path.endswith("/x-colour")
    assert issue.message.startswith("unknown keyword; known: x-")
    assert load_definition(folder).slug == "sample"
    assert not _found(check_folder(write_definition(_with(kind, **{"x-acme-colour": "red"}))))


@pytest.mark.parametrize(
    ("key", "is_known"),
    [("x-labels", 1), ("x-label", 0), ("x-acme-label", 1), ("label", 1), ("x-", 0)],
)
@pytest.mark.parametrize("name", ["action", "destination"])
def test_what_editors_mark(name: str, key: str, is_known: int) -> None:
    """The schema that editors use refuses unknown keywords."""
    schema = _schema(name)["$defs"]["keyword"]
    assert jsonschema.Draft202012Validator(schema).is_valid(key) is bool(is_known)


def _field(**more: Any) -> dict[str, Any]:
    return {"title": "Title", "description": "What it is.", "type": "string", **more}


def _on(field: str, operator: str = "is", match: str = "all", **value: Any) -> dict[str, Any]:
    return {"match": match, "conditions": [{"field": field, "operator": operator, **value}]}


def _fields(**specs: dict[str, Any]) -> Callable[[Any], None]:
    def change(documents: Any) -> None:
        documents["count"]["fields"]["properties"].update(specs)

    return change


RED = {"enum": ["red", "blue"]}
KINDS_OF_VALUES: list[tuple[dict[str, Any], object, dict[str, str]]] = [
    ({"enum": ["a", "b"]}, "a", {}),
    ({"enum": ["a", "b"]}, ["a", "b"], {}),
    (RED, "bleu", {"": "unknown value of kind 'bleu'; known: red, blue; did you"}),
    (RED, ["red", "x"], {"/1": "unknown value of kind 'x'; known: red, blue"}),
    (RED, ["x", "x"], {"/0": "unknown value of kind 'x'", "/1": "unknown value of kind 'x'"}),
    ({"type": "integer", "enum": [1, 2]}, 3, {"": "unknown value of kind '3'; known: 1, 2"}),
    ({"type": "integer", "enum": [1, 2]}, True, {"": "unknown value of kind 'true'"}),
    ({"const": "a"}, "b", {"": "unknown value of kind 'b'; known: a"}),
    ({}, "anything", {}),
]


@pytest.mark.parametrize("keyword", ["x-dependsOn", "x-requiredWhen"])
@pytest.mark.parametrize(("other", "value", "messages"), KINDS_OF_VALUES, ids=str)
def test_a_value_that_the_other_field_never_has(
    write_definition: Write,
    keyword: str,
    other: dict[str, Any],
    value: object,
    messages: dict[str, str],
) -> None:
    """The condition never holds, so it is told with its line."""
    shown = _field(**{keyword: _on("kind", value=value)})
    issues = _found(check_folder(write_definition(_fields(kind=_field(**other), more=shown))))
    place = f"/fields/properties/more/{keyword}/conditions/0/value"
    assert [issue.path for issue in issues] == [place + inner for inner in messages]
    for issue, message in zip(issues, messages.values(), strict=True):
        assert issue.message.startswith(message)
        assert issue.line is not None


CIRCLES: dict[str, tuple[dict[str, dict[str, Any]], list[str]]] = {
    "two": ({"a": _on("b", value="x"), "b": _on("a", value="x")}, ["a", "b"]),
    "three": (
        {"a": _on("b", value="x"), "b": _on("c", "is_not"), "c": _on("a", value=["x"])},
        ["a", "b", "c"],
    ),
    "what waits for a circle": (
        {"a": _on("b", value="x"), "b": _on("a", value="x"), "c": _on("a", value="x")},
        ["a", "b", "c"],
    ),
    "a chain": ({"a": _on("b", value="x"), "b": _on("c", value="x")}, []),
    # Either is shown as long as the other one has no value.
    "one or the other": ({"a": _on("b"), "b": _on("a")}, []),
    "unless": ({"a": _on("b", "is_not", value="x"), "b": _on("a", "is_not", value="x")}, []),
    "another way": (
        {
            "a": {
                "match": "any",
                "conditions": [*_on("b", value="x")["conditions"], *_on("c")["conditions"]],
            },
            "b": _on("a", value="x"),
        },
        [],
    ),
}


@pytest.mark.parametrize(("rules", "hidden"), CIRCLES.values(), ids=CIRCLES)
def test_circles(write_definition: Write, rules: dict[str, Any], hidden: list[str]) -> None:
    """Fields that wait for each other are never shown, so nobody can fill them in."""
    fields = {
        "c": _field(),
        **{key: _field(**{"x-dependsOn": rule}) for key, rule in rules.items()},
    }
    issues = _found(check_folder(write_definition(_fields(**fields))))
    assert sorted(one.path for one in issues) == [
        f"/fields/properties/{key}/x-dependsOn" for key in hidden
    ]
    assert all(one.message.startswith("no form shows this field: it waits for ") for one in issues)
    assert all(one.line is not None for one in issues)


def test_a_circle_with_a_default(write_definition: Write) -> None:
    """What has a value without a form may be waited for."""
    rules = {"a": _on("b", value="x"), "b": _on("a", value="x")}
    fields = {key: _field(**{"x-dependsOn": rule}) for key, rule in rules.items()}
    fields["a"]["default"] = "x"
    assert not _found(check_folder(write_definition(_fields(**fields))))


def test_what_requires_each_other(write_definition: Write) -> None:
    """One of two fields, or both of them: such rules are no circle."""
    rules = {"a": _on("b"), "b": _on("a"), "d": _on("e", "is_not"), "e": _on("d", "is_not")}
    fields = {key: _field(**{"x-requiredWhen": rule}) for key, rule in rules.items()}
    assert not _found(check_folder(write_definition(_fields(**fields))))
