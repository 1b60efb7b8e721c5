"""What was not delivered, as NDJSON that can be fed back to a run.

Each line wraps what was read: ``{"undelivered": {"outcome": ..., "line": ..., "action": ...,
"reason": ...}, "rawEvent": {...}}``. What is no JSON stands as text in ``rawText`` or, if it is no
UTF-8 either, in ``rawBase64``. An event of outcome ``unknown`` may have been applied: fed back, it
is not sent again but stays ``unknown`` until somebody has settled it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from destinations.outcome import Outcome
from destinations.runner.ledger import Row
from destinations.runner.source import MAX_ENTRY_BYTES, Entry
from destinations.secrets import Masker
from destinations.segment.event import EventError, read_json

__all__ = ["Undelivered", "Wrapped", "unwrap", "wrap"]

_PREFIX: Final = b'{"undelivered":'

_MAX_RAW: Final = 128 * 1024
"""Bytes of an entry that are written out; with every escape they stay within an entry."""

_NOT_UNDELIVERED: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED})


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An entry that was fed back: only ``action`` is meant, where it is given."""

    data: bytes
    action: str | None
    outcome: str


class Undelivered:
    """Writes the file; lines are flushed as they come, so that a crash loses none of them."""

    def __init__(self, stream: BinaryIO, masker: Masker) -> None:
        self._stream = stream
        self._masker = masker
        self.count = 0

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Writes what was read for the rows that were neither delivered nor filtered."""
        for row, data in rows:
            self._add(row, data)

    def _add(self, row: Row, data: bytes) -> None:
        result = row.result
        if result.outcome in _NOT_UNDELIVERED:
            return
        note: dict[str, Any] = {
            "outcome": result.outcome.value,
            "line": row.line,
            "action": row.action,
            "reason": self._masker.text(result.reason),
        }
        if result.errors:
            note["errors"] = [self._masker.text(error) for error in result.errors]
        if result.code is not None:
            note |= {"code": result.code, "status": result.status}
        if result.attempts:
            note["attempts"] = result.attempts
        head = json.dumps(note, ensure_ascii=False, separators=(",", ":")).encode()
        self._stream.write(_wrapped(head, data) + b"\n")
        self._stream.flush()
        self.count += 1


def wrap(outcome: Outcome, action: str | None, data: bytes) -> bytes:
    """An entry that takes a raw event through one action alone."""
    note = {"outcome": outcome.value, "action": action}
    return _wrapped(json.dumps(note).encode(), data)


def _wrapped(note: bytes, data: bytes) -> bytes:
    return _PREFIX + note + b"," + _raw(data) + b"}"


def _raw(data: bytes) -> bytes:
    try:
        read_json(data)
    except EventError:
        pass
    else:
        return b'"rawEvent":' + data.replace(b"\n", b" ").replace(b"\r", b" ")
    kept = data[:_MAX_RAW]
    mark = b',"truncated":true' if len(data) > _MAX_RAW else b""
    try:
        text = kept.decode("utf-8")
    except UnicodeDecodeError:
        return b'"rawBase64":"' + base64.b64encode(kept) + b'"' + mark
    return b'"rawText":' + json.dumps(text, ensure_ascii=False).encode() + mark


def unwrap(entry: Entry) -> Wrapped | None:
    """The entry inside a line of an undelivered file; None if it is not such a line."""
    if not entry.data.startswith(_PREFIX):
        return None
    try:
        value = read_json(entry.data, limit=MAX_ENTRY_BYTES)
    except EventError:
        return None
    note = value["undelivered"]
    if not isinstance(note, dict):
        return None
    action = note.get("action")
    data = _data(value)
    if data is None or not isinstance(action, str | None):
        return None
    return Wrapped(data, action, str(note.get("outcome")))


def _data(value: Mapping[str, Any]) -> bytes | None:
    if "rawEvent" in value:
        return json.dumps(value["rawEvent"], ensure_ascii=False, separators=(",", ":")).encode()
    text, encoded = value.get("rawText"), value.get("rawBase64")
    if isinstance(text, str):
        return text.encode()
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except ValueError:  # no Base64, or not even ASCII
            return None
    return None
