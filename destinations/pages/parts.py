"""Build the parts that pages are made of: badges, tables, facts, messages and whole documents."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from destinations.pages.figures import number
from destinations.pages.markup import EMPTY, Html, element, escape, joined, void

__all__ = [
    "Column",
    "badge",
    "base_css",
    "command",
    "document",
    "empty",
    "facts",
    "message",
    "table",
]


@cache
def base_css() -> str:
    """Return the style that all pages share."""
    return Path(__file__).with_name("base.css").read_text(encoding="utf-8")


def badge(status: str, text: str | None = None) -> Html:
    """Return an outcome or state with its colour; the word says it as well."""
    return element("span", text or status, class_=f"badge kind-{status}")


def empty(*content: object) -> Html:
    """Return what stands in the place of nothing: why there is nothing, and what to do."""
    return element("p", *content, class_="empty")


def message(level: Literal["good", "warning", "bad", ""], *content: object) -> Html:
    """Return a message that stands out."""
    return element("div", *content, class_=f"message {level}".rstrip())


def command(text: str) -> Html:
    """Return a command to be copied: it can be selected with one click where browsers have that."""
    return element("pre", element("code", text), class_="wraps command")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return names with their values; those that are None or empty are left out."""
    rows = [
        joined([element("dt", name), element("dd", value)])
        for name, value in pairs
        if value is not None and value != ""
    ]
    return element("dl", *rows, class_="facts")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: of text, of ``number``, or of ``long`` text such as reasons."""

    title: str
    kind: Literal["text", "number", "long"] = "text"


def table(
    columns: Sequence[Column | str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    total: Sequence[object] = (),
) -> Html:
    """Return a table whose rows become lists on a narrow screen.

    The first cell of a row names it. Numbers get separators; a cell that is None or empty is empty.
    """
    heads = [Column(one) if isinstance(one, str) else one for one in columns]
    head = element("tr", *(_head(one) for one in heads), role="row")
    body = [element("tr", *_cells(heads, row), role="row") for row in rows]
    foot = EMPTY
    if total:
        last = element("tr", *_cells(heads, total), role="row")
        foot = element("tfoot", last, role="rowgroup")
    return element(
        "table",
        element("caption", caption) if caption else EMPTY,
        element("thead", head, role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        foot,
        class_="table",
        # A list on a narrow screen is no table for screen readers, unless it says so.
        role="table",
    )


def _head(column: Column) -> Html:
    is_number = column.kind == "number"
    return element(
        "th",
        column.title,
        scope="col",
        role="columnheader",
        class_="number" if is_number else None,
    )


def _cells(columns: Sequence[Column], row: Sequence[object]) -> Iterable[Html]:
    for at, (column, value) in enumerate(zip(columns, row, strict=True)):
        kind = None if column.kind == "text" else column.kind
        text = _cell(value)
        if at == 0:
            yield element("th", text, scope="row", role="rowheader", class_=kind)
        else:
            yield element("td", text, role="cell", class_=kind, data_label=column.title)


def _cell(value: object) -> Html:
    if value is None:
        return EMPTY
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return escape(value)


def document(title: str, *content: object, css: str = "", marks: Iterable[Html] = ()) -> Html:
    """Return a whole page that needs nothing else and runs nothing: no script, no address.

    ``css`` comes after the style of all pages; ``marks`` are further elements of its head.
    """
    style = base_css() + css
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Even markup that had got onto the page could load and run nothing.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content=policy),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="referrer", content="no-referrer"),
        void("meta", name="robots", content="noindex"),
        *marks,
        element("title", title),
        element("style", Html(style)),
    )
    page = element("html", head, element("body", element("main", *content)), lang="en")
    return Html(f"<!DOCTYPE html>\n{page}\n")
