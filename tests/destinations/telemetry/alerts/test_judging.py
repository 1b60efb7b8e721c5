"""When conditions hold, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

import pytest

from destinations.operations import RefusedCredentials
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerDrift, ScopeTotals, Tally
from destinations.pipeline.queue import Drift
from destinations.telemetry import StoreFigures
from destinations.telemetry.alerts import AlertRule, Figures, Kind, Windows, judged

MakeRule = Callable[..., AlertRule]

DAY: Final = 19_000
NOW: Final = DAY * 86_400 + 43_200.0
GB: Final = 10**9


def _tally(status: Status, count: int, **more: Any) -> Tally:
    day = 0 if isinstance(status, State) else DAY
    return Tally(
        *("kana", more.get("tenant", ""), more.get("subscription", ""), status, day, count)
    )


def _totals(oldest: float | None, tenant: str = "") -> ScopeTotals:
    return ScopeTotals(1, "kana", "", None, served=True, oldest=oldest, tenant=tenant)


def _drift(seconds_ago: float, destination: str = "kana") -> LedgerDrift:
    return LedgerDrift(destination, "", Drift("k", "user-1", 5, 7, NOW - seconds_ago))


def _store(size: int, free: int | None, limit: int | None) -> StoreFigures:
    return StoreFigures(size, free, limit, writable=True)


@dataclass(frozen=True)
class Case:
    """A rule, what is known, and what is found: whether it holds, and a part of the words."""

    kind: Kind
    holds: bool
    says: str
    over: float = 0
    rule: dict[str, Any] = field(default_factory=dict)
    ended: Sequence[Tally] = ()
    known: dict[str, Any] = field(default_factory=dict)
    quiet: float = 0


_NO_TOKEN = "no access token from https://p.example/token: invalid_grant; authorize again"
_REFUSED_TOKEN = {"kana": RefusedCredentials(NOW - 60, _NO_TOKEN)}
_REFUSED = {"kana": RefusedCredentials(NOW - 60, "INVALID_AUTHENTICATION 401")}

HOLDS, NOT = True, False

CASES: Final = [
    Case("dead", HOLDS, "11 deliveries dead within 15m", 10, ended=[_tally(Outcome.DEAD, 11)]),
    Case("dead", NOT, "10 deliveries dead within 15m", 10, ended=[_tally(Outcome.DEAD, 10)]),
    Case("dead", HOLDS, "1 delivery dead", ended=[_tally(Outcome.DEAD, 1)]),
    Case("dead", NOT, "0 deliveries dead", ended=[_tally(Outcome.REJECTED, 9)]),
    Case(
        *("dead", NOT, "2 deliveries dead", 4),
        rule={"tenant": "acme"},
        ended=[_tally(Outcome.DEAD, 2, tenant="acme"), _tally(Outcome.DEAD, 9)],
    ),
    Case("rejected", NOT, "0 deliveries rejected", ended=[_tally(Outcome.DEAD, 3)]),
    Case("rejected", HOLDS, "3 deliveries rejected", 2, ended=[_tally(Outcome.REJECTED, 3)]),
    Case(
        *("rejected", HOLDS, "3 deliveries rejected", 2),
        rule={"subscription": "Counts"},
        ended=[
            _tally(Outcome.REJECTED, 3, subscription="Counts"),
            _tally(Outcome.REJECTED, 9, subscription="Saves"),
        ],
    ),
    Case(
        *("invalidRate", HOLDS, "6.0% of 100 deliveries within 15m invalid", 0.05),
        rule={"least": 20},
        ended=[_tally(Outcome.INVALID, 6), _tally(Outcome.DELIVERED, 94)],
    ),
    Case(
        *("invalidRate", NOT, "5.0% of 100 deliveries", 0.05),
        rule={"least": 20},
        ended=[_tally(Outcome.INVALID, 5), _tally(Outcome.DELIVERED, 95)],
    ),
    # What no subscription took says nothing about what they took.
    Case(
        *("invalidRate", HOLDS, "50.0% of 20 deliveries", 0.05),
        rule={"least": 20},
        ended=[
            _tally(Outcome.INVALID, 10),
            _tally(Outcome.DELIVERED, 10),
            _tally(Outcome.FILTERED, 9_000),
            _tally(Outcome.UNMAPPED, 9_000),
        ],
    ),
    # Too few to be a share of anything.
    Case(
        *("invalidRate", NOT, "100.0% of 19 deliveries", 0.05),
        rule={"least": 20},
        ended=[_tally(Outcome.INVALID, 19)],
    ),
    Case("invalidRate", NOT, "0.0% of 0 deliveries", 0.05, rule={"least": 1}),
    Case("held", HOLDS, "2 deliveries held", 1, ended=[_tally(State.HELD, 2)]),
    Case("held", NOT, "1 delivery held", 1, ended=[_tally(State.HELD, 1)]),
    Case("queueAge", HOLDS, "waits for 11m", 600, known={"totals": [_totals(NOW - 660)]}),
    Case("queueAge", NOT, "waits for 10m", 600, known={"totals": [_totals(NOW - 600)]}),
    Case("queueAge", NOT, "nothing waits", 600, known={"totals": [_totals(None)]}),
    # Of all tenants of a destination the oldest counts.
    Case(
        *("queueAge", HOLDS, "waits for 15m", 600),
        known={"totals": [_totals(NOW - 60, "acme"), _totals(NOW - 900, "other")]},
    ),
    Case(
        *("queueAge", NOT, "waits for 1m", 600),
        rule={"tenant": "acme"},
        known={"totals": [_totals(NOW - 60, "acme"), _totals(NOW - 900, "other")]},
    ),
    Case("breaker", HOLDS, "open for 6m", 300, known={"breakers": {"kana": NOW - 360}}),
    Case("breaker", NOT, "open for 5m", 300, known={"breakers": {"kana": NOW - 300}}),
    Case("breaker", NOT, "is closed", 300, known={"breakers": {"other": NOW - 900}}),
    # It is open then, too; but somebody has to mend the key, and not the partner.
    Case(
        *("breaker", NOT, "open for 6m", 300),
        known={"breakers": {"kana": NOW - 360}, "refused": _REFUSED},
    ),
    Case("credentials", HOLDS, "INVALID_AUTHENTICATION 401", known={"refused": _REFUSED}),
    Case(
        "credentials",
        HOLDS,
        "the credentials; all events wait, and none is lost. No access token from "
        "https://p.example/token: invalid_grant; authorize again; the command",
        known={"refused": _REFUSED_TOKEN},
    ),
    Case("credentials", NOT, "takes the credentials"),
    Case("credentials", HOLDS, "of 2 tenants", known={"refused_tenants": {"kana": 2}}),
    Case("credentials", NOT, "takes", known={"refused_tenants": {"kana": 0, "other": 2}}),
    Case(
        *("drift", HOLDS, "1 balance not as expected within 15m"),
        known={"drifts": [_drift(60), _drift(901), _drift(10, "other")]},
    ),
    Case("drift", NOT, "0 balances", known={"drifts": [_drift(901)]}),
    Case("storeFull", HOLDS, "95.0%", 0.9, known={"store": _store(95, 900, 100)}),
    Case("storeFull", NOT, "90.0%", 0.9, known={"store": _store(90, 900, 100)}),
    Case("storeFull", HOLDS, "99.0%", 0.9, known={"store": _store(99 * GB, GB, None)}),
    Case("storeFull", NOT, "0.0%", 0.9, known={"store": _store(9, None, None)}),
    Case(
        *("storeFull", HOLDS, "cannot be written: the disk is full", 0.9),
        known={"store": _store(1, 99, 100), "unwritable": "the disk is full"},
    ),
    Case("silence", HOLDS, "2h ago", 3600, quiet=7_200),
    Case("silence", NOT, "1h ago", 3600, quiet=3_600),
]


@pytest.mark.parametrize("case", CASES, ids=lambda one: f"{one.kind}-{one.says[:20]}")
def test_conditions(case: Case, rule: MakeRule) -> None:
    """Each holds from its number on, and says what the number is and what shows more."""
    windows = Windows(900)
    first = [_tally(State.READY, 1)] if case.quiet else []
    windows.add([], NOW - case.quiet - 20)
    windows.accepted_at("kana", "", NOW - case.quiet)
    windows.add([*first, *case.ended], NOW - case.quiet)
    figures = Figures(NOW, tallies=case.ended, **case.known)
    one = rule(case.kind, case.over, destination="kana", **case.rule)
    (found,) = judged(one, ["kana", "other"], figures, windows, " --config serve.yaml")
    assert found.holds is case.holds, found
    assert case.says in found.what
    # JSON has them with a fraction only if they have one.
    assert not any(isinstance(one, float) and one.is_integer() for one in found.numbers.values())
    assert found.command.startswith("destinations ")
    assert found.command.endswith(" --config serve.yaml")


def test_every_condition_has_cases() -> None:
    """There is one that holds of each, and one that does not."""
    assert {one.kind for one in CASES if one.holds} == set(get_args(Kind))
    assert {one.kind for one in CASES if not one.holds} == set(get_args(Kind))


def test_all_destinations(rule: MakeRule) -> None:
    """Without a destination, each has a finding of its own; of the store there is one."""
    windows = Windows(900)
    found = list(judged(rule("held"), ["kana", "other"], Figures(NOW), windows))
    assert [one.destination for one in found] == ["kana", "other"]
    found = list(judged(rule("storeFull"), ["kana", "other"], Figures(NOW), windows))
    assert [one.destination for one in found] == [""]


def test_a_store_that_cannot_be_read(rule: MakeRule) -> None:
    """Then nothing is known but that."""
    figures = Figures(NOW, is_read=False, unwritable="it is away")
    assert list(judged(rule("dead"), ["kana"], figures, Windows())) == []
    (found,) = judged(rule("storeFull", 0.9), ["kana"], figures, Windows())
    assert found.holds
