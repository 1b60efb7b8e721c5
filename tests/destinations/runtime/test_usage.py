"""What a delivered event counts for: names, exact amounts and times; nothing stops a delivery."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from destinations.definition import UsageDefinition, UsageQuestion, UsageStep
from destinations.runtime.amounts import Usage, amount_text, sum_amounts
from destinations.runtime.usage import EventUsage

NOW = 1_772_721_000.25
ASK = UsageQuestion((UsageStep("ask", "used"),), {"@path": "$.answer.used"})
EVENT = {"timestamp": "2026-03-05T14:30:00.5Z"}
AT = 1_772_721_000_500


def _usage(payload: dict[str, Any], **keys: Any) -> Usage:
    given = {
        "user": {"@path": "$.payload.user"},
        "feature": {"@path": "$.payload.feature"},
        "amount": {"@path": "$.payload.amount"},
        "at": {"@path": "$.event.timestamp"},
        **keys,
    }
    return EventUsage(UsageDefinition(ask=ASK, **given)).of(EVENT, payload, {"plan": "x"}, NOW)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0, "0"),
        (5, "5"),
        (-3, "-3"),
        (2.5, "2.5"),
        (5.0, "5"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (1e21, "1" + "0" * 21),
        (10**40, "1" + "0" * 40),
        ("12.50", "12.5"),
        (" 7 ", "7"),
        ("-0", "0"),
        ("+1.5e3", "1500"),
        (".5", "0.5"),
        ("100", "100"),
        (None, None),
        (True, None),
        ("", None),
        ("many", None),
        ("1,5", None),
        ("0x10", None),
        ("٣", None),
        ("NaN", None),
        ("Infinity", None),
        (math.inf, None),
        (math.nan, None),
        ([1], None),
        ({"a": 1}, None),
        (1e300, None),
        (10**60, None),
        ("1e9999", None),
        ("1e-61", None),
        ("9" * 200, None),
    ],
)
def test_amounts(given: object, text: str | None) -> None:
    """Amounts are exact decimals in one form; what is no number has none."""
    assert amount_text(given) == text
    assert _usage({"user": "u", "feature": "f", "amount": given}).amount == text


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("u1", "u1"),
        (" u1", " u1"),
        ("日本", "日本"),
        (42, "42"),
        (0, "0"),
        ("", ""),
        ("  ", ""),
        (None, ""),
        (True, ""),
        (1.5, ""),
        (["u1"], ""),
        ("a\0b", ""),
        ("a\ud800b", ""),
        ("u" * 2_000, ""),
        (10**70, ""),
    ],
)
def test_names(given: object, name: str) -> None:
    """A user and a feature are text or a whole number; anything else has no name."""
    found = _usage({"user": given, "feature": given, "amount": 1})
    assert (found.user, found.feature) == (name, name)


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2026-03-05T14:30:00.500Z", AT),
        ("2026-03-05T15:30:00.5+01:00", AT),
        (1_772_721_000, 1_772_721_000_000),
        (AT, AT),
        ("2026-03-05T14:30:59.999Z", AT + 59_499),
        ("2026-03-05T14:30:60.000Z", int(NOW * 1000)),
        ("2026-13-05T14:30:00.000Z", int(NOW * 1000)),
        ("2026-03-05T14:30:00.0x0Z", int(NOW * 1000)),
        ("2026-03-05X14:30:00.000Z", int(NOW * 1000)),
        ("2026-03-05T14:30:00,000Z", AT - 500),
        ("2026-03-05T14:30:٠٠.000Z", int(NOW * 1000)),
        ("yesterday", int(NOW * 1000)),
        (None, int(NOW * 1000)),
        ([], int(NOW * 1000)),
        (math.nan, int(NOW * 1000)),
    ],
)
def test_times(given: object, at: int) -> None:
    """Times are as in conversions; what has none is counted when it was delivered."""
    payload = {"user": "u", "feature": "f", "amount": 1, "at": given}
    assert _usage(payload, at={"@path": "$.payload.at"}).at == at


def test_what_mappings_read() -> None:
    """The event's timestamp, settings and fixed values."""
    found = _usage({"user": "u"}, feature={"@path": "$.settings.plan"}, amount="2.50")
    assert found == Usage("u", "x", AT, "2.5")
    usage = EventUsage(UsageDefinition("u", "f", ASK, {"@path": "$.payload.at"}))
    assert usage.of({}, {}, {}, NOW) == Usage("u", "f", int(NOW * 1000), "1")


def test_a_mapping_that_fails_stops_nothing() -> None:
    """A directive that cannot convert gives no amount and no name."""
    fails = {"@convert": {"value": {"@path": "$.payload.user"}, "to": "integer"}}
    found = _usage({"user": "u", "feature": "f"}, amount=fails, feature=fails, at=fails)
    assert found == Usage("u", "", int(NOW * 1000), None)


def test_sums_are_exact() -> None:
    """Neither binary fractions nor very different amounts lose a digit."""
    total = Decimal(0)
    for text, times in (("0.1", 3), ("1e-59", 10**6), ("9" * 59, 10**9)):
        amount = amount_text(text)
        assert amount is not None
        total = sum_amounts(total, Decimal(amount), times)
    nines = int("9" * 59) * 10**9
    assert total == Decimal(f"{nines}.3" + "0" * 51 + "1")
