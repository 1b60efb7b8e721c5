from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.lint import fix_page, lint_page

MISSING = {"required-section", "maintainer"}
DEFECTS = Path(__file__).parent / "page-with-defects.md"


PLACES = dict[str, list[tuple[int, int]]](
    [
        ("link-target-value", [(6, 69)]),
        ("wordy", [(6, 126)]),
        ("dead-anchor", [(6, 187)]),
        ("setup-verb", [(12, 25), (65, 18)]),
        ("ui-names", [(13, 4), (15, 4)]),
        ("double-space", [(16, 18)]),
        ("secret", [(16, 36)]),
        ("will", [(24, 91), (24, 118), (47, 62), (60, 49)]),
        ("code-sample-fields", [(27, 1)]),
        ("spelling", [(34, 29)]),
        ("doubled-determiner", [(35, 67)]),
        ("table-shape", [(36, 1)]),
        ("template", [(38, 1)]),
        ("passive-voice", [(38, 36), (60, 54), (63, 6)]),
        ("announced-image", [(42, 1)]),
        ("alt-tag", [(44, 1)]),
        ("image-host", [(44, 1)]),
        ("may-might-can", [(47, 33)]),
        ("grammar", [(47, 67)]),
        ("abbreviations", [(60, 26)]),
        ("numerals", [(62, 11)]),
        ("contractions", [(62, 45)]),
        ("link-target", [(63, 27)]),
    ]
)


def test_every_defect_of_the_page_is_reported() -> None:
    """Each defect that pages have been published with, at its line and column, and nothing else."""
    places: dict[str, list[tuple[int, int]]] = {}
    for one in lint_page(DEFECTS.read_text(encoding="utf-8"), DEFECTS):
        places.setdefault(one.rule, []).append((one.line, one.column))
    assert places == PLACES


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
    """A word of one's own is known in any case, and so is what an expression matches."""
    text = published + "Frobnitz has a frobnitz.\n"
    assert [one.rule for one in lint(text)] == ["unknown-word", "unknown-word"]
    assert lint(text, words=frozenset({"frobnitz"})) == ()
    assert lint(text, patterns=(re.compile("[Ff]rob.+"),)) == ()


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
        (
            "# Sample\n\n## Getting Started\n\n### Setup\n\nText.\n",
            {"required-section", "maintainer"},
        ),
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


WHOLE = """[Sample](https://a.example?utm_source=segment&utm_medium=docs){:target="_blank"} counts.

Sample maintains this destination. Write to [the team](mailto:team@example.com).

## Getting Started

1. Open the catalog.

## Supported methods

Sample supports [Track](/docs/connections/spec/track/) calls.

### Track

A Track call counts.

```js
analytics.track('Used');
```

## FAQ

#### Is it fast?

Yes.
"""


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("", "", set()),
        ("?utm_source=segment&utm_medium=docs", "", {"utm"}),
        ("&utm_medium=docs", "", {"utm"}),
        ("Sample maintains this destination. ", "", {"maintainer"}),
        ("[the team](mailto:team@example.com)", "the team", {"maintainer"}),
        ("## Getting Started", "## Settings", {"required-section"}),
        ("## Supported methods", "## Settings", {"required-section"}),
        ("## Supported methods", "{% include components/actions-fields.html %}", set()),
        ("[Track](/docs/connections/spec/track/)", "Track", {"spec-link"}),
        ("spec/track/", "spec/identify/", {"spec-link"}),
        ("## Getting Started\n\n1. Open the catalog.\n\n", "", {"required-section"}),
        ("## FAQ\n\n####", "## Troubleshooting\n\n###", set()),
        ("## FAQ\n\n####", "## What others ask\n\n###", {"top-level-section"}),
        ("Yes.", "Sample maintains this destination. Write to [the team](mailto:team@example.com).",
            {"repeated-paragraph"}),
    ],
)  # fmt: skip
def test_what_the_template_asks_for(
    old: str, new: str, rules: set[str], lint: Callable[..., Any], published: str
) -> None:
    """A whole page has its sections, a maintainer, a tracked link, and links to the Spec."""
    text = published + WHOLE.replace(old, new, 1)
    assert {finding.rule for finding in lint(text)} == rules


def test_sections_in_another_order(lint: Callable[..., Any], published: str) -> None:
    """What comes too late is named; each section stays where the template has it."""
    start = WHOLE.index("## Getting Started")
    methods = WHOLE.index("## Supported methods")
    swapped = WHOLE[:start] + WHOLE[methods:] + "\n" + WHOLE[start:methods].rstrip() + "\n"
    found = [finding for finding in lint(published + swapped) if finding.rule == "section-order"]
    assert [finding.message.partition(" stands")[0] for finding in found] == ["'Getting Started'"]


