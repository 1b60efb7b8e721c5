"""The events that the receiver refused: no deliveries, and their senders may not know of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from destinations.console.cursors import CursorError
from destinations.console.pages.templating import json_shown
from destinations.console.pages.visit import Answered, Shown, Visit, command_line, wrong_cursor
from destinations.console.verbs import UnknownError, Verbs
from destinations.store import RefusedEntry, RefusedSelection

__all__ = ["RefusedRow", "refused"]

_SIZE: Final = 50
_LONGEST: Final = 20_000
"""The characters of an event that the page shows; the command exports all that is kept."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A refused event in the list, masked; ``at`` is in seconds since 1970, UTC.

    ``receiver`` is the source or destination to which it was sent. ``raw`` is what is kept of it.
    """

    at: float
    receiver: str
    path: str
    event: str
    user: str
    status: int
    code: str
    reason: str
    raw: str
    length: int
    is_whole: bool


def _row(entry: RefusedEntry, verbs: Verbs) -> RefusedRow:
    event, masked = entry.event, verbs.masker.text
    content = verbs.shown_json(event.raw)
    # Masked before it is cut: what is left of a secret would not be recognised.
    text = "" if content is None else content if isinstance(content, str) else json_shown(content)
    tenant = entry.tenant_name or entry.tenant
    return RefusedRow(
        event.at,
        masked(f"{entry.destination}, tenant {tenant}" if tenant else entry.destination),
        masked(event.path),
        masked(event.message_id or ""),
        masked(event.user or ""),
        event.status,
        event.code,
        masked(event.reason),
        text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…",
        event.length,
        event.is_whole,
    )


def refused(visit: Visit) -> Answered:
    """Show the refused events, the latest first, by receiver and code."""
    query, verbs = visit.query, visit.verbs
    given = {name: text for name in ("destination", "code") if (text := query.text(name))}
    selection = RefusedSelection(given.get("destination"), given.get("code"))
    issues, status = {}, 200
    counts = verbs.refused_counts()
    page, cursor = None, query.text("after") or None
    try:
        page = verbs.refused(selection, cursor=cursor, limit=_SIZE)
    except CursorError:
        raise wrong_cursor(visit) from None
    except UnknownError as error:
        issues, status = {error.what: verbs.masker.text(str(error))}, 404
    options = " ".join(f"--{name} {shlex.quote(text)}" for name, text in given.items())
    return Shown(
        "refused.html",
        {
            "rows": [] if page is None else [_row(one, verbs) for one in page.items],
            "next": f"/refused?{query.changed(after=page.next)}" if page and page.next else "",
            "filters": given,
            "issues": issues,
            "names": sorted({one.destination for one in counts}),
            "codes": sorted({one.code for one in counts}),
            "counts": [(one.destination, one.code, one.events) for one in counts],
            "total": sum(one.events for one in counts),
            "command": command_line(visit, f"refused list {options}".rstrip()),
            "export": command_line(visit, f"refused export {options}".rstrip()),
        },
        status,
    )
