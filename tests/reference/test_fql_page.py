from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from destinations.segment.event import EVENT_TYPES
from destinations.segment.fql import check_fql, compile_fql, parser
from making.fql import TABLES, event_of, fql_pages, read_fql

EXAMPLES = read_fql()["examples"]
(PAGE,) = fql_pages()


@pytest.mark.parametrize("one", EXAMPLES, ids=[one["fql"] for one in EXAMPLES])
def test_an_example(one: Mapping[str, Any]) -> None:
    """It fits the events that its page says, and is refused with this message if it is not FQL."""
    assert [issue.message for issue in check_fql(one["fql"])] == (
        [one["refused"]] if "refused" in one else []
    )
    matches = compile_fql(one["fql"]).matches
    assert all(map(matches, one.get("matches", ())))
    assert not any(map(matches, one.get("others", ())))
    assert one.keys() & {"matches", "others", "refused"}


def test_tables_ask_what_fql_can_say() -> None:
    """Each condition of a table is FQL; every operator and function of the language is there."""
    conditions = [condition for grid in TABLES for condition in grid.conditions]
    assert [issue for one in conditions for issue in check_fql(one)] == []
    operators = {one.split()[1] for one in conditions if "(" not in one}
    functions = {one.partition("(")[0] for one in conditions if "(" in one}
    assert operators == set(parser._COMPARISONS)
    assert functions >= {*parser._FUNCTIONS, *(f"!{name}" for name in parser._FUNCTIONS)}


@pytest.mark.parametrize("grid", TABLES, ids=[grid.title for grid in TABLES])
def test_a_table_says_what_is_evaluated(grid: Any) -> None:
    """Its cells on the page are the results, and neither all yes nor all no in any column."""
    text = PAGE.text.partition(f"### {grid.title}\n")[2].partition("\n#")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")][-len(grid.conditions) :]
        for line in text.splitlines()
        if line.startswith("|")
    ][2:]
    columns = list(zip(*cells, strict=True))
    for condition, column in zip(grid.conditions, columns, strict=True):
        matches = compile_fql(condition).matches
        results = [matches(event_of(grid.field, value)) for value in grid.values]
        assert column == tuple("yes" if held else "no" for held in results)
    assert {cell for column in columns for cell in column} == {"yes", "no"}


def test_fields_and_types_of_the_page() -> None:
    """The page names each field and type of event, and each field can be asked for."""
    for field in parser._PLAIN_FIELDS:
        assert f"| `{field}` |" in PAGE.text
        assert check_fql(f'{field} = "track"') == []
    for field in parser._NESTED_FIELDS:
        assert f"| `{field}.NAME` |" in PAGE.text
        assert check_fql(f"{field}.a.b = 1") == []
    for kind in EVENT_TYPES:
        assert f"`{kind}`" in PAGE.text


def test_limits_of_the_page() -> None:
    """Text of as many characters as the page says is read, longer text is not."""
    assert "at most 200,000 characters, and one word or text fewer than 100,000" in PAGE.text
    short = 'event = "A"'
    assert check_fql(short.ljust(200_000)) == []
    assert check_fql(short.ljust(200_001)) != []
    assert check_fql(f'event = "{"a" * 99_998}"') == []
    assert check_fql(f'event = "{"a" * 100_000}"') != []


def test_dots_are_no_part_of_a_name() -> None:
    """A backslash before a dot does not make it one, and items of lists are not reached."""
    assert not compile_fql(r"properties.a\.b = 1").matches({"properties": {"a.b": 1}})
    assert compile_fql(r"properties.a\.b = 1").matches({"properties": {"a": {"b": 1}}})
    assert check_fql("properties.list[0] = 1") != []
