"""Files beside a store that belong to it by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.store import SqliteStore, check_not_sidecar, check_store_path

pytestmark = pytest.mark.usefixtures("sandbox_thread")

_ENDS = (
    *("-wal", "-shm", "-journal", ".lock", ".serving", ".identity", ".backed-up"),
    *(".run-1", ".account-12", ".oauth2-7"),
)


@pytest.mark.parametrize("end", _ENDS)
@pytest.mark.parametrize("is_there", [False, True])
def test_what_belongs_to_a_store(tmp_path: Path, end: str, *, is_there: bool) -> None:
    """Nothing else is written there, and it is no store: SQLite would read or delete it."""
    path = tmp_path / "s.sqlite3"
    SqliteStore(path).close()
    beside = tmp_path / f"s.sqlite3{end}"
    if is_there:
        beside.touch()
    for check in (check_not_sidecar, check_store_path):
        with pytest.raises(UsageError, match=f"belongs to the store {path}"):
            check(beside)


@pytest.mark.parametrize("name", ["other-wal", "s.sqlite3.copy", "s.sqlite3.version-3", "-wal"])
def test_what_belongs_to_none(tmp_path: Path, name: str) -> None:
    """Other names are as good as any, and so is one beside what is no database."""
    SqliteStore(tmp_path / "s.sqlite3").close()
    (tmp_path / "other").write_text("text")
    check_not_sidecar(tmp_path / name)
    check_store_path(tmp_path / name)


@pytest.mark.parametrize("end", ["-journal", "-wal", ".lock"])
def test_no_command_writes_there(
    tmp_path: Path, command: Callable[..., Any], write: Callable[[str, Any], Path], end: str
) -> None:
    """Whatever it writes: it ends with 2, and the store can be opened as before."""
    path = tmp_path / "s.sqlite3"
    SqliteStore(path).close()
    beside = f"{path}{end}"
    events = write("e.ndjson", [])
    for given in (
        ("store", "backup", beside, "--store", path),
        ("deliveries", "export", "--output", beside, "--store", path),
        ("run", "kana", "--sandbox", "--events", events, "--undelivered", beside, "--store", path),
        ("run", "kana", "--sandbox", "--events", events, "--store", beside),
    ):
        done = command(*given)
        assert done.code == 2, given
        assert f"belongs to the store {path}" in done.err
    assert command("store", "check", "--store", path).code == 0
