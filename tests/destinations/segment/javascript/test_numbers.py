from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.segment.javascript.numbers import (
    as_double,
    number_to_string,
    plain_number,
    to_number,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (123456789012345680000, "123456789012345680000"),
        (2**53 + 1, "9007199254740993"),
        (-(2**53) - 1, "-9007199254740993"),
        (float(2**53), "9007199254740992"),
        (12345678901234567890, "12345678901234567890"),
        (12345678901234567890.0, "12345678901234567000"),
        (10**21 + 1, "1000000000000000000001"),
        (1.5e-7, "1.5e-7"),
        (1e-6, "0.000001"),
        (0.1 + 0.2, "0.30000000000000004"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_print_as_in_javascript(number: float, text: str) -> None:
    """Numbers are doubles and print in the layout of ECMA-262."""
    assert number_to_string(number) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        (" \n\u00a0\ufeff", 0),
        (" 1 ", 1),
        ("1.", 1),
        ("+.5", 0.5),
        ("1e3", 1000),
        ("-0", 0),
        ("0x1F", 31),
        ("0b11", 3),
        ("0o17", 15),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("1e400", math.inf),
    ],
)
def test_text_is_read_as_a_number(text: str, number: float) -> None:
    """Text that is one number gives that number, with white space around it."""
    assert to_number(text) == number


@pytest.mark.parametrize(
    "text", [".", "-", "1e", "0x", "-0x1", "1_0", "1,5", "infinity", "NaN", "١", "1 2", "0b2"]
)
def test_other_text_is_not_a_number(text: str) -> None:
    """Anything else is NaN, also what Python itself would read."""
    assert math.isnan(to_number(text))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_numbers_read_back(number: float) -> None:
    """What is printed reads back as the same double."""
    assert to_number(number_to_string(number)) == number


@pytest.mark.parametrize(
    ("number", "plain"), [(2.0, 2), (2.5, 2.5), (1e300, 1e300), (math.inf, math.inf), (3, 3)]
)
def test_whole_doubles_become_integers(number: float, plain: float) -> None:
    """A double that is a safe integer becomes one, others stay what they are."""
    assert plain_number(number) == plain
    assert type(plain_number(number)) is type(plain)


def test_integers_beyond_doubles_are_infinite() -> None:
    """An integer that no double can hold is infinite, as JSON.parse makes it."""
    assert as_double(10**400) == math.inf
