"""Count the events that name nothing to deliver to, by their own names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from destinations.errors import EventError
from destinations.outcome import Outcome
from destinations.pipeline.reading import MAX_ENTRY_BYTES
from destinations.pipeline.report import Row
from destinations.secrets import Masker
from destinations.segment.event import read_json

__all__ = ["UnmappedNames"]

_MOST: Final = 200
_LONGEST: Final = 200


class UnmappedNames:
    """Counts unmapped rows by the name of their event, or by its type if it has none.

    Of more than 200 names, the later ones are counted in ``others``.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.others = 0

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Look at rows and what was read for each; see `destinations.pipeline.run.Recorder`."""
        for row, raw in rows:
            if row.outcome is not Outcome.UNMAPPED:
                continue
            name = _name(raw)
            if name in self.counts or len(self.counts) < _MOST:
                self.counts[name] += 1
            else:
                self.others += 1

    def masked(self, masker: Masker) -> Counter[str]:
        """Return the counts by names without secrets."""
        found: Counter[str] = Counter()
        for name, number in self.counts.items():
            found[masker.text(name)] += number
        return found


def _name(raw: bytes) -> str:
    try:
        event = read_json(raw, limit=MAX_ENTRY_BYTES)
    except EventError:
        return ""
    if not isinstance(event, dict):
        return ""
    found = event.get("event") or event.get("name") or event.get("type") or ""
    return found[:_LONGEST] if isinstance(found, str) else ""
