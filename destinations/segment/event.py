"""Read Segment events strictly from bytes, and check them like Segment's ingest API.

Anything else raises `EventError`, whose ``code`` is a reject code of that API if it has one, in
capitals like all codes here. Strict reading matters for billing: one of two equal keys would
silently win, and infinite numbers and lone surrogates (halves of characters) cannot be sent on. A
lone surrogate is refused in an identifier, and replaced anywhere else.
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
    "CALL_UNSUPPORTED",
    "DELETE",
    "EVENT_TYPES",
    "ID_FIELDS",
    "MAX_EVENT_BYTES",
    "NOT_JSON",
    "SPEC_FIELDS",
    "TYPE_INVALID",
    "Event",
    "check_event",
    "integrations_allow",
    "missing_fields",
    "naming_delete",
    "read_event",
    "read_json",
    "with_spec_names",
    "with_timestamp",
    "without_blank_traits",
]

Event = dict[str, Any]

MAX_EVENT_BYTES: Final = 32 * 1024
"""Segment's limit for one event."""

_MAX_MESSAGE_ID: Final = 100

CALL_UNSUPPORTED: Final = "CALL_UNSUPPORTED"
"""The code of a call that Segment has and no destination takes."""

NOT_JSON: Final = "NOT_JSON"
"""The code of bytes that cannot be read as JSON."""

EVENT_TYPES: Final = ("identify", "track", "page", "screen", "group", "alias")
"""The calls of the Segment Spec, in the order of Segment's docs; an event's type is one of them."""

DELETE: Final = "delete"
"""The type of an event that asks to delete a user.

It is no call of the Spec: no subscription takes it, but the ``onDelete`` of a definition.
"""

TYPE_INVALID: Final = "TYPE_INVALID"
"""The code of an event without a type, or with one that nothing takes."""

_TYPES: Final = ", ".join(sorted(EVENT_TYPES))
_TYPES_WITH_DELETE: Final = ", ".join(sorted((*EVENT_TYPES, DELETE)))

ID_FIELDS: Final = ("userId", "anonymousId", "messageId", "groupId", "previousId")
"""The fields of an event that identify something; each is text."""

_OBJECTS: Final = ("properties", "traits", "context", "integrations")

_DEEPEST: Final = 200
"""The levels of nesting that jiter reads; the fast reader must accept no more."""

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
_PLAIN_WORDS: Final = {
    "expected ident": "expected true, false or null, or a text in quotation marks",
    "EOF while parsing": "it ends within",
}
"""What the strict reader says, in the words of whoever sent the event."""

# An infinite number in memory (IEEE 754, little endian). Searching the bytes that `marshal` makes
# of a value takes a third of the time of searching the text or walking the value.
_INFINITE: Final = struct.pack("<d", math.inf)
_MINUS_INFINITE: Final = struct.pack("<d", -math.inf)


def read_json(data: bytes, *, limit: int = MAX_EVENT_BYTES) -> Any:
    """Read ``data`` as exactly one JSON value; raises `EventError` for anything else.

    Also refuses duplicate keys, NaN and infinite numbers, invalid UTF-8, lone surrogates, nesting
    of more than 200 levels, and more than ``limit`` bytes.
    """
    if len(data) > limit:
        raise EventError("TOO_LARGE", f"is {len(data):,} bytes, more than {limit:,}")
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_strictly(data)  # the strict reader has better messages
    # msgspec lets a repeated key overwrite the first. If its output equals the input byte by byte,
    # there was no such key; that comparison costs less than half of reading strictly.
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
        for jargon, words in _PLAIN_WORDS.items():
            place = place.replace(jargon, words)
        raise EventError(NOT_JSON, f"is not JSON: {place}") from None
    packed = marshal.dumps(value)
    if (_INFINITE in packed or _MINUS_INFINITE in packed) and _has_infinity(value):
        raise EventError(NOT_JSON, "is not JSON: a number is too large to be represented")
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


def naming_delete(fault: EventError) -> EventError:
    """Return what is wrong with an event where its type may be ``delete``, too."""
    if fault.code != TYPE_INVALID:
        return fault
    return EventError(fault.code, fault.message.replace(_TYPES, _TYPES_WITH_DELETE, 1))


def check_event(value: object) -> Event:
    """Return ``value`` as an event; raises `EventError` for the first rule that it breaks."""
    if not isinstance(value, dict):
        raise EventError("NOT_OBJECT", f"must be a JSON object, not {_kind(value)}")
    kind = value.get("type")
    if not isinstance(kind, str) or (kind not in EVENT_TYPES and kind != DELETE):
        shown = repr(kind) if isinstance(kind, str) and len(kind) < 40 else _kind(kind)
        raise EventError(TYPE_INVALID, f"type must be one of {_TYPES}, not {shown}")
    for key in ID_FIELDS:
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
    """Check the fields that only one type of call needs."""
    if kind == "track":
        name = event.get("event")
        if name is None or name == "":
            raise EventError("EVENT_NOT_DEFINED", "a track call needs an event name in event")
        if not isinstance(name, str):
            raise EventError("EVENT_NOT_STRING", f"event must be text, not {_kind(name)}")
    elif kind == DELETE and not event.get("userId"):
        raise EventError("NO_USER_ANON_ID", "a delete call needs a userId")
    elif kind == "group" and not event.get("groupId"):
        raise EventError("GROUP_ID_NOT_DEFINED", "a group call needs a groupId")
    elif kind == "alias" and not (event.get("previousId") and event.get("userId")):
        raise EventError("ALIAS_IDS_NOT_DEFINED", "an alias call needs a userId and a previousId")


