"""Say what was erased of users, without what there was none of."""

from __future__ import annotations

from collections.abc import Mapping

from destinations.cli.tables import count
from destinations.store import Erased

__all__ = ["counts", "erased_text"]


def counts(numbers: Mapping[str, int]) -> str:
    """Return the numbers of things by name, without those that are 0."""
    return ", ".join(count(number, what) for what, number in numbers.items() if number)


def erased_text(done: Erased) -> str:
    """Return what was erased in words; empty if nothing was."""
    dropped = f", {done.dropped:,} of them dropped" if done.dropped else ""
    rows = f"{count(done.rows, 'row')} left as digests{dropped}" if done.rows else ""
    deleted = counts(
        {
            "refused event": done.refused,
            "manual change": done.manual_changes,
            "recent event": done.recent,
            "kept request": done.requests,
        }
    )
    given_up = counts({"check": done.balances})
    parts = [
        rows,
        f"{deleted} deleted" if deleted else "",
        f"{given_up} of a balance given up" if given_up else "",
    ]
    return "; ".join(part for part in parts if part)
