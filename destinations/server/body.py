"""Find the events in a body, each as the bytes that stand there.

An event is kept, and where it is signed, checked, as it was sent. So a body is not parsed as a
whole and written again: only its brackets, texts and commas are looked at. What stands between
them is judged event by event, so that one broken event does not cost the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import msgspec

from destinations.errors import BodyError, EventError
from destinations.segment.event import NOT_JSON, read_json

__all__ = ["MAX_EVENTS", "Body", "SentBody", "first_event", "read_body", "read_sent"]

MAX_EVENTS: Final = 2_500
"""Segment's limit for one batch."""

_SPACE: Final = b" \t\r\n"

_MARK: Final = b"\xef\xbb\xbf"
"""A byte order mark, which some senders write first, is not part of JSON (RFC 8259, 8.1)."""

# The next bracket or comma outside of texts. Possessive: each byte is looked at once.
_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _TEXT + rb'[^"\[\]{}]*+)*+([\[\]{}])', re.DOTALL)
_BRACKET_OR_COMMA = re.compile(
    rb'[^"\[\]{},]*+(?:' + _TEXT + rb'[^"\[\]{},]*+)*+([\[\]{},])', re.DOTALL
)
_KEY = re.compile(rb"[ \t\r\n]*(" + _TEXT + rb")[ \t\r\n]*:", re.DOTALL)
_ARRAY = re.compile(rb"[ \t\r\n]*\[")

# How far a first event is looked for: one of the allowed size has no more brackets than this.
_MOST_BRACKETS: Final = 32 * 1024


_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_CLOSING: Final = {b"[": b"]", b"{": b"}"}

_BESIDE: Final = ("context", "integrations", "sentAt", "writeKey")

# What the HTTP API of Segment merges into each event of a batch. Events are taken as they stand,
# so leaving it out in silence could send one where it must not go.
_NOT_MERGED: Final = ("context", "integrations")


@dataclass(frozen=True, slots=True)
class Body:
    """The events of a body, in order, as their raw bytes without white space around them."""

    events: Sequence[bytes]
    is_batch: bool


@dataclass(frozen=True, slots=True)
class SentBody:
    """The content of one request to Segment's HTTP API.

    ``events`` are as in `Body`. ``beside`` is what stands beside the batch and holds for all of
    them: ``context``, ``integrations`` and ``sentAt``. ``key`` is the write key in it, if any.
    """

    events: Sequence[bytes]
    beside: Mapping[str, Any]
    key: str | None


def read_body(data: bytes) -> Body:
    """Return the events in one object, an array, or an object with ``batch``.

    Raises `BodyError` for a body that is cut off or no JSON as a whole, and for more than
    `MAX_EVENTS` events. Whether each event is JSON is not looked at.
    """
    found = data.removeprefix(_MARK).strip(_SPACE)
    if not found:
        raise BodyError("the body is empty: send an event, an array of events or a batch")
    if found.startswith(b"["):
        return Body(_array(found), is_batch=True)
    if found.startswith(b"{") and b'"batch"' in found:
        batch = _batch(found)
        if batch is not None:
            return Body(_array(batch), is_batch=True)
    return Body((found,), is_batch=False)


def read_sent(data: bytes, *, is_batch: bool) -> SentBody:
    """Return what one request to Segment's HTTP API holds: a batch, or one event.

    Raises `BodyError` as `read_body` does, and for a batch that is no object with ``batch``, or has
    something else than objects in ``context`` and ``integrations``.
    """
    found = data.removeprefix(_MARK).strip(_SPACE)
    if not found:
        raise BodyError("the body is empty: send " + ("a batch" if is_batch else "an event"))
    if not is_batch:
        return SentBody((found,), {}, _text_at(found, "writeKey"))
    if not found.startswith((b"{", b"[")):
        raise _not_json("a batch is an object that begins with a brace")
    members = _members(found) if found.startswith(b"{") else None
    if members is None or not members.get("batch", b"").startswith(b"["):
        raise BodyError('is no batch: expected {"batch": [...]}, as SDKs send it')
    beside: dict[str, Any] = {}
    for key in _BESIDE:
        if key in members:
            try:
                beside[key] = read_json(members[key])
            except EventError as error:
                raise BodyError(f"{key} beside batch {error.message}", code=error.code) from None
    for key in _NOT_MERGED:
        if not isinstance(beside.get(key), dict | None):
            raise BodyError(f"{key} beside batch must be an object")
    key = beside.pop("writeKey", None)
    return SentBody(_array(members["batch"]), beside, key if isinstance(key, str) else None)


