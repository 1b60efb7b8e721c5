"""Say once what was done: to whoever did it, on the page that the browser is sent to."""

from __future__ import annotations

from typing import Final

__all__ = ["NOTICE", "NOTICES", "notice_of"]

NOTICE: Final = "said"
"""The parameter of a redirect with the token of its notice; `console.js` takes it off the URL."""

NOTICES: Final = {
    "applied": ("1 delivery counts as delivered now.", "{:,} deliveries count as delivered now."),
    "not_applied": (
        "1 delivery waits for its turn again.",
        "{:,} deliveries wait for their turn again.",
    ),
    "as_shown": (
        "1 delivery was decided as the balances show.",
        "{:,} deliveries were decided as the balances show.",
    ),
    "dropped": ("1 delivery was dropped.", "{:,} deliveries were dropped."),
    "replayed": ("1 delivery was replayed.", "{:,} deliveries were replayed."),
}
"""What is said of one, and of several."""


def notice_of(done: str, number: int) -> str:
    """Return what a page says was done."""
    one, several = NOTICES[done]
    return one if number == 1 else several.format(number)
