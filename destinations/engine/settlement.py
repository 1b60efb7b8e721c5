"""What a lost answer means: the amount that the partner shows against the one that was expected.

Source of the rule: the partner executes what a request adds one after another and shows the sum. So
the difference between what it shows and what it held before tells which of the amounts were added,
where one selection of them makes it and nobody else has written there. Of several selections, any
leaves the partner with the same amount in the end.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from destinations.definition import Settling
from destinations.errors import ResolveError
from destinations.http import Answer
from destinations.queue import Amount, Expectation
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

__all__ = ["Compiled", "Judgement", "judge"]

_MOST_SELECTIONS: Final = 20_000

_LARGEST: Final = 2**53
"""What JSON can hold exactly; the ledger holds sums of such."""

# Made once: `json.dumps` with options makes one for every call.
_KEYS: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Judgement:
    """``applied`` tells for each amount whether it was added; None if that cannot be told.

    ``why`` is for a person, who then has to.
    """

    applied: tuple[bool, ...] | None
    why: str = ""


def judge(before: Amount | None, now: Amount | None, amounts: Sequence[int]) -> Judgement:
    """Which of ``amounts`` were added between ``before`` and ``now``, in the order of sending."""
    if now is None:
        return Judgement(None, "the partner shows no amount")
    if before is None:
        return Judgement(None, "what the partner held before is not known")
    if not before.user:
        return Judgement(None, "the events of several users add to it, which are not in one order")
    if None not in (before.period, now.period) and before.period != now.period:
        return Judgement(None, "a new period has begun, in which the amount counts anew")
    difference = now.amount - before.amount
    if difference == sum(amounts):
        return Judgement((True,) * len(amounts))
    if difference == 0:
        return Judgement((False,) * len(amounts))
    selections = _selections(amounts, difference)
    if selections == []:
        return Judgement(None, "no selection of the amounts makes the difference: another writer")
    if selections is None or len(selections) > 1:
        # Whichever it was, the partner ends with the same amount when the others are sent again.
        # But the more selections there are, the easier another writer's amount is taken for one:
        # so only the likely ones count, a request that was carried out up to a point, or from one.
        selections = [run for run in _runs(amounts) if sum(run) == difference]
    if not selections:
        return Judgement(None, "it cannot be told which of the amounts make the difference")
    return Judgement(_members(amounts, selections[0]))


def _runs(amounts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The first few and the last few of the amounts."""
    for end in range(1, len(amounts)):
        yield tuple(amounts[:end])
        yield tuple(amounts[end:])


def _members(amounts: Sequence[int], selection: Sequence[int]) -> tuple[bool, ...]:
    """Equal amounts have the same effect, whichever of them it was: the first ones."""
    left = Counter(selection)
    applied = []
    for amount in amounts:
        applied.append(left[amount] > 0)
        left[amount] -= 1
    return tuple(applied)


def _selections(amounts: Sequence[int], difference: int) -> list[tuple[int, ...]] | None:
    """The different selections (as sorted amounts) with that sum; None if there are too many."""
    found: set[tuple[int, ...]] = {()}
    for amount in amounts:
        found |= {tuple(sorted((*selection, amount))) for selection in found}
        if len(found) > _MOST_SELECTIONS:
            return None
    return [selection for selection in found if sum(selection) == difference]


class Compiled:
    """The rule of one request, compiled."""

    def __init__(self, settling: Settling) -> None:
        self.ask = settling.ask
        self._nothing = frozenset(settling.nothing)
        self._key = compile_value(settling.key)
        self._amount = compile_value(settling.amount)
        self._shown = compile_value(settling.shown)
        self._period = compile_value(settling.period)
        self._until = compile_value(settling.until)

    def expectation(self, payload: Mapping[str, Any]) -> Expectation | None:
        """What a payload adds, and to what; None if its mappings do not say."""
        context = {"payload": payload}
        try:
            key, amount = self._key.resolve(context), self._amount.resolve(context)
        except ResolveError:
            return None
        if key is UNDEFINED or isinstance(amount, bool) or not isinstance(amount, int):
            return None
        if abs(amount) > _LARGEST:
            return None
        return Expectation(_text(key), amount, json.dumps(payload))

    def amount(self, answer: Answer, user: str, asked_at: float) -> Amount | None:
        """The amount that an answer shows; None if it shows none."""
        if answer.name in self._nothing:
            return Amount(user, 0, asked_at=asked_at)
        context = {"answer": answer.data}
        try:
            shown = self._shown.resolve(context)
            period, until = self._period.resolve(context), self._until.resolve(context)
        except ResolveError:
            return None
        if isinstance(shown, bool) or not isinstance(shown, int) or abs(shown) > _LARGEST:
            return None
        named = None if period in (None, UNDEFINED) else str(period)
        return Amount(user, shown, named, _time(until), asked_at)


def _text(key: object) -> str:
    """As JSON; of texts alone that is made several times faster than of a list."""
    if isinstance(key, list):
        return f"[{','.join(map(_KEYS.encode, key))}]"
    return _KEYS.encode(key)


def _time(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None
