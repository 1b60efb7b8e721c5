from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.kit.partner_page.fields import field_rows, first_sources
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
        ({"@literal": {"@path": "$.a"}}, []),
        ({"a": {"@path": "$.b"}, "c": [{"@path": "$.d"}]}, ["b", "d"]),
        ({"@case": {"operator": "lower", "value": {"@path": "$.traits.email"}}}, ["traits.email"]),
    ],
)  # fmt: skip
def test_first_sources(mapping: object, sources: list[str]) -> None:
    """Of alternatives the first; paths within items and literals are no parts of the event."""
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
