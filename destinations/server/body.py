"""Finds the events in a body, each as the bytes that stand there.

An event is kept, and where it is signed, checked, as it was sent. So a body is not parsed as a
whole and written again: only its brackets, texts and commas are looked at. What stands between
them is judged event by event, so that one broken event does not cost the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from destinations.errors import BodyError

__all__ = ["MAX_EVENTS", "Body", "read_body"]

MAX_EVENTS: Final = 2_500
"""Segment's limit for one batch."""

_SPACE: Final = b" \t\r\n"

_MARK: Final = b"\xef\xbb\xbf"
"""A byte order mark, which some senders write first, is no part of JSON (RFC 8259, 8.1)."""

# The next bracket or comma outside of texts. Possessive: each byte is looked at once.
_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _TEXT + rb'[^"\[\]{}]*+)*+([\[\]{}])', re.DOTALL)
_BRACKET_OR_COMMA = re.compile(
    rb'[^"\[\]{},]*+(?:' + _TEXT + rb'[^"\[\]{},]*+)*+([\[\]{},])', re.DOTALL
)
_KEY = re.compile(rb"[ \t\r\n]*(" + _TEXT + rb")[ \t\r\n]*:", re.DOTALL)


_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_CLOSING: Final = {b"[": b"]", b"{": b"}"}

# What the HTTP API of Segment merges into each event of a batch. Events are taken as they stand,
# so leaving it out in silence could send one where it must not go.
_NOT_MERGED: Final = ("context", "integrations")


@dataclass(frozen=True, slots=True)
class Body:
    """The events of a body, in order, as their raw bytes without white space around them."""

    events: Sequence[bytes]
    is_batch: bool


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


def _array(data: bytes) -> Sequence[bytes]:
    try:
        items = [bytes(item) for item in _items(data)]
    except (msgspec.DecodeError, RecursionError):
        items = _parts(data)  # one broken event must not cost the others
    if items == [b""]:
        return ()
    if len(items) > MAX_EVENTS:
        raise BodyError(f"holds {len(items):,} events, more than {MAX_EVENTS:,}", 413)
    if b"" in items:
        raise BodyError(f"is not JSON: item {items.index(b'')} of the array is empty")
    return items


def _batch(data: bytes) -> bytes | None:
    """Return the array under ``batch``; None if the object is an event, which has a ``type``."""
    members: dict[str, bytes] = {}
    for part in _parts(data):
        match = _KEY.match(part)
        if match is None:
            return None  # no JSON, or an empty object: what is wrong is said of it as an event
        try:
            key = json.loads(match.group(1))
        except ValueError:
            return None
        if key == "batch" and key in members:
            raise BodyError("the key batch occurs twice")
        members[key] = part[match.end() :].strip(_SPACE)
    if "batch" not in members or "type" in members:
        return None
    if not members["batch"].startswith(b"["):
        raise BodyError("batch must be an array of events")
    for key in _NOT_MERGED:
        if members.get(key, b"null") not in {b"null", b"{}"}:
            raise BodyError(f"{key} beside batch is not read: put it into each event")
    return members["batch"]


def _parts(data: bytes) -> list[bytes]:
    """Return what stands between the commas of the array or object that ``data`` is."""
    parts: list[bytes] = []
    open_brackets = [data[:1]]
    position = start = 1
    while open_brackets:
        outside = len(open_brackets) == 1
        match = (_BRACKET_OR_COMMA if outside else _BRACKET).match(data, position)
        if match is None:
            raise BodyError("is not JSON: it ends before it is complete")
        position = match.end()
        token = match.group(1)
        if token == b",":
            parts.append(data[start : position - 1].strip(_SPACE))
            start = position
        elif token in _CLOSING:
            open_brackets.append(token)
        elif token != _CLOSING[open_brackets.pop()]:
            raise BodyError(f"is not JSON: a wrong closing bracket at byte {position}")
    if position != len(data):
        raise BodyError(f"is not JSON: something follows its end, at byte {position + 1}")
    parts.append(data[start : position - 1].strip(_SPACE))
    return parts
