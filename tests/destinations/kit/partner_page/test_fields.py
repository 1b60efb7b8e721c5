from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.kit.partner_page.fields import FieldRow, field_rows, first_sources, setting_rows
from destinations.kit.partner_page.flavour import in_one_line

Load = Callable[..., DestinationDefinition]


@pytest.mark.parametrize(
    ("mapping", "sources"),
    [
        (None, []),
        ("text", []),
        ({"@path": "$.userId"}, ["userId"]),
        ({"@path": "traits.name"}, ["traits.name"]),
        ({"@path": "$."}, [""]),
        ({"@template": "{{userId}}: {{ event }} {{{traits.a}}}"}, ["userId", "event", "traits.a"]),
        (
            {
                "@if": {
                    "exists": {"@path": "$.traits.a"},
                    "then": {"@path": "$.traits.a"},
                    "else": {"@path": "$.traits.b"},
                }
            },
            ["traits.a"],
        ),
        ({"@arrayPath": ["$.properties.items", {"id": {"@path": "$.id"}}]}, ["properties.items"]),
        ({"@arrayPath": [{"@path": "$.a"}, {"id": {"@path": "$.id"}}]}, ["a"]),
        ({"@literal": {"@path": "$.a"}}, ["a"]),
        ({"@path": "$", "_metadata": {"@path": "$.b"}}, ["$"]),
        (
            {"@transform": {"apply": {"a": {"@path": "$.b"}}, "mapping": {"@path": "$.a"}}},
            ["b"],
        ),
        ({"a": {"@path": "$.b"}, "c": [{"@path": "$.d"}]}, ["b", "d"]),
        ({"@case": {"operator": "lower", "value": {"@path": "$.traits.email"}}}, ["traits.email"]),
        ({"@liquid": "{{ properties.a | upcase }} {{- userId }}"}, ["properties.a", "userId"]),
    ],
)  # fmt: skip
def test_first_sources(mapping: object, sources: list[str]) -> None:
    """Of alternatives the first; paths within items and a @transform do not begin at the event."""
    assert list(first_sources(mapping)) == sources


def test_rows_say_what_the_definition_says(load: Load) -> None:
    """A field that is required, one that only keeps the event, and one with a default."""

    def change(documents: Any) -> None:
        fields = documents["count"]["fields"]["properties"]
        fields["by"]["default"] = {
            "@if": {"exists": {"@path": "$.a"}, "then": {"@path": "$.a"}, "else": 7}
        }
        fields["note"] = {"title": "Note", "description": "A note.", "type": "string"}

    rows = {row.key: row for row in field_rows(load(change).actions["count"])}
    assert list(rows) == ["by", "thing", "note"]
    assert (rows["by"].required, rows["thing"].required, rows["note"].required) == (
        True,
        False,
        False,
    )
    assert [row.cell for row in rows.values()] == ["`a`", "`properties.thing`", "Note"]
    assert rows["by"].sentence == "What it is. Defaults to `7`."
    assert rows["thing"].sentence == "What it is."


def _then(path: str, other: object) -> dict[str, Any]:
    return {"@if": {"exists": {"@path": path}, "then": {"@path": path}, "else": other}}


LOWER = {"@case": {"operator": "lower", "value": {"@path": "$.traits.email"}}}

# What a field has besides its words; then its cell, and what the row says behind its description.
SAID: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "Title", ""),
    "a path": ({"default": {"@path": "$.a"}}, "`a`", ""),
    "the whole event": ({"default": {"@path": "$."}}, "The whole event", ""),
    "another path": (
        {"default": _then("$.traits.a", {"@path": "$.traits.b"})},
        "`traits.a`",
        " Falls back to `traits.b`.",
    ),
    "another value": ({"default": _then("$.a", 7)}, "`a`", " Defaults to `7`."),
    "another value of another": (
        {"default": _then("$.a", {"@literal": _then("$.b", 0.5)})},
        "`a`",
        " Falls back to `b`. Defaults to `0.5`.",
    ),
    "another value that Segment leaves out": ({"default": _then("$.a", 0)}, "`a`", ""),
    "a template": (
        {"default": {"@template": "{{userId}}: {{event}}"}},
        "`userId`, `event`",
        " Made from the template `{{userId}}: {{event}}`.",
    ),
    "a Liquid template": (
        {"default": {"@liquid": "{{ event | upcase }}"}},
        "`event`",
        " Made from the Liquid template `{{ event | upcase }}`.",
    ),
    "lower case": ({"default": LOWER}, "`traits.email`", " In lower case."),
    "a time": (
        {"default": {"@convert": {"value": {"@path": "$.timestamp"}, "to": "seconds"}}},
        "`timestamp`",
        " In seconds since 1970.",
    ),
    "a hash": (
        {
            "default": {
                "@convert": {
                    "value": {"@path": "$.traits.email"},
                    "to": ["trim", "lower", "sha256"],
                }
            }
        },
        "`traits.email`",
        " Without white space around it, in lower case, hashed with SHA-256.",
    ),
    "a list": (
        {"type": "array", "default": {"@arrayPath": ["$.properties.items", {}]}},
        "`properties.items`",
        " A list with an entry for each item.",
    ),
    "choices": (
        {"enum": ["a", "b", None], "default": {"@path": "$.a"}},
        "`a`",
        " One of `a` or `b`.",
    ),
    "a list of choices": (
        {"type": "array", "items": {"enum": ["a", "b", "c"]}},
        "Title",
        " A list of `a`, `b`, or `c`.",
    ),
    "choices with labels": (
        {"enum": ["us", "eu", 1], "x-labels": ["United States", None, "One\nmore"]},
        "Title",
        " One of `us` (United States), `eu`, or `1` (One more).",
    ),
    "required under conditions": (
        {
            "x-requiredWhen": {
                "match": "any",
                "conditions": [
                    {"field": "by", "operator": "is_not", "value": 5},
                    {"field": "thing", "operator": "is"},
                ],
            },
            "x-dependsOn": {"conditions": [{"field": "by", "operator": "is", "value": 5}]},
        },
        "Title",
        " Required if `by` is not `5` or `thing` is missing.",
    ),
    "shown under conditions": (
        {
            "x-dependsOn": {
                "conditions": [
                    {"field": "thing", "operator": "is", "value": ["a", "b"]},
                    {"field": "by", "operator": "is_not"},
                ]
            },
        },
        "Title",
        " Only used if `thing` is `a` or `b` and `by` is there.",
    ),
    "a list of the partner": (
        {"x-choices": {"pending": "the request"}, "x-placeholder": "board_1"},
        "Title",
        " Chosen from a list that the partner has. For example, `board_1`.",
    ),
    "a mapping that stays": (
        {"readOnly": True, "x-hidden": True, "default": {"@path": "$.a"}},
        "`a`",
        " Its mapping can't be changed.",
    ),
    "one choice": ({"enum": [True]}, "Title", " One of `true`."),
    "a literal": ({"default": "USD"}, "Title", " Defaults to `USD`."),
    "a value for none": (
        {"type": "boolean", "default": {"@path": "$.a"}, "x-otherwise": False},
        "`a`",
        " Defaults to `false`.",
    ),
}


