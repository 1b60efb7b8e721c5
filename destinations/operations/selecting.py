"""Choose deliveries: by their ids, or by filters that commands, API and console have in common.

Of those chosen, some can be changed, and why others cannot is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from destinations.errors import UsageError, did_you_mean
from destinations.operations.times import parse_time, shown_time
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import (
    NEEDS_OPERATOR,
    Ledger,
    LedgerDrift,
    LedgerEntry,
    Selection,
)

__all__ = [
    "DRIFT_FILTERS",
    "DROPPED",
    "FILTERS",
    "MOST_CHANGED",
    "REPLAYED",
    "RESOLVED",
    "Filter",
    "FilterError",
    "UnknownName",
    "choose",
    "find_drifts",
    "select",
    "split",
    "unknown_names",
]

MOST_CHANGED: Final = 100_000
"""The most deliveries that one command changes: all of them in one commit."""

REPLAYED: Final[frozenset[Status]] = frozenset(
    {Outcome.DEAD, Outcome.REJECTED, Outcome.INVALID, Outcome.UNMAPPED}
)
"""The outcomes of the deliveries that are replayed if a selection names none."""

DROPPED: Final[frozenset[Status]] = frozenset({*REPLAYED, State.READY, State.HELD})
"""The statuses of the deliveries that can be dropped."""

RESOLVED: Final[frozenset[Status]] = frozenset({State.HELD, State.UNKNOWN})
"""The states of the deliveries that can be resolved."""


# -- filters ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on deliveries: ``name`` with underscores, as fields of Python have it.

    ``label`` is its name on a page, ``about`` what it selects, as an imperative without its end,
    and ``metavar`` what stands for its value. One of the ``kind`` choice has one of ``choices``.
    """

    name: str
    kind: Literal["choice", "text", "time", "flag"]
    label: str
    about: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    longest: int = 200

    @property
    def key(self) -> str:
        """Its name as a key of JSON: ``messageId``."""
        first, *rest = self.name.split("_")
        return first + "".join(map(str.capitalize, rest))

    @property
    def option(self) -> str:
        """Its name as an option of a command: ``--message-id``."""
        return f"--{self.name.replace('_', '-')}"


_TIME: Final = "ISO 8601, or an age such as 2h or 3d"

FILTERS: Final[Mapping[str, Filter]] = {
    one.name: one
    for one in (
        Filter(
            *("state", "choice", "State", "Select by state; it has no outcome yet"),
            choices=tuple(state.value for state in State if state is not State.DONE),
        ),
        Filter(
            *("outcome", "choice", "Outcome", "Select by outcome"),
            choices=tuple(outcome.value for outcome in Outcome),
        ),
        Filter(
            *("needs_operator", "flag", "needs an operator"),
            "Select what needs an operator: held, dead, rejected and invalid ones",
        ),
        Filter("destination", "text", "Destination", "Select by destination", "NAME"),
        Filter(
            *("account", "text", "Account"),
            *("Select by account: its name or unnamed-NUMBER", "NAME"),
        ),
        Filter(
            *("tenant", "text", "Tenant"),
            "Only this tenant: its name, its id, or at least the first 4 digits of its id",
            "T",
        ),
        Filter(
            *("subscription", "text", "Subscription", "Select by the name of the subscription"),
            *("NAME", (), 1_000),
        ),
        Filter("code", "text", "Code", "Select by error code, as list shows it", "CODE"),
        Filter("user", "text", "User", "Select by user", "ID", (), 1_000),
        Filter(
            *("message_id", "text", "messageId"),
            "Select by messageId, for as long as a second event of it is recognised",
            "ID",
        ),
        Filter(
            *("since", "time", "Accepted since"),
            f"Select deliveries accepted since TIME: {_TIME}",
            "TIME",
        ),
        Filter(
            *("until", "time", "Accepted before"),
            "Select deliveries accepted before TIME, written as for --since",
            "TIME",
        ),
        Filter(
            *("ended_since", "time", "Ended since"),
            "Select deliveries that got their outcome since TIME",
            "TIME",
        ),
        Filter(
            *("ended_until", "time", "Ended before"),
            "Select deliveries that got their outcome before TIME",
            "TIME",
        ),
        Filter(
            *("restored", "flag", "of a restored backup"),
            "Select deliveries that a restored backup left open",
        ),
    )
}
"""The filters of deliveries by name; all that are given must hold."""

DRIFT_FILTERS: Final = ("destination", "user", "since")
"""The filters of unexpected balances; ``since`` is about when they were noticed."""

