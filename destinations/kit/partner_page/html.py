"""Render a page of either flavour as HTML in the layout of a documentation site."""

from __future__ import annotations

import html
import importlib.resources
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from destinations.extras import libraries_of
from destinations.kit.partner_page.flavour import SEGMENT, FlavourName
from destinations.kit.partner_page.markdown import (
    HINT,
    Heading,
    Page,
    kind_of_hint,
    page_parser,
    read_page,
)
from destinations.kit.partner_page.page_escaping import plain_liquid

with libraries_of("kit"):
    import jinja2
    import pygments
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import TextLexer, get_lexer_by_name

__all__ = ["error_html", "preview_html"]

_HINT: Final = re.compile(r'^(info|warning|success|danger|note) "([^"]*)"\s*')
_ATTRIBUTE: Final = re.compile(r'^\{:\s*(\w+)="([^"]*)"\s*\}')
_LANGUAGES: Final = frozenset(
    {"bash", "graphql", "html", "http", "javascript", "js", "json", "python", "sh", "toml", "yaml"}
)
"""The languages that are shown in colours; everything else is text."""


def preview_html(
    text: str, *, links: Mapping[FlavourName, str] | None = None, reload_from: str | None = None
) -> str:
    """Return a whole HTML document that needs no other files than the page's images.

    ``links`` are the addresses of the flavours' previews, by the flavour's name. With
    ``reload_from``, the URL of a stream of server-sent events, it reloads at each event.
    """
    page = read_page(plain_liquid(text))
    title, body = _content(page)
    return _document(
        title=title,
        body=body,
        contents=[heading for heading in page.headings if 1 < heading.level < 5],
        flavour=page.flavour,
        links=links or {},
        reload_from=reload_from,
    )


def error_html(
    message: str,
    flavour: FlavourName,
    *,
    links: Mapping[FlavourName, str] | None = None,
    reload_from: str | None = None,
) -> str:
    """Return a document that shows why the page cannot be built."""
    body = f'<div class="hint warning"><pre class="issue">{html.escape(message)}</pre></div>'
    return _document(
        title="The page cannot be built",
        body=body,
        contents=[],
        flavour=flavour,
        links=links or {},
        reload_from=reload_from,
    )


def _document(
    *,
    title: str,
    body: str,
    contents: Sequence[Heading],
    flavour: FlavourName,
    links: Mapping[FlavourName, str],
    reload_from: str | None,
) -> str:
    files = importlib.resources.files("destinations.kit.partner_page") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((files / "preview.html.j2").read_text(encoding="utf-8"))
    return (
        template.render(
            title=title,
            body=body,
            contents=contents,
            flavour=flavour,
            links=links,
            reload_from=reload_from,
            style=(files / "preview.css").read_text(encoding="utf-8"),
        )
        + "\n"
    )


def _content(page: Page) -> tuple[str, str]:
    """Return (title, body); a submission's title is removed from its body."""
    parser = page_parser(html=False)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule(f"container_{HINT}_open", _hint)
    parser.add_render_rule("td_open", _cell)
    parser.add_render_rule("td_close", lambda *_: "</div></td>\n")
    tokens = [token for token in parser.parse(page.text) if token.type != "front_matter"]
    title = str((page.front_matter or {}).get("title", ""))
    if not title and tokens and tokens[0].tag == "h1":
        title, tokens = tokens[1].content, tokens[3:]
    for index, token in enumerate(tokens):
        if token.type == "blockquote_open":
            _open_hint(tokens, index)
        elif token.type == "inline":
            token.children = list(_with_attributes(token.children or []))
    _label_cells(tokens)
    rendered = parser.renderer.render(tokens, parser.options, {})
    tables = rendered.replace("<table>", '<div class="table"><table>')
    return title, tables.replace("</table>", "</table></div>")


def _hint(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    return f'<div class="hint {html.escape(kind_of_hint(tokens[index].info) or "")}">\n'


def _cell(
    self: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    """Open a cell: its label, and one element for its content, so that they stand side by side."""
    label = tokens[index].meta["label"]
    return f'<td{self.renderAttrs(tokens[index])}><span class="label">{label}</span><div>'


def _open_hint(tokens: Sequence[Token], start: int) -> None:
    """Turn a quote that begins with a kind such as ``info ""`` into a hint block."""
    first = next((token for token in tokens[start:] if token.type == "inline"), None)
    found = _HINT.match(first.content) if first is not None else None
    if first is None or found is None or not first.children:
        return
    end = next(
        token
        for token in tokens[start:]
        if token.type == "blockquote_close" and token.level == tokens[start].level
    )
    tokens[start].tag = end.tag = "div"
    tokens[start].attrSet("class", f"hint {found[1]}")
    head = first.children[0]
    head.content = _HINT.sub("", head.content)
    if len(first.children) > 1 and first.children[1].type == "softbreak" and not head.content:
        first.children = first.children[2:]


def _label_cells(tokens: Sequence[Token]) -> None:
    """Give each cell of a table the head of its column, shown where the table is stacked."""
    heads: list[str] = []
    column = 0
    for token, inline in pairwise(tokens):
        if token.type == "table_open":
            heads = []
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open":
            heads.append("".join(map(_label, inline.children or ())))
        elif token.type == "td_open":
            token.meta["label"] = heads[column]
            column += 1


def _label(token: Token) -> str:
    """Return a part of a head as HTML: its text, and what is code in it; without links."""
    text = html.escape(token.content)
    return f"<code>{text}</code>" if token.type == "code_inline" else text


def _with_attributes(tokens: Sequence[Token]) -> Iterator[Token]:
    """Put kramdown's ``{:target="_blank"}``, which follows a link, into the link.

    Paths of Segment's docs become addresses, since a preview is not on Segment's site.
    """
    opened: Token | None = None
    after_link = False
    for token in tokens:
        if token.type == "link_open":
            opened = token
            address = str(token.attrGet("href"))
            if address.startswith("/docs/"):
                token.attrSet("href", SEGMENT + address)
        elif after_link and token.type == "text" and opened is not None:
            while found := _ATTRIBUTE.match(token.content):
                opened.attrSet(found[1], found[2])
                if found[1] == "target":
                    opened.attrSet("rel", "noopener")
                token.content = token.content[found.end() :]
        after_link = token.type == "link_close"
        yield token


def _fence(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    language = tokens[index].info.split()[0] if tokens[index].info.split() else ""
    if language in _LANGUAGES:
        lexer = get_lexer_by_name(language, stripnl=False)
    else:
        lexer = TextLexer(stripnl=False)
    code = pygments.highlight(tokens[index].content, lexer, HtmlFormatter(nowrap=True))
    shown = html.escape(language)
    return f'<pre class="code" data-language="{shown}"><code>{code}</code></pre>\n'
