"""What a queue and its ledger must do, as a model that keeps everything in dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field

from destinations.outcome import Effect, Outcome, State, Status

__all__ = ["Model", "Row"]

_WAITS = {State.READY, State.SENDING, State.UNKNOWN}
_KEPT = {Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD}


@dataclass
class Row:
    """One event with its one delivery, which adds 1 to what its user has."""

    message: str
    content: int
    user: str
    status: Status
    effect: Effect = Effect.NONE


@dataclass
class Model:
    """Rows by their ids; for each message the latest row, and what became of other contents."""

    rows: dict[int, Row] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)
    others: dict[str, dict[int, bool]] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)

    def verdict(self, message: str, content: int) -> str:
        """Return what an event is that comes now."""
        if message not in self.latest:
            return "new"
        row = self.rows[self.latest[message]]
        if row.content == content:
            return "same"
        known = self.others.get(message, {})
        if known.get(content) is False:
            return "replaced"
        if isinstance(row.status, Outcome) and row.effect is Effect.NONE:
            return "correction"
        return "refused" if content in known else "conflict"

    def accept(self, delivery_id: int, row: Row) -> None:
        """Take in an event that is new, a correction, or refused for good."""
        verdict = self.verdict(row.message, row.content)
        if verdict == "conflict":
            row.status = Outcome.REJECTED
            self.others.setdefault(row.message, {})[row.content] = True
        else:
            if verdict == "correction":
                before = self.rows[self.latest[row.message]]
                if before.status in _KEPT:
                    before.status = Outcome.FILTERED
                known = self.others.setdefault(row.message, {})
                known[before.content] = False
                if known.pop(row.content, False):
                    self._end_refused(row)
            self.latest[row.message] = delivery_id
        self.rows[delivery_id] = row

    def _end_refused(self, row: Row) -> None:
        """End what was kept of a content that was refused before, and is accepted now."""
        for one in self.rows.values():
            same = (one.message, one.content) == (row.message, row.content)
            if same and one.status in _KEPT:
                one.status = Outcome.FILTERED

    def note(self, key: str, amount: int | None) -> None:
        """Note what was held before a request whose answer was lost; None forgets it."""
        if amount is None:
            self.balances.pop(key, None)
        else:
            self.balances[key] = amount

    def ids(self, *statuses: Status) -> list[int]:
        """Return the rows of these statuses, the oldest first."""
        return sorted(one for one, row in self.rows.items() if row.status in statuses)

    def become(self, delivery_id: int, status: Status, effect: Effect) -> None:
        """Give a row another status."""
        row = self.rows[delivery_id]
        row.status, row.effect = status, effect

    def restart(self) -> None:
        """What was under way may have been applied, and nobody knows."""
        for one in self.ids(State.SENDING):
            self.become(one, State.UNKNOWN, Effect.MAYBE)

    @property
    def waiting(self) -> int:
        """How many rows wait for somebody who delivers."""
        return sum(row.status in _WAITS for row in self.rows.values())
