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
_OF_ROOT: Final = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
}
"""Pages whose content is that of a file beside docs/: in docs/ they only lead there."""

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


def _linked(text: str, page: str, folder: str) -> str:
    """Return a text with links as the site has them; ``folder`` is where they are relative to.

    Links that leave docs/ become their text and the path, but for the pages of `_OF_ROOT`.
    """
    own = {f"../{file}": f"{name}.md" for name, file in _OF_ROOT.items()}

    def shown(found: re.Match[str]) -> str:
        given, sign, anchor = found[2].partition("#")
        target = posixpath.normpath(posixpath.join(folder, given))
        there = own.get(target, target.removeprefix("../docs/"))
        if not there.startswith(_ELSEWHERE):
            if there == target:
                return found[0]
            return (
                f"[{found[1]}]({posixpath.relpath(there, posixpath.dirname(page))}{sign}{anchor})"
            )
        path = there.removeprefix("../")
        named = found[1].strip("`")
        return f"`{path}`" if path.startswith(named) or named == path else f"{found[1]} (`{path}`)"

    return _LINK.sub(shown, text)


def _prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Make a page of the tree one of the site."""
    del app
    if page in _OF_ROOT:
        text = (DOCS.parent / _OF_ROOT[page]).read_text(encoding="utf-8")
        source[0] = _linked(text, page, "..")
        return
    source[0] = _linked(source[0], page, posixpath.dirname(page)) + toctrees(page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what makes pages of the tree pages of the site."""
    app.connect("source-read", _prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