SUBMISSION = """# Sample Destination

[Sample](https://a.example?utm_source=segment&utm_medium=docs) counts.

Sample maintains this destination. Write to [the team](mailto:team@example.com).

## Getting Started

### Supported Methods

Sample supports [Identify](https://segment.com/docs/connections/spec/identify/) and
[Track](https://segment.com/docs/connections/spec/track/) calls.

### Setup

1. Open the catalog.

## Identify

```js
analytics.identify('u');
```

## Track

```js
analytics.track('Used');
```
"""


def _swapped(text: str, first: str, second: str, end: str) -> str:
    one, two, three = text.index(first), text.index(second), text.index(end) if end else len(text)
    return f"{text[:one]}{text[two:three].rstrip()}\n\n{text[one:two]}{text[three:]}"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (SUBMISSION, []),
        (SUBMISSION.replace("### Setup\n", ""), ["the page lacks the section 'Setup'"]),
        (SUBMISSION.partition("\n\n")[2],
            ["the page lacks a title at its top, as a heading of the first level"]),
        (_swapped(SUBMISSION, "### Supported", "### Setup", "## Identify"),
            ["'Supported Methods' stands too late"]),
        (_swapped(SUBMISSION, "## Identify", "## Track", "").rstrip() + "\n",
            ["'Identify' stands too late"]),
    ],
)  # fmt: skip
def test_what_a_submission_has(text: str, messages: list[str], lint: Callable[..., Any]) -> None:
    """A title, the template's sections, and the methods in the order of the Segment Spec."""
    assert [finding.message.partition(":")[0] for finding in lint(text)] == messages


FRONT = "title: Sample Destination\nid: 0123456789abcdef01234567\n"


@pytest.mark.parametrize(
    ("front", "rules"),
    [
        (f"{FRONT}hide-dossier: true", set()),
        (f"{FRONT}hide-personas-partial: true\npublished: false\nprivate: true", set()),
        (f"{FRONT}hide_actions:\n  - id: a\n    name: b", set()),
        (f"{FRONT}redirect_from: /a/", set()),
        (f"{FRONT}redirect_from:\n  - /a/", set()),
        (f"{FRONT}private: maybe", {"front-matter"}),
        (f"{FRONT}hide-everything: true",
            {"front-matter-key"}),
        ("title: Sample\nid: 0123456789abcdef01234567", {"front-matter-key"}),
        ("id: 0123456789abcdef01234567", {"front-matter"}),
        ("title: Sample Destination", {"front-matter-id"}),
    ],
)  # fmt: skip
def test_front_matter(front: str, rules: set[str], lint: Callable[..., Any]) -> None:
    """The keys that Segment's docs explain and its pages have are right, with values that fit."""
    assert {finding.rule for finding in lint(f"---\n{front}\n---\n\nText.\n")} == rules


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("Send it via HTTP, e.g. a name.", "Send it through HTTP, for example a name."),
        ("Via HTTP.", "Through HTTP."),
        ("Kana does not\ndelete it.", "Kana doesn't\ndelete it."),
        ("Open it.  Then save it. ", "Open it. Then save it."),
        ("In cloud mode, a cloud mode source.", "In cloud mode, a cloud-mode source."),
        ("**via HTTP** and **e.g. names**", "**via HTTP** and **e.g. names**"),
        ("To setup the source, setup a key.", "To set up the source, set up a key."),
        ("Identify & Track", "Identify and Track"),
        ("Done!", "Done."),
        ("Kana stores stores it.", "Kana stores it."),
        ("[Kana](https://www.usekana.com)", '[Kana](https://www.usekana.com){:target="_blank"}'),
        ('[K](https://k.example){:target="blank"}', '[K](https://k.example){:target="_blank"}'),
        ("[T](https://segment.com/docs/a/)", "[T](/docs/a/)"),
        ("A 400 Bad Request.", "A `400 Bad Request`."),
        ("Use it in order to save.", "Use it to save."),
        ("`via` and ``does not``", "`via` and ``does not``"),
        ("Kana will do it, in terms of speed.", "Kana will do it, in terms of speed."),
        ("A whitelist.", "An allowlist."),
        ("Use a blacklist or an utility.", "Use a blocklist or an utility."),
    ],
)
def test_what_is_mechanical_is_mended(text: str, fixed: str, published: str) -> None:
    """Only what needs no author changes: never code, and nothing where there is a choice."""
    path = Path("page.md")
    done = fix_page(published + text + "\n", path)
    assert done == published + fixed + "\n"
    assert fix_page(done, path) == done
