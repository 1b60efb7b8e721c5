from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from destinations.store import SqliteDatabase, is_missing, make_folder


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """New files are readable for everybody, unless somebody sees to it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_new_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The file, its log, its lock and the folders that are made for it; others stay as they are."""
    path = tmp_path / "some" / "folder" / "store.sqlite3"
    before = _mode(tmp_path)
    database = SqliteDatabase(path)
    with database.transaction() as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    files = {one.name: _mode(one) for one in path.parent.iterdir()}
    database.close()
    ends = ("", "-wal", "-shm", ".lock", ".identity")
    assert files == {f"store.sqlite3{end}": 0o600 for end in ends}
    assert (_mode(path.parent), _mode(path.parent.parent)) == (0o700, 0o700)
    assert _mode(tmp_path) == before


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever lets a group read a store has done so on purpose."""
    path = tmp_path / "store.sqlite3"
    SqliteDatabase(path).close()
    path.chmod(0o640)
    database = SqliteDatabase(path)
    with database.transaction() as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    assert _mode(path) == 0o640
    assert _mode(tmp_path / "store.sqlite3-wal") == 0o640
    database.close()


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """It is left alone, and nothing is made."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file" / "folder")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"


def test_what_is_missing(tmp_path: Path) -> None:
    """A folder is there; what is in a file is not."""
    (tmp_path / "file").touch()
    paths = (tmp_path / "file", tmp_path, tmp_path / "no", tmp_path / "file" / "no")
    assert [is_missing(path) for path in paths] == [False, False, True, True]
