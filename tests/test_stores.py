"""Of a table of cases, one of each kind runs with a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import stores
from tests.stores import few_in_postgres, left_out


class _Case:
    """A collected case of a test."""

    path = Path("test_it.py")

    def __init__(self, name: str, marked: pytest.MarkDecorator | None = None) -> None:
        self.name = name
        self._mark = None if marked is None else marked.mark

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        assert name == "few_in_postgres"
        return self._mark


def _left_out(*cases: Any) -> list[str]:
    return [one.name for one in left_out(cases)]


@pytest.fixture(autouse=True)
def some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave some out, whatever is asked for outside."""
    monkeypatch.setattr(stores, "_ALL_IN_POSTGRES", False)


@pytest.mark.parametrize(
    ("kinds", "left"),
    [((), ["b", "c"]), (("b",), ["a", "c"]), (("a", "c"), ["b"]), (("a", "b", "c"), [])],
)
def test_one_of_each_kind_stays(kinds: tuple[str, ...], left: list[str]) -> None:
    """All cases stay with a file; with a database the first one, or those that are named."""
    marked = few_in_postgres(*kinds)
    cases = [_Case(f"test_x[{kind}-{one}]", marked) for kind in stores.KINDS for one in "abc"]
    assert _left_out(*cases) == [f"test_x[postgres-{one}]" for one in left]


def test_others_are_left_alone() -> None:
    """What has no mark, and what is no case of a database."""
    cases = [_Case(f"test_x[postgres-{one}]") for one in "ab"]
    assert _left_out(*cases, _Case("test_y", few_in_postgres), _Case("test_y[x]")) == []


def test_each_test_has_its_own_cases() -> None:
    """The first of one test is not that of another."""
    cases = [
        _Case(f"{name}[{one}-postgres]", few_in_postgres)
        for name in ("test_x", "test_y")
        for one in "ab"
    ]
    assert _left_out(*cases) == ["test_x[b-postgres]", "test_y[b-postgres]"]


def test_a_name_that_nothing_has() -> None:
    """It is told, for else a case that was renamed would be missing from then on."""
    with pytest.raises(AssertionError, match=r"no cases .* names: .*'other'"):
        left_out([_case("test_x[postgres-a]", few_in_postgres("a", "other"))])


def test_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left out where all are asked for."""
    monkeypatch.setattr(stores, "_ALL_IN_POSTGRES", True)
    cases = [_Case(f"test_x[postgres-{one}]", few_in_postgres) for one in "ab"]
    assert _left_out(*cases) == []


def _case(name: str, marked: pytest.MarkDecorator) -> Any:
    return _Case(name, marked)
