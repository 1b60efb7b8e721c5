"""Filters that write text for other languages: HTML, URLs, base64, digests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from destinations.segment.javascript.text import WHITE_SPACE
from destinations.segment.javascript.values import UNDEFINED, is_truthy
from destinations.segment.mapping.liquid.values import LiquidError, as_text

__all__ = ["ESCAPING_FILTERS"]

_TO_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}
_FROM_HTML: Final = {escaped: char for char, escaped in _TO_HTML.items()}
_HTML_ENTITY: Final = re.compile("|".join(_FROM_HTML))
_RAW_BLOCKS: Final = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"), ("<", ">"))
# Left as they are by encodeURIComponent and by encodeURI (ECMA-262), besides letters and digits.
_COMPONENT_MARKS: Final = "-_.!~*'()"
_URI_MARKS: Final = _COMPONENT_MARKS + ";/?:@&=+$,#"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*")
_BROKEN_ESCAPE: Final = re.compile("%(?![0-9a-fA-F]{2})")
_LATIN: Final = {
    "æ": "ae", "ð": "d", "ø": "o", "ß": "ss", "œ": "oe", "þ": "th",
    "ẞ": "SS", "Œ": "OE", "Þ": "TH",
}  # fmt: skip
_LATIN_ACCENTED: Final = "àáâãäåçèéêëìíîïñòóôõöùúûüýÿ"


def _escape(value: Any) -> str:
    return "".join(_TO_HTML.get(char, char) for char in as_text(value))


def _unescape(value: Any) -> str:
    return _HTML_ENTITY.sub(lambda found: _FROM_HTML[found[0]], as_text(value))


def _strip_html(value: Any) -> str:
    """Remove tags, comments, scripts and styles from text; what is never closed stays."""
    text = as_text(value)
    kept: list[str] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        kept.append(text[at:start])
        ends = (
            text.find(closer, start + len(opener)) + len(closer)
            for opener, closer in _RAW_BLOCKS
            if text.startswith(opener, start) and text.find(closer, start + len(opener)) >= 0
        )
        end = next(ends, None)
        if end is None:
            at = start
            break
        at = end
    kept.append(text[at:])
    return "".join(kept)


def _quote(text: str, safe: str) -> str:
    try:
        return quote(text, safe=safe, encoding="utf-8", errors="strict")
    except UnicodeEncodeError as error:
        raise LiquidError("text with half a surrogate pair cannot stand in a URL") from error


def _url_encode(value: Any) -> str:
    return _quote(as_text(value), _COMPONENT_MARKS).replace("%20", "+")


def _cgi_escape(value: Any) -> str:
    return _quote(as_text(value), "-_.").replace("%20", "+")


def _uri_escape(value: Any) -> str:
    return _quote(as_text(value), _URI_MARKS + "[]")


def _url_decode(value: Any) -> str:
    text = as_text(value).replace("+", " ")
    if _BROKEN_ESCAPE.search(text):
        raise LiquidError("a % in a URL should be followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise LiquidError("the escapes of a URL should be UTF-8") from error


def _slugify(value: Any, mode: Any = UNDEFINED, cased: Any = UNDEFINED) -> str:
    text = as_text(value)
    style = "default" if mode is UNDEFINED else mode
    keeps = _SLUG_KEEPS.get(style) if isinstance(style, str) else None
    if keeps is not None:
        if style == "latin":
            text = "".join(_without_accent(char) for char in text)
        text = re.sub("\0+", "-", "".join(char if keeps(char) else "\0" for char in text))
        text = re.sub("^-|-$", "", text)
    return text if is_truthy(cased) else text.lower()


def _without_accent(char: str) -> str:
    if char in _LATIN_ACCENTED:
        return unicodedata.normalize("NFD", char)[0]
    return _LATIN.get(char, char)


def _is_word(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "ML" or category == "Nd"


_SLUG_KEEPS: Final[Mapping[str, Callable[[str], bool]]] = {
    "raw": lambda char: char not in WHITE_SPACE,
    "default": _is_word,
    "latin": _is_word,
    "pretty": lambda char: _is_word(char) or char in "._~!$&'()+,;=@",
    "ascii": lambda char: char.isascii() and char.isalnum(),
}


def _base64_encode(value: Any) -> str:
    return base64.b64encode(as_text(value).encode("utf-8", "replace")).decode("ascii")


def _base64_decode(value: Any) -> str:
    text = re.sub("[\t\n\f\r ]", "", as_text(value))
    text = re.sub("==?$", "", text) if len(text) % 4 == 0 else text
    if len(text) % 4 == 1 or not _BASE64.fullmatch(text):
        raise LiquidError("base64_decode should get base64")
    return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")


def _sha256(value: Any) -> str:
    return hashlib.sha256(as_text(value).encode("utf-8", "replace")).hexdigest()


def _hmac_sha256(value: Any, key: Any = UNDEFINED) -> str:
    data, secret = (as_text(part).encode("utf-8", "replace") for part in (value, key))
    return hmac.new(secret, data, hashlib.sha256).hexdigest()


ESCAPING_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "escape": _escape,
    "xml_escape": _escape,
    "escape_once": lambda value: _escape(_unescape(value)),
    "strip_html": _strip_html,
    "url_encode": _url_encode,
    "url_decode": _url_decode,
    "cgi_escape": _cgi_escape,
    "uri_escape": _uri_escape,
    "slugify": _slugify,
    "base64_encode": _base64_encode,
    "base64_decode": _base64_decode,
    "sha256": _sha256,
    "hmac_sha256": _hmac_sha256,
}
