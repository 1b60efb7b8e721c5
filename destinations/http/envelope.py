"""What GraphQL and REST requests share: address, headers, and the reading of HTTP answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import jiter

from destinations.clock import unix_time
from destinations.definition import TransportDefinition
from destinations.errors import ResolveError
from destinations.http.answer import Context, HttpResponse
from destinations.segment.javascript import UNDEFINED, to_string
from destinations.segment.mapping import compile_value

__all__ = ["Envelope", "encode", "error_text", "parse_body", "retry_after"]


class Envelope:
    """The address and the headers of a request, from mappings that are compiled once."""

    def __init__(
        self, transport: TransportDefinition, url: object, headers: Mapping[str, object]
    ) -> None:
        self._url = compile_value(transport.url if url is None else url)
        # HTTP's header names are case-insensitive: a request's own header replaces the common one.
        merged = {name.lower(): (name, value) for name, value in transport.headers.items()}
        merged |= {name.lower(): (name, value) for name, value in headers.items()}
        self._headers = [(name, compile_value(value)) for name, value in merged.values()]

    def url(self, context: Context) -> str:
        """The URL; raises `ResolveError` if it is not an absolute one of HTTP."""
        url = self._url.resolve(context)
        if isinstance(url, str):
            url = "".join(url)
            try:
                parts = urlsplit(url)
            except ValueError as error:  # such as an IPv6 address without its bracket
                raise ResolveError("/url", f"is no URL: {error}") from None
            if parts.scheme in {"http", "https"} and parts.hostname:
                return url
        raise ResolveError("/url", "must be an absolute http or https URL")

    def has_host_of_event(self, url: str, context: Context) -> bool:
        """Whether another event might have led elsewhere: host and port are not those without."""
        try:
            own = self.url({"event": {}, "payload": {}, "settings": context["settings"]})
        except ResolveError:
            return True
        return urlsplit(own).netloc != urlsplit(url).netloc

    def headers(self, context: Context) -> dict[str, str]:
        """The headers; one whose value is null or undefined is left out."""
        result: dict[str, str] = {}
        for name, template in self._headers:
            value = template.resolve(context)
            if value is None or value is UNDEFINED:
                continue
            text = "".join(value) if isinstance(value, str) else to_string(value)
            if any(character in text for character in "\r\n\0"):
                raise ResolveError(f"/headers/{name}", "must not contain line breaks")
            try:
                text.encode("latin-1")
            except UnicodeEncodeError:
                message = "must be text in Latin-1: HTTP headers hold nothing else"
                raise ResolveError(f"/headers/{name}", message) from None
            result[name] = text.strip(" \t")  # no part of a value (RFC 9110, 5.5)
        return result


def encode(value: Any) -> bytes:
    """``value`` as compact JSON in UTF-8.

    Raises `ResolveError` for what JSON cannot hold: a mapping can make infinite numbers and lone
    surrogates, by ``@json`` for instance.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        raise ResolveError("", "the body holds one half of a surrogate pair") from None
    except RecursionError:
        raise ResolveError("", "the body is nested too deeply to be written as JSON") from None
    except ValueError:  # infinite, or more digits than Python prints
        raise ResolveError("", "the body holds a number that JSON cannot carry") from None


def parse_body(response: HttpResponse) -> Any:
    """The body as JSON; raises ValueError if it is anything else."""
    return jiter.from_json(response.body, allow_inf_nan=False)


def _own_words(body: Any) -> Iterator[str]:
    """What an error's body says, in the places where partners put it, the most telling first."""
    if isinstance(body, Mapping):
        for key in ("error", "errors"):
            yield from _own_words(body.get(key))
        message = body.get("message")
        if isinstance(message, str):
            yield message
    elif isinstance(body, list) and body:
        yield from _own_words(body[0])
    elif isinstance(body, str):
        yield body


def error_text(response: HttpResponse, body: Any) -> str:
    """One line on why the partner said no: its own message, else how the body begins."""
    found = next((text for text in _own_words(body) if text.strip()), None)
    if found is not None:
        return " ".join(found.split())[:300]
    return " ".join(response.body[:1000].decode("utf-8", "replace").split())[:200]


def retry_after(response: HttpResponse, now: datetime | None = None) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3), a number or a date; else None."""
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
