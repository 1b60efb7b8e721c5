"""Makes values of a definition safe to stand in a page: they are text there, and nothing else.

A page is read by Jekyll, which carries out Liquid wherever it stands, and by a browser, which
carries out HTML that Markdown lets through. Neither is anything that a description needs.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

__all__ = ["LIQUID", "active_html", "escaped", "escaped_text", "plain_liquid", "script_links"]

LIQUID: Final = re.compile(r"\{\{ '\{[{%]' \}\}|\{[{%]")
"""Liquid in a page: what begins it, or the one form of it that only prints such a beginning."""

_CODE_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")
_ACTIVE: Final = re.compile(
    r"<\s*/?\s*(?:script|iframe|frame|object|embed|applet|style|link|meta|base|form|svg|math)\b"
    r"|<[^>]*\son\w+\s*=|<[^>]*=\s*[\"']?\s*(?:javascript|vbscript)\s*:",
    re.IGNORECASE,
)
_SCRIPT_LINK: Final = re.compile(r"\](?:\(|:)\s*<?\s*(?:javascript|vbscript)\s*:", re.IGNORECASE)


def plain_liquid(text: str) -> str:
    """Return a page as a reader sees it: what only prints the beginning of Liquid is that."""
    return re.sub(r"\{\{ '(\{[{%])' \}\}", r"\1", text)


def escaped(value: Any, *, liquid: bool) -> Any:
    """Return a value of any kind as JSON, with its texts escaped; objects by their attributes.

    With ``liquid`` for a site that carries it out. Code samples, the attribute ``code``, stand in a
    block of code, where HTML is text.
    """
    return _plain(value, lambda text: escaped_text(text, liquid=liquid), liquid=liquid)


def _plain(value: Any, escape: Callable[[str], str], *, liquid: bool) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, escape, liquid=liquid)
    if isinstance(value, str):
        return escape("".join(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [one.name for one in dataclasses.fields(value)]
        names += [name for name, one in vars(type(value)).items() if isinstance(one, property)]
        found = {name: getattr(value, name) for name in names}
        made = {name: _plain(one, escape, liquid=liquid) for name, one in found.items()}
        if isinstance(found.get("code"), str):
            made["code"] = _liquid_escaped(found["code"]) if liquid else found["code"]
        return made
    if isinstance(value, Mapping):
        return {
            escape(str(key)): _plain(item, escape, liquid=liquid) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, escape, liquid=liquid) for item in value]
    return escape(str(value))


def escaped_text(text: str, *, liquid: bool) -> str:
    """Return a text without HTML, but in code spans, where it is text, and without Liquid."""
    pieces, end = [], 0
    for span in _CODE_SPAN.finditer(text):
        pieces += [_TAG.sub("&lt;", text[end : span.start()]), span[0]]
        end = span.end()
    pieces.append(_TAG.sub("&lt;", text[end:]))
    made = "".join(pieces)
    return _liquid_escaped(made) if liquid else made


def _liquid_escaped(text: str) -> str:
    """Return a text in which Liquid is printed; what is escaped already stays as it is."""
    return LIQUID.sub(lambda one: one[0] if len(one[0]) > 2 else f"{{{{ '{one[0]}' }}}}", text)


def active_html(text: str) -> Iterator[re.Match[str]]:
    """Find what a browser would carry out of HTML."""
    return _ACTIVE.finditer(text)


def script_links(text: str) -> Iterator[re.Match[str]]:
    """Find links of Markdown that a browser would carry out."""
    return _SCRIPT_LINK.finditer(text)
