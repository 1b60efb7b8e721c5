"""A type for secrets, and the mask that keeps them out of all output."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import string
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus

__all__ = [
    "MASK",
    "NO_TOKEN",
    "REPLACE_KEY",
    "Masker",
    "Secret",
    "cure_of_refusal",
    "has_userinfo",
    "query_pieces",
    "query_secrets",
    "reveal",
    "shown_url",
]

MASK: Final = "***"

REPLACE_KEY: Final = (
    "replace the key, then reload the server if the key is in a file, or restart it if the key is "
    "in its environment"
)
"""What helps against refused credentials: a process has the environment of its start."""

NO_TOKEN: Final = "no access token from"  # noqa: S105 - the beginning of a message
"""How each message begins about a token (OAuth2) that is not got; the rest says what to do."""


def cure_of_refusal(reason: str) -> str:
    """Return what to do about refused credentials, as a part of a sentence."""
    return reason if reason.startswith(NO_TOKEN) else REPLACE_KEY


# A shorter value would mask ordinary words, and a real credential is longer.
_SHORTEST: Final = 4

_PART: Final = 8
"""The number of consecutive characters of a secret that are never shown."""

_STEM: Final = _PART // 2

_MOST_PER_CHARACTER: Final = 48
"""The most characters that one of a secret takes: four bytes, each percent-encoded and escaped."""

_LAYERS: Final = 2
"""The number of times in a row that escapes are undone."""


class Secret(str):
    """Text that prints as ``***``.

    Printing, formatting and ``repr`` give ``***``. Text operations (headers, JSON, slices,
    `str.join`) use the value, so mappings and requests need no change. A `Secret` of a secret is
    the same secret.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Make a secret from its value."""
        return super().__new__(cls, reveal(value))

    def reveal(self) -> str:
        """Return the value, to be sent or compared."""
        return "".join(self)  # joining does not format, so it is not masked

    def __repr__(self) -> str:
        return f"{MASK!r}"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)


def reveal(text: str) -> str:
    """Return the value of a secret; any other text unchanged."""
    return text.reveal() if isinstance(text, Secret) else text


def has_userinfo(url: str) -> bool:
    """Return whether a URL has a user or a password before its host."""
    return _USERINFO.match(url) is not None


def shown_url(url: str, hidden: Container[str] | None = None) -> str:
    """Return a URL with possible credentials masked: userinfo, and the values in its query.

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
    """Return each ``name=value`` in a URL's query, unchanged."""
    return _PIECE.findall(_at_query(url)[1])


def query_secrets(text: str) -> list[str]:
    """Return the values in a URL's query that may be secrets: those of at least 8 characters.

    Shorter ones would be masked wherever they stand by chance. None for a text that is no URL.
    """
    if "://" not in text:
        return []
    values = [piece.partition("=")[2] for piece in query_pieces(text)]
    return [value for value in values if len(value) >= _SHORTEST_VALUE]


_SHORTEST_VALUE: Final = 8


def _at_query(url: str) -> tuple[str, str]:
    at = min((place for mark in "?#" if (place := url.find(mark)) >= 0), default=len(url))
    return url[:at], url[at:]


_USERINFO: Final = re.compile(
    r"(?P<before>\s*(?:[a-z][a-z0-9+.-]*:)?//)(?P<userinfo>[^/?#]*)@", re.IGNORECASE
)
_PIECE: Final = re.compile(r"[^?&;#]+")


