"""Events as Segment sends them: read strictly from bytes, and checked like its ingest API does.

What is not an event raises `EventError`, whose ``code`` is a reject code of that API where it has
one, in capitals like all codes here. Strict reading matters for billing: of two equal keys one
would win silently, and infinite numbers cannot be sent on. Nor can half a character: it is replaced
where it is only carried, and refused in an identifier.
"""

from __future__ import annotations

import json
import marshal
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import jiter
import msgspec

from destinations.errors import EventError

__all__ = [
    "MAX_EVENT_BYTES",
    "Event",
    "check_event",
    "integrations_allow",
    "missing_fields",
    "read_event",
    "read_json",
    "with_timestamp",
    "without_blank_traits",
]

Event = dict[str, Any]

MAX_EVENT_BYTES: Final = 32 * 1024
"""Segment's limit for one event."""

_MAX_MESSAGE_ID: Final = 100
_TYPES: Final = frozenset({"identify", "track", "page", "screen", "group", "alias"})
_IDS: Final = ("userId", "anonymousId", "messageId", "groupId", "previousId")
_OBJECTS: Final = ("properties", "traits", "context", "integrations")

_DEEPEST: Final = 200
"""Levels of nesting that jiter reads, and so the strict reader."""

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode

# How an infinite number looks in memory (IEEE 754, little endian). Looking for it in what `marshal`
# makes of a value takes a third of the time of any search of the text, or of a walk through it.
_INFINITE: Final = struct.pack("<d", math.inf)
_MINUS_INFINITE: Final = struct.pack("<d", -math.inf)


def read_json(data: bytes, *, limit: int = MAX_EVENT_BYTES) -> Any:
    """Read ``data`` as exactly one JSON value; raises `EventError` for everything else.

    Refused are also duplicate keys, NaN and infinite numbers, invalid UTF-8, lone surrogates,
    nesting of more than 200 levels, and more than ``limit`` bytes.
    """
    if len(data) > limit:
        raise EventError("TOO_LARGE", f"is {len(data):,} bytes, more than {limit:,}")
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_strictly(data)  # which says what is wrong
    # msgspec lets a repeated key overwrite the first. What it writes again byte by byte had none,
    # and that comparison costs less than half of reading strictly.
    if _encode(value) != data or _may_be_too_deep(data):
        return _read_strictly(data)
    return value


def _may_be_too_deep(data: bytes) -> bool:
    return len(data) > 2 * _DEEPEST and data.count(b"{") + data.count(b"[") > _DEEPEST


def _read_strictly(data: bytes) -> Any:
    try:
        value = jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        # Line 1 of the event may be any line of a file.
        place = str(error).replace(" at line 1 column ", " at column ")
        raise EventError("NOT_JSON", f"is not JSON: {place}") from None
    packed = marshal.dumps(value)
    if (_INFINITE in packed or _MINUS_INFINITE in packed) and _has_infinity(value):
        raise EventError("NOT_JSON", "is not JSON: a number is too large to be represented")
    return value


def _has_infinity(value: object) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, float) and math.isinf(item):
            return True
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False


def check_event(value: object) -> Event:
    """``value`` as an event; raises `EventError` for the first rule of the ingest API it breaks."""
    if not isinstance(value, dict):
        raise EventError("NOT_OBJECT", f"must be a JSON object, not {_kind(value)}")
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        shown = repr(kind) if isinstance(kind, str) and len(kind) < 40 else _kind(kind)
        expected = ", ".join(sorted(_TYPES))
        raise EventError("TYPE_INVALID", f"type must be one of {expected}, not {shown}")
    for key in _IDS:
        item = value.get(key)
        if item is not None and not isinstance(item, str):
            raise EventError("ID_NOT_STRING", f"{key} must be text, not {_kind(item)}")
    for key in _OBJECTS:
        item = value.get(key)
        if item is not None and not isinstance(item, dict):
            raise EventError(
                f"{key.upper()}_NOT_OBJECT", f"{key} must be an object, not {_kind(item)}"
            )
    if not value.get("userId") and not value.get("anonymousId"):
        raise EventError("NO_USER_ANON_ID", "has neither a userId nor an anonymousId")
    if len(value.get("messageId") or "") > _MAX_MESSAGE_ID:
        raise EventError(
            "MESSAGE_ID_TOO_LONG", f"messageId is longer than {_MAX_MESSAGE_ID} characters"
        )
    _check_call(kind, value)
    return value


