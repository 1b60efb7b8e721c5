"""The page on Liquid, from liquid.yaml: the filters and tags that are on, each with an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from destinations.segment.mapping.directives.liquid import LONGEST_TEMPLATE
from destinations.segment.mapping.liquid.liquid_environment import (
    DISABLED_FILTERS,
    DISABLED_TAGS,
    RENDER_SECONDS,
)
from destinations.segment.mapping.liquid.values import LARGEST_TEXT
from making.layout import json_block
from making.page import Page, cell, table

__all__ = ["GROUPS", "LiquidExample", "liquid_examples", "liquid_pages", "read_liquid_page"]

_SOURCE: Final = Path(__file__).parent / "liquid.yaml"

GROUPS: Final[Mapping[str, str]] = {
    "text": "text_filters",
    "numbers": "number_filters",
    "dates": "date_filters",
    "lists": "list_filters",
    "escapes": "escape_filters",
    "others": "other_filters",
}
"""By the place on the page, the key of liquid.yaml with the filters that it lists."""

_PLAIN: Final = ("values", "date_examples", "conditions")


class LiquidExample(NamedTuple):
    """A template and the text that it gives for the event of the page."""

    what: str
    template: str
    gives: str


def read_liquid_page() -> Mapping[str, Any]:
    """Return the text of the page, its event, and what it lists."""
    found: Mapping[str, Any] = yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))
    return found


def liquid_examples() -> Iterator[LiquidExample]:
    """Yield every example of the page."""
    said = read_liquid_page()
    for name in _PLAIN:
        yield from (LiquidExample(*one) for one in said[name])
    for name in ("tags", *GROUPS.values()):
        yield from (LiquidExample(*one) for one in said[name].values())


def liquid_pages() -> Iterator[Page]:
    """Yield the page."""
    said = read_liquid_page()
    text = said["text"].format(
        event=json_block(said["event"]),
        **{name: _plain(said[name]) for name in _PLAIN},
        tags=_named("tag", said["tags"]),
        **{place: _named("filter", said[key]) for place, key in GROUPS.items()},
        disabled_tags=_codes(DISABLED_TAGS),
        disabled_filters=_codes(DISABLED_FILTERS),
        longest=LONGEST_TEMPLATE,
        largest=LARGEST_TEXT,
        milliseconds=round(RENDER_SECONDS * 1000),
    )
    yield Page(
        "liquid.md",
        "liquid",
        "The tags and filters of Liquid that templates may use, each with an example.",
        text,
        "docs/making/liquid.yaml",
        ("liquid filters", "liquid tags", "filters of liquid"),
    )


def _plain(examples: Sequence[Sequence[str]]) -> str:
    rows = [(cell(what), _code(template), _code(gives)) for what, template, gives in examples]
    return table(("what", "template", "gives"), rows)


def _named(kind: str, said: Mapping[str, Sequence[str]]) -> str:
    rows = [
        (f"`{name}`", cell(what), _code(template), _code(gives))
        for name, (what, template, gives) in said.items()
    ]
    return table((kind, "what it does", "template", "gives"), rows)


def _code(text: str) -> str:
    """Return code for a cell; a line break as it would be written in a string."""
    return f"`{text}`".replace("\n", "\\n").replace("|", "\\|")


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
