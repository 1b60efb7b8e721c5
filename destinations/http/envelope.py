"""Build URLs and headers and read HTTP answers, for GraphQL and REST requests alike."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

import jiter

from destinations.clock import unix_time
from destinations.definition import (
    ACCESS_TOKEN,
    AccessTokenAuth,
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    RequestAuth,
    TransportDefinition,
)
from destinations.definition.url_pieces import varies
from destinations.errors import ResolveError
from destinations.http.address import Address
from destinations.http.answer import Context, HttpResponse
from destinations.http.parameters import revealed_text
from destinations.segment.javascript import UNDEFINED
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping import compile_value

__all__ = [
    "STAND_IN_HEADER",
    "Envelope",
    "Target",
    "body_text",
    "error_text",
    "led_to_stand_in",
    "one_line",
    "parse_body",
    "retry_after",
    "setting_text",
]

STAND_IN_HEADER: Final = "Sandbox-Origin"
"""The header that tells a stand-in for the partner to which origin a request would have gone."""

Target = tuple[str, Mapping[str, str]]
"""The URL and the headers of a request."""


class _Value(Protocol):
    def resolve(self, data: Any) -> Any:
        """Return the value for the data; UNDEFINED if there is none."""
        ...


class _Basic(NamedTuple):
    """HTTP Basic (RFC 7617, in UTF-8), by the names of the settings that hold the credentials."""

    user: str
    password: str | None

    def resolve(self, data: Any) -> Any:
        """Return the header; UNDEFINED without a user."""
        settings = data["settings"]
        user = setting_text(settings, self.user)
        if not user:
            return UNDEFINED
        if ":" in user:
            message = f"the setting {self.user} must not contain a colon, which ends a user's name"
            raise ResolveError("/headers/Authorization", message)
        password = "" if self.password is None else setting_text(settings, self.password)
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class _Credential(NamedTuple):
    """The value of a setting, with something before it."""

    setting: str
    prefix: str = ""

    def resolve(self, data: Any) -> Any:
        """Return the header; UNDEFINED without a value."""
        value = setting_text(data["settings"], self.setting)
        return f"{self.prefix}{value}" if value else UNDEFINED


def setting_text(settings: Mapping[str, Any], name: str) -> str:
    """Return the value of a setting as text; empty if there is none."""
    return revealed_text(settings.get(name, ""))


def _credential_header(auth: RequestAuth | None) -> tuple[str, _Value] | None:
    """Return the header that shows whose a request is; None if there is none."""
    if auth is None or auth.header is None:
        return None
    if isinstance(auth, BasicAuth):
        return auth.header, _Basic(auth.user, auth.password)
    if isinstance(auth, AccessTokenAuth):
        return auth.header, compile_value(ACCESS_TOKEN)
    prefix = "Bearer " if isinstance(auth, BearerAuth) else ""
    return auth.header, _Credential(auth.setting, prefix)


class Envelope:
    """The URL and the headers of a request, compiled once from mappings."""

    def __init__(
        self,
        transport: TransportDefinition,
        headers: Mapping[str, object],
        *,
        url: object = None,
        path: Sequence[object] = (),
    ) -> None:
        self._address = Address(transport.base_url if url is None else url, path)
        # HTTP's header names are case-insensitive: a request's own header replaces the common one.
        merged = {name.lower(): (name, value) for name, value in transport.headers.items()}
        merged |= {name.lower(): (name, value) for name, value in headers.items()}
        self._headers: list[tuple[str, _Value]] = [
            (name, compile_value(value)) for name, value in merged.values()
        ]
        own = [name for name, value in merged.values() if not varies(value)]
        self._fixed_headers = [one for one in self._headers if one[0] in own]
        auth = transport.auth
        credential = _credential_header(auth)
        if credential is not None and credential[0].lower() not in merged:
            self._headers.append(credential)
            self._fixed_headers.append(credential)
        self._key: tuple[str, str] | None = None
        if isinstance(auth, ApiKeyAuth) and auth.query is not None:
            self._key = (auth.query, auth.setting)
        self.is_fixed = self._address.is_fixed and len(own) == len(merged)
        """Whether the URL is the same for every event, as it depends only on settings."""
        self._fixed: tuple[Mapping[str, Any], Target] | None = None
        self._stand_in = transport.stand_in

    def fixed_url(self, settings: Mapping[str, Any]) -> str | None:
        """Return the URL if it depends only on settings, else None.

        Raises `ResolveError` if the settings make an invalid URL or header, for which no event is
        to blame.
        """
        context = {"event": {}, "payload": {}, "settings": settings}
        for name, template in self._fixed_headers:
            _header(name, template.resolve(context))
        return self.url(context) if self._address.is_fixed else None

    def target(self, context: Context) -> Target:
        """Return the URL and headers for ``context``; raises `ResolveError`."""
        if not self.is_fixed:
            return self._made(context)
        known, settings = self._fixed, context["settings"]
        if known is None or known[0] is not settings:
            known = self._fixed = (settings, self._made(context))
        return known[1]

    def key(self, context: Context) -> Hashable:
        """Return a key that requests with the same URL and headers share; raises `ResolveError`."""
        if self.is_fixed:
            return ()
        url, headers = self._made(context)
        return url, tuple(headers.items())

    def _made(self, context: Context) -> Target:
        url, headers = self._address.url(context), self.headers(context)
        if self._key is not None:
            url = _with_key(url, *self._key, context["settings"])
        if self._stand_in is None:
            return url, headers
        return led_to_stand_in(self._stand_in, url, headers)

    def url(self, context: Context) -> str:
        """Return the URL, without a key in its query; raises `ResolveError` if it is relative."""
        url = self._address.url(context)
        return url if self._stand_in is None else self._stand_in + _split_origin(url)[1]

    def headers(self, context: Context) -> dict[str, str]:
        """Return the headers without those whose value is null or undefined."""
        result: dict[str, str] = {}
        for name, template in self._headers:
            text = _header(name, template.resolve(context))
            if text is not None:
                result[name] = text
        return result


def _with_key(url: str, name: str, setting: str, settings: Mapping[str, Any]) -> str:
    """Return a URL with the key in its query that a setting has, if it has one."""
    value = setting_text(settings, setting)
    if not value:
        return url
    try:
        query = urlencode({name: value})
    except UnicodeEncodeError:
        message = f"the setting {setting} holds a lone surrogate (half of a character)"
        raise ResolveError("/url", message) from None
    return f"{url}{'&' if '?' in url else '?'}{query}"


def led_to_stand_in(stand_in: str, url: str, headers: Mapping[str, str]) -> Target:
    """Return URL and headers of a request that goes to a stand-in, in place of its own origin."""
    own, rest = _split_origin(url)
    return stand_in + rest, {**headers, STAND_IN_HEADER: own}


def _split_origin(url: str) -> tuple[str, str]:
    """Return the origin of an absolute URL, without credentials, and the rest."""
    parts = urlsplit(url)
    rest = url[url.index("://") + len("://") + len(parts.netloc) :]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", rest


def _header(name: str, value: object) -> str | None:
    """Return a header's value as text, None for null and undefined; raises `ResolveError`."""
    if value is None or value is UNDEFINED:
        return None
    text = revealed_text(value)
    if any(character in text for character in "\r\n\0"):
        raise ResolveError(pointer("headers", name), "must not contain line breaks")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        message = "must be text in Latin-1: HTTP headers hold nothing else"
        raise ResolveError(pointer("headers", name), message) from None
    return text.strip(" \t")  # not part of the value (RFC 9110, 5.5)


