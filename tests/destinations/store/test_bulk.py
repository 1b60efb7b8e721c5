"""Many rows with one statement."""

from __future__ import annotations

import sqlite3

import pytest

from destinations.store.bulk import with_rows


@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 65, 300])
def test_all_rows_once(count: int) -> None:
    """However many there are, each is written once, and what a query finds comes in order."""
    rows = [(number, f"text {number}") for number in range(count)]
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (number INTEGER, text TEXT)")
        assert with_rows(connection, "INSERT INTO t VALUES {rows}", rows) == []
        found = connection.execute("SELECT number, text FROM t ORDER BY number").fetchall()
        assert found == rows
        query = "WITH one (n) AS (VALUES {rows}) SELECT text FROM one JOIN t ON number = n"
        texts = with_rows(connection, query, [(number,) for number, _ in rows])
        assert sorted(texts) == sorted((text,) for _, text in rows)
    connection.close()
