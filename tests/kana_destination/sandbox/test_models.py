"""Models and their form as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from kana_destination.sandbox.models import (
    Feature,
    Package,
    PackageFeature,
    Subscription,
    User,
    iso,
    parse_iso,
)

MOMENT = datetime(2022, 10, 1, 2, 3, 4, 567000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2022-10-01T02:03:04.567Z", MOMENT),
        ("2022-10-01T02:03:04.567", MOMENT),
        ("2022-10-01T04:03:04.567+02:00", MOMENT),
        ("2022-10-01", datetime(2022, 10, 1, tzinfo=UTC)),
    ],
)
def test_moments_are_read_in_utc(text: str, moment: datetime) -> None:
    """A moment without an offset is one in UTC."""
    assert parse_iso(text) == moment
    assert parse_iso(text).utcoffset() == timedelta()


def test_moments_are_written_as_javascript_writes_them() -> None:
    """In UTC, with milliseconds and Z, whatever the offset was."""
    assert iso(MOMENT.astimezone(timezone(timedelta(hours=-7)))) == "2022-10-01T02:03:04.567Z"
    assert iso(datetime(2022, 10, 1, tzinfo=UTC)) == "2022-10-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("model", "again"),
    [
        (
            User(3, "a", "b", "n", "e", {"x": [1]}, MOMENT),
            lambda doc: User.from_json(3, doc),
        ),
        (User(4, "a", None, None, None, None, MOMENT), lambda doc: User.from_json(4, doc)),
        (Feature("f", "F", "BINARY", "u", "us", [1]), Feature.from_json),
        (PackageFeature("f", None, "DAY", overage_enabled=True), PackageFeature.from_json),
        (
            Package(
                "p",
                "P",
                is_addon=True,
                status="DRAFT",
                updated_at=MOMENT,
                features={"f": PackageFeature("f", 3, "YEAR", overage_enabled=False)},
                prices=[1],
                metadata={},
            ),
            Package.from_json,
        ),
        (Subscription("s", 3, "p", "UNPAID"), Subscription.from_json),
    ],
)
def test_models_come_back_from_their_json(model: Any, again: Any) -> None:
    """Nothing is lost on the way to the file and back."""
    assert again(model.to_json()) == model
