"""Takes entries in: reads them as events, and finds the actions that they are for, or their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from destinations.outcome import Outcome, Result
from destinations.runner.duplicates import SeenMessages
from destinations.runner.source import Entry
from destinations.runner.undelivered import unwrap
from destinations.runtime.destination import Delivery, Destination
from destinations.segment.event import Event, EventError, check_event, read_json

__all__ = ["History", "Intake", "Taken"]

History = Callable[[bytes, str], Result | None]
"""Why a raw event is not sent (again) through an action; None if it may be."""

_DUPLICATE: Final = Result(
    Outcome.FILTERED, "a duplicate: its messageId was accepted before", "DUPLICATE"
)
_UNSETTLED: Final = Result(
    Outcome.UNKNOWN, "may have been applied before; not sent again until that is settled"
)


@dataclass(slots=True)
class Taken:
    """What one entry comes to for one action: something to deliver, or its end."""

    line: int
    data: bytes
    action: str | None
    what: Delivery | Result


class Intake:
    """The way of entries up to the backlog. One thread at a time."""

    def __init__(self, destination: Destination, history: History | None = None) -> None:
        self._destination = destination
        self._history = history
        self._seen = SeenMessages()
        self._fed_back = False

    def close(self) -> None:
        """Forgets which messages were seen."""
        self._seen.close()

    def take(self, entry: Entry) -> list[Taken]:
        """What is to be done for an entry: one for each action, at least one in all."""
        data, only = entry.data, None
        wrapped = unwrap(entry)
        if wrapped is not None:
            data, only = wrapped.data, wrapped.action
            if wrapped.outcome == Outcome.UNKNOWN:
                return [Taken(entry.line, data, only, _UNSETTLED)]
        try:
            event = check_event(read_json(data))
        except EventError as error:
            reason = f"line {entry.line}: {error.message}"
            return [Taken(entry.line, data, None, Result.invalid(reason, error.code))]
        refused = self._destination.admit(event) or self._duplicate(event, only)
        if refused is not None:
            return [Taken(entry.line, data, None, refused)]
        found = []
        for action, what in self._destination.deliveries(event, only=only):
            earlier = None
            if isinstance(what, Delivery):
                earlier = self._seen_before(event, data, action or "", only)
            found.append(Taken(entry.line, data, action, earlier or what))
        return found

    def _duplicate(self, event: Event, only: str | None) -> Result | None:
        """Why an event is not taken again; one that is fed back is taken once for each action."""
        message_id = event.get("messageId")
        if not message_id:
            return None
        if only is None:
            return None if self._seen.add(message_id) else _DUPLICATE
        self._fed_back = True
        fresh = not self._seen.has(message_id) and self._seen.add(message_id, only)
        return None if fresh else _DUPLICATE

    def _seen_before(
        self, event: Event, data: bytes, action: str, only: str | None
    ) -> Result | None:
        """Whether an event was taken for this action alone further up, or in an earlier run."""
        message_id = event.get("messageId")
        if self._fed_back and only is None and message_id and self._seen.has(message_id, action):
            return _DUPLICATE
        return self._history(data, action) if self._history is not None else None
