"""Write the page of a run: whole or not at all, and over nothing but such a page."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from destinations.errors import UsageError
from destinations.pages import Html
from destinations.pipeline.output import naming
from destinations.report.page import MARK
from destinations.store import check_not_sidecar

__all__ = ["check_report_path", "write_report"]

_HEAD: Final = 4_096
"""The bytes in which a page says what made it."""
_HINT: Final = "it is not a report of a run, and is not replaced"


def check_report_path(path: Path, hint: str = "name another file", *, force: bool = False) -> None:
    """Raise `UsageError` if a report cannot be written there.

    A file that is there is replaced if it is a report, or empty; any other only with ``force``.
    """
    check_not_sidecar(path)
    target = path.resolve()
    with naming(path):
        try:
            mode = target.stat().st_mode
        except FileNotFoundError:
            _check_folder(path, target.parent)
            return
        if stat.S_ISDIR(mode):
            raise UsageError(f"cannot write {path}: it is a folder; name a file in it")
        if not stat.S_ISREG(mode):
            raise UsageError(f"cannot write {path}: expected a file that can be replaced")
        _check_folder(path, target.parent)
        if not force and not _is_report(target):
            raise UsageError(f"cannot write {path}: {_HINT}; {hint}")


def _check_folder(path: Path, folder: Path) -> None:
    """Raise `UsageError` if a file cannot be made in the folder of ``path``."""
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: no permission to write to the folder {folder}")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head or MARK.encode() in head


def write_report(
    path: Path, page: Html, hint: str = "name another file", *, force: bool = False
) -> None:
    """Put a page in the place of what is there, at once; see `check_report_path`.

    Raises `UsageError` if it cannot be written, and `TemporaryError` if there is no room.
    """
    # Again: something else may be there by now.
    check_report_path(path, hint, force=force)
    target = path.resolve()  # a link stays one
    with naming(path):
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
        part = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(_mode(target))
            part.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise


def _mode(target: Path) -> int:
    """Return the mode of the file that is replaced, or that of any new file of this process."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)  # it can only be read by setting it
        os.umask(mask)
        return 0o666 & ~mask
