from __future__ import annotations

import math
from typing import Any

import pytest

from destinations.segment.validation.kinds import WRONG, converter, describe, is_number

CASES: dict[tuple[str, ...], list[tuple[Any, Any]]] = {
    ("string",): [
        ("x", "x"), (5, "5"), (1.0, "1"), (1e21, "1e+21"), (True, "true"), (None, ""),
        (["x"], "x"), ([5], "5"), ([None], ""), ([], WRONG), (["x", "y"], WRONG), ({}, WRONG),
        ([["x"]], WRONG),
    ],
    ("number",): [
        (1.5, 1.5), ("1.5", 1.5), ("2", 2), (" ", 0), ("0x10", 16), ("1e3", 1000), (True, 1),
        (None, 0), ("", WRONG), ("x", WRONG), (["3"], 3), ([1.5], 1.5), (math.inf, WRONG),
        ("Infinity", math.inf), ({}, WRONG),
    ],
    ("integer",): [
        (3, 3), (3.0, 3), ("3.0", 3), ("1e2", 100), (1.5, WRONG), ("1.5", WRONG), (False, 0),
        (None, 0), ([2.0], 2), ("", WRONG), ("Infinity", math.inf),
    ],
    ("boolean",): [
        (True, True), ("true", True), ("false", False), (1, True), (0, False), (0.0, False),
        (None, False), ("1", WRONG), ("True", WRONG), (2, WRONG), ([True], True), (["true"], True),
        ([], WRONG), ({}, WRONG),
    ],
    ("null",): [(None, None), ("", None), (0, None), (False, None), ("x", WRONG), ([0], None)],
    ("object",): [({}, {}), ([{}], WRONG), ("x", WRONG), (None, WRONG)],
    ("array",): [([], []), ("x", ["x"]), (5, [5]), (False, [False]), (None, [None]), ({}, WRONG)],
    ("string", "number"): [
        ("x", "x"), (5, 5), (True, "true"), (None, ""), ([5], "5"), (["x"], WRONG), (["5"], 5),
    ],
    ("string", "null"): [(None, None), ("", ""), (5, "5"), ([0], "0"), (["x"], WRONG)],
    ("number", "null"): [("", None), ("5", 5), (None, None), ("x", WRONG)],
    ("integer", "null"): [(2.0, 2), ("", None), (1.5, WRONG)],
    ("object", "null"): [({}, {}), ([{}], WRONG), (0, None), ("x", WRONG)],
    ("integer", "number"): [(1.5, 1.5), (2.0, 2.0), ([2.0], 2.0)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("types", "value", "result"),
    [(types, value, result) for types, cases in CASES.items() for value, result in cases],
)
def test_values_are_coerced_as_in_ajv(types: tuple[str, ...], value: Any, result: Any) -> None:
    """Each value comes out as ajv coerces it, in the very type, or is refused."""
    converted = converter(types)(value)
    assert converted == result
    assert type(converted) is type(result)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        ("x", '"x"'),
        (None, "null"),
        ({"a": 1}, "an object"),
        ([], "an array"),
        ("y" * 100, '"' + "y" * 56 + "..."),
        (True, "true"),
        (-7, "-7"),
        (12_345_678_901_234_567_890, "12345678901234567890"),
        (int("12" * 200), "12" * 28 + "1..."),
        (-int("12" * 200), "-" + "12" * 28 + "..."),
        (5.0, "5"),
        (1e300, "1e+300"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
    ],
)
def test_values_are_described_shortly(value: Any, text: str) -> None:
    """Messages show scalars, cut when long, and never the insides of containers."""
    assert describe(value) == text


def test_booleans_are_no_numbers() -> None:
    """True is not 1 for a schema, and infinities are no numbers."""
    assert not any(map(is_number, [True, False]))
    assert not is_number(math.nan)
    assert is_number(10**400)
