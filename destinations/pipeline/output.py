"""Files of lines that a command writes: every failure names the file."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from destinations.errors import TemporaryError, UsageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = [
    "FULL",
    "OutputFile",
    "check_can_be_written",
    "naming",
    "write_failure",
    "written_file",
]

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The numbers of errors for missing room: on the disk, for the user, in a file."""


class OutputFile(io.FileIO):
    """A file at ``path`` that holds whole lines, whatever happens while they are written.

    It is new, empty, a pipe or a character device: what is in a file is never overwritten, but with
    ``append`` more is added to it. Raises `UsageError` for anything else, which ends with ``hint``.
    A write that fails raises `TemporaryError`, and so does every later one; ``failure`` is that
    error.
    """

    def __init__(self, path: Path, hint: str = "", *, append: bool = False) -> None:
        self.failure: TemporaryError | None = None
        self._path = path
        descriptor, self._is_new = _opened(path, None if append else hint)
        super().__init__(descriptor, "ab" if append else "wb")
        found = os.fstat(descriptor)
        self.is_regular = stat.S_ISREG(found.st_mode)
        self._whole = found.st_size if self.is_regular else 0

    @property
    def holds_lines(self) -> bool:
        """Whether there is something that the next command would find."""
        return self.is_regular and self._whole > 0

    def write(self, data: ReadableBuffer) -> int:
        """Write all of ``data``, or nothing if the file is one that can be cut."""
        if self.failure is not None:
            raise self.failure
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self.cut(self._whole)
            self.failure = write_failure(self._path, error)
            raise self.failure from None
        self._whole += size
        return size

    def close(self) -> None:
        """Close it; some systems tell only then that the disk is full."""
        try:
            super().close()
        except OSError as error:
            self.failure = write_failure(self._path, error)
            raise self.failure from None

    def cut(self, size: int) -> None:
        """Cut a file off after ``size`` bytes. Raises OSError."""
        if self.is_regular:
            os.ftruncate(self.fileno(), size)
            self._whole = size

    def discard(self) -> None:
        """Leave nothing, so that the same command can be given again."""
        with contextlib.suppress(OSError):
            self.cut(0)
        if self._is_new:
            self._path.unlink(missing_ok=True)


def write_failure(what: Path | str, error: OSError) -> TemporaryError:
    """Return the error that says why ``what`` cannot be written."""
    hint = "; make room for it" if error.errno in FULL else ""
    return TemporaryError(f"cannot write {what}: {error.strerror or error}{hint}")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what fails while ``path`` is written into an error that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise write_failure(path, error) from None
        raise UsageError(f"cannot write {error.filename or path}: {error.strerror}") from None


@contextlib.contextmanager
def written_file(path: Path, hint: str) -> Iterator[OutputFile]:
    """Give a file that is whole at the end of the block; if that fails, nothing is left of it."""
    with OutputFile(path, hint) as file:
        try:
            yield file
        except BaseException:
            file.discard()
            raise


def check_can_be_written(path: Path) -> None:
    """Raise `UsageError` for what is there, unless it is a file, a pipe or a character device."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageError(f"cannot write {path}: it is a folder; name a file in it")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        msg = f"cannot write {path}: expected a file, a pipe or a device such as /dev/null"
        raise UsageError(msg)


def _opened(path: Path, hint: str | None) -> tuple[int, bool]:
    """Return the descriptor of a file, and whether it was made; without a hint it may hold more."""
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
    flags |= os.O_APPEND if hint is None else 0
    with naming(path):
        try:
            return os.open(path, flags | os.O_EXCL, 0o666), True
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):  # a link to a file that is to be made
                check_can_be_written(path)
                if hint is not None and path.is_file() and path.stat().st_size:
                    msg = f"cannot write {path}: it exists and is not empty; {hint}"
                    raise UsageError(msg) from None
            return os.open(path, flags, 0o666), False
