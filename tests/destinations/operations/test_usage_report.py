"""When our sum and the partner's are the same."""

from __future__ import annotations

from decimal import Decimal

import pytest

from destinations.operations.usage import UsageReport

CASES: dict[str, tuple[str, str | None, str]] = {
    "equal": ("12", "12", "equal"),
    "equal, written in another way": ("12.50", "12.5", "equal"),
    "one less": ("12", "11", "differs"),
    "unknown": ("12", None, "unknown"),
    "0.1 and 0.2 in binary": ("0.3", "0.30000000000000004", "equal"),
    "thirty times 0.1 in binary": ("3", "2.9999999999999996", "equal"),
    "a fraction less": ("0.3", "0.2", "differs"),
    "one of a million small ones less": ("1000.001", "1000", "differs"),
    "whole numbers, however large": ("1000000000000001", "1000000000000000", "differs"),
    "a negative sum": ("-0.3", "-0.30000000000000004", "equal"),
    "nothing at the partner": ("0.0000000000000001", "0", "differs"),
}


@pytest.mark.parametrize(("ours", "partner", "result"), CASES.values(), ids=CASES)
def test_same(ours: str, partner: str | None, result: str) -> None:
    """Binary fractions are no difference; a lost event is one, however small."""
    found = UsageReport(
        "user", "feature", Decimal(ours), None if partner is None else Decimal(partner)
    )
    assert found.result == result
