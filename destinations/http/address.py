"""Build request URLs in which an event's values never choose where the request goes.

Each value is percent-encoded as one path segment or as part of the query. It is refused in the
place of the host, and as a segment that is empty, ``.`` or ``..``, which HTTP libraries and servers
resolve to another path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from destinations.definition.url_pieces import (
    AddressChange,
    AddressChoice,
    AddressComputed,
    AddressLiquid,
    AddressMapping,
    AddressTemplate,
    AddressText,
    AddressWhole,
    AddressWithin,
    chosen_urls,
    is_fixed,
    read_address,
    varies,
)
from destinations.errors import ResolveError
from destinations.http.answer import Context
from destinations.secrets import reveal
from destinations.segment.javascript import UNDEFINED, to_string, type_name
from destinations.segment.json_pointer import value_at, with_value
from destinations.segment.mapping import CompiledValue, compile_value
from destinations.segment.mapping.parts import paths_read
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["Address"]

_OWN_TEXT: Final = "!$&'()*+,;=:@"
"""Characters that need no encoding in a segment (RFC 3986, 3.3), in the definition's own text."""

_CUT_ESCAPE: Final = re.compile("%[0-9A-Fa-f]?$")

_Piece = tuple[Any, bool]
"""A value, and whether it is the definition's own text or a setting, and not an event's."""

_Pieces = Callable[[Any], list[_Piece]]
"""Makes the pieces of a URL from the context; raises `ResolveError`."""


class Address:
    """The URL of a request, compiled once from mappings: a base, and segments below it."""

    def __init__(self, base: object, path: Sequence[object] = ()) -> None:
        address = read_address(base)
        self._base = _compile(address)
        self._source = base
        self._path = [_segment(source, f"/path/{at}") for at, source in enumerate(path)]
        self.is_fixed = is_fixed(address) and not varies(list(path))
        """Whether the URL is the same for every event, as it depends only on settings."""

    def url(self, context: Context) -> str:
        """Return the URL; raises `ResolveError` unless it is an absolute HTTP(S) URL."""
        try:
            url = _joined(self._base(context))
            parts = _split(url)
        except ResolveError as error:
            missing = _missing(self._source, context)
            raise ResolveError(error.path, error.message + missing) from None
        if not self._path:
            return url
        path = parts.path.rstrip("/") + "".join("/" + segment(context) for segment in self._path)
        return parts._replace(path=path).geturl()


def _missing(base: object, context: Context) -> str:
    """Return which settings a URL is made of that are not given, for the end of a message."""
    settings = context.get("settings", {})
    chosen, where = chosen_urls(base), ""
    if chosen is not None:
        name, urls = chosen
        value = settings.get(name)
        if value is None:
            return f"; the setting {name}, which chooses it, is not given"
        base, where = urls.get(reveal(value)), f" of {name} {reveal(value)}"
    read = [split_path(strip_root(path)) for path in paths_read(base)]
    names = [path[1] for path in read if path[:1] == ("settings",) and len(path) > 1]
    missing = [name for name in dict.fromkeys(names) if settings.get(name) is None]
    if not missing:
        return ""
    return f"; the URL{where} is made of the setting {' and '.join(missing)}, which is not given"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:  # such as an IPv6 address without its bracket
        raise ResolveError("/url", f"is not a URL: {error}") from None
    if parts.scheme in {"http", "https"} and parts.hostname:
        return parts
    raise ResolveError("/url", _ABSOLUTE)


def _compile(address: AddressMapping) -> _Pieces:
    match address:
        case AddressTemplate():
            return _compile_template(address)
        case AddressWhole():
            whole, is_own = compile_value(address.source), address.of_settings
            return lambda context: [(whole.resolve(context), is_own)]
        case AddressComputed():
            return _compile_computed(address)
        case AddressLiquid():
            return _compile_liquid(address)
        case AddressChange():
            return _compile_change(address)
        case AddressWithin():
            root, within = compile_value(address.source), _compile(address.inner)
            return lambda context: within(root.resolve(context))
        case AddressChoice():
            choose = compile_value(address.source)
            branches: dict[Any, _Pieces] = {
                place: _compile(branch) for place, branch in address.branches.items()
            }
            branches[UNDEFINED] = lambda _: []
            return lambda context: _branch(branches, choose.resolve(context))(context)


def _branch(branches: dict[Any, _Pieces], key: Any) -> _Pieces:
    """Return the chosen branch, which a setting may name that was never checked."""
    try:
        return branches[key]
    except (KeyError, TypeError):
        known = ", ".join(str(one) for one in branches if one is not UNDEFINED)
        raise ResolveError("/url", f"has no URL for this setting; known: {known}") from None


