"""Statements and values on their way to PostgreSQL and back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from destinations.postgres.connecting import connect
from destinations.postgres.dialect import PostgresConnection, translated
from destinations.store.bulk import with_rows
from destinations.store.digests import packed_id, packed_value, unpacked_id
from tests.example_counts import examples
from tests.postgres_server import new_store_address

CASES = {
    "values are counted": ("SELECT ?, ? WHERE a = ?", "SELECT $1, $2 WHERE a = $3"),
    "values that have numbers": (
        "SELECT ?1 WHERE a = ?1 OR b = ?2",
        "SELECT $1 WHERE a = $1 OR b = $2",
    ),
    "a mark in a text": ("SELECT '?', 'it''s ?', ?", "SELECT '?', 'it''s ?', $1"),
    "a mark in a name": ('SELECT "a?" FROM t WHERE x = ?', 'SELECT "a?" FROM t WHERE x = $1'),
    "a mark in a comment": ("SELECT 1 -- why?\n, ?", "SELECT 1 -- why?\n, $1"),
    "user is a column": (
        "SELECT user FROM open WHERE user = ? AND one.user <> 'user'",
        'SELECT "user" FROM open WHERE "user" = $1 AND one."user" <> \'user\'',
    ),
    "what only contains it": (
        "SELECT users, user_id, superuser",
        "SELECT users, user_id, superuser",
    ),
    "bytes": ("VALUES (x'00ff', x'')", r"VALUES ('\x00ff'::bytea, '\x'::bytea)"),
    "no bytes": ("SELECT max'00'", "SELECT max'00'"),
    "length in bytes": (
        "SELECT length(CAST(reason AS BLOB)), length(raw)",
        "SELECT octet_length(reason), length(raw)",
    ),
    "a type": ("SELECT CAST(? AS BLOB)", "SELECT CAST($1 AS bytea)"),
    "the order of tables": (
        "FROM a CROSS JOIN b AS c ON c.x = a.x CROSS JOIN d",
        "FROM a JOIN b AS c ON c.x = a.x CROSS JOIN d",
    ),
    "a long key": (
        "INSERT INTO balances VALUES (?) ON CONFLICT (scope, key) DO NOTHING",
        "INSERT INTO balances VALUES ($1) ON CONFLICT (scope, md5(key)) DO NOTHING",
    ),
    "some of many ids": (
        "DELETE FROM t WHERE scope = ? AND id IN (SELECT value FROM json_each(?))",
        "DELETE FROM t WHERE scope = $1 AND id = ANY (translate($2::text, '[]', '{}')::bigint[])",
    ),
    "values of another table": (
        "id IN (SELECT value FROM intents, json_each(intents.deliveries))",
        "id IN (SELECT value FROM intents, json_each(intents.deliveries))",
    ),
    "another key": ("ON CONFLICT (scope, code) DO NOTHING", "ON CONFLICT (scope, code) DO NOTHING"),
}


@pytest.mark.parametrize(("statement", "expected"), CASES.values(), ids=CASES)
def test_statements(statement: str, expected: str) -> None:
    """What PostgreSQL does not know is written as it knows it; texts, names, comments stay."""
    assert translated(statement) == expected


@pytest.fixture(scope="module")
def connection() -> Iterator[PostgresConnection]:
    """A connection to an empty store."""
    made = connect(new_store_address(), role="test")
    yield made
    made.raw.close()


ids = st.text(max_size=40)
texts = st.text(
    st.one_of(
        st.sampled_from("\0\U0010fffe01"),
        st.sampled_from("aé😀'\"\\"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)
ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False)
rows = st.lists(
    st.tuples(
        *(st.none() | values for values in (ints, texts, st.binary(max_size=40), floats)),
    ),
    min_size=1,
    max_size=300,
)


@given(rows=rows)
@example(rows=[(0, "\U0010fffe0\0\U0010fffe1", b"\0", 0.0)])
@settings(max_examples=examples(20), deadline=None)
def test_many_rows(connection: PostgresConnection, rows: list[tuple[object, ...]]) -> None:
    """They come back as they were, in their order, whatever is in them."""
    statement = """
        WITH one (number, user, raw, asked_at) AS (VALUES {rows})
        SELECT number, user, raw, asked_at FROM one
    """
    assert with_rows(connection, statement, rows) == rows


@given(values=st.tuples(ints, texts, st.binary(max_size=40)))
@settings(max_examples=examples(20), deadline=None)
def test_single_values(connection: PostgresConnection, values: tuple[object, ...]) -> None:
    """They come back as they were."""
    found = connection.execute("SELECT ?1, ?2, ?3, ?2 = ?2", values).fetchone()
    assert found == (*values, 1)


@given(ids=st.lists(st.one_of(texts, st.uuids().map(str), st.text()), min_size=1, max_size=20))
@settings(max_examples=examples(20), deadline=None)
def test_packed_ids(connection: PostgresConnection, ids: list[str]) -> None:
    """They come back from rows as they were, halves of pairs included, and are found again."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS kept_ids (user bytea, message_id bytea)")
    connection.execute("DELETE FROM kept_ids")
    # The columns of this table are those whose ids are packed.
    statement = (
        "WITH kept (user, message_id) AS (VALUES {rows}) INSERT INTO kept_ids SELECT * FROM kept"
    )
    with_rows(connection, statement, [(packed_id(one), packed_id(one)) for one in ids])
    found = connection.execute("SELECT user, message_id FROM kept_ids").fetchall()
    assert [unpacked_id(one) for one, _ in found] == ids
    assert [unpacked_id(one) for _, one in found] == ids
    for one in ids:
        query = "SELECT count(*) FROM kept_ids WHERE user = ?"
        assert connection.execute(query, (packed_value(one),)).fetchone() == (ids.count(one),)


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
def test_what_is_no_text(connection: PostgresConnection, text: str) -> None:
    """Half a pair is refused, as SQLite refuses it, and the connection goes on."""
    with pytest.raises(UnicodeEncodeError):
        connection.execute("SELECT ?", (text,))
    with pytest.raises(UnicodeEncodeError):
        with_rows(connection, "WITH one (user) AS (VALUES {rows}) SELECT user FROM one", [(text,)])
    assert connection.execute("SELECT ?", ("x",)).fetchone() == ("x",)


