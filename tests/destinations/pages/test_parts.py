from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.outcome import Outcome, State
from destinations.pages import (
    Column,
    badge,
    base_css,
    command,
    document,
    element,
    empty,
    facts,
    message,
    table,
)
from tests.well_formed import parsed

TEXT = st.text(st.characters(), max_size=20)


@given(st.lists(st.tuples(TEXT, TEXT, st.integers()), max_size=4), TEXT)
def test_any_table_is_well_formed(rows: list[tuple[str, str, int]], title: str) -> None:
    """Whatever the cells hold, there are as many rows and cells as were given."""
    columns = [Column("name"), Column(title, "long"), Column("rows", "number")]
    found = parsed(table(columns, rows, caption=title, total=("total", None, 3)))
    assert [len(row) for row in found.iter("tr")] == [3] * (len(rows) + 2)
    assert {one.tag for one in found.iter()} <= {
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
    }


def test_a_cell_says_its_column() -> None:
    """On a narrow screen there is no head, so each cell but the first names its column."""
    found = parsed(table(["name", Column("rows", "number")], [("a", 1234)]))
    (cell,) = found.iter("td")
    assert cell.attrib == {"role": "cell", "class": "number", "data-label": "rows"}
    assert cell.text == "1,234"
    assert [one.attrib["scope"] for one in found.iter("th")] == ["col", "col", "row"]


@pytest.mark.parametrize("status", [*Outcome, *State])
def test_each_outcome_and_state_has_a_badge(status: str) -> None:
    """The word says what the colour says."""
    assert badge(status) == f'<span class="badge kind-{status}">{status}</span>'
    if status != State.DONE:  # which is never shown
        assert f".kind-{status}" in base_css()


def test_facts_leave_out_what_is_not_known() -> None:
    """A name without a value is no fact; 0 is one."""
    found = facts([("a", None), ("b", ""), ("c", 0), ("d", element("i", "<"))])
    assert found == '<dl class="facts"><dt>c</dt><dd>0</dd><dt>d</dt><dd><i>&lt;</i></dd></dl>'


def test_small_parts() -> None:
    """Text in a command, a message and an empty place is escaped."""
    assert "&lt;a&gt;" in command("<a>")
    assert message("bad", "<") == '<div class="message bad">&lt;</div>'
    assert empty("nothing", " yet") == '<p class="empty">nothing yet</p>'


def test_a_document_loads_and_runs_nothing() -> None:
    """A page names no address, has no script, and its policy allows its own style alone."""
    page = document("A & B", element("p", "text"), css=".own{}")
    tree = parsed(page)
    assert tree.findtext("head/title") == "A & B"
    style = tree.findtext("head/style") or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [
        one.attrib["content"]
        for one in tree.iter("meta")
        if one.attrib.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ]
    assert not re.search(r"https?:|url\(|@import|<script|<link", page)


def _luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lower, higher = sorted((_luminance(one), _luminance(other)))
    return (higher + 0.05) / (lower + 0.05)


def _schemes() -> list[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", base_css(), flags=re.DOTALL)
    found = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    return [{**found[0], **one} for one in found]


@pytest.mark.parametrize("scheme", _schemes(), ids=["light", "dark", "paper"])
def test_contrast(scheme: dict[str, str]) -> None:
    """WCAG AA: text has a contrast of 4.5, and shapes one of 3, on each ground they stand on."""
    for ground in ("surface", "raised"):
        for text in ("text", "muted", "link", "good", "warning", "bad"):
            assert _contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)
        for shape in ("focus", "strong-border", *(one for one in scheme if one in _KINDS)):
            assert _contrast(scheme[shape], scheme[ground]) >= 3, (shape, ground)
    assert _contrast(scheme["on-accent"], scheme["link"]) >= 4.5


_KINDS = {*map(str, Outcome), *map(str, State)}
