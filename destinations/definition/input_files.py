"""Reads files that an operator names, which may be anything that has a path."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["open_input", "path_fault", "read_input", "read_text_input"]

# Of a terminal, a device or a pipe: the call returns at once, and so it can be looked at.
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


def path_fault(text: str) -> str | None:
    """Return why no file can have this path; None if one can."""
    if "\0" in text:
        return "holds a NUL character (U+0000), which no path can hold"
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return "holds a character that no path on this machine can hold"
    return None


def open_input(path: Path, *, pipes: bool = False) -> BinaryIO:
    """Return the bytes of a regular file, as a stream.

    With ``pipes``, also of a pipe, as a shell makes one of ``<(command)``; one that nobody writes
    to is empty. Nobody is waited for before that: raises `OSError`, whose ``strerror`` says why,
    for everything else that has a path.
    """
    fault = path_fault(str(path))
    if fault is not None:
        raise OSError(errno.EINVAL, f"its path {fault}")
    handle = os.open(path, _FLAGS)
    try:
        mode = os.fstat(handle).st_mode
        _check_kind(mode, pipes=pipes)
        if stat.S_ISFIFO(mode):
            os.set_blocking(handle, True)  # whoever writes may be slow
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check_kind(mode: int, *, pipes: bool) -> None:
    """Raise `OSError` for what is neither a regular file nor a pipe that may be read."""
    if stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode)):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    what = "a pipe" if stat.S_ISFIFO(mode) else "a device"
    raise OSError(errno.EINVAL, f"it is {what}; expected a regular file")


def read_input(path: Path, *, limit: int = -1, pipes: bool = False) -> bytes:
    """Return the content of a file as `open_input` opens it, at most ``limit`` bytes.

    Raises `OSError` as there, also for a pipe that is empty.
    """
    with open_input(path, pipes=pipes) as stream:
        data = stream.read(limit)
        if not data and not stream.seekable():
            raise OSError(errno.EINVAL, "it is a pipe that nobody writes to")
    return data


def read_text_input(path: Path, *, pipes: bool = False) -> str:
    r"""Return the text of a UTF-8 file as `read_input` does, every line ending as ``\n``.

    Raises `OSError` as there, `UnicodeDecodeError` for what is not UTF-8.
    """
    text = read_input(path, pipes=pipes).decode()
    return text.replace("\r\n", "\n").replace("\r", "\n")
