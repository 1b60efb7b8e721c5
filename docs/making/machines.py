"""What is made for programs that read the docs: llms.txt, and AGENTS.md at the top."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import jinja2

from destinations.reference.guide import guide_of
from making.navigation import NAVIGATION
from making.page import Page

__all__ = ["agents", "llms"]

_DOCS: Final = Path(__file__).resolve().parents[1]
_ABOUT: Final = """\
Segment-Actions-style destinations in Python: a destination is data (YAML definitions with
JSON-schema field mappings), one generic runtime executes any of them, one pipeline delivers, from
files, over HTTP, on one machine or many."""


def llms(pages: Sequence[Page]) -> str:
    """Return llms.txt: every page of the reference with a line on each."""
    parts = [f"# destinations\n\n> {_ABOUT.replace(chr(10), ' ')}"]
    parts.append(
        "Where the package is installed, `destinations help TOPIC` shows these pages, and "
        "`destinations help --search WORDS` finds words in them."
    )
    for group, names in NAVIGATION["index"].items():
        lines = [_line(guide) for name in names for guide in _guides(name)]
        parts.append(f"## {group}\n\n" + "\n".join(lines))
    for folder, found in _rooms(pages):
        lines = [f"- [{one.name}](reference/{_html(one.path)}): {one.summary}" for one in found]
        parts.append(f"## {folder}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def agents(pages: Sequence[Page]) -> str:
    """Return AGENTS.md: the rules of the tree, and where the reference has what."""
    lines = []
    for folder, found in _rooms(pages):
        names = ", ".join(f"`{one.name}`" for one in found)
        lines.append(f"- [{folder}](docs/reference/{_home(found)}): {names}")
    guide = jinja2.Template(
        (_DOCS / "making" / "agents.md.j2").read_text(encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    text: str = guide.render(about=_ABOUT, reference="\n".join(lines))
    return text


def _guides(name: str) -> Iterator[str]:
    """Yield a page of the menu, and those below it; the reference has its own list."""
    if name != "reference/index":
        yield name
        for group in NAVIGATION.get(name, {}).values():
            yield from (posixpath.join(posixpath.dirname(name), one) for one in group)


def _line(name: str) -> str:
    """Return the line of a page, with what `destinations help` says of it."""
    path = f"{name}.md"
    guide = guide_of(path, (_DOCS / path).read_text(encoding="utf-8"))
    title = guide.also[1]
    about = guide.summary.removeprefix(f"{title}.")
    return f"- [{title}]({name}.html)" + (f":{about}" if about else "")


def _rooms(pages: Sequence[Page]) -> Iterator[tuple[str, Sequence[Page]]]:
    """Yield the pages by their folder, that of the folder first."""
    by_folder = sorted(pages, key=lambda one: (_folder(one), one.path))
    for folder, found in itertools.groupby(by_folder, key=_folder):
        room = sorted(found, key=lambda one: posixpath.basename(one.path) != "index.md")
        yield room[0].name if folder else "general", room


def _folder(page: Page) -> str:
    return posixpath.dirname(page.path)


def _home(pages: Sequence[Page]) -> str:
    return pages[0].path if _folder(pages[0]) else "index.md"


def _html(path: str) -> str:
    return path.removesuffix(".md") + ".html"