def _compile_template(address: AddressTemplate) -> _Pieces:
    values = [
        (compile_value(piece.text if isinstance(piece, AddressText) else {"@path": piece.path}))
        for piece in address.pieces
    ]
    own = [isinstance(piece, AddressText) or piece.of_settings for piece in address.pieces]
    return lambda context: [
        (value.resolve(context), is_own) for value, is_own in zip(values, own, strict=True)
    ]


def _compile_computed(address: AddressComputed) -> _Pieces:
    text = compile_value(value_at(address.source, address.place))

    def make(context: Any) -> list[_Piece]:
        found = text.resolve(context)
        if not isinstance(found, str):
            raise ResolveError("/url", f"must be text, not {type_name(found)}")
        source = with_value(address.source, address.place, reveal(found))
        return _compile(read_address(source, address.roots))(context)

    return make


def _compile_liquid(address: AddressLiquid) -> _Pieces:
    compile_value({"@liquid": address.template})  # raises if the library is missing
    # Deferred, because the library is an extra and slow to import.
    from destinations.segment.mapping.liquid import (  # noqa: PLC0415 - an extra
        LiquidError,
        compile_liquid_pieces,
    )

    try:
        pieces = compile_liquid_pieces(address.template, address.roots.own)
    except LiquidError as error:
        reason = f"cannot be made by this @liquid: {error}"
        return lambda _: _refuse(reason)

    def make(context: Any) -> list[_Piece]:
        try:
            return list(pieces(context))
        except LiquidError as error:
            return _refuse(str(error))

    return make


def _refuse(reason: str) -> list[_Piece]:
    raise ResolveError("/url", reason)


def _compile_change(address: AddressChange) -> _Pieces:
    inner = _compile(address.inner)
    change = compile_value(with_value(address.source, address.place, {"@path": "piece"}))

    def changed(piece: _Piece) -> _Piece:
        value, is_own = piece
        if isinstance(value, str | int | float):
            value = change.resolve({"piece": reveal(value) if isinstance(value, str) else value})
        return value, is_own

    def make(context: Any) -> list[_Piece]:
        # Each value by itself, so that it cannot change the text around it.
        return [changed(piece) for piece in _merged(inner(context))]

    return make


def _merged(pieces: list[_Piece]) -> list[_Piece]:
    """Return the pieces, with adjacent own texts merged into one."""
    merged: list[_Piece] = []
    for value, is_own in pieces:
        if is_own and merged and merged[-1][1]:
            merged[-1] = (_text(merged[-1][0]) + _text(value), True)
        else:
            merged.append((value, is_own))
    return merged


def _joined(pieces: list[_Piece]) -> str:
    """Return the URL made of pieces; raises `ResolveError` if a value could choose the host."""
    if len(pieces) == 1 and pieces[0][1] and not isinstance(pieces[0][0], str):
        raise ResolveError("/url", _ABSOLUTE)
    url = ""
    for value, is_own in pieces:
        url += _text(value) if is_own else _placed(url, value)
    return url


_ABSOLUTE: Final = "must be an absolute http or https URL"


def _placed(before: str, value: Any) -> str:
    """Return an event's value, encoded for its place after ``before``."""
    _, is_absolute, rest = before.partition("://")
    if not is_absolute or not any(mark in rest for mark in "/?#"):
        message = (
            "holds a value of the event in the place of its host: an event must not choose the host"
        )
        raise ResolveError("/url", message)
    if _CUT_ESCAPE.search(rest):
        raise ResolveError(
            "/url", "holds a value within a percent-escape: a value must not complete one"
        )
    if "?" in rest or "#" in rest:
        return "" if value is None or value is UNDEFINED else _quoted(value, "/url")
    return _encoded(value, "/url")


def _segment(source: object, place: str) -> Callable[[Context], str]:
    """Compile one item of ``path``; the definition's own text may be empty as the last one."""
    value: CompiledValue = compile_value(source)
    if isinstance(source, str):
        text = quote(source, safe=_OWN_TEXT)
        return lambda _: text
    return lambda context: _encoded(value.resolve(context), place)


def _encoded(value: Any, place: str) -> str:
    """Return a value as one path segment; raises `ResolveError` if it cannot be one."""
    if value is None or value is UNDEFINED or value == "":
        raise ResolveError(place, "is empty; expected a value, as it is a segment of the path")
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
        raise ResolveError(place, "holds a lone surrogate (half of a character)") from None


def _text(value: Any) -> str:
    """Return a value as text, as templates print it; a secret is revealed here."""
    if value is None or value is UNDEFINED:
        return ""
    return reveal(value) if isinstance(value, str) else to_string(value)