class Masker:
    """Replaces secrets by value, in upper or lower case, also in encoded form.

    Known encodings: JSON escapes, percent-encoding, HTML escapes, hex, and Base64, singly or within
    longer text (as in HTTP Basic), which is then replaced as a whole: the characters next to the
    secret's own hold bits of it, and its length. ``known`` are traces that need not be made again.
    """

    def __init__(
        self, secrets: Iterable[str] = (), known: Mapping[str, _Traces] | None = None
    ) -> None:
        known = known or {}
        self._traces = {
            secret: known.get(secret) or _Traces(secret) for secret in map(reveal, secrets)
        }
        # Nearly no text has any of them, and looking for each is far faster than the patterns.
        self._probes = tuple({form for each in self._traces.values() for form in each.probes})

    @cached_property
    def _parts(self) -> frozenset[str]:
        return frozenset(part for each in self._traces.values() for part in each.parts)

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(
            part[at : at + _STEM] for part in self._parts for at in range(_PART - _STEM + 1)
        )

    def exchanged(self, secrets: Iterable[str]) -> Masker:
        """Return a masker of these secrets instead; those that stay cost nothing."""
        return Masker(secrets, self._traces)

    def plus(self, other: Masker) -> Masker:
        """Return a masker of the secrets of both; what is known of them costs nothing."""
        known = {**other._traces, **self._traces}
        return Masker(known, known)

    def text(self, text: str, mask: str = MASK) -> str:
        """Return ``text`` with every secret replaced by ``***``, or another mask."""
        pieces: list[str] = []
        end = 0
        for start, stop in self._spans(text):
            if start > end or not pieces:
                pieces += [text[end:start], mask]
            end = max(end, stop)
        return "".join([*pieces, text[end:]])

    def foreign(self, text: str) -> str:
        """Mask text that did not come from us, including parts of secrets of 8 characters.

        Also where single characters are escaped, as in JSON, HTML or percent-encoding, once or
        twice in a row, or have NULs between them as in UTF-16. Our own texts are not masked like
        this: they are known, so a gap would reveal a part.
        """
        return self._in_layers(text, parts=True)

    def nested(self, text: str) -> str:
        """Mask whole secrets as `text` does, also where they are escaped once or twice in a row.

        For texts of ours that have others within them, such as JSON as a string of JSON.
        """
        return self._in_layers(text, parts=False)

    @cached_property
    def reach(self) -> int:
        """How many characters a secret may take in a text at most, however it is encoded."""
        return _MOST_PER_CHARACTER * max(map(len, self._traces), default=0)

    def named(self, text: str, names: Mapping[str, str]) -> tuple[str, list[str]]:
        """Mask ``text`` as `text` does; returns also what each ``***`` in it stands for, in order.

        ``names`` are those of the secrets, by their values. A name ends with ``/url``, ``/base64``
        or ``/encoded`` if its secret is encoded there: by percent-encoding, in Base64, which may
        have more than the secret, or otherwise. A ``***`` of the text itself has none: it is empty.
        """
        if not self._spans(text):
            return text, [""] * text.count(MASK)
        found: list[str] = []
        pieces: list[str] = []
        end = 0
        for start, stop, secret in sorted(
            (*span, secret) for secret, each in self._traces.items() for span in each.spans(text)
        ):
            if start > end or not pieces:
                name = names.get(secret, "")
                own = f"{name}{_encoding(secret, text[start:stop])}" if name else ""
                found += [""] * text[end:start].count(MASK) + [own]
                pieces += [text[end:start], MASK]
            end = max(end, stop)
        found += [""] * text[end:].count(MASK)
        return "".join([*pieces, text[end:]]), found

    def _in_layers(self, text: str, *, parts: bool) -> str:
        if not self._probes:
            return text
        covered = bytearray(len(text))
        starts: Sequence[int] = range(len(text) + 1)
        self._cover(text, starts, covered, parts=parts)
        shown = text
        for _ in range(_LAYERS):
            found = _unescaped(shown)
            if found is None:
                break
            shown, places = found
            starts = [starts[place] for place in places]
            self._cover(shown, starts, covered, parts=parts)
        if 1 not in covered:
            return text
        pieces = []
        for is_covered, group in itertools.groupby(range(len(text)), covered.__getitem__):
            places = list(group)
            pieces.append(MASK if is_covered else text[places[0] : places[-1] + 1])
        return "".join(pieces)

    def _cover(self, text: str, starts: Sequence[int], covered: bytearray, *, parts: bool) -> None:
        """Mark secrets, and ``parts`` of them, by where each character of ``text`` began."""
        of_parts = self._part_spans(text) if parts else ()
        for start, stop in itertools.chain(self._spans(text), of_parts):
            begin, end = starts[start], starts[stop]
            covered[begin:end] = b"\1" * (end - begin)

    def _part_spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where parts of secrets are."""
        lower = _lower(text)
        last = len(text) - _PART
        # Each part has all of one stem that begins at a multiple of its length.
        for stem in range(0, len(text), _STEM):
            if lower[stem : stem + _STEM] in self._stems:
                for at in range(max(0, stem - _STEM), min(stem, last) + 1):
                    if lower[at : at + _PART] in self._parts:
                        yield at, at + _PART

    def _spans(self, text: str) -> Sequence[tuple[int, int]]:
        """Return where secrets begin and end, by where they begin."""
        if not self._probes:
            return ()
        if text.isascii():  # beyond that, a pattern takes some characters for others
            lower = text.lower()
            if not any(probe in lower for probe in self._probes):
                return ()
        return sorted(span for each in self._traces.values() for span in each.spans(text))

    def value(self, value: Any) -> Any:
        """Return a copy of a JSON value with every secret in its texts and keys replaced."""
        if isinstance(value, str):
            return self.text(reveal(value))
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _encoding(secret: str, form: str) -> str:
    """Return how the name of a secret ends that has this form in a text; empty if it is itself."""
    if form.casefold() == secret.casefold():
        return ""
    if "%" in form or form == quote_plus(secret.encode("utf-8", "surrogatepass")):
        return "/url"
    return "/base64" if not form.strip(_BASE64 + "=") else "/encoded"


class _Traces:
    """The forms of one secret in a text.

    A pattern holds one secret: of all secrets together it would be compiled again, and be larger,
    with each one that comes later, and Python's `re` keeps 512 of them.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._forms = frozenset(_forms(secret))
        self._within = frozenset(_forms_within(secret)) - self._forms
        self.probes = frozenset(form.lower() for form in self._forms | self._within)

    @cached_property
    def parts(self) -> frozenset[str]:
        """Every part of it that is masked in foreign text."""
        return frozenset(_parts(self._secret))

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """What finds it; made late, as few texts hold a secret."""
        # Longest first: all of a text is replaced. The case of a short secret counts, or it would
        # mask ordinary words.
        whole = _alternatives(self._forms)
        either = [
            f"(?i:{whole})" if whole and len(self._secret) >= _PART else whole,
            f"(?P<base64>{_alternatives(self._within)})" if self._within else "",
        ]
        return re.compile("|".join(filter(None, either))) if any(either) else None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where the secret begins and ends, in order."""
        if self._pattern is None:
            return
        for found in self._pattern.finditer(text):
            start, stop = found.span()
            if found.lastgroup == "base64":
                start = len(text[:start].rstrip(_BASE64))
                rest = text[stop:]
                stop += len(rest) - len(rest.lstrip(_BASE64).lstrip("="))
            yield start, stop


def _alternatives(forms: Iterable[str]) -> str:
    return "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))


def _forms(secret: str) -> Iterable[str]:
    if len(secret) < _SHORTEST:
        return
    yield secret
    yield " ".join(secret.split())  # as in a message on one line
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield escaped
        yield escaped.replace("/", "\\/")
    yield html.escape(secret)
    encoded = secret.encode("utf-8", "surrogatepass")
    yield quote(encoded)
    yield quote(encoded, safe="")
    yield quote_plus(encoded)
    yield encoded.hex()
    for encode in _ENCODERS:
        yield encode(encoded).decode().rstrip("=")


def _forms_within(secret: str) -> Iterable[str]:
    """Return a secret in Base64 for each of the three alignments in a longer text.

    Characters that mix in bits of the text before or after it are left out.
    """
    if len(secret) < _SHORTEST:
        return
    encoded = secret.encode("utf-8", "surrogatepass")
    for encode in _ENCODERS:
        for before in range(3):
            bits = 8 * (before + len(encoded))
            text = encode(bytes(before) + encoded).decode()
            yield text[-(-8 * before // 6) : bits // 6]


_ENCODERS: Final = (base64.b64encode, base64.urlsafe_b64encode)
_BASE64: Final = string.ascii_letters + string.digits + "+/-_"


def _parts(secret: str) -> Iterator[str]:
    """Yield every part of a secret and of its encodings that is masked in foreign text."""
    for private in _private(secret):
        for form in (*_forms(private), *_forms_within(private)):
            lower = _lower(form)
            yield from (lower[at : at + _PART] for at in range(len(lower) - _PART + 1))


def _private(secret: str) -> Iterator[str]:
    """Yield the private parts of a secret: scheme and host of a URL are public.

    So is a prefix that all keys of a partner share, such as ``sk_live_``.
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