# A lone surrogate (\ud83d without \ude00), as an escape or as the bytes that some programs write.
# Whole pairs and all other escapes are matched first, so that no half of them is taken for one.
_HALVES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.|(\xed[\xa0-\xbf][\x80-\xbf])",
    re.DOTALL,
)


def _as_it_is(value: object) -> object:
    return value


def read_event(
    data: bytes, prepared: Callable[[object], object] = _as_it_is
) -> tuple[bytes, Event]:
    """Return an event, and its JSON without lone surrogates; raises `EventError`.

    ``prepared`` makes of what was read what is checked, such as an event with a type.

    SDKs that cut texts by UTF-16 units may leave half an emoji at the end. It is replaced with
    U+FFFD, but refused in identifiers, where two could become equal. If two keys become equal, the
    later one gets another U+FFFD at its end.
    """
    try:
        return data, check_event(prepared(read_json(data)))
    except EventError as error:
        repaired = _without_halves(data) if error.code == NOT_JSON else data
        if repaired == data:
            raise
    try:
        value = read_json(repaired)
    except EventError as error:
        distinct = _with_distinct_keys(data) if error.code == NOT_JSON else None
        if distinct is None:
            raise
        repaired = distinct
        value = read_json(repaired)
    event = check_event(prepared(value))
    as_it_came = json.loads(data, parse_int=float)  # which accepts lone surrogates
    for key in ID_FIELDS:
        if not _is_whole(as_it_came.get(key)):
            raise EventError("ID_NOT_TEXT", f"{key} holds half a character (a lone surrogate)")
    return repaired, event


SPEC_FIELDS: Final = (
    *("type", "event", "name", "category", "timestamp", "originalTimestamp", "sentAt"),
    *("receivedAt", "version", "channel", "writeKey", *ID_FIELDS, *_OBJECTS),
)
"""The fields that the Spec gives to events."""

_SPEC_NAMES: Final[Mapping[str, str]] = {name.lower(): name for name in SPEC_FIELDS}


def with_spec_names(data: bytes) -> bytes:
    """Return the JSON of an event whose fields are named as in the Spec, whatever their case was.

    That is done for the fields of the Spec itself, such as ``USERID`` or ``messageid``, and not
    within properties, traits or context, where the customer chooses the names. A field stays as it
    is where another one has the name already; so does what cannot be read.
    """
    try:
        value = read_json(data)
    except EventError:
        return data
    if not isinstance(value, dict):
        return data
    given: dict[str, Any] = value
    renamed: dict[str, Any] = {}
    for key, item in given.items():
        name = _SPEC_NAMES.get(key.lower(), key)
        renamed[key if name in value or name in renamed else name] = item
    if renamed.keys() == value.keys():
        return data
    return json.dumps(renamed, ensure_ascii=False, separators=(",", ":")).encode()


def _without_halves(data: bytes) -> bytes:
    def whole(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return rb"\ufffd"
        return b"\xef\xbf\xbd" if match[2] else match[0]

    return _HALVES.sub(whole, data)


class _TwiceError(Exception):
    """An object has a duplicate key even before lone surrogates are replaced."""


def _with_distinct_keys(data: bytes) -> bytes | None:
    """Return JSON without lone surrogates and with distinct keys; None for other faults."""
    try:
        value = json.loads(data, object_pairs_hook=_distinct)
        # Lone surrogates in values are written as escapes.
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


def _is_whole(item: object) -> bool:
    """Return whether an id has no half character; a number, which became text, has none."""
    return not isinstance(item, str) or not any("\ud800" <= char <= "\udfff" for char in item)


def with_timestamp(event: Event, received_at: float) -> Event:
    """Return an event with a timestamp; the given event is not changed.

    If it has none, ``originalTimestamp`` is taken, else ``receivedAt``, else the Unix time
    ``received_at``.
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
    """Return an event without its blank traits; the given event is not changed."""
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
    """Return the ``required`` fields that the event lacks; null and empty text count as absent."""
    return [key for key in required if not event.get(key)]


def integrations_allow(event: Mapping[str, Any], key: str) -> bool:
    """Return whether the event's ``integrations`` object allows the destination ``key``.

    The destination's own key beats ``All``; an object of options counts as true.
    """
    integrations = event.get("integrations")
    if not integrations:
        return True
    own = integrations.get(key)
    if own is not None:
        return own is not False
    return integrations.get("All") is not False