def _text_at(data: bytes, name: str) -> str | None:
    """Return the text under a key of an object; None if there is none, or it cannot be read."""
    try:
        value = _objects(data).get(name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    try:
        found = None if value is None else json.loads(bytes(value))
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def first_event(data: bytes) -> bytes:
    """Return the event that a body begins with, before anything else of it is read.

    It is what `read_body` has as the first of its events, if that can read the body; whether it
    can is not looked at. Costs little whatever the body is, as its sender is not known yet: where
    the event cannot be found, it is the whole body.
    """
    found = data.removeprefix(_MARK).strip(_SPACE)
    try:
        steps = iter(range(_MOST_BRACKETS))
        start = _first_item(found, steps)
        if start is None:
            return found
        return found[start : _end_of(found, start, steps)].strip(_SPACE)
    except BodyError:
        return found


def _first_item(found: bytes, steps: Iterator[int]) -> int | None:
    """Return where the first item of an array or a batch begins; None if it is neither."""
    if found.startswith(b"["):
        return 1
    if not found.startswith(b"{") or b'"batch"' not in found:
        return None
    position = 1
    while (match := _KEY.match(found, position)) is not None:
        position = match.end()
        try:
            is_batch = json.loads(match.group(1)) == "batch"
        except ValueError:
            return None
        if is_batch:
            array = _ARRAY.match(found, position)
            return array.end() if array is not None else None
        position = _end_of(found, position, steps) + 1
    return None


def _array(data: bytes) -> Sequence[bytes]:
    try:
        items = [bytes(item) for item in _items(data)]
    except (msgspec.DecodeError, RecursionError):
        items = _parts(data)  # one broken event must not cost the others
    if items == [b""]:
        return ()
    if len(items) > MAX_EVENTS:
        message = f"holds {len(items):,} events, more than {MAX_EVENTS:,}"
        raise BodyError(message, 413, len(items))
    if b"" in items:
        raise _not_json(f"item {items.index(b'')} of the array is empty")
    return items


def _batch(data: bytes) -> bytes | None:
    """Return the array under ``batch``; None if the object is an event, which has a ``type``."""
    members = _members(data)
    if members is None or "batch" not in members or "type" in members:
        return None
    if not members["batch"].startswith(b"["):
        raise BodyError("batch must be an array of events")
    for key in _NOT_MERGED:
        if members.get(key, b"null") not in {b"null", b"{}"}:
            raise BodyError(f"{key} next to batch is not read: put it into each event")
    return members["batch"]


def _members(data: bytes) -> dict[str, bytes] | None:
    """Return the source of each member of an object by its key; None if it is none."""
    members: dict[str, bytes] = {}
    for part in _parts(data):
        match = _KEY.match(part)
        if match is None:
            return None  # no JSON, or an empty object: what is wrong is said of it as an event
        try:
            key = json.loads(match.group(1))
        except ValueError:
            return None
        if key in members and key in {"batch", *_BESIDE}:
            raise BodyError(f"the key {key} occurs twice")
        members[key] = part[match.end() :].strip(_SPACE)
    return members


def _parts(data: bytes) -> list[bytes]:
    """Return the source of each item of an array, or of each member of an object."""
    parts: list[bytes] = []
    position, token = 1, b","
    while token == b",":
        end = _end_of(data, position)
        parts.append(data[position:end].strip(_SPACE))
        token, position = data[end : end + 1], end + 1
    if token != _CLOSING[data[:1]]:
        raise _not_json(f"a wrong closing bracket at byte {position}")
    if position != len(data):
        raise _not_json(f"something follows its end, at byte {position + 1}")
    return parts


def _not_json(why: str) -> BodyError:
    return BodyError(f"is not JSON: {why}", code=NOT_JSON)


def _end_of(data: bytes, position: int, steps: Iterator[int] | None = None) -> int:
    """Return where the part that begins at ``position`` ends: at a comma or a closing bracket.

    Raises `BodyError` if it does not end, or has more brackets than there are ``steps`` left.
    """
    open_brackets: list[bytes] = []
    for _ in count() if steps is None else steps:
        match = (_BRACKET if open_brackets else _BRACKET_OR_COMMA).match(data, position)
        if match is None:
            raise _not_json("it ends before it is complete")
        position = match.end()
        token = match.group(1)
        if token in _CLOSING:
            open_brackets.append(token)
        elif not open_brackets:
            return position - 1
        elif token != _CLOSING[open_brackets.pop()]:
            raise _not_json(f"a wrong closing bracket at byte {position}")
    raise BodyError("has too many brackets to find its first event")
