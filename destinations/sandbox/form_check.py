"""Check the parts of a request that are text: its address, headers, query and form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from requests.utils import requote_uri

from destinations.definition import ArrayFormat
from destinations.sandbox.possible_values import (
    Gap,
    PossibleValues,
    Text,
    pattern_of,
    shown_text,
)
from destinations.secrets import Secret, reveal
from destinations.segment.mapping.parts import members

__all__ = [
    "NO_EVENTS",
    "AddressCheck",
    "Parameters",
    "ReadEvents",
    "RequestIssue",
    "TextCheck",
    "query_of",
]

_IN_PATH: Final = "[^?#]*"
_IN_SEGMENT: Final = "[^/?#]*"
_OWN_TEXT: Final = "!$&'()*+,;=:@"
_ORIGIN: Final = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestIssue:
    """An issue in a request, at a ``place`` such as ``header Accept`` or ``body /events``.

    ``of_credential`` says that a credential is missing or wrong.
    """

    place: str
    message: str
    of_credential: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """The events of a request that came, each as the JSON that it has in a batch."""

    items: Sequence[Any]

    @property
    def count(self) -> int:
        """How many there are, at least one."""
        return max(1, len(self.items))


NO_EVENTS: Final = ReadEvents(())


class TextCheck:
    """The texts that a mapping can give."""

    def __init__(self, values: PossibleValues, mapping: object, *, optional: bool = False) -> None:
        texts = values.texts(mapping)
        self.optional = optional or values.of(mapping).optional
        self.shown = " or ".join(dict.fromkeys(map(shown_text, texts)))
        self.is_credential = any(isinstance(piece, Secret) for text in texts for piece in text)
        self._fits = re.compile("|".join(f"(?:{pattern_of(text)})" for text in texts), re.DOTALL)

    def issue(self, place: str, text: str | None) -> RequestIssue | None:
        """Return what is wrong with a text, which the message does not show; None is missing."""
        if text is None:
            if self.optional:
                return None
            return RequestIssue(place, f"is missing: expected {self.shown}", self.is_credential)
        if self._fits.fullmatch(text):
            return None
        return RequestIssue(place, f"is wrong: expected {self.shown}", self.is_credential)


class AddressCheck:
    """The URLs of a request: a base, which may have a query of its own, and segments below it."""

    def __init__(self, values: PossibleValues, base: object, path: Sequence[object] = ()) -> None:
        segments = [_segment(values, one) for one in path]
        shown = "".join(f"/{one}" for _, one in segments)
        below = "".join(f"/{pattern}" for pattern, _ in segments)
        self._wholes: list[re.Pattern[str]] = []
        self._paths: list[re.Pattern[str]] = []
        self.shown = ""
        self.query: list[tuple[str, str]] = []
        self.any_query = False
        for text in values.texts(base):
            head, query = _cut(text)
            self.query += parse_qsl(query, keep_blank_values=True)
            names = [one.name.rpartition(".")[2] for one in text if isinstance(one, Gap)]
            self.any_query |= any("?" in str(values.settings.get(name)) for name in names)
            url = "".join(
                "\0" if isinstance(one, Gap) else requote_uri(reveal(one)) for one in head
            )
            url = url.rstrip("/") if path else url
            for patterns, start in ((self._wholes, url), (self._paths, _ORIGIN.sub("", url))):
                pattern = _IN_PATH.join(map(re.escape, start.split("\0")))
                slash = "/*" if path and start.endswith("\0") else ""
                patterns.append(re.compile(f"{pattern}{slash}{below}/?", re.IGNORECASE))
            self.shown = self.shown or shown_text(head).rstrip("/" if path else "") + shown
        self.path = _ORIGIN.sub("", self.shown) or "/"

    def fits(self, origin: str | None, path: str) -> bool:
        """Return whether a path is one of them; so must the ``origin`` be, where it is known."""
        if origin is None:
            return any(one.fullmatch(path) for one in self._paths)
        return any(one.fullmatch(origin + path) for one in self._wholes)


def _cut(text: Text) -> tuple[Text, str]:
    """Return a URL's pieces before its query, and the query without its gaps."""
    head: list[str | Gap] = []
    for at, piece in enumerate(text):
        plain = "" if isinstance(piece, Gap) else reveal(piece)
        if "?" in plain:
            before, _, after = plain.partition("?")
            head.append(Secret(before) if isinstance(piece, Secret) else before)
            rest = text[at + 1 :]
            return head, after + "".join(
                "" if isinstance(one, Gap) else reveal(one) for one in rest
            )
        head.append(piece)
    return head, ""


def _segment(values: PossibleValues, source: object) -> tuple[str, str]:
    """Return the pattern of one segment of a path, and what to show of it."""
    texts = values.texts(source)
    safe = _OWN_TEXT if isinstance(source, str) else ""
    pattern = "|".join(
        "".join(
            _IN_SEGMENT if isinstance(one, Gap) else re.escape(quote(reveal(one), safe=safe))
            for one in text
        )
        for text in texts
    )
    return f"(?:{pattern})", shown_text(texts[0])


class Parameters:
    """The parameters of a query or a form, by name; None where the names depend on the event."""

    def __init__(
        self,
        values: PossibleValues,
        mapping: Mapping[str, object],
        array_format: ArrayFormat | None,
    ) -> None:
        own = members(dict(mapping))
        self._is_plain = array_format is None
        self._checks = (
            None if own is None else {name: TextCheck(values, value) for name, value in own.items()}
        )

    @property
    def shown(self) -> Mapping[str, str]:
        """The values to show, by name."""
        return {name: check.shown for name, check in (self._checks or {}).items()}

    def issues(
        self, what: str, pairs: Sequence[tuple[str, str]], *, any_other: bool = False
    ) -> Iterator[RequestIssue]:
        """Yield what is wrong with the parameters, which ``what`` calls; ``any_other`` may come."""
        if self._checks is None:
            return
        found: dict[str, list[str]] = {}
        for name, value in pairs:
            plain = name if name in self._checks else name.partition("[")[0]
            found.setdefault(plain, []).append(value)
        for name, check in self._checks.items():
            place = f"{what} {name}"
            values = found.get(name, [])
            # A list or an object may be written as no parameter at all.
            if not values and self._is_plain and (issue := check.issue(place, None)):
                yield issue
            for value in values if self._is_plain else ():
                if (issue := check.issue(place, value)) is not None:
                    yield issue
        for name in found.keys() - self._checks.keys() if not any_other else ():
            known = ", ".join(self._checks) or "none"
            yield RequestIssue(f"{what} {name}", f"is unexpected: expected {known}")


def query_of(target: str) -> list[tuple[str, str]]:
    """Return the parameters in the query of a target."""
    return parse_qsl(urlsplit(target).query, keep_blank_values=True)
