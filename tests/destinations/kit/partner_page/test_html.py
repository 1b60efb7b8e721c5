from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest

from destinations.kit.partner_page.flavour import FlavourName
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


LABEL = {"class": "label"}


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
    assert "target" not in links["https://segment.com/docs/"]
    assert len(outline.all("table")) == 1
    classes = {str(one["class"]) for one in outline.all("span") if "class" in one} - {"label"}
    # A comment, names, punctuation, a string and a number, as Pygments calls them.
    assert classes == {"brand", "flavour", "c1", "nx", "o", "p", "s1", "mf", "w"}
    assert [one for one in outline.all("span") if one.get("class") == "label"] == [LABEL] * 2
    assert "analytics.track('A <b>', { by: 1 });" in text


@pytest.mark.parametrize(
    ("head", "label"),
    [
        ("A", "A"),
        ("User with `a.b`", "User with <code>a.b</code>"),
        ("`<b>` & <i>", "<code>&lt;b&gt;</code> &amp; &lt;i&gt;"),
        ('[Docs](https://a.example/){:target="_blank"} of *A*', "Docs of A"),
        ("", ""),
    ],
)
def test_labels_of_stacked_cells(head: str, label: str) -> None:
    """Each cell has the head of its column: code as code, a link and emphasis as their text."""
    text = preview_html(f"# A\n\n| {head} | Z |\n| - | - |\n| x | y |\n| v | w |\n")
    found = re.findall(r'<td><span class="label">(.*?)</span><div>(.*?)</div></td>', text)
    assert found == [(label, "x"), ("Z", "y"), (label, "v"), ("Z", "w")]


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


LINKS: Mapping[FlavourName, str] = {
    "published": "sample.html",
    "submission": "sample-submission.html",
}


@pytest.mark.parametrize(
    ("text", "flavour"), [(PUBLISHED, "published"), (SUBMISSION, "submission")]
)
def test_the_flavours_lead_to_each_other(text: str, flavour: FlavourName) -> None:
    """The bar has both, and marks the one that is shown."""
    outline = Outline(preview_html(text, links=LINKS))
    bar = [one for one in outline.all("a") if one["href"] in LINKS.values()]
    assert [one["href"] for one in bar] == list(LINKS.values())
    assert [one["href"] for one in bar if "aria-current" in one] == [LINKS[flavour]]


def test_the_served_preview_loads_itself_again() -> None:
    """It listens for changes."""
    assert 'new EventSource("/changes")' in preview_html(PUBLISHED, reload_from="/changes")


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/connections/spec/track/", "/docs/guides/filtering-data/#top"]
)
def test_links_into_the_docs_lead_there(path: str) -> None:
    """A path of Segment's site is an address in a preview; other paths stay."""
    text = preview_html(f"# A\n\n[x]({path}) [y](#a) [z](images/a.png)\n")
    addresses = [str(one["href"]) for one in Outline(text).all("a")]
    assert addresses[-3:] == [f"https://segment.com{path}", "#a", "images/a.png"]


def test_an_error_is_shown_as_text() -> None:
    """What is wrong with a definition is shown, and nothing of it is taken for HTML."""
    message = "destination.yaml:3: <script> is not a key"
    text = error_html(message, "submission", links=LINKS, reload_from="/changes")
    assert "destination.yaml:3: &lt;script&gt; is not a key" in text
    assert "EventSource" in text
    assert 'href="sample-submission.html" aria-current="page"' in text


def test_the_style_has_both_modes() -> None:
    """Each colour of the light mode has one in the dark mode."""
    text = preview_html(PUBLISHED)
    light, dark = (
        set(re.findall(r"--([\w-]+):", block)) for block in re.findall(r":root \{([^}]*)\}", text)
    )
    assert light == dark
    assert '<meta name="color-scheme" content="light dark">' in text


WIDE = """# Sample Destination

## Track

| Field | Required? | Description | More |
| ----- | --------- | ----------- | ---- |
| `properties.a_very_long_name_without_any_space` | No | Text. | |

```js
analytics.track('A', { line: 'longer than any phone is wide, so that the block of code scrolls' });
```
"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("text", [PUBLISHED, WIDE], ids=["a page", "wide parts"])
def test_it_fits_a_browser_window(tmp_path: Path, width: int, text: str) -> None:
    """In Chromium nothing is wider than the window; on a phone tables are stacked with labels."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    # Chromium's own windows are never narrower than 500 pixels, so the page is shown in a frame.
    (tmp_path / "page.html").write_text(preview_html(text, links=LINKS), encoding="utf-8")
    frame = tmp_path / "frame.html"
    probe = """addEventListener("load", () => {
      const frame = document.querySelector("iframe"), page = frame.contentDocument;
      const cell = page.querySelector("td"), label = cell.querySelector(".label");
      const style = frame.contentWindow.getComputedStyle;
      document.body.dataset.probe = [
        page.documentElement.scrollWidth <= frame.clientWidth,
        [...page.querySelectorAll(".table")].every(one => one.scrollWidth <= one.clientWidth),
        style(cell).display,
        style(label).display !== "none",
        [...page.querySelectorAll(".contents a")].every(a => page.getElementById(a.hash.slice(1))),
      ].join(" ");
    });"""
    frame.write_text(
        f'<iframe src="page.html" width="{width}" height="900"></iframe><script>{probe}</script>',
        encoding="utf-8",
    )
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
            "--allow-file-access-from-files",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    shown = "grid true" if width == 390 else "table-cell false"
    assert f'data-probe="true true {shown} true"' in result.stdout