_PERIODS: Final = (("since", "until"), ("ended_since", "ended_until"))
_OF_STATUS: Final = ("state", "outcome", "needs_operator")


class FilterError(UsageError):
    """Filters that cannot be used; ``issues`` are pairs of a filter's name and what is wrong."""

    def __init__(self, issues: Sequence[tuple[str, str]]) -> None:
        self.issues = issues
        super().__init__("; ".join(message for _, message in issues))


def select(
    given: Mapping[str, Any], now: float, called: Callable[[Filter], str] = lambda one: one.name
) -> Selection:
    """Return the selection of filters by name; those that are None, False or empty do not count.

    Times are texts, or seconds since 1970. ``called`` says how messages name a filter. Raises
    `FilterError` with all that is wrong.
    """
    chosen, issues = _read(given, now)
    issues += _contradictions(chosen, called)
    if issues:
        raise FilterError(issues)
    statuses: frozenset[Status] | None = None
    if "state" in chosen:
        statuses = frozenset({State(chosen["state"])})
    elif "outcome" in chosen:
        statuses = frozenset({Outcome(chosen["outcome"])})
    elif "needs_operator" in chosen:
        statuses = NEEDS_OPERATOR
    others = {name: value for name, value in chosen.items() if name not in _OF_STATUS}
    return Selection(statuses=statuses, **others)


def _read(given: Mapping[str, Any], now: float) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the filters that are given and valid, and what is wrong with the others."""
    chosen: dict[str, Any] = {}
    issues: list[tuple[str, str]] = []
    for name, value in given.items():
        one = FILTERS[name]
        if value is None or value is False or value == "":
            continue
        if one.kind == "choice" and value not in one.choices:
            near = did_you_mean(value, one.choices)
            known = ", ".join(one.choices)
            issues.append((name, f"unknown {name} {value!r}: expected one of {known}{near}"))
        elif one.kind == "time" and isinstance(value, str):
            try:
                chosen[name] = parse_time(value, now)
            except UsageError as error:
                issues.append((name, str(error)))
        else:
            chosen[name] = value
    return chosen, issues


def _contradictions(
    chosen: Mapping[str, Any], called: Callable[[Filter], str]
) -> Iterator[tuple[str, str]]:
    first, *others = [name for name in _OF_STATUS if name in chosen] or [""]
    for other in others:
        two = [_shown(FILTERS[name], chosen[name], called) for name in (first, other)]
        why = "a delivery has a state or an outcome, not both"
        yield other, f"{' cannot be used with '.join(two)}: {why}"
    for names in _PERIODS:
        since, until = (chosen.get(name) for name in names)
        if since is not None and until is not None and since >= until:
            two = [f"{called(FILTERS[name])} {shown_time(chosen[name])}" for name in names]
            yield names[0], " must be before ".join(two)


def _shown(one: Filter, value: object, called: Callable[[Filter], str]) -> str:
    return called(one) if one.kind == "flag" else f"{called(one)} {value}"


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that nothing in a store has: of a destination, an account or a subscription."""

    what: str
    name: str
    known: Sequence[str]


def unknown_names(
    ledger: Ledger,
    destination: str | None,
    account: str | None,
    subscription: str | None = None,
    *,
    configured: Collection[str] = (),
) -> Iterator[UnknownName]:
    """Yield those of the given names that no scope of a ledger has.

    ``configured`` are destinations that are known though they may have got no event yet.
    """
    if destination is None and account is None and subscription is None:
        return
    totals = ledger.totals(0.0)
    destinations = {one.destination for one in totals} | set(configured)
    accounts = {one.label for one in totals if one.label}
    if destination is not None and destination not in destinations:
        yield UnknownName("destination", destination, sorted(destinations))
    if account is not None and account not in accounts:
        yield UnknownName("account", account, sorted(accounts))
    if subscription is not None:
        # Of a destination that is unknown, which is told already, any is taken.
        names = ledger.subscription_names(destination if destination in destinations else None)
        if subscription not in names:
            yield UnknownName("subscription", subscription, sorted(names))


def find_drifts(ledger: Ledger, selection: Selection) -> Sequence[LedgerDrift]:
    """Return the balances that were not as expected, by `DRIFT_FILTERS`, the oldest first."""
    return [
        one
        for one in ledger.drifts()
        if selection.destination in {None, one.destination}
        and selection.user in {None, one.drift.user}
        and (selection.since is None or one.drift.noticed_at >= selection.since)
    ]


# -- deliveries ------------------------------------------------------------------------------------


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