JSON = {
    "a place in an array": ('["a", null, 3]', "$[0]", "a"),
    "nothing there": ('["a"]', "$[3]", None),
    "null": ('["a", null]', "$[1]", None),
    "a number": ('{"a": 3}', "$.a", "3"),
    "the character 0": ('["x\\u0000y", "\\u0000"]', "$[0]", "x\0y"),
    "what stands for it": ('["\\udbff\\udffe0"]', "$[0]", "\U0010fffe0"),
    "a pair": ('["\\ud83d\\ude00", 1]', "$[0]", "😀"),
    "what looks like it": ('["\\\\u0000"]', "$[0]", "\\u0000"),
    "half a pair elsewhere": ('["a", "\\ud83d", "\\ude00"]', "$[0]", "a"),
    "a text that is no JSON": ("0a1b2c", "$[0]", None),
}


@pytest.mark.parametrize(("text", "place", "found"), JSON.values(), ids=JSON)
def test_json(connection: PostgresConnection, text: str, place: str, found: str | None) -> None:
    """What SQLite's function finds is found, whatever PostgreSQL cannot keep."""
    assert connection.execute("SELECT json_extract(?, ?)", (text, place)).fetchone() == (found,)


@given(values=st.lists(texts, max_size=20))
@settings(max_examples=examples(20), deadline=None)
def test_json_arrays(connection: PostgresConnection, values: list[str]) -> None:
    """Texts in a JSON array are those that columns have, however they are escaped."""
    for is_ascii in (True, False):
        text = json.dumps(values, ensure_ascii=is_ascii)
        rows = connection.execute("SELECT atom FROM json_each(?)", (text,)).fetchall()
        assert [one for (one,) in rows] == values
        query = "SELECT count(*) FROM json_each(?) WHERE atom = ?"
        for value in values[:3]:
            found = connection.execute(query, (text, value)).fetchone()
            assert found == (values.count(value),)
