"""Files that an operator names: read if they are files, and never waited for."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from destinations.definition.input_files import open_input, path_issue, read_input, read_text_input

Read = Callable[[Path], object]

READERS: dict[str, Read] = {
    "a file": read_input,
    "a file or a pipe": lambda path: read_input(path, pipes=True),
    "text": read_text_input,
    "text or a pipe": lambda path: read_text_input(path, pipes=True),
}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A path of everything that is not a file; nobody writes to the pipe."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        yield {
            "a pipe": tmp_path / "pipe",
            "a link to a pipe": tmp_path / "link",
            "a socket": tmp_path / "socket",
            "a device without end": Path("/dev/zero"),
            "an empty device": Path("/dev/null"),
            "a folder": tmp_path,
            "a file that is missing": tmp_path / "none",
            "a path with NUL": Path(f"{tmp_path}/a\0b"),
            "a path with half a character": Path(f"{tmp_path}/\ud83d"),
        }


def _count_open() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("a pipe", "it is a pipe"),
        ("a link to a pipe", "it is a pipe"),
        ("a socket", "No such device or address"),
        ("a device without end", "it is a device; expected a regular file"),
        ("an empty device", "it is a device; expected a regular file"),
        ("a folder", "Is a directory"),
        ("a file that is missing", "No such file or directory"),
        ("a path with NUL", "its path holds a NUL character (U+0000)"),
        ("a path with half a character", "its path holds a character that no path"),
    ],
)
def test_what_is_not_a_file(places: dict[str, Path], place: str, why: str, read: str) -> None:
    """It is refused at once, with words that say why, and nothing stays open."""
    before = _count_open()
    with pytest.raises(OSError, match=r"\w") as caught:
        READERS[read](places[place])
    assert (caught.value.strerror or "").startswith(why)
    assert _count_open() == before


def test_a_pipe_that_is_written() -> None:
    """As a shell makes one of a command, it is read to its end, however late that comes."""
    reader, writer = os.pipe()
    found: list[bytes] = []
    path = Path(f"/dev/fd/{reader}")
    thread = threading.Thread(target=lambda: found.append(read_input(path, pipes=True)))
    thread.start()
    for part in (b"apiKey: ", b"secret\n"):
        os.write(writer, part)
    os.close(writer)
    thread.join(60)
    os.close(reader)
    assert found == [b"apiKey: secret\n"]


def test_a_file(tmp_path: Path) -> None:
    """It is read up to a limit; text has the line endings of this language."""
    path = tmp_path / "file"
    path.write_bytes(b"a\r\nb\rc\n")
    assert read_input(path) == b"a\r\nb\rc\n"
    assert read_input(path, limit=3) == b"a\r\n"
    assert read_text_input(path) == "a\nb\nc\n"
    with open_input(path) as stream:
        assert stream.seekable()
    path.write_bytes(b"")
    assert read_input(path, pipes=True) == b""
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text_input(path)


@pytest.mark.parametrize(
    ("text", "can_be"),
    [("a", True), ("ä/\udcff", True), ("", True), ("a\0", False), ("\0", False), ("\ud83d", False)],
)
def test_which_texts_are_paths(text: str, can_be: bool) -> None:
    """Bytes that are not UTF-8 may be in a path; NUL and half a character may not."""
    assert (path_issue(text) is None) == can_be
