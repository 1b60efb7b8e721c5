from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.kit.lint.source import Source

PIECES = st.sampled_from(
    (
        "---\n|title: A\n|```js\n|code\n|```\n|`span` |[text](https://x.example) |"
        '{:target="_blank"} |> info ""\n|> |:::info\n|:::\n|## Heading\n|¦ a ¦ b ¦\n|'
        "¦ - ¦ - ¦\n|word |\n|\n\n|<b>|{% include x %} |![](x.png) |1. |- "
    )
    .replace("¦", "\0")
    .split("|")
).map(lambda piece: piece.replace("\0", "|"))


def _source(text: str) -> Source:
    return Source(text, Path("page.md"))


@given(st.lists(PIECES, max_size=30).map("".join))
def test_views_keep_every_place(text: str) -> None:
    """Each view is as long as the text and breaks lines where it does."""
    source = _source(text)
    for view in (source.markup, source.prose, source.headings):
        assert len(view) == len(text)
        assert [at for at, c in enumerate(view) if c == "\n"] == [
            at for at, c in enumerate(text) if c == "\n"
        ]


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: secret\n---\n",
        "```js\nsecret\n```\n",
        "~~~\nsecret\n~~~\n",
        "> ```js\n> secret\n> ```\n",
        "A `secret` and ``a `secret` ``.",
        "[a](secret) [b](https://secret.example/a_(secret)) ![c](secret.png)",
        '[a](b){:target="secret"}',
        "https://secret.example/secret <secret@secret.example> secret@secret.example",
        "{% include secret %} {{ secret }} <!-- secret --> <secret>",
    ],
)
def test_what_is_no_prose_is_covered(text: str) -> None:
    """Code, URLs, front matter and markup are never taken for sentences."""
    assert "secret" not in _source(text).prose


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("# Title", "Title"),
        ('> info "Note"\n> Text', "Text"),
        ("[A link](x) on", "A link"),
        ("1. Step", "Step"),
        ("| cell | two |", "cell"),
        ("Before `code` after", "after"),
        ("A stray ` tick.\n\nText.\n\nAnother ` tick.", "Text."),
    ],
)
def test_prose_is_kept(text: str, prose: str) -> None:
    """Headings, hints, the texts of links, lists and tables are read."""
    assert prose in _source(text).prose


@pytest.mark.parametrize(
    ("offset", "place"), [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (4, (3, 1)), (5, (3, 2))]
)
def test_places(offset: int, place: tuple[int, int]) -> None:
    """Lines and columns count from 1."""
    assert _source("ab\n\ncd").place(offset) == place


def test_links_and_images() -> None:
    """With text, target, attributes and place; images within links, but nothing in code."""
    source = _source('[a](b){:target="x"} `[no](no)` [![c](d.png)](e)')
    assert [(link.is_image, link.text, link.target, link.attributes) for link in source.links] == [
        (False, "a", "b", '{:target="x"}'),
        (False, "![c](d.png)", "e", ""),
        (True, "c", "d.png", ""),
    ]
    for link in source.links:
        assert source.text[link.start] in "[!"
