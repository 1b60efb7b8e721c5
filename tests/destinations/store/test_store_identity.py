"""A copy in the place of a store is not taken for it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from destinations.errors import StoreFullError, UsageError
from destinations.store import SqliteStore
from destinations.store import database as database_module
from destinations.store.migrations import FIRST_WITH_IDENTITY, MIGRATIONS
from destinations.store.store_identity import Identity, IdentityFile, identity_path

Change = Callable[[Path], object]

STARTS = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that was started several times, and is closed; ``copy`` is one of before that."""
    path = tmp_path / "store.sqlite3"
    SqliteStore(path).close()
    shutil.copyfile(path, tmp_path / "copy")
    for _ in range(STARTS - 1):
        with SqliteStore(path) as store:
            store.note({"name": 1})
    return path


def _put_back(path: Path) -> None:
    shutil.copyfile(path.with_name("copy"), path)


def _put_back_of_this_start(path: Path) -> None:
    """A copy that was made while the store was in use, put back before its next start."""
    with SqliteStore(path) as store:
        store.database.vacuum()  # so that all of it is in the one file
        shutil.copyfile(path, path.with_name("copy"))
        store.note({"name": 2})
    _put_back(path)


def _lose_log(path: Path) -> None:
    """What was committed last is in a log that is not put back."""
    with SqliteStore(path) as store:
        store.database.vacuum()
        store.note({"name": 2})
        shutil.copyfile(path, path.with_name("copy"))
    _put_back(path)


def _rewrite(path: Path, **changes: int | str) -> None:
    said = identity_path(path).read_text().split()
    found = dict(zip(("uuid", "starts", "writes"), said, strict=True))
    found["starts"] = f"{int(found['starts']) + int(changes.get('starts', 0)):016d}"
    found["writes"] = f"{int(found['writes']) + int(changes.get('writes', 0)):016d}"
    found["uuid"] = str(changes.get("uuid", found["uuid"]))
    identity_path(path).write_text(f"{found['uuid']} {found['starts']} {found['writes']}\n")


REFUSED: dict[str, tuple[Change, str]] = {
    "a copy": (_put_back, "it was started 1 times, and 3 times in this place"),
    "a copy of this start": (_put_back_of_this_start, "it is older than what was here"),
    "without its log": (_lose_log, "it is older than what was here: 1 commits are missing"),
    "no file": (lambda path: identity_path(path).unlink(), "next to it is missing"),
    "an empty file": (lambda path: identity_path(path).write_bytes(b""), "cannot be read"),
    "half a file": (lambda path: os.truncate(identity_path(path), 40), "cannot be read"),
    "of another store": (lambda path: _rewrite(path, uuid="0" * 32), "that of another store"),
    "two behind": (lambda path: _rewrite(path, starts=-2), "started 3 times, and 1 times in"),
    "one ahead": (lambda path: _rewrite(path, starts=1), "started 3 times, and 4 times in"),
    "more commits": (lambda path: _rewrite(path, writes=1), "1 commits are missing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(path: Path, name: str) -> None:
    """It says what is wrong and both ways out, is not changed, and can still be read."""
    change, why = REFUSED[name]
    change(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(UsageError, match=why) as caught:
            SqliteStore(path)
    message = str(caught.value)
    assert f"destinations store adopt --store {path}" in message
    assert f"destinations store restore {path} --to {path}" in message
    assert message.count("cannot use the store") == 1
    assert path.read_bytes() == before
    with SqliteStore(path, read_only=True) as store:
        assert store.noted("other") is None


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_adopted(path: Path, name: str) -> None:
    """It is the store of its place from then on; what it was before is another one."""
    REFUSED[name][0](path)
    beside = identity_path(path)
    before = beside.read_text() if beside.exists() else ""
    SqliteStore(path, adopt=True).close()
    SqliteStore(path).close()
    SqliteStore(path).close()
    assert beside.read_text()[:32] != before[:32]
    if before.count(" ") == 2:
        beside.write_text(before)
        with pytest.raises(UsageError, match="of another store"):
            SqliteStore(path)


TAKEN: dict[str, Change] = {
    "as it is": lambda _: None,
    "killed between the two": lambda path: _rewrite(path, starts=-1),
    "a power cut": lambda path: _rewrite(path, writes=-1),
    "started over": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken(path: Path, name: str) -> None:
    """A crash leaves the file beside the store behind; whoever removes a store begins anew."""
    TAKEN[name](path)
    for _ in range(2):
        SqliteStore(path).close()


def test_a_store_of_an_earlier_version(tmp_path: Path) -> None:
    """It begins when it is brought forward; put in the place of a later one it is a copy."""
    path = tmp_path / "store.sqlite3"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database_module, "MIGRATIONS", MIGRATIONS[: FIRST_WITH_IDENTITY - 1])
        SqliteStore(path).close()
    assert not identity_path(path).exists()
    old = path.read_bytes()
    SqliteStore(path).close()
    assert IdentityFile(path).read() is not None
    path.write_bytes(old)
    with pytest.raises(UsageError, match="of an earlier version than the file next to it"):
        SqliteStore(path)
    assert path.read_bytes() == old
    SqliteStore(path, adopt=True).close()
    SqliteStore(path).close()


def test_starts_and_commits_are_counted(path: Path) -> None:
    """In the store and beside it; whoever only reads counts nothing."""

    def both() -> tuple[object, object]:
        said = IdentityFile(path).read()
        with closing(sqlite3.connect(path)) as connection:
            row = connection.execute("SELECT uuid, starts, writes FROM identity").fetchone()
        assert said is not None
        return row, (said.uuid, said.starts, said.writes)

    with SqliteStore(path) as one, SqliteStore(path) as other:
        one.note({"name": 1})
        other.note({"name": 2})
        one.note({"name": 3})
    stored, said = both()
    assert stored == said
    assert said[1:] == (STARTS + 2, STARTS - 1 + 3)  # type: ignore[index]
    with SqliteStore(path, read_only=True) as store:
        assert store.noted("name") == 3
    assert both() == (stored, said)


@pytest.mark.parametrize("failing", list(itertools.product([1, 2], repeat=4)))
@pytest.mark.parametrize("is_new", [True, False])
def test_starts_that_fail_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[int, ...], *, is_new: bool
) -> None:
    """Whichever write of the file beside the store fails: the store stays the one of its place."""
    path = tmp_path / "store.sqlite3"
    if not is_new:
        SqliteStore(path).close()
    for nth in failing:
        with monkeypatch.context() as patched:
            patched.setattr(IdentityFile, "write", _fails_at(nth))
            with contextlib.suppress(StoreFullError):
                SqliteStore(path).close()
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        (starts,) = connection.execute("SELECT starts FROM identity").fetchone()
    said = IdentityFile(path).read()
    assert said is not None
    assert said.starts == starts


def _fails_at(nth: int) -> Callable[[IdentityFile, Identity], None]:
    write, calls = IdentityFile.write, itertools.count(1)

    def fail(beside: IdentityFile, identity: Identity) -> None:
        if next(calls) == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(beside, identity)

    return fail


def test_a_file_beside_the_store_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it: an empty one would be that of another store."""
    path = tmp_path / "store.sqlite3"

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", fail)
        with pytest.raises(StoreFullError):
            SqliteStore(path)
    assert {one.name for one in tmp_path.iterdir()} == {path.name, f"{path.name}.lock"}
    SqliteStore(path).close()
