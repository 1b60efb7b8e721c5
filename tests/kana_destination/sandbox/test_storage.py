"""The database file: what it accepts, and that it is held by one process."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from destinations.errors import UsageError
from kana_destination.sandbox import Sandbox
from kana_destination.sandbox.storage import Row, Store


def test_documents_come_back_in_the_order_of_their_first_writing(tmp_path: Path) -> None:
    """A document that is written again keeps its place."""
    path = tmp_path / "a.db"
    with closing(Store(path)) as store:
        store.write([Row("user", "1", "{}"), Row("user", "2", "{}"), Row("feature", "1", "[]")])
        store.write([Row("user", "1", '{"a":1}'), Row("user", "3", "{}")])
    with closing(Store(path)) as store:
        assert list(store.load()) == [
            ("user", "1", '{"a":1}'),
            ("user", "2", "{}"),
            ("feature", "1", "[]"),
            ("user", "3", "{}"),
        ]


def test_a_write_is_done_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """A row that cannot be written takes the others with it."""
    with closing(Store(tmp_path / "a.db")) as store:
        with pytest.raises(sqlite3.Error):
            store.write([("user", "1", "{}"), ("user", "2", None)])  # type: ignore[list-item]
        assert list(store.load()) == []


def test_a_file_is_held_by_one_process(tmp_path: Path) -> None:
    """Opening it a second time is wrong usage; once it is closed, it can be opened."""
    path = tmp_path / "a.db"
    with closing(Store(path)), pytest.raises(UsageError, match="locked"):
        Store(path)
    Store(path).close()


@pytest.mark.parametrize("kind", ["text", "other database", "folder", "no folder", "other id"])
def test_files_of_others_are_left_alone(tmp_path: Path, kind: str) -> None:
    """The error names the file, and the file is not changed."""
    path = tmp_path / "a.db"
    if kind == "text":
        path.write_text("a shopping list, long enough to be no empty database\n" * 50)
    elif kind == "folder":
        path.mkdir()
    elif kind == "no folder":
        path = tmp_path / "none" / "a.db"
    else:
        with closing(sqlite3.connect(path)) as other:
            other.execute(
                "CREATE TABLE t (x)" if kind == "other database" else "PRAGMA application_id = 5"
            )
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UsageError, match=r"a\.db: "):
        Store(path)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize(
    "row", [("user", "one", "{}"), ("user", "1", "{"), ("user", "1", "{}"), ("wish", "1", "{}")]
)
def test_a_damaged_file_is_reported(tmp_path: Path, row: tuple[str, str, str]) -> None:
    """The error names the file, and the file is free again."""
    path = tmp_path / "a.db"
    with closing(Store(path)) as store:
        store.write([Row(*row)])
    for _ in range(2):
        with pytest.raises(UsageError, match=r"a\.db: is damaged"):
            Sandbox(db=path)
