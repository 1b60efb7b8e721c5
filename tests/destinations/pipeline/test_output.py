"""Files of lines: whole lines, and the name of the file in every error."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.pipeline.output import OutputFile, naming, written_file

resource = pytest.importorskip("resource", reason="has no limits for files")


@contextlib.contextmanager
def _limit(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size``, as if the disk were full then."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


@pytest.mark.parametrize("limit", [0, 5, 10, 11, 25])
def test_a_file_holds_whole_lines(tmp_path: Path, limit: int) -> None:
    """What does not fit is not written in part, and nothing comes after it."""
    path = tmp_path / "out"
    with OutputFile(path, "") as file, _limit(limit):
        for _ in range(limit // 10):
            file.write(b"123456789\n")
        for line in (b"123456789\n", b"1\n"):
            with pytest.raises(TemporaryError, match=r"cannot write .*out: File too large; make "):
                file.write(line)
        assert file.holds_lines == (limit >= 10)
    assert path.read_bytes() == b"123456789\n" * (limit // 10)


@pytest.mark.parametrize("made_before", [False, True])
def test_nothing_is_left_of_what_failed(tmp_path: Path, *, made_before: bool) -> None:
    """A file that was made is removed, an empty one is empty again: the command may be repeated."""
    path = tmp_path / "out"
    if made_before:
        path.touch()

    def write() -> None:
        with written_file(path, "") as file:
            file.write(b"a line\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.exists() == made_before
    assert not made_before or path.read_bytes() == b""


def test_a_write_that_is_not_whole_goes_on(tmp_path: Path) -> None:
    """A pipe takes as much as it has room for; the rest follows."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    with written_file(path, "") as file:
        assert file.write(b"x" * 1_000_000) == 1_000_000
    reader.join()
    assert found == [b"x" * 1_000_000]
    assert path.exists()


def test_a_file_that_fails_when_it_is_closed(tmp_path: Path) -> None:
    """Some file systems tell only then that there is no room."""
    file = OutputFile(tmp_path / "out", "")
    os.close(file.fileno())
    with pytest.raises(TemporaryError, match=r"cannot write .*out: Bad file descriptor"):
        file.close()
    assert file.failure is not None


def _socket(path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as opened:
        opened.bind(str(path))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "it is a folder; name a file in it"),
    "a file": (lambda path: path.write_text("x"), "it exists and is not empty; move it away"),
    "a socket": (_socket, "expected a file, a pipe or a device such as /dev/null"),
    "in no folder": (lambda path: path.symlink_to("no/file"), "No such file or directory"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_to(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    """It is named with what it is, and stays as it is."""
    path = tmp_path / "out"
    make(path)
    before = path.lstat()
    with pytest.raises(UsageError) as caught:
        OutputFile(path, "move it away")
    assert not isinstance(caught.value, TemporaryError)
    assert str(caught.value) == f"cannot write {path}: {message}"
    assert path.lstat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("limit", [11, 25])
def test_more_is_added(tmp_path: Path, limit: int) -> None:
    """What was there stays, also when there is no room."""
    path = tmp_path / "out"
    path.write_bytes(b"what is there\n")
    with OutputFile(path, append=True) as file, _limit(14 + limit):
        assert file.holds_lines
        for _ in range(limit // 10):
            file.write(b"123456789\n")
        with pytest.raises(TemporaryError, match="File too large"):
            file.write(b"123456789\n")
    assert path.read_bytes() == b"what is there\n" + b"123456789\n" * (limit // 10)


def test_a_link_to_a_new_file(tmp_path: Path) -> None:
    """It is made where the link says."""
    (tmp_path / "link").symlink_to("target")
    with written_file(tmp_path / "link", "") as file:
        file.write(b"x\n")
    assert (tmp_path / "target").read_bytes() == b"x\n"


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (OSError(errno.ENOSPC, "No space"), TemporaryError, "page: No space; make room for it"),
        (OSError(errno.EACCES, "denied", "page/a"), UsageError, "cannot write page/a: denied"),
    ],
)
def test_an_error_gets_its_name(error: OSError, expected: type[Exception], message: str) -> None:
    """What fails in the middle of a file does not know which one that is."""
    with pytest.raises(expected, match=message), naming(Path("page")):
        raise error
