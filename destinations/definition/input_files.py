"""Open files that an operator names: regular files and pipes, nothing that could block."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["open_input", "path_issue", "read_input", "read_text_input"]

# Opening a terminal, device or pipe must return at once, so that its kind can be checked.
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


def path_issue(text: str) -> str | None:
    """Return why no file can have this path; None if it is valid."""
    if "\0" in text:
        return "holds a NUL character (U+0000), which no path can hold"
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return "holds a character that no path on this machine can hold"
    return None


def open_input(path: Path, *, pipes: bool = False) -> BinaryIO:
    """Open a regular file as a binary stream, without blocking.

    With ``pipes``, a pipe is opened as well, such as a shell's ``<(command)``; without a writer it
    is empty. Raises `OSError` for every other kind of file; ``strerror`` says why.
    """
    issue = path_issue(str(path))
    if issue is not None:
        raise OSError(errno.EINVAL, f"its path {issue}")
    handle = os.open(path, _FLAGS)
    try:
        mode = os.fstat(handle).st_mode
        _check_kind(mode, pipes=pipes)
        if stat.S_ISFIFO(mode):
            os.set_blocking(handle, True)  # the writer may be slow
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check_kind(mode: int, *, pipes: bool) -> None:
    """Raise `OSError` unless it is a regular file or, with ``pipes``, a pipe."""
    if stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode)):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    what = "a pipe" if stat.S_ISFIFO(mode) else "a device"
    raise OSError(errno.EINVAL, f"it is {what}; expected a regular file")


def read_input(path: Path, *, limit: int = -1, pipes: bool = False) -> bytes:
    """Read a file that `open_input` opens, at most ``limit`` bytes.

    Raises `OSError` as `open_input` does, and for an empty pipe.
    """
    with open_input(path, pipes=pipes) as stream:
        data = stream.read(limit)
        if not data and not stream.seekable():
            raise OSError(errno.EINVAL, "it is a pipe without a writer")
    return data


def read_text_input(path: Path, *, pipes: bool = False) -> str:
    r"""Read a UTF-8 file; every line ending becomes ``\n``.

    Raises `OSError` as `read_input` does, and `UnicodeDecodeError` for any other encoding.
    """
    text = read_input(path, pipes=pipes).decode()
    return text.replace("\r\n", "\n").replace("\r", "\n")
