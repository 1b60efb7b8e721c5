"""Events as programs have them, and their outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, TypeAlias, overload
from uuid import UUID

from destinations.outcome import Status
from destinations.pipeline.reading import MAX_ENTRY_BYTES, Entry
from destinations.pipeline.report import Report, Row, Stopped, Totals
from destinations.secrets import Masker

__all__ = ["Deliveries", "EventLike", "deliveries_of", "entries_of", "type_of"]

EventLike: TypeAlias = Mapping[str, Any] | bytes | str
"""An event as a program has it: a mapping, or its JSON."""

_SHOWN: Final = 200
"""The characters of invalid JSON that are kept, to recognise it by."""


@dataclass(frozen=True, slots=True)
class Deliveries(Sequence[Row]):
    """The outcomes of events: a sequence with one row for each event and subscription.

    The rows are in the order of the events; ``totals`` counts them. ``stopped`` says why
    delivering ended early, None if it did not: what is ``ready`` then waits in the store.
    ``internal_errors`` are faults of this package or of a plugin, each of them counted as a failed
    attempt.
    """

    rows: Sequence[Row]
    totals: Totals
    stopped: Stopped | None
    internal_errors: Sequence[BaseException]

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many rows have each outcome or state."""
        return self.totals.outcomes

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]


def entries_of(events: Iterable[EventLike]) -> Iterator[Entry]:
    """Yield an entry for each event; what cannot be JSON has a fault that says why.

    A ``datetime`` or ``date`` becomes text in ISO 8601, a ``UUID`` its text.
    """
    for number, event in enumerate(events, 1):
        if isinstance(event, bytes | str):
            data = event.encode("utf-8", "surrogatepass") if isinstance(event, str) else event
            cut = len(data) > MAX_ENTRY_BYTES
            # An empty line of a file is skipped; an empty event of a program gets its row.
            yield Entry(number, data[:MAX_ENTRY_BYTES].strip() or b'""', cut)
            continue
        if not _is_mapping(event):
            shown = repr(event).encode("utf-8", "replace")[:_SHOWN]
            fault = f"an event must be a mapping, or its JSON, not {type_of(event)}"
            yield Entry(number, shown, fault=fault, code="NOT_OBJECT")
            continue
        try:
            data = json.dumps(_plain(event), allow_nan=False, default=_plain).encode()
        except (TypeError, ValueError, RecursionError) as error:
            shown = repr(type(event)).encode()[:_SHOWN]
            yield Entry(number, shown, fault=f"the event cannot be written as JSON: {error}")
        else:
            yield Entry(number, data[:MAX_ENTRY_BYTES], len(data) > MAX_ENTRY_BYTES)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _plain(value: object) -> object:
    """Return what JSON has for a value; raises TypeError if it has nothing."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"the time {value} has no time zone")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"it has {type_of(value)}")


def type_of(value: object) -> str:
    """Return how a message calls a value of a wrong type."""
    return "None" if value is None else f"a value of the type {type(value).__name__}"


def deliveries_of(report: Report, rows: Sequence[Row], masker: Masker) -> Deliveries:
    """Return the outcomes of the events of a run; secrets are masked."""
    stopped = report.stopped
    if stopped is not None:
        stopped = replace(stopped, message=masker.text(stopped.message))
    shown = [_masked(row, masker) for row in sorted(rows, key=lambda row: row.line)]
    totals = Totals()
    for row in shown:
        totals.add(row)
    return Deliveries(shown, totals, stopped, tuple(report.internal_errors))


def _masked(row: Row, masker: Masker) -> Row:
    result = row.result
    if not result.reason and not result.errors:
        return row
    reason = masker.text(result.reason)
    errors = tuple(masker.text(error) for error in result.errors)
    if (reason, errors) == (result.reason, result.errors):
        return row
    return row._replace(result=replace(result, reason=reason, errors=errors))
