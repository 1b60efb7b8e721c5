"""Write files so that a reader never finds a part of one, and folders so that none is half made."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

__all__ = ["files_written", "folder_made", "make_file", "replace_file"]


def make_file(path: Path, content: bytes) -> None:
    """Make a new file with ``content``; raises `OSError`, FileExistsError if there is one."""
    fresh = _beside(path)
    try:
        _write(fresh, content)
        # Unlike a renaming, a link never replaces a file that was made since.
        os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Give a file new ``content``; raises `OSError`, and then leaves it as it was.

    A link to a file stays one, and the mode stays.
    """
    target = path.resolve()
    fresh = _beside(target)
    try:
        _write(fresh, content)
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(target, fresh)
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def folder_made(folder: Path) -> Iterator[None]:
    """Make a folder and those that it is in; if the body raises, those that were made are gone."""
    with contextlib.ExitStack() as undo:
        _make_folder(folder, undo.callback)
        yield
        undo.pop_all()


@contextlib.contextmanager
def files_written(
    folder: Path, files: Mapping[str, bytes], *, obsolete: Iterable[str] = ()
) -> Iterator[None]:
    """Write all of some files into a folder, or none: also if the body raises, all is as it was.

    The folder is made if it is missing; other files in it stay. ``obsolete`` are paths within it,
    of files that are removed. Raises `OSError`, with the place that could not be written.

    All contents are on the disk before the first file gets its name. A process that is killed
    leaves a hidden folder, whose name ends with ``.new``: next to a new folder, within one that
    was there.
    """
    with contextlib.ExitStack() as undo:
        try:
            fresh = _put(folder, files, obsolete, undo)
        except OSError as error:  # the hidden folder is no place that anybody knows
            raise OSError(error.errno, error.strerror, str(folder)) from None
        yield
        undo.pop_all()
        shutil.rmtree(fresh, ignore_errors=True)


def _put(
    folder: Path, files: Mapping[str, bytes], obsolete: Iterable[str], undo: contextlib.ExitStack
) -> Path:
    """Write files, and note how all is undone; returns a hidden folder that is to be removed."""
    target = folder.resolve()
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    _make_folder(target.parent, undo.callback)
    is_new = not target.exists()
    # Within a folder that is there: it may be writable while the one around it is not.
    fresh = _beside(target if is_new else target / "files")
    undo.callback(shutil.rmtree, fresh, ignore_errors=True)
    new, old = fresh / "new", fresh / "old"
    new.mkdir(parents=True)
    for name, content in files.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        _write(new / name, content)
    if is_new:
        new.rename(target)
        undo.callback(shutil.rmtree, target, ignore_errors=True)
        return fresh
    for number, name in enumerate(files):
        _move(new / name, target / name, old / str(number), undo.callback)
    for number, name in enumerate(obsolete, len(files)):
        _remove(target / name, old / str(number), undo.callback)
    return fresh


_Undo = Callable[..., object]
"""Notes a function with its arguments, to be called if something fails."""


def _make_folder(folder: Path, undo: _Undo) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, undo)
    with contextlib.suppress(FileExistsError):  # another process may make it now
        folder.mkdir()
        undo(_remove_folder, folder)


def _remove_folder(folder: Path) -> None:
    # It is not empty if somebody else has put something there since.
    with contextlib.suppress(OSError):
        folder.rmdir()


def _move(fresh: Path, path: Path, old: Path, undo: _Undo) -> None:
    """Put a new file in its place; what was there is kept in ``old``."""
    _make_folder(path.parent, undo)
    path = path.resolve()  # a link stays one
    if path.exists():
        shutil.copymode(path, fresh)
        old.parent.mkdir(exist_ok=True)
        shutil.copy2(path, old)
        fresh.replace(path)
        undo(old.replace, path)
    else:
        fresh.replace(path)
        undo(partial(path.unlink, missing_ok=True))


def _remove(path: Path, old: Path, undo: _Undo) -> None:
    old.parent.mkdir(exist_ok=True)
    path.replace(old)
    undo(old.replace, path)


def _beside(path: Path) -> Path:
    """Return a path next to another, hidden, with a name of its own."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
