"""Long tables of cases, of which the test command runs a part, and ``tox -e whole`` all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["ALL_CASES", "SHAPES", "each_value", "left_out", "of_shapes"]

each_value: Final = pytest.mark.each_value
"""For a table that combines several parameters, and whose cases take long.

In the test command each value of each parameter has a case, and not each combination.
"""

SHAPES: Final = ("hubspot", "kana", "mixpanel", "slack")
"""Shipped destinations that differ most: steps and OAuth2, GraphQL and code, lists, one by one."""

of_shapes: Final = pytest.mark.of_shapes
"""For a table of the shipped destinations, whose names are those of its cases.

The test command has those of `SHAPES`.
"""

ALL_CASES: Final = bool(os.environ.get("ALL_CASES"))
"""Whether nothing is left out."""


def left_out(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the cases that `each_value` and `of_shapes` leave out of all that are collected."""
    if ALL_CASES:
        return []
    tables: dict[tuple[Path, str], list[Any]] = {}
    found: list[pytest.Item] = []
    for item in items:
        case: Any = item
        if item.get_closest_marker("each_value"):
            tables.setdefault((item.path, item.nodeid.partition("[")[0]), []).append(case)
        if item.get_closest_marker("of_shapes") and case.callspec.id not in SHAPES:
            found.append(item)
    for table in tables.values():
        # One and the same object in all cases that have it, which may have no equality.
        kept = _with_each_value(
            [{(name, id(value)) for name, value in one.callspec.params.items()} for one in table]
        )
        found += [one for number, one in enumerate(table) if number not in kept]
    return found


def _with_each_value(cases: Sequence[set[Any]]) -> set[int]:
    """Return the numbers of few cases that have each value; the first of those that are as good."""
    waiting = set[Any]().union(*cases)
    kept: set[int] = set()
    while waiting:
        best = max(range(len(cases)), key=lambda number: len(cases[number] & waiting))
        kept.add(best)
        waiting -= cases[best]
    return kept
