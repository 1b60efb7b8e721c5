from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from destinations.kit.partner_page.html import error_html, preview_html

PUBLISHED = """---
title: Sample Destination
---

[Site](https://www.example.com){:target="_blank"} and [Docs](/docs/), <b>no HTML</b>.

## Track

```js
// A comment
analytics.track('A <b>', { by: 1 });
```

> warning ""
> Keep `this`.
>
> And that.

### Mapping Rules

| A | B |
| - | - |
| x | y |

See [rules](#mapping-rules).
"""
SUBMISSION = """# Sample Destination

## Track

:::warning
Keep `this`.

And that.
:::
"""


class Outline(HTMLParser):
    """Tags with their attributes in order, and the text within each heading and link."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "main" in self.open:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_a_published_page() -> None:
    """Title, headings with anchors, hints, tables, code and links, all tags closed."""
    outline = Outline(preview_html(PUBLISHED))
    text = "".join(outline.text)
    assert text.count("Sample Destination") == 1
    assert [one["id"] for one in outline.all("h2") + outline.all("h3")] == [
        "track",
        "mapping-rules",
    ]
    assert {"class": "hint warning"} in outline.all("div")
    assert "Keep this." in text
    assert 'warning ""' not in text
    assert "{:" not in text
    assert "<b>no HTML</b>" in text
    assert outline.all("b") == []
    links = {str(one["href"]): one for one in outline.all("a")}
    assert links["https://www.example.com"]["target"] == "_blank"
    assert "target" not in links["/docs/"]
    assert len(outline.all("table")) == 1
    classes = {str(one["class"]) for one in outline.all("span") if "class" in one}
    # A comment, names, punctuation, a string and a number, as Pygments calls them.
    assert classes == {"brand", "flavour", "c1", "nx", "o", "p", "s1", "mf", "w"}
    assert "analytics.track('A <b>', { by: 1 });" in text


def test_every_anchor_is_there() -> None:
    """The contents and the page's own links lead to headings."""
    outline = Outline(preview_html(PUBLISHED))
    ids = {one.get("id") for _, one in outline.found}
    anchors = [str(one["href"]) for one in outline.all("a") if str(one["href"]).startswith("#")]
    assert len(anchors) == 3
    assert {anchor[1:] for anchor in anchors} <= ids


@pytest.mark.parametrize(
    ("language", "coloured"),
    [
        ("js", True),
        ("json", True),
        ("graphql", True),
        ("", False),
        ("<b>", False),
        ("brainfuck", False),
    ],
)
def test_code(language: str, *, coloured: bool) -> None:
    """Languages of pages are in colours; in any other the code is the same text, and no HTML."""
    code = '{"a": "<b>", "b": [1, null]}\n\n  x\n'
    outline = Outline(preview_html(f"# A\n\n```{language}\n\n{code}```\n"))
    assert f"\n{code}" in "".join(outline.text)
    assert outline.all("b") == []
    (block,) = [one for one in outline.all("pre") if one.get("class") == "code"]
    assert block["data-language"] == language
    classes = {one.get("class") for one in outline.all("span")} - {"brand", "flavour", None}
    assert bool(classes) == coloured


def test_a_submission() -> None:
    """HackMD's hints look like those of the site, and its title is not shown twice."""
    outline = Outline(preview_html(SUBMISSION))
    text = "".join(outline.text)
    assert text.count("Sample Destination") == 1
    assert [one["id"] for one in outline.all("h2")] == ["track"]
    assert {"class": "hint warning"} in outline.all("div")
    assert ":::" not in text


def test_it_needs_no_other_file() -> None:
    """The committed preview has its style within, runs nothing and loads nothing."""
    outline = Outline(preview_html(PUBLISHED))
    assert outline.all("script") == []
    assert [one["href"] for one in outline.all("link")] == ["data:,"]
    assert len(outline.all("style")) == 1


def test_the_served_preview_loads_itself_again() -> None:
    """It listens for changes, and leads to the other flavour."""
    text = preview_html(PUBLISHED, reload_from="/changes")
    assert 'new EventSource("/changes")' in text
    outline = Outline(text)
    assert {"href": "/", "aria-current": "page"} in outline.all("a")
    assert {"href": "/submission"} in outline.all("a")


def test_an_error_is_shown_as_text() -> None:
    """What is wrong with a definition is shown, and nothing of it is taken for HTML."""
    text = error_html("destination.yaml:3: <script> is not a key", reload_from="/changes")
    assert "destination.yaml:3: &lt;script&gt; is not a key" in text
    assert "EventSource" in text


@pytest.mark.parametrize("width", [1280, 500])
def test_it_fits_a_browser_window(tmp_path: Path, width: int) -> None:
    """In Chromium nothing is wider than the window, and the structure is that of the page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    page = tmp_path / "page.html"
    probe = (
        "<script>addEventListener('load', () => { document.body.dataset.probe = JSON.stringify(["
        "document.documentElement.scrollWidth <= innerWidth,"
        "document.querySelectorAll('.hint').length,"
        "[...document.querySelectorAll('.contents a')].every(a =>"
        " document.getElementById(a.hash.slice(1)))"
        "]); });</script></body>"
    )
    page.write_text(preview_html(PUBLISHED).replace("</body>", probe), encoding="utf-8")
    shot = tmp_path / "page.png"
    result = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900",
            f"--screenshot={shot}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert 'data-probe="[true,1,true]"' in result.stdout
