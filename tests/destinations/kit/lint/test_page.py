from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.lint import lint_page

DEFECTS = Path(__file__).parent / "page-with-defects.md"


@pytest.mark.parametrize(
    ("rule", "places"),
    [
        ("dead-anchor", [(6, 90)]),
        ("link-target-value", [(6, 34)]),
        ("doubled-determiner", [(27, 67)]),
        ("setup-verb", [(10, 21)]),
        ("will", [(17, 18), (17, 45)]),
        ("double-space", [(11, 18)]),
        ("code-sample-fields", [(20, 1)]),
        ("alt-tag", [(31, 1)]),
        ("announced-image", [(29, 1)]),
    ],
)
def test_every_defect_of_the_page_is_reported(rule: str, places: list[tuple[int, int]]) -> None:
    """Each of the defects that pages have been published with, at its line and column."""
    findings = lint_page(DEFECTS.read_text(encoding="utf-8"), DEFECTS)
    assert [(one.line, one.column) for one in findings if one.rule == rule] == places


def test_nothing_else_is_reported_of_it() -> None:
    """The page has these defects and no other error or warning."""
    findings = lint_page(DEFECTS.read_text(encoding="utf-8"), DEFECTS)
    assert {one.rule for one in findings if one.level != "suggestion"} == {
        "dead-anchor",
        "link-target-value",
        "doubled-determiner",
        "setup-verb",
        "will",
        "double-space",
        "code-sample-fields",
        "alt-tag",
        "announced-image",
    }


def test_findings_are_in_order_and_readable(lint: Callable[..., Any], published: str) -> None:
    """File, line, column, level, message and rule, by place."""
    found = lint(published + "It will.\n\nIt will  do it!\n")
    assert [str(finding).partition("page.md:")[2] for finding in found] == [
        "6:4: warning: write the present tense instead of 'will' [will]",
        "8:4: warning: write the present tense instead of 'will' [will]",
        "8:8: warning: one space is enough [double-space]",
        "8:13: error: no exclamation marks: 'it!' [exclamation]",
    ]


@pytest.mark.parametrize(
    ("level", "expected"), [("error", ["error"]), ("suggestion", ["suggestion"]), ("off", [])]
)
def test_levels_can_be_set(
    level: str, expected: list[str], lint: Callable[..., Any], published: str
) -> None:
    """A level of one's own replaces that of the rule; ``off`` silences it."""
    found = lint(published + "It will.\n", levels={"will": level})
    assert [finding.level for finding in found] == expected


def test_words_can_be_added(lint: Callable[..., Any], published: str) -> None:
    """A word of one's own is no misspelling, in any case."""
    assert [one.rule for one in lint(published + "A Frobnitz.\n")] == ["spelling"]
    assert lint(published + "A Frobnitz.\n", words=frozenset({"frobnitz"})) == ()


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("# Sample Destination\n\n:::info\nText.\n:::\n", set()),
        ("# Sample Destination\n\n:::info\nText.\n", {"hint-form"}),
        ("# Sample Destination\n\nText.\n\n:::\n", {"hint-form"}),
        ("# Sample Destination\n\n:::danger zone\nText.\n:::\n", {"hint-form"}),
        ('# Sample Destination\n\n> info ""\n> Text.\n', {"hint-form"}),
        ("# One\n\nText.\n\n# Two\n\nText.\n", {"h1"}),
        ("# Sample\n\n[Site](https://www.example.com) [Docs](https://segment.com/docs/)\n", set()),
        ("# Sample\n\n## Getting Started\n\n### Supported Methods\n\nText.\n", set()),
    ],
)
def test_a_submission_has_rules_of_its_own(
    text: str, rules: set[str], lint: Callable[..., Any]
) -> None:
    """A page without front matter: hints and links as HackMD has them, and one title."""
    assert {finding.rule for finding in lint(text)} == rules


@pytest.mark.parametrize("text", ["", "\n", "---\n", "---\n---", "```", "| a", "[](", "> ", ":::"])
def test_any_text_can_be_checked(text: str, lint: Callable[..., Any]) -> None:
    """Scraps of pages are reported on, not choked on; every place is in the text."""
    for finding in lint(text):
        assert 1 <= finding.line <= text.count("\n") + 1
        assert finding.column >= 1
