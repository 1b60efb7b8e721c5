"""Compare what was delivered with what the partner has counted, for each user and feature.

The store is read a page at a time, and sums are kept in a temporary file: memory does not grow with
the number of users. Then the partner is asked about each pair, several at once, and reports come in
the order of features and users.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from destinations.definition import DestinationDefinition, PendingDefinition, UsageQuestion
from destinations.durations import shown_duration
from destinations.errors import UsageError
from destinations.operations.times import GivenTime, shown_time
from destinations.runtime.amounts import sum_amounts
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.runtime.usage_questions import Counted, UsageAsker, iso_time, nearest_times
from destinations.store import OpenStore, UsageEntry, UsageKind

__all__ = [
    "UsageComparison",
    "UsageReason",
    "UsageReport",
    "UsageSelection",
    "can_be_asked",
    "select_usage",
]

_PAIRS_IN_MEMORY: Final = 5_000
_IDS: Final = 5
"""The deliveries that a reason names, at most."""

_MOST_UNANSWERED: Final = 5
"""Pairs in a row without an answer, after which the partner counts as away."""

_TOLD_MS: Final = 1_000
"""So many milliseconds by which an age is taken back are told."""

_NOT_ASKED: Final = "not asked: the partner has answered none of the questions before"
_NO_NAME: Final = "not asked: the event names no {}"


@dataclass(frozen=True, slots=True)
class UsageSelection:
    """The pairs to compare: in a time, in milliseconds since 1970, and of one user or feature.

    ``moved`` says that a time was given as an age, and that the partner adds up only to another.
    """

    from_ms: int
    to_ms: int
    user: str | None = None
    feature: str | None = None
    moved: bool = False

    def has(self, entry: UsageEntry) -> bool:
        """Return whether an entry is of a pair that is compared."""
        return self.user in {None, entry.user} and self.feature in {None, entry.feature}


@dataclass(slots=True)
class UsageReason:
    """Deliveries of one kind: how many, what they count for, and the first of their ids."""

    count: int = 0
    amount: Decimal = Decimal(0)
    ids: list[int] = field(default_factory=list)

    def add(self, entry: UsageEntry) -> None:
        """Add one more delivery."""
        self.count += 1
        if entry.amount is not None:
            self.amount = sum_amounts(self.amount, Decimal(entry.amount))
        if len(self.ids) < _IDS:
            self.ids.append(entry.id)


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The comparison of one pair: what is ours, what the partner's, and what may explain it.

    ``partner`` is None if it is not known; ``error`` says why.
    """

    user: str
    feature: str
    ours: Decimal
    partner: Decimal | None
    error: str = ""
    reasons: Mapping[UsageKind, UsageReason] = field(default_factory=dict)

    @property
    def difference(self) -> Decimal | None:
        """What is ours and not the partner's; negative if the partner has more."""
        return None if self.partner is None else sum_amounts(self.ours, self.partner, -1)

    @property
    def result(self) -> Literal["equal", "differs", "unknown"]:
        """Whether both are the same, but for what binary floating point adds to fractions."""
        if self.partner is None:
            return "unknown"
        return "equal" if _is_same(self.ours, self.partner) else "differs"


_BINARY: Final = Decimal("1e-12")
"""The most that a partner's sum of fractions is off, as a share of it.

Doubles have about 16 digits, and each addition may change the last one.
"""


def _is_same(ours: Decimal, partner: Decimal) -> bool:
    if ours == partner:
        return True
    if partner == partner.to_integral_value():  # whole numbers are exact in binary, too
        return False
    return abs(sum_amounts(ours, partner, -1)) <= abs(partner) * _BINARY


def can_be_asked(definition: DestinationDefinition) -> bool:
    """Return whether an action of a definition says how its usage is asked for."""
    return any(action.usage is not None for action in definition.actions.values())


def select_usage(
    definition: DestinationDefinition,
    since: GivenTime,
    until: GivenTime,
    user: str | None = None,
    feature: str | None = None,
) -> UsageSelection:
    """Return the selection of what was from one time on and before another.

    An age is taken back to the last time that the partner adds up to. Raises `UsageError` for an
    exact time that it does not add up to, and for a time that is empty.
    """
    step = _step(definition) or 1
    given, aligned = [], []
    for one in (since, until):
        at = round(one.at * 1000)
        given.append(at)
        aligned.append(at - at % step if one.is_age else at)
    from_ms, to_ms = aligned
    if given[0] < given[1] and from_ms == to_ms:
        raise UsageError(
            f"--from and --to are both {iso_time(to_ms)}, as an age is taken back to a whole"
            f" multiple of {shown_duration(step / 1000)}, by which {definition.name} adds up in"
            " UTC; expected an earlier --from"
        )
    moved = any(was - at >= _TOLD_MS for was, at in zip(given, aligned, strict=True))
    selection = UsageSelection(from_ms, to_ms, user, feature, moved)
    _check_range(definition, selection)
    return selection


