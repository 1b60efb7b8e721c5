"""Topics of the reference are found by every name that a reader may try."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from destinations.errors import Issue, UsageError
from destinations.outcome import Effect, Outcome, State
from destinations.reference import Topics, help_line, lines_of, read_topics
from destinations.reference.synonyms import SYNONYMS
from destinations.segment.mapping.directives import DIRECTIVES

PAGES: Mapping[str, str] = {
    "a.md": '---\ntopic: "apple"\nalso: "fruit, Pome"\nsummary: "One."\n---\n\n# Apple\n\nText.\n\n'
    "## Peel\n\nOff.\n\n### Colour\n\nRed.\n\n## Core\n\n```\n## no heading\n```\n",
    "b.md": '---\ntopic: "keys"\nsummary: "Two."\n---\n\n# Keys\n\n| key | meaning |\n|---|---|\n'
    "| `box` | A box. |\n| `box.*.lid` | Its lid. |\n| `box.*.lid.hinge` | On it. |\n"
    "| `--force` | Do it. |\n\n## fruit\n\nBelow.\n",
    "c.md": '---\ntopic: "destinations fruit"\nsummary: "Three."\n---\n\n# destinations fruit\n\n'
    "## destinations fruit eat\n\nEat it.\n",
    "python/d.md": '---\ntopic: "python"\nsummary: "Four."\n---\n\n# python\n\n'
    "| name | what |\n|---|---|\n| `eat` | A function. |\n\n## eat\n\n## bite\n",
    "e.md": '---\ntopic: "codes"\nsummary: "Five."\n---\n\n# Codes\n\n## Statuses of a partner\n\n'
    "| code | status |\n|---|---|\n| `LOST` | 404 |\n| `BROKEN` | 500 |\n\n"
    "## Statuses of a receiver\n\n| status | when |\n|---|---|\n| 404 | No path. |\n",
}

GUIDES: Mapping[str, str] = {
    "ripe.md": "# Ripe at *last*\n\nFor eaters. An apple that is [red](a.md) is ripe. Others.\n\n"
    "## Press\n\nHard.\n\n## Steps\n\n## Core\n",
    "how-to/pick.md": "<!-- made -->\n\n# Pick\n\n```sh\nls\n```\n",
    "tutorials/index.md": "# Tutorials\n\n| a | b |\n|---|---|\n",
    "glossary.md": "# Words\n\n| word | meaning |\n|---|---|\n| stalk | What holds it. |\n"
    "| `pip` | A seed. |\n",
}


@pytest.fixture(scope="module")
def topics() -> Topics:
    """The topics of the package."""
    return read_topics()


@pytest.fixture
def few() -> Topics:
    """Topics of a few pages and guides."""
    return Topics.of(PAGES, GUIDES)


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
        # The end of a key, words that are written otherwise, and a plural.
        ("hinge", "# keys\n\n| key | meaning |\n|---|---|\n| `box.*.lid.hinge`", "`box` |"),
        ("lid.hinge", "# keys\n\n| key | meaning |\n|---|---|\n| `box.*.lid.hinge`", "`box` |"),
        ("peels", "## Peel", "Core"),
        # The end of a command goes before what Python calls so.
        ("eat", "## destinations fruit eat", "function"),
        ("bite", "## bite", ""),
        ("404", "# codes\n\n## Statuses of a partner\n", "500"),
        # Guides: by file, by title, by a heading that no page of the reference has, by a word.
        ("ripe", "# Ripe at *last*\n\nFor eaters.", ""),
        ("Ripe at last", "# Ripe at *last*", ""),
        ("guide pick", "# Pick", "made"),
        ("tutorials", "# Tutorials", ""),
        ("press", "## Press\n\nHard.", "Steps"),
        ("core", "## Core\n\n```", "Steps"),
        ("stalk", "# guide glossary\n\n| word | meaning |\n|---|---|\n| stalk | What", "pip"),
        (
            "guide glossary pip",
            "# guide glossary\n\n| word | meaning |\n|---|---|\n| `pip` |",
            "stalk",
        ),
    ],
)
def test_found(few: Topics, name: str, begins: str, lacks: str) -> None:
    """A page by its names, a section by its heading, a key with what is below it."""
    (found,) = few.find(name)
    assert found.text.startswith(begins)
    assert not lacks or lacks not in found.text


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("appel", "apple"),
        ("bocks.lid", "box.*.lid"),
        ("hing", "hinge"),
        ("no heading", ""),
        ("pik", ""),
        ("ap", ""),
        ("x" * 100_000, ""),
        ("plea", ""),
    ],
)
def test_not_found(few: Topics, name: str, near: str) -> None:
    """The error names what is near; what stands in a block of code is no heading."""
    with pytest.raises(UsageError) as caught:
        few.find(name)
    assert f"unknown topic '{name[:100]}" in str(caught.value)
    assert len(str(caught.value)) < 300
    named = str(caught.value).partition("nearest: ")[2].partition(";")[0]
    assert near.replace("*.", "") in named
    assert bool(near) == bool(named)


def test_what_else_is_called_so(few: Topics) -> None:
    """A page comes with the guides and the words of its name; what is shown is not named again."""
    assert [one.name for one in few.related("core", few.find("core"))] == ["Core"]
    assert [one.path for one in few.related("core", few.find("core"))] == ["../ripe.md"]
    assert few.related("ripe", few.find("ripe")) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("apple", ["apple", "guide ripe"]),  # its own name counts more than a text
        ("LAST ripe", ["guide ripe"]),
        ("app", ["apple", "guide ripe"]),
        ("pple", []),
        ("apple zeppelin", []),
        ("its lid", ["keys"]),
        ("404", ["codes"]),
        (" ", []),
    ],
)
def test_search(few: Topics, words: str, found: list[str]) -> None:
    """Pages and guides with words that begin with all of these, the best ones first."""
    assert [one.name for one in few.search(words)] == found


def test_guides_are_found_by_name_and_title(topics: Topics) -> None:
    """Each has a name of its own, and a sentence that says what it is about."""
    assert len(topics.guides) > 40
    for guide in topics.guides.values():
        assert topics.find(guide.name) == [guide]
        assert guide in [*topics.find(guide.also[1]), *topics.related(guide.also[1], ())]
        assert re.fullmatch(r"[A-Z`].+[.?]", guide.summary), guide
        assert not re.search(r"\]\(|\*", guide.summary), guide


@pytest.mark.parametrize(
    ("path", "summary"),
    [
        ("../ripe.md", "Ripe at last. An apple that is red is ripe."),
        ("../how-to/pick.md", "Pick."),
        ("../tutorials/index.md", "Tutorials."),
    ],
)
def test_the_summary_of_a_guide(few: Topics, path: str, summary: str) -> None:
    """Its title, and its first sentence if it begins with one."""
    assert few.guides[path].summary == summary


def test_a_status_has_the_rows_of_all_tables(few: Topics) -> None:
    """What a partner means by it, and what a receiver does."""
    (found,) = few.find("404")
    assert "| `LOST` | 404 |" in found.text
    assert "| 404 | No path. |" in found.text


def test_ends_that_several_keys_have(topics: Topics) -> None:
    """All of them are found, also where other keys are called so; too many name none of them."""
    named = [one.name for one in topics.find("subscriptions")]
    assert named == [*["subscriptions"] * 3, "destinations.subscriptions"]
    assert len(topics.find("show")) > 1
    rows = "".join(f"| `a{number}.end` | - |\n" for number in range(13))
    many = Topics.of({"x.md": f"# x\n\n| key | meaning |\n|---|---|\n{rows}"})
    with pytest.raises(UsageError, match="nearest"):
        many.find("end")


@pytest.mark.parametrize("word", SYNONYMS)
def test_words_of_readers(topics: Topics, word: str) -> None:
    """Each leads to every topic that it stands for, if only after what is called so."""
    shown = topics.find(word)
    found = [*shown, *topics.related(word, shown)]
    assert len(found) >= len(SYNONYMS[word])
    for name in SYNONYMS[word]:
        assert any(name in {one.name, *one.also} for one in found)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("idempotent", "requests.idempotent"),
        ("settleAfterSeconds", "destinations.delivery.settleAfterSeconds"),
        ("x-otherwise", "fields.properties.x-otherwise"),
        ("expect", "requests.expect"),
        ("replay", "destinations deliveries replay"),
        ("retry.backoff", "transport.retry.backoff"),
        ("401", "401"),
        ("writeKey", "sources.keys"),
        ("source", "sources"),
        ("preset", "presets"),
    ],
)
def test_ends_of_names(topics: Topics, name: str, found: str) -> None:
    """The end of a key or a command leads to it, where no other has the whole name."""
    assert [one.name for one in topics.find(name)] == [found]


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
        ("/fields/properties/plan/default/@unknown", "directives"),
        ("", None),
        ("/never/heard/of", None),
    ],
)
def test_the_topic_of_an_issue(path: str, topic: str | None) -> None:
    """It is the nearest one to the place; a place without one has no line."""
    expected = "" if topic is None else f"Help: destinations help {topic}"
    assert help_line([Issue("is wrong", path)]) == expected


@pytest.mark.parametrize(
    ("issue", "topic"),
    [
        (Issue("is wrong", "/bogus", "x/destination.yaml"), "destination.yaml"),
        (Issue("is wrong", "/bogus", "x/cases/new.yaml"), "case"),
        (Issue("is wrong", "/bogus", "serve-eu.yaml"), "serve.yaml"),
        (Issue("is wrong", "/bogus", "my-connection.yaml"), "connection"),
        (Issue("YAML readers disagree on what `n` is: quote it", "/a/@path/n", "x.yaml"), "yaml"),
        (Issue("is wrong", "/transport", "x/destination.yaml"), "transport"),
    ],
)
def test_the_topic_of_a_whole_file(issue: Issue, topic: str) -> None:
    """A place that has none is explained with its file; what YAML reads has a topic of its own."""
    assert help_line([issue]) == f"Help: destinations help {topic}"


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
        (
            "1. Do:\n\n   ```sh\n   if x\n     y\n   ```\n\n   And go on.\n",
            ["1. Do:", "", "    if x", "      y", "", "   And go on."],
        ),
        ("![A way](a.svg)", ["(picture: A way)"]),
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
    for page in (*topics.pages.values(), *topics.guides.values()):
        shown = lines_of(
            page.text, width=80, table=lambda _, rows: map("|".join, rows), heading=str
        )
        text = "\n".join(line for line in shown if not line.startswith("    "))
        assert "](" not in text, page.path
        assert "**" not in text.replace("***", ""), page.path  # what a secret prints as
