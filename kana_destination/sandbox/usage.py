"""Periods, consumption and entitlements: what a user has used of a feature, and may use.

From Kana's documentation: a feature is usable under ``ACTIVE`` and ``TRIALING`` subscriptions; of
several, the highest limit counts; ``SET`` overwrites the amount used so far. Decided for the
sandbox: periods are calendar years, months and days in UTC; the period is that of the entry with
the highest limit, and a month if the user has no package with the feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from kana_destination.sandbox.errors import KanaError
from kana_destination.sandbox.models import Feature, PackageFeature, User
from kana_destination.sandbox.state import State

__all__ = [
    "INT_MAX",
    "INT_MIN",
    "Access",
    "Period",
    "access_to",
    "grant_of",
    "past_periods",
    "period_of",
    "record",
    "reset_of",
    "used_in",
]

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
_USABLE = frozenset({"ACTIVE", "TRIALING"})
_DEFAULT_PERIOD = "MONTH"


@dataclass(frozen=True, slots=True)
class Period:
    """Days from ``first`` to before ``end``, as proleptic ordinals (UTC)."""

    first: int
    end: int

    @property
    def start_time(self) -> datetime:
        """The first moment of the period."""
        return _midnight(self.first)

    @property
    def end_time(self) -> datetime:
        """The first moment after the period."""
        return _midnight(self.end)


@dataclass(frozen=True, slots=True)
class Access:
    """The right of a user to a feature, the reason, and the usage of the current period."""

    access: bool
    reason: str
    used: int
    budget: int | None
    overage_enabled: bool


def _midnight(ordinal: int) -> datetime:
    return datetime.combine(date.fromordinal(ordinal), time(), UTC)


@lru_cache(maxsize=4096)
def period_of(reset: str, day: int) -> Period:
    """Return the period (``YEAR``, ``MONTH`` or ``DAY``) that holds the day."""
    if reset == "DAY":
        return Period(day, day + 1)
    start = date.fromordinal(day).replace(day=1)
    if reset == "YEAR":
        start = start.replace(month=1)
        return Period(start.toordinal(), start.replace(year=start.year + 1).toordinal())
    end = (start + timedelta(days=31)).replace(day=1)
    return Period(start.toordinal(), end.toordinal())


def used_in(period: Period, days: Mapping[int, int]) -> int:
    """Return the sum of what was used on the days of the period."""
    return sum(used for day, used in days.items() if period.first <= day < period.end)


def past_periods(reset: str, days: Mapping[int, int], before: int) -> list[tuple[Period, int]]:
    """Return earlier periods with the usage in each, the newest first.

    A period is earlier if it ended on or before the day ``before``; those without usage are left
    out.
    """
    sums: dict[Period, int] = {}
    for day, used in days.items():
        period = period_of(reset, day)
        if period.end <= before:
            sums[period] = sums.get(period, 0) + used
    return sorted(sums.items(), key=lambda item: item[0].first, reverse=True)


def grant_of(state: State, user: User, feature_id: str) -> PackageFeature | None:
    """Return the user's usable package entry with the highest limit of the feature, or None."""
    best: PackageFeature | None = None
    for subscription in state.subscriptions_by_user.get(user.seq, ()):
        if subscription.status not in _USABLE:
            continue
        entry = state.packages[subscription.package_id].features.get(feature_id)
        if entry is not None and (best is None or _rank(entry) > _rank(best)):
            best = entry
    return best


def _rank(entry: PackageFeature) -> tuple[float, bool]:
    return (float("inf") if entry.limit is None else entry.limit, entry.overage_enabled)


def reset_of(grant: PackageFeature | None) -> str:
    """Return the reset period under a grant, or without one."""
    return _DEFAULT_PERIOD if grant is None else grant.reset_period


def access_to(state: State, user: User, feature: Feature, day: int, delta: int = 1) -> Access:
    """Return whether the user may use ``delta`` more of the feature on the day, and why."""
    grant = grant_of(state, user, feature.id)
    used = used_in(period_of(reset_of(grant), day), state.days(user, feature.id))
    if grant is None:
        reason = f"no active subscription of the user has the feature {feature.id!r}"
        return Access(access=False, reason=reason, used=used, budget=0, overage_enabled=False)
    access, reason = True, "the user's package has the feature"
    if feature.type == "CONSUMABLE" and grant.limit is not None and used + delta > grant.limit:
        access = grant.overage_enabled
        reason = "over the limit, and overage is " + ("enabled" if access else "not enabled")
    return Access(
        access=access,
        reason=reason,
        used=used,
        budget=grant.limit,
        overage_enabled=grant.overage_enabled,
    )


def record(
    state: State, user: User, feature: Feature, day: int, delta: int, *, overwrite: bool = False
) -> str | None:
    """Count usage, or ``overwrite`` that of the current period; returns the reason if refused.

    Refused is only a ``BINARY`` feature that the user has no access to. Raises :class:`KanaError`
    if the period's amount would not fit into the 32 bits of the API's ``Int``, as it could not be
    shown any more.
    """
    grant = grant_of(state, user, feature.id)
    if grant is None and feature.type == "BINARY":
        return f"the user has no access to the feature {feature.id!r}"
    period = period_of(reset_of(grant), day)
    before = used_in(period, state.days(user, feature.id))
    after = delta if overwrite else before + delta
    if not INT_MIN <= after <= INT_MAX:
        raise KanaError(
            f"the usage of {feature.id!r} would become {after}, "
            f"outside the 32-bit range {INT_MIN} to {INT_MAX}"
        )
    days = state.days_to_change(user, feature.id)
    if overwrite:
        for other in [other for other in days if period.first <= other < period.end]:
            del days[other]
        days[day] = delta
    else:
        days[day] = days.get(day, 0) + delta
    return None
