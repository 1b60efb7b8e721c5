"""Ask the partner what it has counted for a user and a feature, in steps and page by page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from destinations.definition import UsageQuestion, UsageStep
from destinations.errors import IntegrationError, ResolveError
from destinations.http import Answer, Failure
from destinations.runtime.amounts import read_amount, sum_amounts
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.secrets import reveal
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import CompiledValue, compile_value

__all__ = ["Counted", "UsageAsker", "iso_time", "nearest_times"]

_MOST_PAGES: Final = 1_000
"""The pages after which an answer is given up: a sum of some of them would be wrong."""

_MOST_KEPT: Final = 4_096
"""The answers to lookups that are kept; one that was dropped is asked for again."""

_SHOWN: Final = 80
_OK: Final = "ok"


@dataclass(frozen=True, slots=True)
class Counted:
    """The amount that the partner has counted; if it is None, ``error`` says why.

    ``is_away`` says that the partner did not answer, or refuses the credentials: it would be so for
    any other question.
    """

    amount: Decimal | None
    error: str = ""
    is_away: bool = False


class _UnknownError(Exception):
    """A question has no usable answer."""

    def __init__(self, message: str, *, is_away: bool = False) -> None:
        super().__init__(message)
        self.is_away = is_away


def iso_time(milliseconds: int) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds only if it has some."""
    at = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = milliseconds % 1000
    return f"{at}.{rest:03}Z" if rest else f"{at}Z"


def nearest_times(at: int, aligned: float | None) -> tuple[int, int] | None:
    """Return the times before and after one, in milliseconds, that a partner can add up from.

    None for a time that can be asked for: the partner counts by ``aligned`` seconds, or by any.
    """
    step = round((aligned or 0) * 1000)
    if not step or not at % step:
        return None
    before = at - at % step
    return before, before + step


