"""Judge the conditions of rules by figures: pure functions of what is known at one time."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from destinations.operations import shown_duration
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import summed
from destinations.telemetry.alerts.figures import Figures
from destinations.telemetry.alerts.rules import AlertRule, Kind
from destinations.telemetry.alerts.windows import Window, Windows, standing

__all__ = ["STORE", "Finding", "judged"]

STORE: Final = ""
"""The subject of an alert that is about the store, and no destination."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A judgement: whether a condition holds for a destination, with the numbers that say so.

    ``what`` is a clause such as ``14 deliveries dead within 15m``, and ``limit`` one such as ``more
    than 10``. ``numbers`` has the same for programs, and ``command`` shows more.
    """

    rule: str
    destination: str
    holds: bool
    what: str
    limit: str
    command: str
    numbers: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Subject:
    """One rule for one destination, and all that is known."""

    rule: AlertRule
    destination: str
    figures: Figures
    windows: Windows
    options: str

    @property
    def window(self) -> Window:
        rule = self.rule
        return Window(self.destination, rule.tenant or "", rule.subscription or "")

    def count(self, outcome: Outcome) -> int:
        seconds = self.rule.condition.within
        return self.windows.count(self.window, outcome, seconds, self.figures.now)

    def found(
        self,
        value: float,
        what: str,
        limit: str,
        command: str,
        *,
        holds: bool | None = None,
        **numbers: float,
    ) -> Finding:
        over = self.rule.condition.over
        return Finding(
            self.rule.name,
            self.destination,
            value > over if holds is None else holds,
            what,
            limit,
            f"destinations {command}{self.options}" if command else "",
            {name: _whole(one) for name, one in {"value": value, "over": over, **numbers}.items()},
        )

    def listed(self, status: str) -> str:
        """Return the command that lists deliveries of a status."""
        tenant = f" --tenant {shlex.quote(self.rule.tenant)}" if self.rule.tenant else ""
        return f"deliveries list {status} --destination {self.destination}{tenant}"


def _whole(number: float) -> float:
    """Return a whole number as an integer, which JSON writes without a fraction."""
    return int(number) if math.isfinite(number) and number == int(number) else number


def judged(
    rule: AlertRule,
    destinations: Collection[str],
    figures: Figures,
    windows: Windows,
    options: str = "",
) -> Iterator[Finding]:
    """Yield a finding for each subject of a rule of which anything is known.

    ``destinations`` are those of the server, ``options`` name its store in commands.
    """
    if rule.condition.kind == "storeFull":
        yield _store_full(_Subject(rule, STORE, figures, windows, options))
        return
    if not figures.is_read:
        return
    for name in [rule.destination] if rule.destination else destinations:
        yield _JUDGES[rule.condition.kind](_Subject(rule, name, figures, windows, options))


def _ended(of: _Subject, outcome: Outcome) -> Finding:
    count, condition = of.count(outcome), of.rule.condition
    within = shown_duration(condition.within)
    what = f"{_deliveries(count)} {outcome.value} within {within}"
    command = of.listed(f"--outcome {outcome.value}")
    return of.found(count, what, _more(condition.over), command, within=condition.within)


def _invalid(of: _Subject) -> Finding:
    condition = of.rule.condition
    count = of.count(Outcome.INVALID)
    ended = of.windows.ended(of.window, condition.within, of.figures.now)
    share = count / ended if ended else 0.0
    within = shown_duration(condition.within)
    what = f"{share:.1%} of {_deliveries(ended)} within {within} invalid"
    is_enough = ended >= condition.least
    return of.found(
        share,
        what,
        f"more than {condition.over:.1%}",
        of.listed("--outcome invalid"),
        holds=is_enough and share > condition.over,
        within=condition.within,
        invalid=count,
        ended=ended,
    )


def _held(of: _Subject) -> Finding:
    count = standing(of.figures.tallies, of.window, State.HELD)
    what = f"{_deliveries(count)} held for an operator to decide"
    return of.found(count, what, _more(of.rule.condition.over), of.listed("--state held"))


def _queue_age(of: _Subject) -> Finding:
    tenant, over = of.rule.tenant, of.rule.condition.over
    totals = of.figures.totals if tenant else summed(of.figures.totals)
    oldest = [
        one.oldest
        for one in totals
        if one.destination == of.destination
        and one.oldest is not None
        and tenant in {None, one.tenant}
    ]
    age = max(0.0, of.figures.now - min(oldest)) if oldest else 0.0
    what = f"the oldest delivery waits for {shown_duration(age)}" if oldest else "nothing waits"
    return of.found(age, what, f"more than {shown_duration(over)}", "status")


def _breaker(of: _Subject) -> Finding:
    since, over = of.figures.breakers.get(of.destination), of.rule.condition.over
    age = 0.0 if since is None else max(0.0, of.figures.now - since)
    what = f"the partner takes nothing, the circuit breaker is open for {shown_duration(age)}"
    if since is None:
        what = "the circuit breaker is closed"
    # That is another condition, with another cure.
    is_refused = of.destination in of.figures.refused
    holds = since is not None and age > over and not is_refused
    return of.found(age, what, f"more than {shown_duration(over)}", "status", holds=holds)


def _credentials(of: _Subject) -> Finding:
    refusal = of.figures.refused.get(of.destination)
    tenants = of.figures.refused_tenants.get(of.destination, 0)
    if refusal is None and tenants:
        customers = "1 tenant" if tenants == 1 else f"{tenants:,} tenants"
        what = f"the partner refuses the credentials of {customers}, whose events wait"
        command = f"tenants list --destination {of.destination} --state refused"
        return of.found(tenants, what, "", command)
    command = f"resume {of.destination}"
    if refusal is None:
        return of.found(0, "the partner takes the credentials, as far as is known", "", command)
    is_token = refusal.cure == refusal.reason
    said = "" if is_token else f" ({refusal.reason})"
    cure = refusal.cure[:1].upper() + refusal.cure[1:]
    what = (
        f"the partner refuses the credentials{said}; all events wait, and none is "
        f"lost. {cure}; the command tries again at once"
    )
    return of.found(1, what, "", command)


def _drift(of: _Subject) -> Finding:
    condition, now = of.rule.condition, of.figures.now
    count = sum(
        one.destination == of.destination and one.drift.noticed_at > now - condition.within
        for one in of.figures.drifts
    )
    balances = "1 balance" if count == 1 else f"{count:,} balances"
    within = shown_duration(condition.within)
    what = f"{balances} not as expected within {within} (another writer, or a late request)"
    since = f"{condition.within:.0f}s"
    command = f"deliveries list --drift --destination {of.destination} --since {since}"
    return of.found(count, what, _more(condition.over), command, within=condition.within)


def _silence(of: _Subject) -> Finding:
    at = of.windows.accepted_at(of.destination, of.rule.tenant or "", of.figures.now)
    age, over = max(0.0, of.figures.now - at), of.rule.condition.over
    what = f"the last event was accepted {shown_duration(age)} ago"
    limit = f"more than {shown_duration(over)}"
    return of.found(age, what, limit, f"refused list --destination {of.destination}")


def _store_full(of: _Subject) -> Finding:
    store, over = of.figures.store, of.rule.condition.over
    shares = []
    if store is not None and store.limit:
        shares.append(store.size / store.limit)
    if store is not None and store.free is not None and store.size + store.free:
        shares.append(store.size / (store.size + store.free))
    share = max(shares, default=0.0)
    if of.figures.unwritable:
        what = f"the store cannot be written: {of.figures.unwritable}"
    else:
        what = f"the store takes {share:.1%} of its space"
    holds = bool(of.figures.unwritable) or share > over
    return of.found(share, what, f"more than {over:.1%}", "status", holds=holds)


_JUDGES: Final[Mapping[Kind, Callable[[_Subject], Finding]]] = {
    "dead": lambda of: _ended(of, Outcome.DEAD),
    "rejected": lambda of: _ended(of, Outcome.REJECTED),
    "invalidRate": _invalid,
    "held": _held,
    "queueAge": _queue_age,
    "breaker": _breaker,
    "credentials": _credentials,
    "drift": _drift,
    "silence": _silence,
}


def _deliveries(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count:,} deliveries"


def _more(over: float) -> str:
    return f"more than {over:,.0f}"
