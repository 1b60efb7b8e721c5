"""The account of a run: one row for each event and subscription, and totals that must add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from destinations.outcome import Outcome, Result

__all__ = ["Ledger", "Reason", "Row"]

_MAX_REASONS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one event in one subscription.

    ``action`` is None for what never reached one: no event, filtered, refused before.
    """

    line: int
    action: str | None
    result: Result


@dataclass(slots=True)
class Reason:
    """How often one reason occurred, and the first line where it did, with its words there."""

    outcome: Outcome
    code: str
    count: int
    first_line: int
    example: str


class Ledger:
    """Totals of the rows; its size does not depend on their number. One thread at a time."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.by_action: dict[str, Counter[Outcome]] = {}
        self._reasons: dict[tuple[Outcome, str], Reason] = {}

    @property
    def rows(self) -> int:
        """How many rows were added: the sum of all outcomes."""
        return sum(self.outcomes.values())

    @property
    def reasons(self) -> list[Reason]:
        """Why rows were not delivered, by outcome, the most frequent first."""
        order = list(Outcome)
        return sorted(
            self._reasons.values(), key=lambda reason: (order.index(reason.outcome), -reason.count)
        )

    def add(self, row: Row) -> None:
        """Counts one row."""
        result = row.result
        self.outcomes[result.outcome] += 1
        self.by_action.setdefault(row.action or "-", Counter())[result.outcome] += 1
        if result.outcome is Outcome.DELIVERED:
            return
        key = (result.outcome, result.code or result.reason)
        reason = self._reasons.get(key)
        if reason is not None:
            reason.count += 1
            if row.line < reason.first_line:
                reason.first_line, reason.example = row.line, result.reason
        elif len(self._reasons) < _MAX_REASONS:
            self._reasons[key] = Reason(result.outcome, key[1], 1, row.line, result.reason)
