from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from destinations.errors import DestinationsError, TemporaryError, UsageError
from destinations.pages import Html
from destinations.report import check_report_path, write_report
from destinations.report.page import MARK

PAGE = Html(f'<!DOCTYPE html><meta content="{MARK} 1" /><p>new</p>')


@pytest.mark.parametrize("before", [None, "", f"<p>{MARK}</p>"])
def test_what_is_replaced(tmp_path: Path, before: str | None) -> None:
    """Nothing, an empty file and an earlier report make room for a new one."""
    path = tmp_path / "run.html"
    if before is not None:
        path.write_text(before, encoding="utf-8")
    check_report_path(path)
    write_report(path, PAGE)
    assert path.read_text(encoding="utf-8") == PAGE
    assert [one.name for one in tmp_path.iterdir()] == ["run.html"]  # nothing else is left


@pytest.mark.parametrize("text", ["my notes", "x" * 5_000 + MARK])
def test_what_is_not_replaced(tmp_path: Path, text: str) -> None:
    """Any other file stays as it is, unless that is forced."""
    path = tmp_path / "notes.html"
    path.write_text(text, encoding="utf-8")
    message = "it is not a report of a run, and is not replaced; name another file"
    for act in (check_report_path, lambda it: write_report(it, PAGE)):
        with pytest.raises(UsageError, match=message):
            act(path)
    assert path.read_text(encoding="utf-8") == text
    write_report(path, PAGE, force=True)
    assert path.read_text(encoding="utf-8") == PAGE


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [(_folder, "it is a folder; name a file in it"), (_pipe, "expected a file that can be")],
)
def test_what_cannot_be_replaced(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    """Also with force, only a file makes room."""
    path = tmp_path / "run.html"
    make(path)
    with pytest.raises(UsageError, match=message):
        write_report(path, PAGE, force=True)


def test_no_folder(tmp_path: Path) -> None:
    """A folder is not made: its name may be misspelled."""
    path = tmp_path / "missing" / "run.html"
    with pytest.raises(UsageError, match=f"cannot write {path}: there is no folder {path.parent}"):
        check_report_path(path)


def test_no_permission(tmp_path: Path, as_somebody_else: Callable[[], None]) -> None:
    """A folder in which nothing can be made is told before a run begins."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    as_somebody_else()
    with pytest.raises(UsageError, match=f"no permission to write to the folder {folder}"):
        check_report_path(folder / "run.html")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is replaced, with the mode that it had."""
    real = tmp_path / "real.html"
    real.write_text(MARK, encoding="utf-8")
    real.chmod(0o640)
    link = tmp_path / "link.html"
    link.symlink_to(real)
    write_report(link, PAGE)
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == PAGE
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    """It is that of any file that a user makes, and not that of a temporary one."""
    write_report(tmp_path / "run.html", PAGE)
    (tmp_path / "other").touch()
    modes = {one.stat().st_mode for one in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, TemporaryError, "No space left on device; make room for it"),
        (errno.EIO, UsageError, "Input/output error"),
    ],
)
def test_a_write_that_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[DestinationsError],
    message: str,
) -> None:
    """The earlier report stays whole, nothing else is left, and the error says which file."""
    path = tmp_path / "run.html"
    write_report(path, PAGE)

    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(kind, match=f"cannot write {path}: {message}"):
        write_report(path, Html(f"{MARK} another"))
    assert path.read_text(encoding="utf-8") == PAGE
    assert [one.name for one in tmp_path.iterdir()] == ["run.html"]
