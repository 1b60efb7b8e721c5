"""Say once what was done: by a key and a number in the URL, never by a text from it."""

from __future__ import annotations

from typing import Final

from destinations.console.pages.query import Query

__all__ = ["NOTICES", "notice_of"]

NOTICES: Final = {
    "applied": ("1 delivery counts as delivered now.", "{:,} deliveries count as delivered now."),
    "not_applied": (
        "1 delivery waits for its turn again.",
        "{:,} deliveries wait for their turn again.",
    ),
    "resolved": (
        "1 delivery was decided as the balances show.",
        "{:,} deliveries were decided as the balances show.",
    ),
    "dropped": ("1 delivery was dropped.", "{:,} deliveries were dropped."),
    "replayed": ("1 delivery was replayed.", "{:,} deliveries were replayed."),
    "rule_added": (
        "The rule was added: it maps 1 event.",
        "The rule was added: it maps {:,} events.",
    ),
    "rule_removed": (
        "The rule was removed. What it has mapped stays mapped.",
        "The rule was removed. What it has mapped stays mapped.",
    ),
    "paused": ("Paused: its events wait.", "Paused: its events wait."),
    "resumed": ("Resumed: its events are delivered.", "Resumed: its events are delivered."),
}
"""What is said of one, and of several."""


def notice_of(query: Query) -> str:
    """Return what a page says was done; empty if nothing was."""
    found = NOTICES.get(query.text("done"))
    if found is None:
        return ""
    number = query.number("number")
    if number is None or number == 1:
        return found[0]
    return found[1].format(number)
