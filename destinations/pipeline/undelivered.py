"""Write undelivered events as NDJSON that can be fed back to a run.

Each line wraps an entry of the input: ``{"undelivered": {"outcome": ..., "line": ...,
"subscription": ..., "action": ..., "reason": ...}, "rawEvent": {...}}``. An entry that is not JSON
is text in ``rawText`` or, if it is not UTF-8 either, in ``rawBase64``. If the event has no usable
messageId, the line has the one that it is recognised by, so that it is the same event when it is
fed back. An event that is ``unknown`` or ``held`` may have been applied: it is not sent when it is
fed back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

from destinations.errors import EventError
from destinations.outcome import Outcome, Result, State
from destinations.pipeline.dedupe import CONFLICT
from destinations.pipeline.places import Place, Places
from destinations.pipeline.reading import MAX_ENTRY_BYTES, Entry
from destinations.pipeline.report import Row
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker
from destinations.segment.event import read_json

__all__ = ["Undelivered", "Wrapped", "is_beginning", "unwrap", "wrapped"]

_PREFIX: Final = b'{"undelivered":'
_RAW_EVENT: Final = '"rawEvent":'

_MAX_RAW: Final = 128 * 1024
"""Bytes of an entry that are written out; with every escape they stay within an entry."""

_NOT_APPLIED: Final = frozenset(
    {
        *(State.READY, Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD),
        "retrying",  # as an earlier version called what is ready
    }
)
"""With any other outcome, also an unknown one, an event may have been applied."""

_NOT_UNDELIVERED: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED})


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An entry that was fed back: only the subscription ``key`` is meant, where it is given.

    Files of earlier versions name the action, and the subscription only where there are several:
    then the name is empty. ``line`` is that of the input that it was first read from, 0 if it is
    not known, and ``file`` the one of several files; ``message_id`` what it is recognised by if it
    has no usable messageId of its own. ``is_refused`` says that it was refused as another event
    has its messageId.
    """

    data: bytes
    key: SubscriptionKey | None
    outcome: str
    line: int = 0
    message_id: str = ""
    is_refused: bool = False
    file: str = ""

    @property
    def may_be_applied(self) -> bool:
        """Whether it is not certain that nothing of it was applied."""
        return self.outcome not in _NOT_APPLIED


class Undelivered:
    """Writes the file; lines are flushed as they come, so that a crash loses none of them."""

    def __init__(self, stream: BinaryIO, masker: Masker, places: Places | None = None) -> None:
        self._stream = stream
        self._masker = masker
        self._places = places or Places()
        self.count = 0

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Write the entries of the rows that were neither delivered nor filtered."""
        for row, data in rows:
            if row.result.outcome not in _NOT_UNDELIVERED:
                line = wrapped(
                    *(row.key, row.result, data, self._masker),
                    place=self._places.find(row.line),
                    message_id=row.message_id,
                )
                self._stream.write(line + b"\n")
                self._stream.flush()
                self.count += 1


def wrapped(
    key: SubscriptionKey | None,
    result: Result,
    data: bytes,
    masker: Masker,
    *,
    place: Place | None = None,
    message_id: str = "",
) -> bytes:
    """Return the line of one delivery, without its end.

    ``place`` is where it was read, ``message_id`` what its event is recognised by.
    """
    try:
        value = read_json(data)
    except EventError:
        raw, own = _raw_text(data), None
    else:
        # A line break between the values of JSON is white space like any other.
        raw = _RAW_EVENT.encode() + data.replace(b"\n", b" ").replace(b"\r", b" ")
        own = value.get("messageId") if isinstance(value, dict) else None
    note: dict[str, Any] = {"outcome": result.outcome.value}
    if place is not None and place.file:
        note["file"] = place.file
    if place is not None and place.line:
        note["line"] = place.line
    if message_id and message_id != own:
        note["messageId"] = message_id
    note["subscription"] = None if key is None else key.name
    note["action"] = None if key is None else key.action
    note["reason"] = masker.text(result.reason)
    if result.errors:
        note["errors"] = [masker.text(error) for error in result.errors]
    if result.code is not None:
        note |= {"code": result.code, "status": result.status}
    if result.attempts:
        note["attempts"] = result.attempts
    head = json.dumps(note, ensure_ascii=False, separators=(",", ":")).encode()
    return _PREFIX + head + b"," + raw + b"}"


def _raw_text(data: bytes) -> bytes:
    """Return an entry that is not JSON as a key and its value."""
    kept = data[:_MAX_RAW]
    mark = b',"truncated":true' if len(data) > _MAX_RAW else b""
    try:
        text = kept.decode("utf-8")
    except UnicodeDecodeError:
        return b'"rawBase64":"' + base64.b64encode(kept) + b'"' + mark
    return b'"rawText":' + json.dumps(text, ensure_ascii=False).encode() + mark


def is_beginning(data: bytes) -> bool:
    """Return whether what stands here can be the beginning of such a line."""
    return data.startswith(_PREFIX) or _PREFIX.startswith(data)


def unwrap(entry: Entry) -> Wrapped | None:
    """Return the entry inside a line of an undelivered file; None if it is not such a line."""
    if not entry.data.startswith(_PREFIX):
        return None
    try:
        value = read_json(entry.data, limit=MAX_ENTRY_BYTES)
    except EventError:
        return None
    note = value["undelivered"]
    if not isinstance(note, dict):
        return None
    data, key, message_id = _data(entry.data, value), _key(note), note.get("messageId", "")
    if data is None or key is False or not isinstance(message_id, str):
        return None
    line, file = note.get("line"), note.get("file")
    return Wrapped(
        data,
        key or None,
        str(note.get("outcome")),
        line if type(line) is int and line > 0 else 0,
        message_id,
        is_refused=key is None and note.get("code") == CONFLICT,
        file=file if isinstance(file, str) else "",
    )


def _key(note: Mapping[str, Any]) -> SubscriptionKey | Literal[False] | None:
    """Return the subscription that a note names, None if it names none; False for anything else."""
    action, name = note.get("action"), note.get("subscription")
    if not (isinstance(action, str | None) and isinstance(name, str | None)):
        return False
    if action is None:
        return None
    if name is None:  # as an earlier version wrote it
        action, _, name = action.partition(": ")
    return SubscriptionKey(name, action)


def _data(line: bytes, value: Mapping[str, Any]) -> bytes | None:
    """Return the entry that a line with ``value`` wraps."""
    if "rawEvent" in value:
        return _as_it_stands(line, value)
    text, encoded = value.get("rawText"), value.get("rawBase64")
    if isinstance(text, str):
        return text.encode()
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except ValueError:  # no Base64, or not even ASCII
            return None
    return None


def _as_it_stands(line: bytes, value: Mapping[str, Any]) -> bytes:
    """Return the raw event byte by byte; written again if the line was edited."""
    text = line.decode()
    start = len(_PREFIX)
    while text[start].isspace():
        start += 1
    _, end = json.JSONDecoder().raw_decode(text, start)
    if len(value) == 2 and text.startswith(f",{_RAW_EVENT}", end):
        return text[end + 1 + len(_RAW_EVENT) : -1].strip().encode()
    return json.dumps(value["rawEvent"], ensure_ascii=False, separators=(",", ":")).encode()
