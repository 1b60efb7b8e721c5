from __future__ import annotations

import pytest

from destinations.kit.partner_page.markdown import Fence, Table, inline_tokens, read_page

PAGE = """---
title: Sample Destination
---

Text.

## Track

> info ""
> A hint.
>
> ```json
> {}
> ```

| A | B |
| - | - |
| `x` | y |

### More

## Track
"""


@pytest.mark.parametrize(
    ("text", "anchor"),
    [
        ("Getting Started", "getting-started"),
        ("Creating, updating or merging", "creating-updating-or-merging"),
        ("1. Step `one`", "step-one"),
        ("[Link](https://example.com) & more", "link--more"),
        ("123", "section"),
    ],
)
def test_anchors_are_those_of_the_site(text: str, anchor: str) -> None:
    """As kramdown makes them: letters, digits and dashes, from the first letter on."""
    (heading,) = read_page(f"# {text}\n").headings
    assert heading.anchor == anchor


def test_the_parts_of_a_page() -> None:
    """Headings with anchors that are there once, code, tables; lines are those of the file."""
    page = read_page(PAGE)
    assert page.flavour == "published"
    assert page.front_matter == {"title": "Sample Destination"}
    assert [(one.level, one.text, one.line, one.anchor) for one in page.headings] == [
        (2, "Track", 7, "track"),
        (3, "More", 20, "more"),
        (2, "Track", 22, "track-1"),
    ]
    assert page.fences == (Fence("json", "{}\n", 12),)
    tables = [block.content for block in page.blocks if isinstance(block.content, Table)]
    assert tables == [Table((("A", "B"), ("`x`", "y")), 16)]


def test_sections() -> None:
    """A section ends at the next heading; as a whole, at the next one that is not below it."""
    page = read_page(PAGE)
    track, more, again = page.headings
    kinds = {block.kind for block in page.section(track)}
    assert {"blockquote", "fence", "table"} <= kinds
    assert [block.kind for block in page.section(track, whole=True)][-1] == "heading"
    assert page.section(more) == page.section(again) == ()


@pytest.mark.parametrize(
    ("text", "values", "issue"),
    [
        ("Text", None, ""),
        ("---\n---\n", {}, "must be a mapping of keys to values"),
        ("---\n- a\n---\n", {}, "must be a mapping of keys to values"),
        ("---\na: b: c\n---\n", {}, "not YAML: mapping values are not allowed here"),
        (
            "---\nbeta: yes\n---\n",
            {},
            "/beta: YAML readers disagree on what `yes` is: quote it, or write true",
        ),
        ("---\na: 1\n---", {"a": 1}, ""),
        ("---\na: 1\n...\nText", {"a": 1}, ""),  # as Jekyll reads it
        ("---\na: 1\nText", None, ""),
    ],
)
def test_front_matter(text: str, values: object, issue: str) -> None:
    """It makes a page one of the published flavour, also where it cannot be read."""
    page = read_page(text)
    assert (page.front_matter, page.front_matter_issue) == (values, issue)
    assert page.flavour == ("submission" if values is None else "published")


@pytest.mark.parametrize("begin", [":::info", "::: warning Title", ":::spoiler"])
def test_a_block_of_hackmd(begin: str) -> None:
    """Its marks are no text; what is within has its own lines, and its HTML is found."""
    text = f"# A\n\n{begin}\n## B\n\n```js\n1\n```\n<b>c</b>\n:::\n\n## B\n"
    page = read_page(text)
    assert [(one.text, one.line, one.anchor) for one in page.headings] == [
        ("A", 1, "a"),
        ("B", 4, "b"),
        ("B", 12, "b-1"),
    ]
    assert page.fences == (Fence("js", "1\n", 6),)
    assert [block.kind for block in page.blocks] == ["heading"] * 2 + [
        "fence",
        "paragraph",
        "heading",
    ]
    assert "<b>" in "".join(token.content for token in inline_tokens(text))


def test_the_line_of_a_block_is_looked_at() -> None:
    """Jekyll knows no such blocks: the line that begins one is a part of its page."""
    found = inline_tokens(":::info <script>\ntext\n:::\n")
    assert [one.content for one in found if "<" in one.content] == ["info <script>"]
