"""The live events: what comes in and becomes of it, sampled, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.console.pages.events import event_rows
from destinations.console.pages.query import Query, link
from destinations.console.pages.visit import Answered, PageError, Shown, Streamed, Visit, chosen
from destinations.console.verbs import Verbs
from destinations.errors import DestinationsError, EventError
from destinations.operations import open_ledger
from destinations.pages import time_text
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.segment.event import read_json
from destinations.segment.fql import Fql, check_fql, compile_fql
from destinations.store import OpenStore, StoredLedger

__all__ = ["LiveView", "live", "live_events", "read_filter"]

_TICK: Final = 1.0
_SAMPLE: Final = 20
"""The most deliveries that are sent in a second."""
_LOOKED_AT: Final = 100
_REMEMBERED: Final = 2_000
_LIVES: Final = 600.0
"""Seconds after which a stream ends; the browser then asks for a new one, with its session."""
_MOST_VIEWS: Final = 10


@dataclass(frozen=True, slots=True)
class _Filter:
    """The choice of a live view: deliveries of a destination, of events that fit the FQL."""

    destination: str
    text: str
    fql: Fql | None
    issue: str = ""


def read_filter(query: Query, names: Sequence[str]) -> _Filter:
    """Return the filter in a query; ``issue`` says what is wrong with its FQL.

    Raises `PageError` for a destination that is not one of these names.
    """
    text, destination = query.text("filter"), chosen(query, "destination", names, "")
    if not text:
        return _Filter(destination, "", None)
    found = check_fql(text)
    if found:
        return _Filter(destination, text, None, "; ".join(map(str, found)))
    return _Filter(destination, text, compile_fql(text))


def _names(visit: Visit) -> Sequence[str]:
    return [one.name for one in visit.verbs.config.destinations]


def live(visit: Visit) -> Answered:
    """Show the live view, with the newest deliveries for who has no script."""
    chosen = read_filter(visit.query, _names(visit))
    view = LiveView(visit.verbs, chosen)
    rows = view.newest()
    return Shown(
        "live.html",
        {
            "filter": chosen.text,
            "issue": chosen.issue,
            "destination": chosen.destination,
            "names": _names(visit),
            "rows": [one["row"] for one in rows],
            "keeps": visit.verbs.config.keep_recent is not None,
            "source": ""
            if chosen.issue
            else link("/live/events", filter=chosen.text, destination=chosen.destination),
        },
        400 if chosen.issue else 200,
    )


def live_events(visit: Visit) -> Answered:
    """Send the deliveries as they come."""
    chosen = read_filter(visit.query, _names(visit))
    if chosen.issue:
        raise PageError(400, "This filter cannot be used", chosen.issue)
    if not _VIEWS.acquire(blocking=False):
        text = f"{_MOST_VIEWS} live views are open already; close one of them."
        raise PageError(429, "Too many live views", text)
    return Streamed(_stream(LiveView(visit.verbs, chosen)))


_VIEWS: Final = threading.BoundedSemaphore(_MOST_VIEWS)


async def _stream(view: LiveView) -> AsyncIterator[bytes]:
    try:
        ends = time.monotonic() + _LIVES
        yield b"retry: 3000\n\n"
        await asyncio.to_thread(view.begin)
        while time.monotonic() < ends:
            try:
                sent = await asyncio.to_thread(view.tick)
            except DestinationsError:
                break  # the store is away: the browser asks again
            yield f"data: {json.dumps(sent)}\n\n".encode() if sent else b": nothing new\n\n"
            await asyncio.sleep(_TICK)
    finally:
        _VIEWS.release()


class LiveView:
    """The deliveries that are new, or stand in another way, since it looked last."""

    def __init__(self, verbs: Verbs, chosen: _Filter) -> None:
        self._verbs = verbs
        self._chosen = chosen
        self._seen: OrderedDict[int, str] = OrderedDict()

    def newest(self) -> Sequence[Mapping[str, Any]]:
        """Return the newest deliveries that fit, the newest first."""
        with self._verbs.reading() as store:
            ledger = open_ledger(store)
            entries = self._page(ledger)
            fitting = [one for one in entries if self._fits(store, ledger, one)]
        return [{"row": row} for row in event_rows(fitting[:_SAMPLE], self._verbs)]

    def begin(self) -> None:
        """Take what is there now as seen."""
        with self._verbs.reading() as store:
            self._note(self._page(open_ledger(store)))

    def tick(self) -> Mapping[str, Any] | None:
        """Return what is new, the oldest first, as JSON; None if nothing is."""
        with self._verbs.reading() as store:
            ledger = open_ledger(store)
            new = [one for one in self._page(ledger) if self._seen.get(one.id) != one.status.value]
            self._note(new)
            fitting = [one for one in new if self._fits(store, ledger, one)]
        shown = fitting[:_SAMPLE]
        left_out = len(fitting) - len(shown)
        if not shown and not left_out:
            return None
        rows = [
            {
                "id": row.id,
                "at": row.accepted_at,
                "time": time_text(row.accepted_at),
                "event": row.event,
                "detail": row.detail,
                "user": row.user,
                "goes_to": row.goes_to,
                "status": row.status,
                "reason": row.reason,
            }
            for row in event_rows(reversed(shown), self._verbs)
        ]
        # As many as are looked at are new: there may be more.
        return {"rows": rows, "left_out": left_out, "more": len(new) >= _LOOKED_AT}

    def _page(self, ledger: StoredLedger) -> Sequence[LedgerEntry]:
        selection = Selection(destination=self._chosen.destination or None)
        return ledger.page(selection, size=_LOOKED_AT, most_rows=_REMEMBERED).entries

    def _note(self, entries: Sequence[LedgerEntry]) -> None:
        for one in entries:
            self._seen[one.id] = one.status.value
            self._seen.move_to_end(one.id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _fits(self, store: OpenStore, ledger: StoredLedger, entry: LedgerEntry) -> bool:
        """Return whether the event of a delivery fits the filter; one that is not kept does not."""
        if self._chosen.fql is None:
            return not self._chosen.issue
        raw = ledger.raw_event(entry.event_id)
        if raw is None:
            raw = store.recent().event(entry)
        if raw is None:
            return False
        try:
            event = read_json(raw, limit=len(raw))
        except EventError:
            return False
        return isinstance(event, dict) and self._chosen.fql.matches(event)
