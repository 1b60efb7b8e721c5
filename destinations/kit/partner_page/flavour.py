"""The flavours of a page, which differ in hints, links and the levels of headings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

__all__ = [
    "FLAVOURS",
    "PUBLISHED",
    "SEGMENT",
    "SUBMISSION",
    "Flavour",
    "FlavourName",
    "code_span",
    "in_one_line",
    "joined",
]

FlavourName = Literal["published", "submission"]

SEGMENT: Final = "https://segment.com"
"""The site of Segment's docs, whose paths begin with ``/docs/``."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """One rendering of a page; ``suffix`` follows the slug in its file's name.

    Templates call the methods.
    """

    name: FlavourName
    suffix: str

    def heading(self, text: str, *, published: int, submission: int) -> str:
        """Return a heading on this flavour's level."""
        return "#" * (published if self.name == "published" else submission) + " " + text

    def hint(self, kind: Literal["info", "warning"], *, caller: Callable[[], str]) -> str:
        """Return a hint block; templates put its text between ``call`` and ``endcall``."""
        body = caller().strip()
        if self.name == "submission":
            return f":::{kind}\n{body}\n:::\n"
        lines = [f'> {kind} ""', *(f"> {line}".rstrip() for line in body.splitlines())]
        return "\n".join(lines) + "\n"

    def external(self, text: str, url: str) -> str:
        """Return a link out of Segment's docs, which opens in a new tab."""
        attribute = '{:target="_blank"}' if self.name == "published" else ""
        return f"[{text}]({url}){attribute}"

    def partner(self, text: str, url: str) -> str:
        """Return a link to the partner's site that shows the partner where visitors come from."""
        mark = "&" if urlsplit(url).query else "?"
        return self.external(text, f"{url}{mark}utm_source=segment&utm_medium=docs")

    def segment(self, text: str, path: str) -> str:
        """Return a link to a page of Segment's docs, such as ``/docs/connections/spec/``.

        The path may leave out ``/docs``, with which all of them begin.
        """
        path = path if path.startswith("/docs/") else f"/docs{path}"
        return f"[{text}]({path if self.name == 'published' else SEGMENT + path})"


PUBLISHED: Final = Flavour("published", "")
SUBMISSION: Final = Flavour("submission", "-submission")
FLAVOURS: Final = (PUBLISHED, SUBMISSION)
"""Both flavours: the page of the catalog, and the one that a partner submits."""


def in_one_line(text: str) -> str:
    """Return ``text`` for a cell or a step: without line breaks, and with example URLs as code."""
    return re.sub(r"(?<![`(<\w])(https?://[^\s)`]*[^\s)`.,;:])", r"`\1`", " ".join(text.split()))


def code_span(text: str) -> str:
    """Return a text as a code span; with a backtick in it, the span has 2 around it."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def joined(items: Sequence[str], last: str = "and") -> str:
    """Join words as in a sentence: ``a``, ``a and b``, ``a, b, and c``."""
    if len(items) < 3:
        return f" {last} ".join(items)
    return f"{', '.join(items[:-1])}, {last} {items[-1]}"
