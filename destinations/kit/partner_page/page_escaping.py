"""Escape a definition's values for a page, so that they are only text there.

A page is read by Jekyll, which executes Liquid anywhere in it, and by a browser, which executes
HTML that Markdown passes through. No description needs either.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

__all__ = [
    "LIQUID",
    "active_html",
    "escaped",
    "escaped_text",
    "plain_liquid",
    "script_links",
    "without_code",
]

LIQUID: Final = re.compile(r"\{\{ '\{[{%]' \}\}|\{[{%]")
"""The beginning of Liquid in a page, or the escaped form that prints it."""

_CODE_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")

# In a URL, browsers skip tabs and line ends anywhere, and control characters before it. Quotes and
# an angle bracket may be around it.
_SKIPPED: Final = r"(?:[\t\n\r]|&(?:Tab|NewLine);|&#0*(?:9|10|13);?|&#x0*[9ad];?)*"
_BEFORE_URL: Final = (
    r"(?:[\x00-\x20\"'<]|&(?:Tab|NewLine);"
    r"|&#0*(?:[1-9]|[12]\d|3[0-2])(?!\d);?|&#x0*(?:1?[0-9a-f]|20)(?![0-9a-f]);?)*"
)


def _character(one: str) -> str:
    """Return the pattern of a letter, or of a reference to it."""
    decimal, hexadecimal = (
        {format(ord(case), base) for case in (one, one.upper())} for base in "dx"
    )
    return f"(?:{one}|&#0*(?:{'|'.join(decimal)});?|&#x0*(?:{'|'.join(hexadecimal)});?)"


_SCRIPT_URL: Final = (
    f"{_BEFORE_URL}(?:"
    + "|".join(_SKIPPED.join(map(_character, scheme)) for scheme in ("javascript", "vbscript"))
    + rf"){_SKIPPED} *\\?(?:&colon;|{_character(':')})"
)
_ACTIVE: Final = re.compile(
    r"<\s*/?\s*(?:script|iframe|frame|object|embed|applet|style|link|meta|base|form|svg|math)\b"
    # A slash separates attributes as well, as does the end of a quoted value.
    r"|<[^>]*[\s/\"']on\w+\s*="
    # A quoted value may hold what looks like the end of the tag.
    r"|<[a-z](?:[^>\"']|\"[^\"]*\"|'[^']*')*?[\s/\"']on\w+\s*="
    rf"|<[^>]*={_SCRIPT_URL}",
    re.IGNORECASE,
)
_SCRIPT_LINK: Final = re.compile(rf"\](?:\(|:){_SCRIPT_URL}", re.IGNORECASE)


def plain_liquid(text: str) -> str:
    """Return a page as a reader sees it, with escaped Liquid unescaped."""
    return re.sub(r"\{\{ '(\{[{%])' \}\}", r"\1", text)


def escaped(value: Any, *, liquid: bool) -> Any:
    """Return any value as JSON with its texts escaped; objects become their attributes.

    ``liquid`` escapes for a site that executes it. The attribute ``code`` is a code block, in which
    HTML is only text.
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
    """Return text with Liquid escaped, and with HTML escaped outside of code spans."""
    pieces, end = [], 0
    for span in _CODE_SPAN.finditer(text):
        pieces += [_TAG.sub("&lt;", text[end : span.start()]), span[0]]
        end = span.end()
    pieces.append(_TAG.sub("&lt;", text[end:]))
    made = "".join(pieces)
    return _liquid_escaped(made) if liquid else made


def without_code(text: str) -> str:
    """Return Markdown without its code spans."""
    return _CODE_SPAN.sub("", text)


def _liquid_escaped(text: str) -> str:
    """Return text that prints its Liquid; parts that are already escaped do not change."""
    return LIQUID.sub(lambda one: one[0] if len(one[0]) > 2 else f"{{{{ '{one[0]}' }}}}", text)


def active_html(text: str) -> Iterator[re.Match[str]]:
    """Find HTML that a browser would execute."""
    return _ACTIVE.finditer(text)


def script_links(text: str) -> Iterator[re.Match[str]]:
    """Find Markdown links that a browser would execute."""
    return _SCRIPT_LINK.finditer(text)