class UsageAsker:
    """Asks one question of a definition; threads may share it.

    Equal lookups, such as that of a meter, are made once. An answer of more than ``most_pages`` is
    given up.
    """

    def __init__(
        self,
        destination: Destination,
        sender: Sender,
        question: UsageQuestion,
        *,
        most_pages: int = _MOST_PAGES,
    ) -> None:
        self._destination = destination
        self._sender = sender
        self._most_pages = most_pages
        self._lookups = [_Lookup(step) for step in question.steps[:-1]]
        self._last = _Lookup(question.steps[-1])
        self._shown = compile_value(question.shown)
        self._next = None if question.next is None else compile_value(question.next)
        self._nothing = frozenset(question.nothing)
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, user: str, feature: str, from_ms: int, to_ms: int) -> Counted:
        """Return what the partner has counted from a time on, and before another one."""
        usage = {"user": user, "feature": feature, "from": iso_time(from_ms), "to": iso_time(to_ms)}
        usage["last"] = iso_time(to_ms - 1)  # for partners that include the end
        roots: dict[str, Any] = {"usage": usage, "answers": {}}
        try:
            for lookup in self._lookups:
                roots["answers"][lookup.name] = self._look_up(lookup, roots)
            return Counted(self._sum(roots))
        except _NothingError:
            return Counted(Decimal(0))
        except _UnknownError as error:
            return Counted(None, self._masked(str(error)), error.is_away)

    def _masked(self, text: str) -> str:
        return " ".join(self._destination.settings.masker.foreign(text).split())

    # -- what is looked up first ---------------------------------------------------------------

    def _look_up(self, step: _Lookup, roots: Mapping[str, Any]) -> Any:
        """Return the answer to a step, or the item in it that fits."""
        wanted = self._wanted(step, roots)
        first = self._sender.prepared_question(step.request, roots)
        key = None if first.key is None else (first.key, repr(wanted))
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = self._found(step, roots, wanted)
        with self._lock:
            self._known[key] = found
            while len(self._known) > _MOST_KEPT:
                self._known.popitem(last=False)
        return found

    def _wanted(self, step: _Lookup, roots: Mapping[str, Any]) -> dict[str, Any]:
        context = {**roots, "settings": self._destination.settings}
        found = {}
        for member, value in step.where.items():
            wanted = _resolved(value, context, f"the step {step.name}")
            found[member] = reveal(wanted) if isinstance(wanted, str) else wanted
        return found

    def _found(self, step: _Lookup, roots: Mapping[str, Any], wanted: Mapping[str, Any]) -> Any:
        for data in self._pages(step, roots, step.next):
            if step.items is None:
                return data
            items = _resolved(step.items, {"answer": data}, f"the answer to {step.request}")
            if not isinstance(items, list):
                what = "nothing" if items in (UNDEFINED, None) else type(items).__name__
                raise _UnknownError(f"the answer to {step.request} has no list to look in: {what}")
            fitting = [one for one in items if _fits(one, wanted)]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                message = f"{len(fitting)} items fit, where one is expected"
                raise _UnknownError(f"{_shown_search(step, wanted)}: {message}")
        raise _UnknownError(f"{_shown_search(step, wanted)}: the partner has none")

    # -- requests ------------------------------------------------------------------------------

    def _pages(
        self, step: _Lookup, roots: Mapping[str, Any], following: CompiledValue | None
    ) -> Iterator[Any]:
        """Yield the answers to a request, page by page; raises if they do not end."""
        asked: set[str] = set()
        page: Any = UNDEFINED
        for _ in range(self._most_pages):
            data = self._answer(step, roots if page is UNDEFINED else {**roots, "page": page})
            yield data
            if following is None:
                return
            answers = {**roots["answers"], step.name: data}
            context = {"answer": data, "answers": answers}
            page = _resolved(following, context, f"the answer to {step.request}")
            if page is UNDEFINED or page is None or page is False or page == "":
                return
            if repr(page) in asked:
                raise _UnknownError(f"{step.request} names a page twice, so its pages never end")
            asked.add(repr(page))
        raise _UnknownError(f"{step.request} has more than {self._most_pages:,} pages")

    def _answer(self, step: _Lookup, roots: Mapping[str, Any]) -> Any:
        verdict = self._sender.prepared_question(step.request, roots).ask()
        if isinstance(verdict, Failure):
            is_away = not verdict.is_answered or verdict.error_class in _OF_ALL
            raise _UnknownError(f"{step.request}: {verdict.message}", is_away=is_away)
        return self._data(step, verdict)

    def _data(self, step: _Lookup, verdict: Answer) -> Any:
        if verdict.name in self._nothing:
            raise _NothingError
        if verdict.name != _OK:
            raise _UnknownError(f"the partner answered {step.request} with {verdict.name}")
        if isinstance(verdict.data, str):
            shown = " ".join(verdict.data.split())[:_SHOWN]
            raise _UnknownError(f"{step.request}: expected JSON, and the answer is text: {shown}")
        return verdict.data

    # -- the amount ----------------------------------------------------------------------------

    def _answers(self, roots: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the answers of the last step: its pages, or the one item in them that fits."""
        if self._last.items is None:
            yield from self._pages(self._last, roots, self._next)
        else:
            yield self._found(self._last, roots, self._wanted(self._last, roots))

    def _sum(self, roots: Mapping[str, Any]) -> Decimal:
        total = Decimal(0)
        for data in self._answers(roots):
            context = {"answer": data, "answers": {**roots["answers"], self._last.name: data}}
            shown = _resolved(self._shown, context, f"the answer to {self._last.request}")
            for one in shown if isinstance(shown, list) else [shown]:
                amount = read_amount(one)
                if amount is None:
                    what = "nothing" if one in (UNDEFINED, None) else repr(one)[:_SHOWN]
                    message = f"the answer to {self._last.request} shows no number: {what}"
                    raise _UnknownError(message)
                total = sum_amounts(total, amount)
        return total


_OF_ALL: Final = frozenset({"authentication", "permission"})
"""Refusals that are not about what was asked."""


class _NothingError(Exception):
    """The partner says that it has counted nothing."""


class _Lookup:
    """A step, compiled."""

    def __init__(self, step: UsageStep) -> None:
        self.name = step.name
        self.request = step.request
        self.items = None if step.items is None else compile_value(step.items)
        self.next = None if step.next is None else compile_value(step.next)
        self.where = {member: compile_value(value) for member, value in step.where.items()}


def _resolved(value: CompiledValue, context: Mapping[str, Any], what: str) -> Any:
    try:
        return value.resolve(context)
    except (ResolveError, IntegrationError, RecursionError) as error:
        raise _UnknownError(f"{what} cannot be read: {error}") from None


def _fits(item: object, wanted: Mapping[str, Any]) -> bool:
    return all(_has(item, member.split("."), value) for member, value in wanted.items())


def _has(item: object, path: list[str], wanted: Any) -> bool:
    for key in path:
        if not isinstance(item, Mapping) or key not in item:
            return False
        item = item[key]
    if isinstance(item, list):
        return any(_is_same(one, wanted) for one in item)
    return _is_same(item, wanted)


def _is_same(found: object, wanted: object) -> bool:
    """Return whether two values are the same; a number may be given as its text."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, str | int | float) and isinstance(wanted, str | int | float):
        return str(found) == str(wanted)
    return found == wanted and wanted is not UNDEFINED


def _shown_search(step: _Lookup, wanted: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{member} {value!r}" for member, value in wanted.items())
    return f"{step.request}, looked for {shown}"
