"""Write the pages that are made from data; with ``--check`` only say which are out of date.

``python docs/generate.py [--check]``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import jinja2
from kana_behaviour import kana_behaviour

from destinations.console.api.table import OPERATIONS
from destinations.operations import RunRecord
from destinations.report import run_page
from making import MADE
from making.codes import code_pages
from making.commands import command_pages
from making.conversions import conversion_pages
from making.directives import directive_pages
from making.fql import fql_pages
from making.keys import key_pages
from making.library import library_pages
from making.liquid import liquid_pages
from making.machines import agents, llms
from making.page import Page, read_page
from making.statuses import status_pages
from making.words import word_pages

ROOT = Path(__file__).resolve().parent.parent


def _rendered(name: str, **values: str) -> str:
    """Return the page that a template of docs/ becomes."""
    template = (ROOT / "docs" / f"{name}.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(**values)


def api() -> str:
    """Return the page on the console's API, with its routes from their table."""
    rows = [f"| `{one.method} {one.path}` | `{one.needs}` | {one.summary} |" for one in OPERATIONS]
    return _rendered("api", routes="\n".join(rows))


def example_report() -> str:
    """Return the page of a run, from what such a run has recorded."""
    path = ROOT / "docs" / "example-report.json"
    return run_page(RunRecord.from_json(json.loads(path.read_text(encoding="utf-8"))))


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/api.md": api,
    "docs/example-report.html": example_report,
    "docs/kana-behaviour.md": kana_behaviour,
}


_MAKERS: tuple[Callable[[], Iterator[Page]], ...] = (
    code_pages,
    command_pages,
    conversion_pages,
    directive_pages,
    fql_pages,
    key_pages,
    library_pages,
    liquid_pages,
    status_pages,
    word_pages,
)


def reference() -> Mapping[str, str]:
    """Return the pages of the reference that are made from the code, and what lists them all."""
    made = [page for make in _MAKERS for page in make()]
    known = {page.path for page in made}
    root = ROOT / "docs" / "reference"
    written = [
        one
        for path in sorted(root.rglob("*.md"))
        if (one := read_page(path, root)).path not in known and one.made_from == ""
    ]
    return {
        **{f"docs/reference/{page.path}": page.markdown() for page in made},
        "docs/llms.txt": llms([*made, *written]),
        "AGENTS.md": agents([*made, *written]),
    }


def main(arguments: list[str]) -> int:
    """Write the pages; with ``--check`` return 1 if one is out of date, and write nothing."""
    stale = []
    pages = {**{name: make() for name, make in PAGES.items()}, **reference()}
    for name in _left(pages):
        stale.append(name)
        if "--check" not in arguments:
            (ROOT / name).unlink()
    for name, text in pages.items():
        path = ROOT / name
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        sys.stderr.write(f"{name} is out of date: run python docs/generate.py\n")
    return 1 if stale and "--check" in arguments else 0


def _left(pages: Collection[str]) -> Iterator[str]:
    """Yield the pages of the reference that were made before, and are not any more."""
    for path in sorted((ROOT / "docs" / "reference").rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        if name not in pages and MADE in path.read_text(encoding="utf-8"):
            yield name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
