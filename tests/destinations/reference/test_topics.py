"""Topics of the reference are found by every name that a reader may try."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from destinations.errors import Issue, UsageError
from destinations.outcome import Effect, Outcome, State
from destinations.reference import Topics, help_line, lines_of, read_topics
from destinations.segment.mapping.directives import DIRECTIVES

PAGES: Mapping[str, str] = {
    "a.md": '---\ntopic: "apple"\nalso: "fruit, Pome"\nsummary: "One."\n---\n\n# Apple\n\nText.\n\n'
    "## Peel\n\nOff.\n\n### Colour\n\nRed.\n\n## Core\n\n```\n## no heading\n```\n",
    "b.md": '---\ntopic: "keys"\nsummary: "Two."\n---\n\n# Keys\n\n| key | meaning |\n|---|---|\n'
    "| `box` | A box. |\n| `box.*.lid` | Its lid. |\n| `box.*.lid.hinge` | On it. |\n"
    "| `--force` | Do it. |\n\n## fruit\n\nBelow.\n",
}


@pytest.fixture(scope="module")
def topics() -> Topics:
    """The topics of the package."""
    return read_topics()


@pytest.fixture
def few() -> Topics:
    """Topics of two pages."""
    return Topics.of(PAGES)


@pytest.mark.parametrize(
    ("name", "begins", "lacks"),
    [
        ("apple", "# Apple", ""),
        ("APPLE", "# Apple", ""),
        ("pome", "# Apple", ""),
        ("fruit", "# Apple", ""),  # a name of a page goes before a heading of another
        ("peel", "## Peel\n\nOff.\n\n### Colour", "Core"),
        ("colour", "### Colour\n\nRed.", "Core"),
        ("box.lid", "# keys\n\n| key | meaning |\n|---|---|\n| `box.*.lid` |", "`box` |"),
        ("--force", "# keys", "lid"),
    ],
)
def test_found(few: Topics, name: str, begins: str, lacks: str) -> None:
    """A page by its names, a section by its heading, a key with what is below it."""
    (found,) = few.find(name)
    assert found.text.startswith(begins)
    assert not lacks or lacks not in found.text


@pytest.mark.parametrize(
    ("name", "near"),
    [("appel", "apple"), ("bocks.lid", "box.*.lid"), ("hinge", "hinge"), ("no heading", "")],
)
def test_not_found(few: Topics, name: str, near: str) -> None:
    """The error names what is near; what stands in a block of code is no heading."""
    with pytest.raises(UsageError) as caught:
        few.find(name)
    assert f"unknown topic '{name}'" in str(caught.value)
    assert near.replace("*.", "") in str(caught.value).partition("nearest")[2]


def test_names_that_several_pages_have() -> None:
    """All of them are found."""
    pages = {
        name: f'---\ntopic: "{name}"\nalso: "both"\nsummary: "-"\n---\n\n# {name}\n'
        for name in ("x", "y")
    }
    assert [one.name for one in Topics.of(pages).find("both")] == ["x", "y"]


def test_every_page_is_found_by_its_own_name(topics: Topics) -> None:
    """No two pages have one name, each has a summary that is a sentence, and one title."""
    assert len(topics.pages) > 60
    for page in topics.pages.values():
        assert topics.find(page.name) == [page]
        assert re.fullmatch(r"[A-Z`].+[.?]", page.summary), page
        assert len(re.findall(r"^# ", re.sub(r"(?s)```.*?```", "", page.text), re.MULTILINE)) == 1


@pytest.mark.parametrize(
    "name",
    [
        *DIRECTIVES,
        *Outcome,
        *State,
        *Effect,
        "transport.retry.backoff",
        "alerts.when",
        "open_destination",
        "deliveries replay",
        "destinations_ready",
        "connection",
    ],
)
def test_what_the_code_has_is_a_topic(topics: Topics, name: str) -> None:
    """Directives, outcomes, keys, public names, commands and metrics have their place."""
    assert topics.find(name)


@pytest.mark.parametrize(
    ("path", "topic"),
    [
        ("/transport/retry/backoff/cap", "transport.retry.backoff.cap"),
        ("/requests/send/rest/json/x", "requests.rest.json"),
        ("/fields/properties/plan/default/@path", "@path"),
        ("/presets/0/subscribe", "fql"),
        ("", None),
        ("/never/heard/of", None),
    ],
)
def test_the_topic_of_an_issue(path: str, topic: str | None) -> None:
    """It is the nearest one to the place; a place without one has no line."""
    expected = "" if topic is None else f"Help: destinations help {topic}"
    assert help_line([Issue("is wrong", path)]) == expected


def test_topics_of_issues_are_named_once() -> None:
    """At most three are named, in the order of the issues."""
    paths = ["/transport/retry", "/transport/retry", "/requests", "/errorRules", "/presets"]
    line = help_line(Issue("is wrong", path) for path in paths)
    named = ["transport.retry", "requests", "errorRules"]
    assert line == "Help: " + ", ".join(f"destinations help {one}" for one in named)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# Title\n\nA `code`, **bold** and *more*.", ["TITLE", "", "A code, bold and more."]),
        ("one\ntwo", ["one two"]),
        ("a very long line that is folded here", ["a very long line that is", "folded here"]),
        ("- first of\n  two lines\n- second", ["- first of two lines", "- second"]),
        ("```sh\n# kept  as it is\n```", ["    # kept  as it is"]),
        ("| a | b |\n|---|---|\n| `x\\|y` | [z](q.md) |", ["a/b", "x|y/z (help Q)"]),
        ("[q](q.md#part), [out](https://example.com)", ["q (help Q), out"]),
        ("<!-- Made -->\ntext", ["text"]),
        ("2 \\* 3 < 4 * 5", ["2 * 3 < 4 * 5"]),
    ],
)
def test_markdown_in_a_terminal(text: str, lines: list[str]) -> None:
    """Marks are gone, lines are folded, code and tables keep their form."""
    found = lines_of(
        text,
        width=26,
        table=lambda head, rows: ("/".join(row) for row in [head, *rows]),
        heading=str.upper,
        topic_of=lambda link: "Q" if link.startswith("q.md") else None,
    )
    assert list(found) == lines


def test_no_page_of_the_package_shows_marks(topics: Topics) -> None:
    """Nothing is left of Markdown outside of code, so each page uses what terminals can show."""
    for page in topics.pages.values():
        shown = lines_of(
            page.text, width=80, table=lambda _, rows: map("|".join, rows), heading=str
        )
        text = "\n".join(line for line in shown if not line.startswith("    "))
        assert "](" not in text, page.path
        assert "**" not in text.replace("***", ""), page.path  # what a secret prints as
