"""The forms in which findings are printed."""

from __future__ import annotations

import json

import pytest

from destinations.kit.lint import Finding, example_message, load_rules
from destinations.kit.lint.formats import FORMATS, rules_text

FINDINGS = (
    Finding("docs/a,b.md", 3, 4, "will", "warning", "write: 'x', 100%"),
    Finding("docs/a,b.md", 5, 1, "vale.House.Rule", "suggestion", "No."),
)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            "text",
            [
                "docs/a,b.md:3:4: warning: write: 'x', 100% [will]",
                "docs/a,b.md:5:1: suggestion: No. [vale.House.Rule]",
            ],
        ),
        (
            "github",
            [
                "::warning file=docs/a%2Cb.md,line=3,col=4,title=will::write: 'x', 100%25",
                "::notice file=docs/a%2Cb.md,line=5,col=1,title=vale.House.Rule::No.",
            ],
        ),
    ],
)
def test_lines(form: str, expected: list[str]) -> None:
    """A line for each finding; what separates the parts of an annotation is escaped in them."""
    assert FORMATS[form](FINDINGS, load_rules()).splitlines() == expected


def test_json() -> None:
    """An array of objects with the same keys as ever."""
    (first, _) = json.loads(FORMATS["json"](FINDINGS, load_rules()))
    assert first == {
        "file": "docs/a,b.md",
        "line": 3,
        "column": 4,
        "rule": "will",
        "level": "warning",
        "message": "write: 'x', 100%",
    }


def test_sarif() -> None:
    """One run with the rules that have findings, each result at its place."""
    log = json.loads(FORMATS["sarif"](FINDINGS, load_rules()))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["will", "vale.House.Rule"]
    assert rules[0]["defaultConfiguration"] == {"level": "warning"}
    assert [(one["ruleId"], one["ruleIndex"], one["level"]) for one in run["results"]] == [
        ("will", 0, "warning"),
        ("vale.House.Rule", 1, "note"),
    ]
    assert run["results"][0]["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "docs/a,b.md"},
                "region": {"startLine": 3, "startColumn": 4},
            }
        }
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_found(form: str) -> None:
    """Each format can say that there is nothing."""
    assert FORMATS[form]([], load_rules()) is not None


def test_rules_are_shown_with_examples() -> None:
    """Each has its level, what is right and what is wrong."""
    shown = rules_text(load_rules())
    for rule in load_rules():
        assert f"{rule.id}: {rule.level}: " in shown
        assert rule.bad.splitlines()[0] in shown
    assert "{found}" not in shown
    assert "{swap}" not in shown


def test_a_rule_shows_its_message_with_values() -> None:
    """Those of its example, and braces as a page has them."""
    rules = {rule.id: rule for rule in load_rules()}
    assert example_message(rules["will"]) == "write the present tense instead of 'will'"
    assert example_message(rules["link-target"]).endswith('put {:target="_blank"} after it')
    assert example_message(rules["h1"]) == "the site makes the title from front matter"