_ESCAPE: Final = re.compile(
    r"\\u(?P<u>[0-9a-fA-F]{4})|\\x(?P<x>[0-9a-fA-F]{2})|%(?P<p>[0-9a-fA-F]{2})"
    r"|&#(?P<d>[0-9]{1,5});|&#[xX](?P<h>[0-9a-fA-F]{1,4});"
    r"|\\(?P<c>[\"\\/])|(?P<nul>\0)"
)


def _unescaped(text: str) -> tuple[str, list[int]] | None:
    """Return text without escapes and NULs, and where each of its characters began.

    One more place is that of the end. Returns None for text that has none of them.
    """
    pieces: list[str] = []
    places: list[int] = []
    at = 0
    for found in _ESCAPE.finditer(text):
        start = found.start()
        pieces.append(text[at:start])
        places.extend(range(at, start))
        character = _escaped_character(found)
        if character:
            pieces.append(character)
            places.append(start)
        at = found.end()
    if not at:
        return None
    pieces.append(text[at:])
    places.extend(range(at, len(text) + 1))
    return "".join(pieces), places


def _escaped_character(found: re.Match[str]) -> str:
    """Return what an escape stands for; nothing for a NUL."""
    kind = found.lastgroup
    assert kind is not None  # noqa: S101 - each alternative has a name
    if kind in {"c", "nul"}:
        return found[kind].removeprefix("\0")
    return chr(int(found[kind], 10 if kind == "d" else 16))


def _lower(text: str) -> str:
    """Return ``text`` in lower case, with every character at its old position."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := one.lower()) == 1 else one for one in text)
