"""The ledger of the example events: the expected outcome of every line, known when it is made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["DELIVERED", "OUTCOMES_OF_REASONS", "Expectation", "Ledger"]

DELIVERED: Final = "delivered"

# Why a row is not delivered, in the order in which the checks are made, and its outcome then.
OUTCOMES_OF_REASONS: Final[Mapping[str, str]] = {
    # the line yields no event
    "too_large": "invalid",
    "not_utf8": "invalid",
    "not_json": "invalid",
    "not_object": "invalid",
    "duplicate_key": "invalid",
    "not_finite": "invalid",
    "lone_surrogate": "invalid",
    # the event breaks a rule of Segment's specification; names of the ingest API where it has one
    "type_invalid": "invalid",
    "id_not_string": "invalid",
    "no_user_anon_id": "invalid",
    "event_not_defined": "invalid",
    "event_not_string": "invalid",
    "properties_not_object": "invalid",
    "traits_not_object": "invalid",
    "message_id_too_long": "invalid",
    "group_id_not_defined": "invalid",
    "alias_ids_not_defined": "invalid",
    # the event is good, but not for this destination
    "integrations": "filtered",
    "user_id_missing": "invalid",
    "user_id_placeholder": "invalid",
    "duplicate": "filtered",
    "conflict": "rejected",
    "not_subscribed": "filtered",
    # an action was reached
    "payload": "invalid",
    "no_feature": "unmapped",
    "unknown_feature": "rejected",
    "no_access": "rejected",
    # a later event has its messageId and another content, and this one had no effect
    "replaced": "filtered",
}

_CORRECTABLE: Final = frozenset(
    {"user_id_missing", "user_id_placeholder", "payload", "no_feature", "unknown_feature"}
)
"""What is wrong with an event that can be recognised, and is not sent."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected outcome of one row; ``action`` is ``-`` for a row that reaches no action.

    A duplicate has the action that its first event reached.

    ``reason`` is a key of :data:`OUTCOMES_OF_REASONS`, None for a delivered row.
    """

    reason: str | None = None
    action: str = "-"

    @property
    def outcome(self) -> str:
        """The outcome's name, as a run reports it."""
        return DELIVERED if self.reason is None else OUTCOMES_OF_REASONS[self.reason]


class Ledger:
    """Adds up what a run of the example file must report, and what Kana must hold after it.

    ``keep_rows=False`` leaves out the list of single rows, so that a file of any length is
    described in constant memory.
    """

    def __init__(self, *, keep_rows: bool = True) -> None:
        self._lines = 0
        self._empty = 0
        self._rows: list[dict[str, object]] | None = [] if keep_rows else None
        self._totals: Counter[tuple[str, str]] = Counter()
        self._reasons: Counter[str] = Counter()
        self._usage: dict[str, Counter[str]] = {}
        self._users: dict[str, dict[str, str]] = {}

    @property
    def lines(self) -> int:
        """How many lines there are so far."""
        return self._lines

    def skip(self) -> None:
        """One more empty line: a line of the file, but no row of the run."""
        self._lines += 1
        self._empty += 1

    def row(self, expected: Expectation) -> None:
        """One more line that is a row of the run."""
        self._lines += 1
        self._totals[expected.action, expected.outcome] += 1
        if expected.reason is not None:
            self._reasons[expected.reason] += 1
        if self._rows is not None:
            self._rows.append(
                {
                    "line": self._lines,
                    "outcome": expected.outcome,
                    "action": expected.action,
                    "reason": expected.reason,
                }
            )

    def replace(self, line: int, was: Expectation) -> None:
        """Note that a delivered event has the messageId of an earlier one, which needs no one."""
        if was.reason not in _CORRECTABLE:
            return
        replaced = Expectation("replaced", was.action)
        self._totals[was.action, was.outcome] -= 1
        self._totals[replaced.action, replaced.outcome] += 1
        self._reasons[was.reason] -= 1
        self._reasons["replaced"] += 1
        for row in self._rows or ():
            if row["line"] == line:
                row |= {"outcome": replaced.outcome, "reason": "replaced", "was": was.outcome}

    def charge(self, user: str, feature: str, delta: int) -> None:
        """Count a delivered usage, in addition to what the account held before the run."""
        self._usage.setdefault(user, Counter())[feature] += delta

    def save_user(self, user: str, fields: Mapping[str, str]) -> None:
        """Note a delivered identify; ``fields`` holds what it sets of name, email and billingId."""
        self._users.setdefault(user, {}).update(fields)

    def to_json(self) -> str:
        """Return the ledger as JSON text: one row a line, so that changes show as small diffs."""
        outcomes: Counter[str] = Counter()
        by_action: dict[str, dict[str, int]] = {}
        for (action, outcome), count in sorted(self._totals.items()):
            outcomes[outcome] += count
            by_action.setdefault(action, {})[outcome] = count
        summary: dict[str, object] = {
            "lines": self._lines,
            "empty": self._empty,
            "rows": self._lines - self._empty,
            "outcomes": dict(sorted(outcomes.items())),
            "by_action": by_action,
            "reasons": {name: self._reasons[name] for name in OUTCOMES_OF_REASONS},
        }
        users = {
            user: {name: fields.get(name) for name in ("name", "email", "billingId")}
            for user, fields in sorted(self._users.items())
        }
        usage = {user: dict(sorted(used.items())) for user, used in sorted(self._usage.items())}
        parts = [f"{_text(name)}: {_text(value)}" for name, value in summary.items()]
        parts += [_block("usage", usage), _block("users", users)]
        if self._rows is not None:
            rows = ",\n".join(_text(row) for row in self._rows)
            parts.append(f'"by_line": [\n{rows}\n]')
        return "{\n" + ",\n".join(parts) + "\n}\n"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _block(name: str, members: Mapping[str, object]) -> str:
    lines = [f"\n{_text(key)}: {_text(value)}" for key, value in members.items()]
    return f"{_text(name)}: {{{','.join(lines)}}}"