_MARKS: Final = (
    # The longer ones first: UTF-32's byte order mark begins with that of UTF-16.
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def _unmarked(body: bytes) -> bytes:
    """Return a body as UTF-8 without its byte order mark, which has no meaning (RFC 8259, 8.1)."""
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            rest = body[len(mark) :]
            if encoding == "utf-8":
                return rest
            return rest.decode(encoding, "replace").encode()
    return body


def parse_body(response: HttpResponse) -> Any:
    """Parse the body as JSON; raises `ValueError` if it is not JSON."""
    body = jiter.from_json(_unmarked(response.body), allow_inf_nan=False)
    if response.items is not None:
        response.items.put_back(body)
    return body


def body_text(response: HttpResponse) -> str:
    """Return the body as text."""
    return _unmarked(response.body).decode("utf-8", "replace")


def _own_words(body: Any) -> Iterator[str]:
    """Yield the messages in an error's body, from the usual places, the most telling first."""
    if isinstance(body, Mapping):
        for key in ("error", "errors", "meta"):
            yield from _own_words(body.get(key))
        # The last two are those of problem details (RFC 9457).
        for key in ("message", "reason", "detail", "title"):
            if isinstance(body.get(key), str):
                yield body[key]
    elif isinstance(body, list) and body:
        yield from _own_words(body[0])
    elif isinstance(body, str):
        yield body


def error_text(response: HttpResponse, body: Any) -> str:
    """Return the partner's reason on one line: its message, else the beginning of the body.

    It is not cut to its final length here: a secret that is cut could not be masked.
    """
    if 300 <= response.status < 400 and response.headers.get("location"):
        place = _shown_place(response.headers["location"])
        return f"redirected to {place}; redirects are not followed"
    found = next((text for text in _own_words(body) if text.strip()), None)
    if found is not None:
        return one_line(found)
    return one_line(_unmarked(response.body[:_MOST_READ]).decode("utf-8", "replace"))


_MOST_READ: Final = 65_536
"""The most characters of an error that are read: far more than are shown once masked."""


def one_line(text: str) -> str:
    """Return a partner's message as one line; it is masked and cut where it is shown."""
    return " ".join(text[:_MOST_READ].split())


def _shown_place(location: str) -> str:
    """Return a redirect's target without possible credentials: user, query and fragment."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in location)
    try:
        parts = urlsplit(text)
    except ValueError:
        return "an unreadable address"
    host = parts.netloc.rpartition("@")[2]
    path = urlunsplit((parts.scheme, host, parts.path, "", ""))
    return path + ("?***" if parts.query else "")


def retry_after(response: HttpResponse, now: datetime | None = None) -> float | None:
    """Return ``Retry-After`` in seconds (a number or a date; RFC 9110, 10.2.3); else None."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.fromtimestamp(unix_time(), UTC))).total_seconds())
