"""Build HTML and SVG of text that others have chosen: it is escaped unless it is `Html`.

What is built is well-formed XML as well, so a parser can check it. Template engines that know
``__html__``, such as Jinja with autoescape, insert `Html` as it is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Final

__all__ = ["EMPTY", "Html", "element", "escape", "joined", "void"]

_UNFIT: Final = re.compile(
    # Not characters of XML: controls, halves of characters, and the two that never are one.
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
    # Characters that change the order of the text around them.
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_NAME: Final = re.compile(r"[a-z][a-z0-9-]*", re.IGNORECASE)

Attribute = str | int | float | bool | None


class Html(str):
    """Text that is markup already, and safe to be inserted as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the markup, for template engines."""
        return str(self)


EMPTY: Final = Html("")


def escape(text: object) -> Html:
    """Return text as markup; what is `Html` stays as it is.

    Characters that no page can hold, or that would reorder what is around them, become U+FFFD.
    """
    if isinstance(text, Html):
        return text
    return Html(html.escape(_UNFIT.sub("�", str(text))))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Return all parts, each escaped, as one piece; so is what is ``between`` them."""
    return Html(escape(between).join(map(escape, parts)))


def element(name: str, /, *content: object, **attributes: Attribute) -> Html:
    """Return an element; its content and the values of its attributes are escaped.

    An underscore in the name of an attribute stands for a hyphen, but for one at its end, which
    sets it apart from a keyword: ``class_="note"``. An attribute that is True has its own name as
    the value; one that is False or None is left out.
    """
    return Html(f"{_opened(name, attributes)}>{joined(content)}</{name}>")


def void(name: str, /, **attributes: Attribute) -> Html:
    """Return an element without content, such as ``<br />``; see `element`."""
    return Html(f"{_opened(name, attributes)} />")


def _opened(name: str, attributes: dict[str, Attribute]) -> str:
    pieces = [f"<{_checked(name)}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        shown = _checked(_cased(key.rstrip("_").replace("_", "-")))
        text = shown if value is True else escape(str(value))
        pieces.append(f'{shown}="{text}"')
    return " ".join(pieces)


def _cased(name: str) -> str:
    """Return the name of an attribute; of those of SVG, a few have capitals."""
    return {"viewbox": "viewBox", "preserveaspectratio": "preserveAspectRatio"}.get(name, name)


def _checked(name: str) -> str:
    """Return a name; raises ValueError for one that cannot be one: names come from programs."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"invalid name {name!r} of an element or attribute")
    return name
