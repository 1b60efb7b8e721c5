"""The site is built from docs/ without a network, and every link in it leads somewhere."""

from __future__ import annotations

import ast
import html.parser
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

from tests import site_navigation

ROOT = Path(__file__).parent.parent

# A warning is an error; all of them are shown.
_STRICT: Final = ("-q", "-n", "-W", "--keep-going")


def _build(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *_STRICT, *options, "-b", "html", source, out],
        cwd=ROOT,  # where its extensions are
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _extensions() -> list[str]:
    """Return those of the site."""
    conf = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    (found,) = re.findall(r"(?m)^extensions = (\[.+\])$", conf)
    return [str(one) for one in ast.literal_eval(found)]


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
    """The site, with the navigation on some pages; a warning is a failure."""
    out = tmp_path_factory.mktemp("site")
    extensions = ",".join([*_extensions(), site_navigation.__name__])
    done = _build(ROOT / "docs", out, "-D", f"extensions={extensions}")
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


def test_the_navigation_leads_everywhere(site: Path) -> None:
    """On the pages that have it there is a link to each page of the site, in its place."""
    made = {path.resolve() for path in site.rglob("*.html") if "_downloads" not in path.parts}
    own = {site / name for name in ("genindex.html", "search.html", "example-report.html")}
    seen = 0
    for path in sorted(made):
        text = path.read_text(encoding="utf-8")
        _, found, tree = text.partition('<div class="sidebar-tree">')
        if 'class="toctree-l1' not in tree:
            continue
        page = _Page()
        page.feed(tree.partition("</aside>")[0])
        links = {(path.parent / unquote(urlsplit(one).path)).resolve() for one in page.links}
        assert found
        assert made - links - own - {path} <= {site / "index.html"}, path
        seen += 1
    assert seen > 5


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
