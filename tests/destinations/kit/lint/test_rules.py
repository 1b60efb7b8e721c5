from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from destinations.kit.lint import Rule, load_rules
from destinations.kit.lint.checks import CHECKS

RULES = {rule.id: rule for rule in load_rules()}
# The nine rules of the prose linter of Segment's docs, with its levels.
OF_SEGMENT = {
    "latin": "error",
    "exclamation": "error",
    "spelling": "error",
    "subs": "error",
    "alt-tag": "warning",
    "inclusivity": "warning",
    "links": "warning",
    "relative-url": "warning",
    "third-person-specific": "warning",
}


def _page(rule: Rule, example: str, front: str) -> str:
    text = example if not rule.context else f"{example}\n\n{rule.context}\n"
    return text if text.startswith("---") else front + text


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_good_example_passes(rule: Rule, lint: Callable[..., Any], published: str) -> None:
    """What a rule shows as right is not reported by it."""
    found = lint(_page(rule, rule.good, published), rule.files)
    assert [str(finding) for finding in found if finding.rule == rule.id] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_bad_example_is_reported(rule: Rule, lint: Callable[..., Any], published: str) -> None:
    """What a rule shows as wrong is reported by it, at its level and below the front matter."""
    text = _page(rule, rule.bad, published)
    found = [finding for finding in lint(text, rule.files) if finding.rule == rule.id]
    assert found
    assert {finding.level for finding in found} == {rule.level}
    assert not [one for one in found if "{found}" in one.message or "{swap}" in one.message]
    assert all(1 <= finding.line <= text.count("\n") + 1 for finding in found)


def test_rules_are_told_apart() -> None:
    """Ids are there once, and each rule has patterns or a check that exists, not both."""
    assert [
        name for name, count in Counter(rule.id for rule in load_rules()).items() if count > 1
    ] == []
    for rule in RULES.values():
        assert bool(rule.patterns) != (rule.check is not None), rule.id
    assert {rule.check for rule in RULES.values() if rule.check} == set(CHECKS)


def test_the_rules_of_segments_own_linter_are_there() -> None:
    """All nine, each with the level that it has there."""
    assert {name: RULES[name].level for name in OF_SEGMENT} == OF_SEGMENT


def test_inclusivity_has_all_terms() -> None:
    """The list of Segment's linter has fourteen terms."""
    assert len(RULES["inclusivity"].patterns) == 14


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("numerals", "Kana has two boxes."),
        ("numerals", "There are rules, three in all."),
        ("setup-verb", "First, setup the source."),
        ("setup-verb", "You can setup rules."),
        ("setup-noun", "During set-up, copy the key."),
        ("easy", "This is simple."),
        ("their", "Kana and their dashboard."),
        ("latin", "Some traits (i.e. names)."),
        ("subs", "It utilizes rules."),
        ("third-person-specific", "Write to us."),
        ("third-person-specific", "Let's begin."),
        ("first-person", "I'm here."),
        ("will", "It won't work."),
        ("contractions", "Events can not\nbe deleted."),
        ("call-name", "Use `analytics.track()` for it."),
        ("call-name", "An identify call."),
        ("call-name", "A `track` event."),
        ("http-status", "It answers `400`."),
        ("http-status", "It fails with status 401."),
        ("http-status", "A 404 error."),
        ("mode-hyphen", "A device mode destination."),
        ("doubled-determiner", "Defaults to the any."),
        ("repeated-word", "in in the table"),
        ("announced-image", "The diagram below explains it."),
        ("announced-image", "See the following screenshot."),
        ("announced-image", "Here's a flow chart."),
        ("link-target-value", '[Kana](https://example.com){:target="_self"}'),
        ("dead-link", "[Kana](ftp://example.com)"),
        ("dead-link", "[Kana](mailto:nobody)"),
        ("dead-link", "[Kana](/catalog/kana)"),
        ("dead-link", "[Kana]()"),
        ("hint-form", '> info ""\n> Text\nthat goes on.'),
        ("hint-form", "> warning\n> Text."),
        ("table-shape", "| A | B |\n| - | - |\n| `a|b` |"),
        ("sentence-case", "## Getting started With Rules"),
        ("sentence-case", "## rules"),
        ("spelling", "Send the webhok\u2019s secret."),
        ("alt-tag", "[![ ](x.png)](https://example.com)"),
        ("ampersand", "Users &amp; features"),
        ("bare-url", "See https://docs.example.com/a."),
    ],
)
def test_more_that_is_reported(
    rule: str, text: str, lint: Callable[..., Any], published: str
) -> None:
    """Forms that the example of a rule does not show."""
    assert rule in {finding.rule for finding in lint(published + text + "\n")}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("numerals", "Two boxes. Three rules."),
        ("numerals", "1. Open Segment.\n2. Two rules."),
        ("numerals", "Kana has one box of 2 kinds."),
        ("setup-verb", "Set up the source."),
        ("setup-noun", "Set up the source to set up rules."),
        ("latin", "The ID is big."),
        ("third-person-specific", "Users in the US use it."),
        ("first-person", "Case I.D. and the iOS app"),
        ("will", "Your goodwill counts."),
        ("will", "```js\n// it will\nanalytics.track('will');\n```"),
        ("will", "The property `will`."),
        ("call-name", "Track calls and Identify calls."),
        ("call-name", "Keep track of calls."),
        ("http-status", "`400 Bad Request` and 400 pixels"),
        ("mode-hyphen", "All sources use cloud mode."),
        ("doubled-determiner", "of the one, and a name of any user"),
        ("repeated-word", "He said that that had had no effect."),
        ("announced-image", "An image of a company. The following table."),
        ("link-target", "[Write](mailto:team@example.com) and [read](/docs/) [on](#a)"),
        ("dead-link", '[Kana](https://www.example.com/a_(b)){:target="_blank"}'),
        ("dead-link", "`[Kana](nowhere)`"),
        ("hint-form", '> info ""\n> Text.\n\nMore.'),
        ("table-shape", "| A | B |\n| - | - |\n| `a|b` | c\\|d |"),
        ("sentence-case", "## Identify for Segment and Stripe, with an API key"),
        ("spelling", "Kana's webhooks and `wehbooks` at wehbooks.example.com, in JSON"),
        ("double-space", "| `a`  | b |\n| --- |  --- |\n\n- one\n  - two"),
        ("exclamation", "a != b, ![Alt text](x.png)"),
        ("bare-url", "`https://example.com` [a](https://example.com)"),
        ("contractions", "Sends it as it is to a server."),
        ("subs", "A lever, a viaduct, and a drop in temperature."),
    ],
)
def test_what_is_not_reported(
    rule: str, text: str, lint: Callable[..., Any], published: str
) -> None:
    """What looks like a breach and is none."""
    found = [str(finding) for finding in lint(published + text + "\n") if finding.rule == rule]
    assert found == []
