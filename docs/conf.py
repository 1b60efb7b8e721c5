"""How Sphinx builds the site of these pages: ``sphinx-build docs OUT``; it needs no network."""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parent))

from making.navigation import toctrees

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS: Final = Path(__file__).resolve().parent
_LINK: Final = re.compile(r"\[([^\]]+)\]\(((?!\w+:|#)[^)\s]+)\)")
_SHIPPED: Final = sorted(
    path.parent.name for path in DOCS.parent.glob("definitions/*/destination.yaml")
)
_ELSEWHERE: Final = ("../", *(f"{slug}/" for slug in _SHIPPED))
"""Where links lead to that is not of this site."""

project = "destinations"
author = "The kana-destination authors"
project_copyright = author
version = release = re.findall(
    r'"(.+)"', (DOCS.parent / "destinations" / "_version.py").read_text(encoding="utf-8")
)[0]

extensions = ["myst_parser", "sphinx_copybutton", "sphinx_design"]
myst_enable_extensions = ["colon_fence"]
source_suffix = {".md": "markdown"}
# The pages of destinations are for another site.
exclude_patterns = [*_SHIPPED, "making", "_build"]
highlight_language = "text"
smartquotes = False
myst_heading_anchors = 4
# What shows a prompt is copied without it.
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp"

html_theme = "furo"
html_title = "destinations"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["llms.txt", "example-report.html"]
html_theme_options: dict[str, list[str]] = {"footer_icons": [], "top_of_page_buttons": []}


def _outside(text: str, page: str) -> str:
    """Replace links that leave docs/ by their text and the path: the site has only docs/."""

    def shown(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), found[2]))
        if not target.startswith(_ELSEWHERE):
            return found[0]
        path = target.removeprefix("../").partition("#")[0]
        named = found[1].strip("`")
        return f"`{path}`" if path.startswith(named) or named == path else f"{found[1]} (`{path}`)"

    return _LINK.sub(shown, text)


def _prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Make a page of the tree one of the site."""
    del app
    source[0] = _outside(source[0], page) + toctrees(page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what makes pages of the tree pages of the site."""
    app.connect("source-read", _prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
