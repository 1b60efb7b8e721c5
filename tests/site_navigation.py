"""An extension of Sphinx that leaves the navigation beside the text out of most pages.

It is the same on all pages but for what is unfolded, and takes more than half of the time of a
build: each page has a link to each other one. Without it stays what only one page says.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ONE_OF: Final = 20
"""Of so many pages one has the navigation, and the first page of the site has it."""


def has_navigation(page: str, root: str) -> bool:
    """Return whether a page keeps its navigation."""
    return page == root or zlib.crc32(page.encode()) % _ONE_OF == 0


def _leave_out(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    if not has_navigation(page, app.config.root_doc):
        context.pop("toctree", None)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it before what makes the navigation."""
    app.connect("html-page-context", _leave_out, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
