"""The site is built from docs/ without a network, and every link in it leads somewhere."""

from __future__ import annotations

import html.parser
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent

# A warning is an error; all of them are shown.
_STRICT: Final = ("-q", "-n", "-W", "--keep-going")


def _build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *_STRICT, "-b", "html", source, out],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


class _Page(html.parser.HTMLParser):
    """The links and the anchors of a page, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: Mapping[str, str | None] = dict(attrs)
        if identity := given.get("id"):
            self.anchors.add(identity)
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
        if tag in {"img", "script"} and (source := given.get("src")):
            self.loads.append(source)
        if tag == "link" and given.get("rel") == "stylesheet" and (sheet := given.get("href")):
            self.loads.append(sheet)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; a warning is a failure."""
    out = tmp_path_factory.mktemp("site")
    done = _build(ROOT / "docs", out)
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_links_lead_somewhere(site: Path) -> None:
    """Each link of each page is to a file of the site and an anchor in it; nothing is loaded."""
    pages = {}
    for path in site.rglob("*.html"):
        pages[path.resolve()] = page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
    assert len(pages) > 100
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads:
                    broken.append(f"{path.name} loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages.get(target)
            if not target.is_file() or (known and unquote(parts.fragment) not in known.anchors):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_the_search_knows_the_reference(site: Path) -> None:
    """Its index has the pages that `destinations help` shows."""
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert "reference/directives/path" in index


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    """The build fails, and says where."""
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text('extensions = ["myst_parser"]\n', encoding="utf-8")
    (source / "index.md").write_text("# Title\n\n[gone](gone.md)\n", encoding="utf-8")
    done = _build(source, tmp_path / "out")
    assert done.returncode != 0
    assert "index.md:3" in done.stderr
    assert "gone.md" in done.stderr
