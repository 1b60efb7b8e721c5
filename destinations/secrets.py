"""Secrets as a type, and the mask that keeps them out of everything that can be seen."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Masker", "Secret", "has_userinfo", "query_pieces", "reveal", "shown_url"]

MASK: Final = "***"

# A shorter value would mask ordinary words; no credential that is worth its name is shorter.
_SHORTEST: Final = 4

_PART: Final = 8
"""Characters of a secret that are too many to be shown."""


class Secret(str):
    """Text that shows itself only to the transport.

    Printing, formatting and ``repr`` give ``***``. As text (headers, JSON, slices, `str.join`) it
    is the value, so that mappings and requests work on it unchanged. That of a secret is the same
    secret.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Make a secret of its value."""
        return super().__new__(cls, reveal(value))

    def reveal(self) -> str:
        """Return the value, to be sent or compared."""
        return "".join(self)  # which formats nothing

    def __repr__(self) -> str:
        return f"{MASK!r}"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)


def reveal(text: str) -> str:
    """Return plain text: the value of a secret, and any other text as it is."""
    return text.reveal() if isinstance(text, Secret) else text


def has_userinfo(url: str) -> bool:
    """Whether a URL has a user or a password before its host."""
    return _USERINFO.match(url) is not None


def shown_url(url: str, hidden: Container[str] | None = None) -> str:
    """Return a URL without what may be a credential: userinfo, and the values in its query.

    With ``hidden``, only these `query_pieces` are masked. A fragment counts as part of the query.
    """
    userinfo = _USERINFO.match(url)
    if userinfo is not None:
        url = f"{userinfo['before']}{MASK}{url[userinfo.end('userinfo') :]}"
    place, query = _at_query(url)

    def masked(found: re.Match[str]) -> str:
        piece = found.group()
        if hidden is not None and piece not in hidden:
            return piece
        name, sign, value = piece.partition("=")
        return name + sign + (MASK if value else "") if sign else MASK

    return place + _PIECE.sub(masked, query)


def query_pieces(url: str) -> list[str]:
    """Return each ``name=value`` of the query of a URL, as it is written there."""
    return _PIECE.findall(_at_query(url)[1])


def _at_query(url: str) -> tuple[str, str]:
    at = min((place for mark in "?#" if (place := url.find(mark)) >= 0), default=len(url))
    return url[:at], url[at:]


_USERINFO: Final = re.compile(
    r"(?P<before>\s*(?:[a-z][a-z0-9+.-]*:)?//)(?P<userinfo>[^/?#]*)@", re.IGNORECASE
)
_PIECE: Final = re.compile(r"[^?&;#]+")


class Masker:
    """Replaces secrets by value, in any case, also where they were encoded on the way.

    Known encodings: JSON escapes, percent-encoding, HTML's, hex, and Base64, alone or within a
    longer text (as in HTTP Basic); of that, characters that hold bits of the text around it are
    left.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        plain = [reveal(secret) for secret in secrets]
        long = {form for secret in plain if len(secret) >= _PART for form in _forms(secret)}
        short = {form for secret in plain if len(secret) < _PART for form in _forms(secret)}
        # Longest first: a secret that contains another is replaced as a whole. The case of a short
        # one counts, or it would mask ordinary words.
        either = [f"(?i:{_alternatives(long)})" if long else "", _alternatives(short)]
        self._pattern = re.compile("|".join(filter(None, either))) if any(either) else None
        self._parts = frozenset(part for secret in plain for part in _parts(secret))

    def text(self, text: str) -> str:
        """``text`` with every secret replaced by ``***``."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def foreign(self, text: str) -> str:
        """Mask a text of somebody else, with every part of a secret of 8 characters.

        Our own words are not masked so: where they are known, what is missing would tell a part.
        """
        if self._pattern is None:
            return text
        covered = bytearray(len(text))
        for found in self._pattern.finditer(text):
            covered[found.start() : found.end()] = b"\1" * (found.end() - found.start())
        lower = _lower(text)
        for at in range(len(text) - _PART + 1):
            if lower[at : at + _PART] in self._parts:
                covered[at : at + _PART] = b"\1" * _PART
        pieces = []
        for is_covered, group in itertools.groupby(range(len(text)), covered.__getitem__):
            places = list(group)
            pieces.append(MASK if is_covered else text[places[0] : places[-1] + 1])
        return "".join(pieces)

    def value(self, value: Any) -> Any:
        """Return a copy of a JSON value with every secret in its texts and keys replaced."""
        if isinstance(value, str):
            return self.text(reveal(value))
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _alternatives(forms: Iterable[str]) -> str:
    return "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))


def _forms(secret: str) -> Iterable[str]:
    if len(secret) < _SHORTEST:
        return
    yield secret
    yield " ".join(secret.split())  # as a message of one line has it
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield escaped
        yield escaped.replace("/", "\\/")
    yield html.escape(secret)
    encoded = secret.encode("utf-8", "surrogatepass")
    yield quote(encoded)
    yield quote(encoded, safe="")
    yield quote_plus(encoded)
    yield encoded.hex()
    yield from _base64_forms(encoded)


def _base64_forms(secret: bytes) -> Iterable[str]:
    """Return ``secret`` in Base64, wherever it begins: three bytes make four characters.

    Characters that also hold bits of what stands before or after it are not fixed: left out.
    """
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode().rstrip("=")
        for before in range(3):
            bits = 8 * (before + len(secret))
            text = encode(bytes(before) + secret).decode()
            yield text[-(-8 * before // 6) : bits // 6]


def _parts(secret: str) -> Iterator[str]:
    """Yield every part of a secret and of its encodings that is masked in foreign text."""
    for private in _private(secret):
        for form in _forms(private):
            lower = _lower(form)
            yield from (lower[at : at + _PART] for at in range(len(lower) - _PART + 1))


def _private(secret: str) -> Iterator[str]:
    """Yield what is private of a secret: of a URL neither its scheme nor its host.

    What all keys of a partner begin with, such as ``sk_live_``, is public as well.
    """
    url = _URL.match(secret)
    if url is not None:
        yield from (part for part in (url["user"], url["rest"]) if part)
    else:
        public = _PUBLIC.match(secret)
        yield secret if public is None else secret[max(0, public.end() - _PART + 1) :]


_URL: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:(?P<user>[^/?#]*)@)?[^/?#]*(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_PUBLIC: Final = re.compile(r"[A-Za-z]{2,4}_(?:test|live|prod)_")


def _lower(text: str) -> str:
    """Return ``text`` in lower case, with every character in its place."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := one.lower()) == 1 else one for one in text)
