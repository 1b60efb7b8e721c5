"""Periods, and what is granted of a feature."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kana_destination.sandbox.models import Feature, Package, PackageFeature, Subscription, User
from kana_destination.sandbox.state import State
from kana_destination.sandbox.usage import (
    grant_of,
    past_periods,
    period_of,
    record,
    used_in,
)

NOW = datetime(2022, 10, 20, tzinfo=UTC)
ANN = User(1, "ann", None, None, None, None, NOW)
CALLS = Feature("calls", "Calls", "CONSUMABLE")


@pytest.mark.parametrize(
    ("reset", "day", "first", "end"),
    [
        ("DAY", "2022-10-20", "2022-10-20", "2022-10-21"),
        ("DAY", "2022-12-31", "2022-12-31", "2023-01-01"),
        ("MONTH", "2022-10-20", "2022-10-01", "2022-11-01"),
        ("MONTH", "2022-12-31", "2022-12-01", "2023-01-01"),
        ("MONTH", "2023-01-31", "2023-01-01", "2023-02-01"),
        ("MONTH", "2024-02-29", "2024-02-01", "2024-03-01"),
        ("YEAR", "2024-02-29", "2024-01-01", "2025-01-01"),
        ("YEAR", "2022-12-31", "2022-01-01", "2023-01-01"),
    ],
)
def test_periods_are_those_of_the_calendar(reset: str, day: str, first: str, end: str) -> None:
    """From the first day up to and without the first day of the next."""
    period = period_of(reset, date.fromisoformat(day).toordinal())
    assert period.start_time == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert period.end_time == datetime.fromisoformat(end).replace(tzinfo=UTC)


@given(
    st.sampled_from(["DAY", "MONTH", "YEAR"]),
    st.dictionaries(st.integers(600_000, 800_000), st.integers(-9, 9)),
    st.integers(600_000, 800_000),
)
def test_periods_part_the_days(reset: str, days: dict[int, int], today: int) -> None:
    """What is used up to the end of the current period is in it or in exactly one past period."""
    current = period_of(reset, today)
    assert current.first <= today < current.end
    past = past_periods(reset, days, today)
    assert used_in(current, days) + sum(used for _, used in past) == sum(
        used for day, used in days.items() if day < current.end
    )
    firsts = [period.first for period, _ in past]
    assert firsts == sorted(set(firsts), reverse=True)


@given(
    st.lists(st.tuples(st.integers(738_000, 738_400), st.integers(-99, 99), st.booleans())),
    st.sampled_from(["DAY", "MONTH", "YEAR"]),
)
def test_record_adds_or_overwrites_the_period(
    entries: Sequence[tuple[int, int, bool]], reset: str
) -> None:
    """The amount of a period is what was set last plus what was added since."""
    state = account([("p", PackageFeature("calls", None, reset, overage_enabled=True))])
    expected: dict[int, int] = {}
    for day, delta, overwrite in entries:
        assert record(state, ANN, CALLS, day, delta, overwrite=overwrite) is None
        first = period_of(reset, day).first
        expected[first] = delta if overwrite else expected.get(first, 0) + delta
    days = state.days(ANN, "calls")
    for first, used in expected.items():
        assert used_in(period_of(reset, first), days) == used


def account(entries: Sequence[tuple[str, PackageFeature]], statuses: Sequence[str] = ()) -> State:
    """Ann with a package for each entry; active where no status is given."""
    state = State()
    state.put_user(ANN)
    state.put_feature(CALLS)
    for index, (package_id, entry) in enumerate(entries):
        package = Package(package_id, "P", index > 0, "PUBLISHED", NOW, {entry.id: entry})
        state.put_package(package)
        status = statuses[index] if index < len(statuses) else "ACTIVE"
        state.add_subscription(Subscription(f"s{index}", 1, package_id, status))
    return state


SMALL = PackageFeature("calls", 5, "DAY", overage_enabled=True)
LARGE = PackageFeature("calls", 9, "MONTH", overage_enabled=False)
ENDLESS = PackageFeature("calls", None, "YEAR", overage_enabled=False)
OTHER = PackageFeature("seats", 99, "YEAR", overage_enabled=False)


@pytest.mark.parametrize(
    ("entries", "statuses", "best"),
    [
        ([], [], None),
        ([OTHER], [], None),
        ([SMALL, LARGE], [], LARGE),
        ([LARGE, SMALL], [], LARGE),
        ([LARGE, ENDLESS, SMALL], [], ENDLESS),
        ([LARGE, OTHER], [], LARGE),
        ([SMALL], ["TRIALING"], SMALL),
        ([SMALL, LARGE], ["ACTIVE", "CANCELLED"], SMALL),
        *(
            ([SMALL], [status], None)
            for status in ("CANCELLED", "PAST_DUE", "UNPAID", "INCOMPLETE", "INCOMPLETE_EXPIRED")
        ),
    ],
)
def test_the_highest_limit_of_usable_packages_counts(
    entries: list[PackageFeature], statuses: list[str], best: PackageFeature | None
) -> None:
    """No limit is the highest; features are usable while active or trialing."""
    state = account([(f"p{index}", entry) for index, entry in enumerate(entries)], statuses)
    assert grant_of(state, ANN, "calls") == best
