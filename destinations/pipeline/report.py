"""Report a run: one row for each event and subscription, and totals that must add up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from destinations.outcome import Outcome, Result, State, Status
from destinations.pipeline.derived_ids import DerivedFrom
from destinations.pipeline.places import Places
from destinations.pipeline.timeline import Timeline
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = ["SHOWN", "NotKept", "Reason", "Replaced", "Report", "Row", "Stopped", "Totals"]

_MAX_REASONS: Final = 200
_MOST_OF_CODE: Final = 10
"""The most reasons with one code that have a row of their own."""

_PLACE: Final = re.compile(r"(?:line [\d,]+|.{1,200}?:\d+): ")
_VALUES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[\d.,:TZ-]*\d[\d.,:TZ-]*")
"""What differs between events for one reason: quoted values, numbers and times."""

SHOWN: Final[Sequence[Status]] = (*Outcome, State.READY, State.UNKNOWN, State.HELD)
"""The outcomes, and the states of what is not finished, in the order in which tables show them."""


class Row(NamedTuple):
    """The result of one event in one subscription.

    ``key`` is None for what reached none: not an event, filtered, refused before. ``line`` counts
    from 1; 0 is for what an earlier run left. ``message_id`` is what the event is recognised by.
    """

    line: int
    key: SubscriptionKey | None
    result: Result
    message_id: str = ""

    @property
    def outcome(self) -> Status:
        """The outcome, or the state of what is not finished."""
        return self.result.outcome

    @property
    def reason(self) -> str:
        """Why, in one line; empty for what was delivered."""
        return self.result.reason

    @property
    def code(self) -> str | None:
        """Segment's name of the reason, if it has one."""
        return self.result.code

    @property
    def action(self) -> str | None:
        """The action; None for what reached none."""
        return None if self.key is None else self.key.action

    @property
    def subscription(self) -> str | None:
        """The name of the subscription; None for what reached none."""
        return None if self.key is None else self.key.name


class Replaced(NamedTuple):
    """A content of a message that a corrected one has replaced: by its messageId and fingerprint.

    ``is_refused`` means what is kept of it as the refusal of a conflict.
    """

    message_id: str
    fingerprint: int
    is_refused: bool = False

    @property
    def name(self) -> str:
        """All of it as one text."""
        return f"{self.message_id}\0{self.fingerprint}\0{self.is_refused:d}"


@dataclass(slots=True)
class Reason:
    """A reason with its number of rows, and its first line and wording.

    ``first_line`` is 0 if it occurred only in what earlier runs left.
    """

    outcome: Status
    code: str
    count: int
    first_line: int
    example: str


class Totals:
    """Counts of rows; its size does not depend on their number. One thread at a time."""

    def __init__(self) -> None:
        self.outcomes: Counter[Status] = Counter()
        self.by_action: dict[str, Counter[Status]] = {}
        self.by_subscription: dict[SubscriptionKey, Counter[Status]] = {}
        self._reasons: dict[tuple[Status, str, str], Reason] = {}
        self._of_code: Counter[tuple[Status, str]] = Counter()

    @property
    def rows(self) -> int:
        """The number of rows that were added: the sum of all outcomes."""
        return sum(self.outcomes.values())

    @property
    def reasons(self) -> list[Reason]:
        """Why rows were not delivered, by outcome, the most frequent first.

        Reasons with one code are apart where they differ in more than the values of events.
        """
        order = list(SHOWN)
        return sorted(
            self._reasons.values(), key=lambda reason: (order.index(reason.outcome), -reason.count)
        )

    @property
    def other_reasons(self) -> Counter[Status]:
        """How many rows have reasons that are not among `reasons`, as there are too many."""
        found = Counter(self.outcomes)
        del found[Outcome.DELIVERED]
        for one in self._reasons.values():
            found[one.outcome] -= one.count
        return +found

    def add(self, row: Row) -> None:
        """Count one row."""
        result, key = row.result, row.key
        outcome = result.outcome
        self.outcomes[outcome] += 1
        action = "-" if key is None else key.action
        counts = self.by_action.get(action)
        if counts is None:
            counts = self.by_action[action] = Counter()
        counts[outcome] += 1
        if key is not None:
            counts = self.by_subscription.get(key)
            if counts is None:
                counts = self.by_subscription[key] = Counter()
            counts[outcome] += 1
        if outcome is not Outcome.DELIVERED:
            self._add_reason(row)

    def _add_reason(self, row: Row) -> None:
        result = row.result
        code = result.code or result.reason
        key = (result.outcome, code, _kind(result.reason) if result.code else "")
        reason = self._reasons.get(key)
        if reason is not None:
            reason.count += 1
            if row.line and not 0 < reason.first_line <= row.line:
                reason.first_line, reason.example = row.line, result.reason
        elif len(self._reasons) < _MAX_REASONS and self._of_code[key[:2]] < _MOST_OF_CODE:
            self._of_code[key[:2]] += 1
            self._reasons[key] = Reason(result.outcome, code, 1, row.line, result.reason)


@lru_cache(maxsize=1024)
def _kind(reason: str) -> str:
    """Return a reason without its place, and without the values of its event."""
    return _VALUES.sub("*", reason[match.end() :] if (match := _PLACE.match(reason)) else reason)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The reason for which a run ended before its input did, and the line.

    ``refused``: the partner takes no request of an action, whatever the events are.
    ``unavailable``: the partner, or the store, stayed away for longer than the run waits.
    ``damaged``: the store cannot be used any more. ``goes_on`` says whether the same run goes on
    from there; without the store that knows what was done it would start over.
    """

    why: Literal["authentication", "damaged", "interrupted", "refused", "unavailable"]
    line: int
    message: str
    goes_on: bool = True


@dataclass(frozen=True, slots=True)
class NotKept:
    """Entries of an unrepeatable input that are neither finished nor stored, and why.

    ``lines`` were read; everything after them is missing as well. ``rows`` are their rows, which
    are ``ready``. The input is needed again from the ``first`` line on.
    """

    lines: int
    rows: int
    first: int
    why: str


@dataclass(slots=True)
class Report:
    """The report of a run. ``lines`` counts all that were read, ``empty`` those without an entry.

    ``earlier`` counts the results of deliveries that earlier runs had left. ``derived`` counts the
    duplicates without a messageId, by the way in which they were recognised. ``internal_errors``
    are faults of this package; each counted as a failed attempt. ``not_kept`` is None if all unsent
    events are in the store, or in a file. ``hidden_from`` is the line from which on events may be
    missing, 0 if none are. Lines are counted through all files of the input;
    ``places`` finds their file. ``began`` and ``ended`` are seconds since 1970, and ``timeline``
    says when rows got their outcomes.
    """

    lines: int = 0
    empty: int = 0
    requests: int = 0
    seconds: float = 0.0
    stopped: Stopped | None = None
    not_kept: NotKept | None = None
    totals: Totals = field(default_factory=Totals)
    earlier: Counter[Status] = field(default_factory=Counter)
    derived: Counter[DerivedFrom] = field(default_factory=Counter)
    internal_errors: list[BaseException] = field(default_factory=list)
    hidden_from: int = 0
    places: Places = field(default_factory=Places)
    began: float = 0.0
    ended: float = 0.0
    timeline: Timeline = field(default_factory=Timeline)