def _step(definition: DestinationDefinition) -> int | None:
    """Return by how many milliseconds the partner adds up, for all of its actions; None for any."""
    steps = [
        round(action.usage.ask.aligned * 1000)
        for action in definition.actions.values()
        if action.usage is not None and action.usage.ask.aligned is not None
    ]
    return math.lcm(*steps) if steps else None


def _check_range(definition: DestinationDefinition, selection: UsageSelection) -> None:
    """Raise `UsageError` for a time that the partner cannot add up, or that is empty."""
    step = _step(definition) or 1
    for name, at in (("--from", selection.from_ms), ("--to", selection.to_ms)):
        nearest = nearest_times(at, step / 1000)
        if nearest is not None:
            before, after = map(iso_time, nearest)
            raise UsageError(
                f"{name} {iso_time(at)} cannot be asked for: {definition.name} adds up by"
                f" {shown_duration(step / 1000)} in UTC; expected {before} or {after}"
            )
    if selection.to_ms <= selection.from_ms:
        raise UsageError("--to must be later than --from")


class UsageComparison:
    """Compares the usage of one account at a partner, for a command.

    ``scopes`` are those of the account in the ``store``. Raises `UsageError` if the partner cannot
    be asked.
    """

    def __init__(
        self,
        store: OpenStore,
        scopes: Sequence[int],
        destination: Destination,
        sender: Sender,
        selection: UsageSelection,
    ) -> None:
        self._store = store
        self._scopes = scopes
        self._selection = selection
        self._definition = destination.definition
        self._of_action = {
            slug: action.usage.ask
            for slug, action in self._definition.actions.items()
            if action.usage is not None
        }
        self._questions: list[UsageQuestion] = []
        for question in self._of_action.values():
            if question not in self._questions:
                self._questions.append(question)
        self._check_written()
        _check_range(self._definition, selection)
        self._askers = [UsageAsker(destination, sender, one) for one in self._questions]
        self._stopped = threading.Event()
        self._unanswered = 0

    def _check_written(self) -> None:
        if not self._questions:
            raise UsageError(
                f"{self._definition.name} cannot be asked what it has counted: none of its actions"
                " has usage",
                topic="usage",
            )
        for question in self._questions:
            for step in question.steps:
                call = self._definition.requests[step.request].call
                if isinstance(call, PendingDefinition):
                    raise UsageError(
                        f"the request {step.request} is not written yet: {call.missing}"
                    )

    def notes(self, now: float) -> list[str]:
        """Return what has to be known of all sums; ``now`` is in seconds since 1970."""
        found = []
        step = _step(self._definition)
        if self._selection.moved and step is not None:
            found.append(
                f"{self._definition.name} adds up by {shown_duration(step / 1000)} in UTC: an age"
                " is taken back to a whole multiple of it"
            )
        since = self.since
        if since is not None and self._selection.from_ms < since:
            found.append(
                f"sums are kept since {shown_time(since / 1000)}: what was delivered before is not"
                " in ours, as the store did not keep it, or deleted it"
            )
        for question in self._questions:
            after = question.settles_after
            if after is not None and self._selection.to_ms > (now - after) * 1000:
                found.append(
                    f"{self._definition.name} may take {shown_duration(after)} to count an event:"
                    " the latest ones may be missing there"
                )
        if self._store.usage().lacks_erased:
            found.append("sums of users who were erased are not in ours")
        return list(dict.fromkeys(found))

    @property
    def since(self) -> int | None:
        """From when on sums are complete, in milliseconds since 1970; None if always."""
        return self._store.usage().since(self._scopes, self._of_action)

    def reports(self) -> Iterator[UsageReport]:
        """Yield the pairs of the store, each once the partner was asked about it."""
        with contextlib.closing(_Sums()) as sums:
            resent = {
                delivery
                for one in self._store.ledger().drifts()
                for delivery in one.drift.deliveries
            }
            selection = self._selection
            for entry in self._store.usage().entries(
                self._scopes, selection.from_ms, selection.to_ms, resent
            ):
                if entry.action in self._of_action and selection.has(entry):
                    sums.add(self._questions.index(self._of_action[entry.action]), entry)
            yield from self._asked(sums.pairs())

    def _asked(self, pairs: Iterable[_Pair]) -> Iterator[UsageReport]:
        """Ask about some pairs at once; reports stay in order."""
        most = self._definition.transport.concurrency
        waiting: deque[tuple[_Pair, Future[Counted]]] = deque()
        with ThreadPoolExecutor(most, "usage") as pool:
            try:
                for pair in pairs:
                    waiting.append((pair, pool.submit(self._ask, pair)))
                    if len(waiting) > 2 * most:
                        yield self._report(*waiting.popleft())
                while waiting:
                    yield self._report(*waiting.popleft())
            finally:
                self._stopped.set()

    def _ask(self, pair: _Pair) -> Counted:
        for name, value in (("user", pair.user), ("feature", pair.feature)):
            if not value:
                return Counted(None, _NO_NAME.format(name))
        if self._stopped.is_set():
            return Counted(None, _NOT_ASKED)
        selection = self._selection
        asker = self._askers[pair.question]
        return asker.ask(pair.user, pair.feature, selection.from_ms, selection.to_ms)

    def _report(self, pair: _Pair, asked: Future[Counted]) -> UsageReport:
        counted = asked.result()
        self._unanswered = self._unanswered + 1 if counted.is_away else 0
        if self._unanswered >= _MOST_UNANSWERED:
            self._stopped.set()
        return UsageReport(
            pair.user, pair.feature, pair.ours, counted.amount, counted.error, pair.reasons
        )


