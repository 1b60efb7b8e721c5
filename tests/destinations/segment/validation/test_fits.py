from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.validation.fits import Fit


@pytest.mark.parametrize(
    ("kinds", "value", "holds"),
    [
        ({str}, "a", True),
        ({str}, "", False),
        ({str, int}, "a", True),
        ({str, int}, "", False),
        ({str, int}, 0, True),
        ({int}, 0, True),
    ],
)
def test_empty_text_alone_is_refused(kinds: set[type], value: Any, *, holds: bool) -> None:
    """Of the values that fit, only empty text needs the rules of its field."""
    assert Fit(frozenset(kinds)).without_empty_text().holds(value) is holds
