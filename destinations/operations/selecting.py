"""Choose the deliveries that an operator changes: those that can be, and why others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from destinations.errors import UsageError
from destinations.outcome import Outcome, Status
from destinations.pipeline.ledger import Ledger, LedgerEntry, Selection

__all__ = ["MOST_CHANGED", "REPLAYED", "choose", "split"]

MOST_CHANGED: Final = 100_000
"""The most deliveries that one command changes: all of them in one commit."""

REPLAYED: Final[frozenset[Status]] = frozenset(
    {Outcome.DEAD, Outcome.REJECTED, Outcome.INVALID, Outcome.UNMAPPED}
)
"""The outcomes of the deliveries that are replayed if a selection names none."""


def choose(
    ledger: Ledger, ids: Sequence[int], selection: Selection, *, most: int | None = None
) -> list[LedgerEntry]:
    """Return the deliveries of these ids, or if there are none, those of a selection.

    Raises `UsageError` for an id that is not there, and for a selection of more than ``most``,
    which are 100,000 without it.
    """
    if ids:
        return [ledger.get(one) for one in dict.fromkeys(ids)]
    most = MOST_CHANGED if most is None else most
    found = list(ledger.find(selection, limit=most + 1))
    if len(found) > most:
        msg = f"more than {most:,} deliveries are chosen: narrow it down, with --since for example"
        raise UsageError(msg)
    return found


def split(
    entries: Iterable[LedgerEntry],
    why_not: Callable[[LedgerEntry], str],
    done: str,
    *,
    strict: bool,
) -> tuple[list[LedgerEntry], Mapping[str, int]]:
    """Return those that can be changed, and why the others cannot, with how many they are.

    ``done`` is what would be done with them. Raises `UsageError` for one that cannot if ``strict``.
    """
    found: list[LedgerEntry] = []
    others: Counter[str] = Counter()
    for entry in entries:
        why = why_not(entry)
        if why and strict:
            raise UsageError(f"delivery {entry.id} cannot be {done}: {why}")
        if why:
            others[why] += 1
        else:
            found.append(entry)
    return found, others