@dataclass(slots=True)
class _Pair:
    question: int
    user: str
    feature: str
    ours: Decimal = Decimal(0)
    reasons: dict[UsageKind, UsageReason] = field(default_factory=dict)

    def add(self, entry: UsageEntry) -> None:
        if entry.counts and entry.amount is not None:
            self.ours = sum_amounts(self.ours, Decimal(entry.amount))
        for kind in entry.kinds:
            self.reasons.setdefault(kind, UsageReason()).add(entry)

    def to_json(self) -> str:
        reasons = {
            kind: [one.count, str(one.amount), one.ids] for kind, one in self.reasons.items()
        }
        return json.dumps([str(self.ours), reasons])

    def merge(self, text: str) -> None:
        """Add what was written of the same pair before."""
        ours, reasons = json.loads(text)
        self.ours = sum_amounts(Decimal(ours), self.ours)
        own, self.reasons = self.reasons, {}
        for kind, (count, amount, ids) in reasons.items():
            self.reasons[kind] = UsageReason(count, Decimal(amount), ids)
        for each, more in own.items():
            one = self.reasons.setdefault(each, UsageReason())
            one.count += more.count
            one.amount = sum_amounts(one.amount, more.amount)
            one.ids = [*one.ids, *more.ids][:_IDS]


class _Sums:
    """The sums of all pairs, in memory as long as they are few, else in a temporary file."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, str, str], _Pair] = {}
        # Without a name, SQLite makes a file that nobody else sees, and deletes it at the end.
        self._file = sqlite3.connect("", check_same_thread=False)
        self._file.execute(
            "CREATE TABLE pairs (feature TEXT, user TEXT, question INTEGER, sums TEXT,"
            " PRIMARY KEY (feature, user, question)) WITHOUT ROWID"
        )

    def add(self, question: int, entry: UsageEntry) -> None:
        """Add a delivery to the sums of its pair."""
        key = (question, entry.user, entry.feature)
        pair = self._pairs.get(key)
        if pair is None:
            if len(self._pairs) >= _PAIRS_IN_MEMORY:
                self._write()
            pair = self._pairs[key] = _Pair(*key)
        pair.add(entry)

    def _write(self) -> None:
        for (question, user, feature), pair in self._pairs.items():
            key = (feature, user, question)
            row: Any = self._file.execute(
                "SELECT sums FROM pairs WHERE feature = ? AND user = ? AND question = ?", key
            ).fetchone()
            if row is not None:
                pair.merge(row[0])
            self._file.execute("REPLACE INTO pairs VALUES (?, ?, ?, ?)", (*key, pair.to_json()))
        self._pairs.clear()

    def pairs(self) -> Iterator[_Pair]:
        """Yield all pairs by feature and user."""
        self._write()
        for feature, user, question, sums in self._file.execute(
            "SELECT feature, user, question, sums FROM pairs ORDER BY feature, user, question"
        ):
            pair = _Pair(question, user, feature)
            pair.merge(sums)
            yield pair

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