def _check_call(kind: str, event: Mapping[str, Any]) -> None:
    """Check what one type of call needs beyond the fields that all have in common."""
    if kind == "track":
        name = event.get("event")
        if name is None or name == "":
            raise EventError("EVENT_NOT_DEFINED", "a track call needs an event name in event")
        if not isinstance(name, str):
            raise EventError("EVENT_NOT_STRING", f"event must be text, not {_kind(name)}")
    elif kind == "group" and not event.get("groupId"):
        raise EventError("GROUP_ID_NOT_DEFINED", "a group call needs a groupId")
    elif kind == "alias" and not (event.get("previousId") and event.get("userId")):
        raise EventError("ALIAS_IDS_NOT_DEFINED", "an alias call needs a userId and a previousId")


# Half of a pair (\ud83d without \ude00): an escape, or the bytes that some programs make of it.
# Whole pairs and all other escapes are matched first, so that no half is found in them.
_HALVES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.|(\xed[\xa0-\xbf][\x80-\xbf])",
    re.DOTALL,
)


def read_event(data: bytes) -> tuple[bytes, Event]:
    """Return an event, and its JSON without halves of characters; raises `EventError`.

    SDKs that cut a text after so many units leave half an emoji at its end. U+FFFD stands in its
    place, unless that makes one identifier of two. Where it makes one key of two, the later one has
    another U+FFFD at its end.
    """
    try:
        return data, check_event(read_json(data))
    except EventError as error:
        mended = _without_halves(data) if error.code == "NOT_JSON" else data
        if mended == data:
            raise
    try:
        value = read_json(mended)
    except EventError as error:
        distinct = _with_distinct_keys(data) if error.code == "NOT_JSON" else None
        if distinct is None:
            raise
        mended = distinct
        value = read_json(mended)
    event = check_event(value)
    as_it_came = json.loads(data, parse_int=float)  # which reads halves
    for key in _IDS:
        if not _is_whole(as_it_came.get(key)):
            raise EventError("ID_NOT_TEXT", f"{key} holds half a character (a lone surrogate)")
    return mended, event


def _without_halves(data: bytes) -> bytes:
    def whole(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return rb"\ufffd"
        return b"\xef\xbf\xbd" if match[2] else match[0]

    return _HALVES.sub(whole, data)


class _TwiceError(Exception):
    """An object has a key twice, before anything was replaced in it."""


def _with_distinct_keys(data: bytes) -> bytes | None:
    """Return JSON without halves of characters, whose keys stay as many; None for other faults."""
    try:
        value = json.loads(data, object_pairs_hook=_distinct)
        # Halves within values come out as escapes.
        return _without_halves(json.dumps(value, separators=(",", ":")).encode())
    except (_TwiceError, ValueError, RecursionError):
        return None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    given = {key for key, _ in pairs}
    if len(given) < len(pairs):
        raise _TwiceError
    names: dict[str, str] = {}
    taken = {key for key in given if _is_whole(key)}
    for key, _ in pairs:
        name = key
        if not _is_whole(key):
            name = _HALF.sub("\ufffd", key)
            while name in taken:
                name += "\ufffd"
            taken.add(name)
        names[key] = name
    return {names[key]: item for key, item in pairs}


_HALF: Final = re.compile("[\ud800-\udfff]")


def _is_whole(text: str | None) -> bool:
    return text is None or not any("\ud800" <= char <= "\udfff" for char in text)


def with_timestamp(event: Event, received_at: float) -> Event:
    """Return an event that says when it happened: if it does not, when it was received.

    That is its own ``originalTimestamp`` or ``receivedAt`` if it has one, else the Unix time
    ``received_at``. The event given is not changed.
    """
    timestamp = event.get("timestamp")
    if timestamp is not None and timestamp != "":
        return event
    for name in ("originalTimestamp", "receivedAt"):
        value = event.get(name)
        if isinstance(value, str) and value:
            return {**event, "timestamp": value}
    at = datetime.fromtimestamp(received_at, UTC).isoformat(timespec="milliseconds")
    return {**event, "timestamp": at.replace("+00:00", "Z")}


def without_blank_traits(event: Event, is_blank: Callable[[object], bool]) -> Event:
    """Return an event without those of its traits that are blank; it itself is not changed."""
    traits = event.get("traits")
    if not traits or not any(map(is_blank, traits.values())):
        return event
    kept = {key: value for key, value in traits.items() if not is_blank(value)}
    return {**event, "traits": kept}


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "an array"
    return "an object"


def missing_fields(event: Mapping[str, Any], required: Iterable[str]) -> list[str]:
    """Those of ``required`` that the event lacks; null and empty text count as absent."""
    return [key for key in required if not event.get(key)]


def integrations_allow(event: Mapping[str, Any], key: str) -> bool:
    """Whether the event's ``integrations`` object lets it go to the destination ``key``.

    The destination's own key beats ``All``; an object of options counts as true.
    """
    integrations = event.get("integrations")
    if not integrations:
        return True
    own = integrations.get(key)
    if own is not None:
        return own is not False
    return integrations.get("All") is not False
