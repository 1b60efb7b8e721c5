"""Makes the URL of a request: the values of an event are in it, and never choose where it goes.

Each is percent-encoded as one segment of the path, or as a part of the query, whatever it holds.
In the place of a host it is refused, and so is a segment that is empty, ``.`` or ``..``: HTTP
libraries and servers read those as another path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from destinations.definition.addresses import (
    OF_ONE_EVENT,
    AddressChoice,
    AddressTemplate,
    AddressText,
    is_fixed,
    read_address,
)
from destinations.errors import DefinitionError, Fault, ResolveError
from destinations.http.answer import Context
from destinations.segment.javascript import UNDEFINED, to_string, type_name
from destinations.segment.mapping import CompiledValue, compile_value
from destinations.segment.mapping.roots import reads

__all__ = ["Address"]

_OWN_TEXT: Final = "!$&'()*+,;=:@"
"""What a segment may hold unencoded (RFC 3986, 3.3): for the definition's own text alone."""

_Part = Callable[[str, Context], str]
"""From what stands before it, and the context, to its text."""


class Address:
    """The URL of a request, from mappings that are compiled once: a base, and segments below it."""

    def __init__(self, base: object, path: Sequence[object] = ()) -> None:
        address = read_address(base)
        if address is None:  # found when a definition is checked
            raise DefinitionError([Fault("cannot be told apart from values of the event", "/url")])
        self._base = _compile(address)
        self._path = [_segment(source, f"/path/{at}") for at, source in enumerate(path)]
        self.is_fixed = is_fixed(address) and not reads(list(path), *OF_ONE_EVENT)
        """Whether it is the same for every event, as only settings are read."""

    def url(self, context: Context) -> str:
        """Return the URL; raises `ResolveError` unless it is an absolute one of HTTP."""
        url: str = self._base(context)
        parts = _split(url)
        if not self._path:
            return url
        path = parts.path.rstrip("/") + "".join("/" + segment(context) for segment in self._path)
        return parts._replace(path=path).geturl()


def _split(url: object) -> SplitResult:
    if isinstance(url, str):
        try:
            parts = urlsplit(url)
        except ValueError as error:  # such as an IPv6 address without its bracket
            raise ResolveError("/url", f"is no URL: {error}") from None
        if parts.scheme in {"http", "https"} and parts.hostname:
            return parts
    raise ResolveError("/url", "must be an absolute http or https URL")


def _compile(address: AddressTemplate | AddressChoice) -> Callable[[Context], Any]:
    if isinstance(address, AddressChoice):
        condition = compile_value(address.condition)
        then, otherwise = _compile(address.then), _compile(address.otherwise)
        return lambda context: (then if condition.resolve(context) is True else otherwise)(context)
    if not address.pieces:
        whole = compile_value(address.opaque)
        return lambda context: _plain(whole.resolve(context))
    parts = [_piece(piece) for piece in address.pieces]

    def make(context: Context) -> str:
        url = ""
        for part in parts:
            url += part(url, context)
        return url

    return make


def _piece(piece: Any) -> _Part:
    if isinstance(piece, AddressText):
        return lambda _, __: piece.text
    value = compile_value({"@path": piece.path})
    if piece.of_settings:
        return lambda _, context: _text(value.resolve(context))
    return lambda before, context: _placed(before, value.resolve(context))


def _placed(before: str, value: Any) -> str:
    """Return a value of an event as it may stand behind ``before``."""
    _, is_absolute, rest = before.partition("://")
    if not is_absolute or not any(mark in rest for mark in "/?#"):
        message = "holds a value of the event where its host is: an event must not choose it"
        raise ResolveError("/url", message)
    if "?" in rest or "#" in rest:
        return "" if value is None or value is UNDEFINED else _quoted(value, "/url")
    return _encoded(value, "/url")


def _segment(source: object, place: str) -> Callable[[Context], str]:
    """Compile one item of ``path``; the definition's own text may be empty, as the last one."""
    value: CompiledValue = compile_value(source)
    if isinstance(source, str):
        text = quote(source, safe=_OWN_TEXT)
        return lambda _: text
    return lambda context: _encoded(value.resolve(context), place)


def _encoded(value: Any, place: str) -> str:
    """Return a value as one segment of a path; raises `ResolveError` for what cannot be one."""
    if value is None or value is UNDEFINED or value == "":
        raise ResolveError(place, "is empty: a segment of the path must have a value")
    text = _quoted(value, place)
    if text in {".", ".."}:
        raise ResolveError(place, f"is {text!r}, which would lead to another path")
    return text


def _quoted(value: Any, place: str) -> str:
    if isinstance(value, dict | list):
        raise ResolveError(place, f"must be text, not {type_name(value)}")
    try:
        return quote(_text(value), safe="")
    except UnicodeEncodeError:
        raise ResolveError(place, "holds one half of a surrogate pair") from None


def _text(value: Any) -> str:
    """Return a value as a template prints it; a secret is text here, but prints itself masked."""
    if value is None or value is UNDEFINED:
        return ""
    return "".join(value) if isinstance(value, str) else to_string(value)


def _plain(value: Any) -> Any:
    return "".join(value) if isinstance(value, str) else value
