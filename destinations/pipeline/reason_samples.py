"""Keep some events of each reason for which rows were not delivered, without their values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.errors import EventError
from destinations.outcome import Outcome
from destinations.pipeline.reading import MAX_ENTRY_BYTES
from destinations.pipeline.report import Row
from destinations.secrets import MASK
from destinations.segment.event import read_json

__all__ = ["EventSample", "ReasonSamples", "shape_of"]

_OF_REASON: Final = 3
_REASONS: Final = 100
_LONGEST: Final = 1_000
_SHOWN_KEYS: Final = frozenset({"type", "event"})
"""The keys of an event whose values say what it is, and nothing of a person."""
_FIRST: Final = ("type", "event", "userId", "properties", "traits")
"""The keys that come first, as the others are much the same for all events."""
_DEPTH: Final = 8
_MEMBERS: Final = 30


@dataclass(frozen=True, slots=True)
class EventSample:
    """A row that was not delivered: its line, its reason, and the shape of its event."""

    line: int
    reason: str
    event: str


class ReasonSamples:
    """Keeps of each outcome and code up to three rows whose reasons differ."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[EventSample]] = {}

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Look at rows and what was read for each; see `destinations.pipeline.run.Recorder`."""
        for row, raw in rows:
            result = row.result
            if result.outcome is Outcome.DELIVERED:
                continue
            key = (result.outcome.value, result.code or result.reason)
            known = self._found.get(key)
            if known is None:
                if len(self._found) >= _REASONS:
                    continue
                known = self._found[key] = []
            if len(known) < _OF_REASON and all(one.reason != result.reason for one in known):
                known.append(EventSample(row.line, result.reason, shape_of(raw)))

    def of(self, outcome: str, code: str) -> Sequence[EventSample]:
        """Return the samples of a reason; ``code`` is that of the report's reason."""
        return self._found.get((outcome, code), ())


def shape_of(raw: bytes) -> str:
    """Return an event as JSON with its keys, its type and its name; masks stand for other values.

    Empty for what is not JSON.
    """
    try:
        event = read_json(raw, limit=MAX_ENTRY_BYTES)
    except EventError:
        return ""
    if not isinstance(event, dict):
        return ""
    shape = {
        key: value if key in _SHOWN_KEYS and isinstance(value, str) else _masked(value, 1)
        for key, value in sorted(event.items(), key=lambda one: _order(one[0]))[:_MEMBERS]
    }
    text = json.dumps(shape, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _order(key: str) -> int:
    return _FIRST.index(key) if key in _FIRST else len(_FIRST)


def _masked(value: Any, depth: int) -> Any:
    """Return a value without its texts and numbers; empty ones and null stay, as they matter."""
    if isinstance(value, dict | list) and depth >= _DEPTH:
        return MASK
    if isinstance(value, dict):
        return {key: _masked(one, depth + 1) for key, one in list(value.items())[:_MEMBERS]}
    if isinstance(value, list):
        return [_masked(one, depth + 1) for one in value[:2]]
    return value if value is None or isinstance(value, bool) or value == "" else MASK
