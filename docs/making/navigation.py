"""What the site's menu shows: the pages of each page, in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["NAVIGATION", "toctrees"]

_DOCS: Final = Path(__file__).resolve().parents[1]

NAVIGATION: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "index": {
        "Start": [
            "start",
            "tutorials/partner-engineer",
            "tutorials/partner",
            "tutorials/data-team",
            "tutorials/operator",
        ],
        "Write a destination": [
            "packages",
            "testing",
            "partner-page",
            "linting",
            "publishing",
            "importing",
            "how-to/export-to-segment",
            "how-to/look-up-then-create",
            "how-to/extend",
        ],
        "Receive and deliver": [
            "running",
            "serving",
            "sdks",
            "connections",
            "how-to/meter-usage",
            "direct-destination",
            "portal-check",
            "sandbox",
            "library",
            "kana-behaviour",
        ],
        "Operate": [
            "how-to/index",
            "console",
            "api",
            "alerts",
            "deliveries",
            "observability",
            "operating",
            "scaling",
            "erasure",
        ],
        "Reference": ["reference/index", "glossary", "limits", "release-notes", "changelog"],
        "Understand": [
            "explanations/index",
            "guarantees",
            "architecture",
            "conformance",
            "performance",
            "contributing",
            "security",
        ],
    },
    "reference/index": {
        "": [
            "definition/index",
            "directives/index",
            "fql",
            "liquid",
            "conversions",
            "connection/index",
            "case/index",
            "faults/index",
            "seed",
            "serve/index",
            "commands/index",
            "outcomes",
            "codes",
            "exit-codes",
            "metrics",
            "logs",
            "python/index",
        ]
    },
    "reference/definition/index": {"": ["destination/index", "action/index", "*"]},
    "how-to/index": {
        "": [
            "install",
            "publish-a-destination",
            "run-twice",
            "decide-held",
            "unexpected-balances",
            "feed-back",
            "compare-usage",
            "move-to-postgresql",
            "erase-a-user",
            "upgrade",
            "proxy-and-ca",
            "windows-and-macos",
            "release",
        ]
    },
    "explanations/index": {"": ["assumptions", "order", "lost-answers", "segment", "alternatives"]},
}
"""By page, the groups of pages below it, relative to its folder; ``*`` are all others there."""


def toctrees(page: str) -> str:
    """Return what is added to a page, so that the menu has the pages below it."""
    groups = NAVIGATION.get(page)
    if groups is None and page.endswith("/index"):
        folder = _DOCS / Path(page).parent
        groups = {"": ["*"]} if len(list(folder.glob("*.md"))) > 1 else {}
    return "".join(_toctree(title, pages) for title, pages in (groups or {}).items())


def _toctree(title: str, pages: Sequence[str]) -> str:
    caption = f":caption: {title}\n" if title else ""
    listed = "\n".join(pages)
    return f"\n\n```{{toctree}}\n:hidden:\n:glob:\n:maxdepth: 1\n{caption}\n{listed}\n```\n"
