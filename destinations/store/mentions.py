"""Find the id of a user in texts of any form, however they spell it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from typing import Final
from urllib.parse import unquote_plus

__all__ = ["Mentions", "ids_in"]

_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_ENCODED: Final = ("\\", "%")
"""What text that spells an id in another way has somewhere."""

_IDS: Final = (
    re.compile(r"[\"']([^\"']+)[\"']"),
    re.compile(r"[^\s\"'=&<>,;:{}\[\]()]+"),
    re.compile(r"[^\s\"'=&<>,;{}\[\]()]+"),
    re.compile(r"[\w.@+-]+"),
    re.compile(r"\w+"),
)


class Mentions:
    """The id of a user to be found as a whole word: plain, escaped as in JSON, or percent-encoded.

    Case, Unicode normalisation and white space around it do not count: ``17`` is found in ``17.0``,
    and ``ann`` in ``"Ann "`` and ``ann@private.example``, but not in ``anna`` or ``ann_2``.
    A blank id is found nowhere.
    """

    def __init__(self, user: str) -> None:
        wanted = _plain(user.strip())
        self._is_blank = not wanted
        self._pattern = _word(wanted)
        self._literal = _word(user)
        self._encoded = (*_ENCODED, "+") if " " in wanted else _ENCODED
        self._ascii = wanted if wanted.isascii() else None

    def is_in(self, text: str | bytes | None) -> bool:
        """Return whether text has it."""
        if not text or self._is_blank:
            return False
        text = _decoded(text)
        is_plain = self._ascii is None or self._ascii in text.lower()
        # Most texts are decided here.
        if not is_plain and not any(mark in text for mark in self._encoded):
            return False
        return any(self._pattern.search(_plain(one)) for one in _spellings(text))

    def replaced(self, text: str, by: str) -> str:
        """Return text with something else in its place where it stands as it is."""
        return self._literal.sub(lambda _found: by, text)


def ids_in(text: str | bytes) -> Collection[str]:
    """Return what may be ids in text: of a user known only by a digest."""
    found: set[str] = set()
    for spelled in _spellings(_decoded(text)):
        for pattern in _IDS:
            for one in pattern.findall(spelled):
                found |= {one, one.strip(), one.strip(".-")}
    return found


def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def _decoded(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _spellings(text: str) -> Iterator[str]:
    """Yield text, and what it says where it is encoded, also twice."""
    found = {text}
    decoders: tuple[Callable[[str], str], ...] = (_unescaped, unquote_plus)
    for decode in decoders:
        found |= {decode(one) for one in found}
    yield from found


def _unescaped(text: str) -> str:
    """Return text with the escapes of JSON resolved, wherever they are."""
    if "\\" not in text:
        return text

    def resolve(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _CONTROLS.get(match[2], match[2])

    return _whole(_ESCAPE.sub(resolve, text))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", _whole(text)).casefold()


def _whole(text: str) -> str:
    """Return text in which halves of characters are joined, or replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
