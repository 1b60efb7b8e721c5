"""Make files and folders that only their owner can use: a store holds raw events of users."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

__all__ = [
    "FILE_MODE",
    "READ_ONLY",
    "is_missing",
    "make_file",
    "make_folder",
    "sync",
    "why_not_writable",
]

FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700

READ_ONLY: Final = "read-only file system"
"""Why nothing can be written there, also by the owner of the file."""


def make_folder(path: Path) -> None:
    """Make a folder and those that it is in; one that is there keeps its mode.

    Raises OSError.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file; one that is there is not so much as opened. Raises OSError.

    SQLite gives its sidecar files the same mode.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))


def is_missing(path: Path) -> bool:
    """Return whether there is no such file; one that cannot be looked at is not missing."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def why_not_writable(path: Path) -> str | None:
    """Return why this process cannot write to a file, or into a folder; None if it can.

    The file is not opened: closing it would end the locks of SQLite.
    """
    if os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK):
        return None
    is_read_only = hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY
    return READ_ONLY if is_read_only else "permission denied"


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable where the system can. Raises OSError."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