@pytest.mark.parametrize(("spec", "cell", "said"), SAID.values(), ids=SAID)
def test_what_a_row_says_of_its_field(
    spec: dict[str, Any], cell: str, said: str, load: Load
) -> None:
    """What a value is made of, which values it can have and what is taken without one."""

    def change(documents: Any) -> None:
        words = {"title": "Title", "description": "What it is.", "type": "string"}
        documents["count"]["fields"]["properties"]["x"] = {**words, **spec}

    row = {row.key: row for row in field_rows(load(change).actions["count"])}["x"]
    assert (row.cell, row.sentence) == (cell, f"What it is.{said}")


def test_what_forms_hide_has_no_row(load: Load) -> None:
    """Unless the event fills it: then the customer has to know."""

    def change(documents: Any) -> None:
        fields = documents["count"]["fields"]["properties"]
        fields["by"] |= {"x-hidden": True, "default": 5}
        fields["thing"] |= {"x-hidden": True}
        settings = documents["destination"]["settings"]["properties"]
        words = {"title": "Title", "description": "What it is.", "type": "string"}
        settings["region"] = {**words, "x-hidden": True, "default": "eu"}

    definition = load(change)
    assert [row.key for row in field_rows(definition.actions["count"])] == ["thing"]
    assert "region" not in [row.key for row in setting_rows(definition)]


def test_the_settings_of_the_catalog(load: Load) -> None:
    """Each with its values and default, without those that Segment's catalog lacks."""

    def change(documents: Any) -> None:
        words = {"title": "Title", "description": "What it is.", "type": "string"}
        documents["destination"]["settings"]["properties"] |= {
            "region": {**words, "enum": ["eu", "us"], "default": "eu"},
            "sandbox": {**words, "x-catalog": False},
        }

    rows = {row.key: row for row in setting_rows(load(change))}
    assert rows["apiKey"].required
    assert not rows["region"].required
    assert rows["region"].sentence == "What it is. One of `eu` or `us`. Defaults to `eu`."
    assert "sandbox" not in rows


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("delta", "`delta`"),
        (["from", "to"], "`from`, `to`"),
        ("*", "A field for each, of the same name"),
        (["all", "*"], "`all`, A field for each, of the same name"),
    ],
)
def test_the_name_that_the_partner_has(given: object, shown: str, load: Load) -> None:
    """A field may say what the partner calls it; without that, nothing is made up."""

    def change(documents: Any) -> None:
        documents["count"]["fields"]["properties"]["by"]["x-partnerField"] = given

    rows = {row.key: row.partner for row in field_rows(load(change).actions["count"])}
    assert rows == {"by": shown, "thing": "None"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("One\n  line.", "One line."),
        ("For example https://a.example.com/b.", "For example `https://a.example.com/b`."),
        ("See `https://a.example.com`.", "See `https://a.example.com`."),
    ],
)
def test_texts_fit_a_cell(text: str, line: str) -> None:
    """Line breaks go, and a URL is code."""
    assert in_one_line(text) == line


@pytest.mark.parametrize(("name", "cell"), [("plan", "`plan`"), ("a`b", "`` a`b ``")])
def test_a_name_with_a_backtick_stays_code(name: str, cell: str) -> None:
    """The code span of a partner's name holds all of it."""
    assert FieldRow("plan", "Plan", (), (name,), required=False, sentence="").partner == cell
