"""The page on FQL: its text and examples are in fql.yaml, its tables are made by evaluating it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from destinations.segment.fql import compile_fql, parser
from making.page import Page, table

__all__ = ["TABLES", "ValueTable", "event_of", "fql_pages", "read_fql"]

_SOURCE: Final = Path(__file__).parent / "fql.yaml"
_MISSING: Final = object()


class ValueTable(NamedTuple):
    """Conditions on one field, and the values for which each is evaluated."""

    title: str
    field: str
    conditions: Sequence[str]
    values: Sequence[Any]
    text: str = ""


TABLES: Final = (
    ValueTable(
        "Text",
        "properties.x",
        ('properties.x = "5"', 'properties.x != "5"'),
        (_MISSING, None, "", "5", "5.0", 5, True, False, ["5"], {"a": "5"}),
    ),
    ValueTable(
        "Numbers",
        "properties.x",
        tuple(f"properties.x {operator} 5" for operator in ("=", "!=", "<", "<=", ">", ">=")),
        (_MISSING, None, "", "5", "six", 0, 5, 5.5, True, False, [5], {"a": 5}),
        "Only numbers hold, also with `!=`. `5` and `5.0` are the same. After an ordering the"
        ' number may stand in quotes: `properties.x > "5"` means the same.',
    ),
    ValueTable(
        "true and false",
        "properties.x",
        tuple(f"properties.x {each}" for each in ("= true", "= false", "!= true", "!= false")),
        (_MISSING, None, "", "true", "false", 0, 1, True, False, [True], {"a": True}),
        "`!=` compares with the text `true` or `false`, so it does not exclude what `=` holds for."
        " Write `properties.x = false` instead of `properties.x != true`.",
    ),
    ValueTable(
        "null",
        "properties.x",
        ("properties.x = null", "properties.x != null"),
        (_MISSING, None, "", "null", 0, False, [], {}),
        "They ask whether a value is there.",
    ),
    ValueTable(
        "contains and match",
        "properties.x",
        (
            'contains(properties.x, "5")',
            '!contains(properties.x, "5")',
            'match(properties.x, "5*")',
            '!match(properties.x, "5*")',
            'match(properties.x, "*5")',
        ),
        (_MISSING, None, "", "5", "15", "six", 5, True, False, ["5"], {"a": "5"}),
        "Only text holds, also after `!`.",
    ),
    ValueTable(
        "userId and name",
        "userId",
        ('userId = "5"', "userId = 5", "userId != 5", "userId = null", "userId != null"),
        (_MISSING, None, "", "5", "null", 5, True),
        "These two compare with text only: `5` is the text `5`. The same holds for `name`.",
    ),
    ValueTable(
        "type and event",
        "event",
        ('event = "A"', 'event != "A"', "event = null", "event != null"),
        (_MISSING, None, "", "A", "null"),
        "`null` is the text `null` here: `event != null` holds for a call without a name, too.",
    ),
)


def read_fql() -> Mapping[str, Any]:
    """Return the text of the page, and its examples."""
    found: Mapping[str, Any] = yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))
    return found


def event_of(field: str, value: Any) -> dict[str, Any]:
    """Return an event whose field has this value of a table, or lacks it."""
    head, _, name = field.partition(".")
    members = {} if value is _MISSING else {name or head: value}
    return {head: members} if name else members


def fql_pages() -> Iterator[Page]:
    """Yield the page."""
    said = read_fql()
    tables = "\n\n".join(map(_value_table, TABLES))
    text = said["text"].format(grammar=_grammar(), tables=tables)
    yield Page(
        "fql.md",
        "fql",
        "The language of subscriptions: fields, operators, and what each means for each value.",
        "\n\n".join([text.strip(), *map(_example, said["examples"])]),
        "docs/making/fql.yaml",
        ("subscription language", "subscribe", "subscription", "filter"),
    )


def _grammar() -> str:
    """Return the grammar as the parser states it."""
    doc = parser.__doc__ or ""
    _, _, rest = doc.partition("grammar only::\n\n")
    grammar, found, _ = rest.partition("\n\nThe reference")
    if not found:
        raise LookupError("the parser's docstring has no grammar")
    return textwrap.dedent(grammar).strip()


def _value_table(one: ValueTable) -> str:
    """Return a table whose cells say whether a condition holds for a value."""
    matchers = [compile_fql(condition).matches for condition in one.conditions]
    rows = [
        (_shown(value), *(_yes(matches(event_of(one.field, value))) for matches in matchers))
        for value in one.values
    ]
    head = ("value", *(f"`{_short(condition, one.field)}`" for condition in one.conditions))
    return "\n\n".join(filter(None, [f"### {one.title}", one.text, table(head, rows)]))


def _yes(held: bool) -> str:  # noqa: FBT001 - the cell is the boolean
    return "yes" if held else "no"


def _short(condition: str, field: str) -> str:
    """Return a condition for the head of a column, where the name of a property says nothing."""
    return condition.replace("properties.x", "x") if field == "properties.x" else condition


def _shown(value: Any) -> str:
    return "missing" if value is _MISSING else json.dumps(value)


def _example(one: Mapping[str, Any]) -> str:
    lines = [f"**{one['what']}**", f"```text\n{one['fql']}\n```"]
    if "refused" in one:
        lines.append(f"Is not FQL: `{one['refused']}`")
    rows = [
        (fits, f"`{json.dumps(event)}`")
        for fits, key in (("yes", "matches"), ("no", "others"))
        for event in one.get(key, ())
    ]
    return "\n\n".join([*lines, table(("fits", "event"), rows)] if rows else lines)
