"""Of a long table of cases, a part runs each time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import case_tables
from tests.case_tables import SHAPES, each_value, left_out, of_shapes
from tests.shipped import SHIPPED


class _Case:
    """A collected case of a test, with the values of its parameters."""

    path = Path("test_it.py")

    def __init__(
        self, marked: pytest.MarkDecorator | None, values: Mapping[str, Any], test: str = "test_x"
    ) -> None:
        name = "-".join(map(str, values.values()))
        self.nodeid = f"{test}[{name}]"
        self.callspec = SimpleNamespace(id=name, params=values)
        self._mark = None if marked is None else marked.mark

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self._mark if self._mark is not None and self._mark.name == name else None


def _left_out(*cases: Any) -> set[str]:
    return {one.nodeid for one in left_out(cases)}


@pytest.fixture(autouse=True)
def some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave some out, whatever is asked for outside."""
    monkeypatch.setattr(case_tables, "ALL_CASES", False)


def _combined(marked: pytest.MarkDecorator | None, test: str = "test_x") -> list[_Case]:
    return [
        _Case(marked, {"one": one, "two": two}, test)
        for one, two in itertools.product("abcd", (10, 20, 30))
    ]


def test_each_value_stays() -> None:
    """As many cases stay as the longest parameter has values, and each value is in one."""
    cases = _combined(each_value)
    gone = _left_out(*cases)
    kept = [one for one in cases if one.nodeid not in gone]
    assert len(kept) == 4
    assert {one.callspec.params["one"] for one in kept} == set("abcd")
    assert {one.callspec.params["two"] for one in kept} == {10, 20, 30}


def test_each_test_has_its_own_table() -> None:
    """The cases of one test are not those of another; without a mark all stay."""
    tables = [_combined(each_value), _combined(each_value, "test_y"), _combined(None, "test_z")]
    gone = _left_out(*itertools.chain(*tables))
    assert [sum(one.nodeid not in gone for one in table) for table in tables] == [4, 4, 12]


def test_one_parameter_stays_whole() -> None:
    """There is nothing to leave out of a list of cases."""
    assert _left_out(*(_Case(each_value, {"one": one}) for one in "abcd")) == set()


def test_destinations_of_each_shape() -> None:
    """Those that are named stay; each of them is shipped."""
    assert set(SHAPES) <= set(SHIPPED)
    cases = [_Case(of_shapes, {"slug": slug}) for slug in SHIPPED]
    assert _left_out(*cases) == {one.nodeid for one in cases} - {f"test_x[{one}]" for one in SHAPES}


def test_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left out where all are asked for."""
    monkeypatch.setattr(case_tables, "ALL_CASES", True)
    assert _left_out(*_combined(each_value), _Case(of_shapes, {"slug": "braze"})) == set()
