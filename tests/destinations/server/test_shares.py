"""Shares of what is limited: no destination takes those of the others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.server.shares import Shares


def _fill(shares: Shares, name: str, names: Sequence[str], amount: int = 1) -> int:
    """Take as often as there is something; return how often."""
    number = 0
    while shares.take(name, amount, names):
        number += 1
    return number


@pytest.mark.parametrize(
    ("total", "least", "names", "first", "others"),
    [
        (500, 1, "a", 500, []),
        (500, 1, "ab", 375, [125]),
        (500, 1, "abc", 334, [83, 83]),
        (1, 1, "ab", 1, [0]),
        (2, 1, "ab", 1, [1]),
        (3, 1, "ab", 2, [1]),
        (100, 40, "ab", 60, [40]),
        (100, 40, "abc", 34, [33, 33]),
    ],
)
def test_what_is_left_for_others(
    total: int, least: int, names: str, first: int, others: list[int]
) -> None:
    """Whoever comes first has all but the shares of the others, which those have at any time."""
    shares = Shares(total, least)
    assert _fill(shares, "a", names) == first
    assert [_fill(shares, name, names) for name in names[1:]] == others


def test_what_is_given_back() -> None:
    """It can be taken again, by whoever comes first."""
    shares = Shares(8)
    assert _fill(shares, "a", "ab") == 6
    assert _fill(shares, "b", "ab") == 2
    shares.give_back("a", 1)
    assert _fill(shares, "b", "ab") == 1
    shares.give_back("b", 3)
    assert _fill(shares, "a", "ab") == 1


def test_what_was_taken_for_one_that_was_removed() -> None:
    """It has no share any more; each of the others still has its own."""
    shares = Shares(8)
    assert _fill(shares, "c", "abc") == 6
    assert _fill(shares, "a", "ab") == 2
    assert _fill(shares, "b", "ab") == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50), st.booleans()), max_size=60))
def test_never_more_than_there_is(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is taken and given back, it is at most all; and a share is always there."""
    shares = Shares(120)
    taken = dict.fromkeys("abc", 0)
    for name, amount, gives in steps:
        if gives and taken[name]:
            shares.give_back(name, taken[name])
            taken[name] = 0
        is_taken = shares.take(name, amount, "abc")
        assert is_taken or taken[name] + amount > 20
        taken[name] += amount if is_taken else 0
        assert sum(taken.values()) <= 120
