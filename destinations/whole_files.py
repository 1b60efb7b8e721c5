"""Write files so that a reader never finds a part of one, and folders so that none is half made."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from destinations.folder_lock import folder_locked

__all__ = [
    "files_written",
    "folder_made",
    "is_interrupted",
    "make_file",
    "replace_file",
    "roll_back",
]

_JOURNAL: Final = "journal.json"
"""Says in a hidden folder which files are about to be replaced, once all contents are written."""


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
    was there. The next one that writes here clears it, and undoes what was half done. Raises
    `OSError` (EBUSY) while another process writes into the folder.
    """
    with contextlib.ExitStack() as held, contextlib.ExitStack() as undo:
        try:
            fresh = _put(folder, files, list(obsolete), undo, held)
        except OSError as error:  # the hidden folder is no place that anybody knows
            raise OSError(error.errno, error.strerror, str(folder)) from None
        yield
        undo.pop_all()
        shutil.rmtree(fresh, ignore_errors=True)


def is_interrupted(folder: Path) -> bool:
    """Return whether a process that wrote into a folder was killed, or writes now."""
    return any((left / _JOURNAL).exists() for left in _left_within(folder.resolve()))


def roll_back(folder: Path) -> None:
    """Take back what killed processes left half done in a folder, and clear what they left.

    A file that somebody changed since then stays. Raises `OSError`, with EBUSY while another
    process writes into the folder.
    """
    target = folder.resolve()
    for left in _left_beside(target):
        if not (left / _JOURNAL).exists():
            _clear(left)
    if any(_left_within(target)):
        with folder_locked(target) as is_locked:
            if is_locked:
                _roll_back(target)


def _left_within(target: Path) -> list[Path]:
    return _left_beside(target / "files")


def _left_beside(path: Path) -> list[Path]:
    """Return the hidden folders that `_beside` has named, of processes that live or are gone."""
    try:
        found = sorted(path.parent.glob(f".{_escaped(path.name)}.{'[0-9a-f]' * 8}.new"))
    except OSError:
        return []
    return [one for one in found if one.is_dir() and not one.is_symlink()]


def _escaped(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def _clear(left: Path) -> None:
    """Remove a hidden folder if the process that made it is gone."""
    with contextlib.suppress(OSError), folder_locked(left) as is_locked:
        if is_locked:
            shutil.rmtree(left, ignore_errors=True)


def _roll_back(target: Path) -> None:
    """Take back what is half done in a folder that is locked: whoever began it is gone."""
    for left in _left_within(target):
        try:
            journal = json.loads((left / _JOURNAL).read_bytes())
            files, obsolete = journal["files"], journal["obsolete"]
            for number, (name, digest, was_there) in enumerate(files):
                if not (left / "new" / name).exists():
                    _take_back(target, name, left / "old" / str(number), digest, was_there)
            for number, name in enumerate(obsolete, len(files)):
                old, path = left / "old" / str(number), target / name
                if old.exists() and not path.exists() and _is_within(target, name):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    old.replace(path)
            for name in journal["folders"]:
                if _is_within(target, name):
                    _remove_folder(target / name)
        except (ValueError, KeyError, TypeError, FileNotFoundError):
            if (left / "old").exists():  # nobody knows whose contents these are
                continue
        shutil.rmtree(left, ignore_errors=True)


def _take_back(target: Path, name: str, old: Path, digest: str, was_there: bool) -> None:  # noqa: FBT001 - as the journal has it
    if not _is_within(target, name):
        return
    path = (target / name).resolve()
    if not path.is_file() or _digest(path.read_bytes()) != digest:
        return
    if not was_there:
        path.unlink()
    elif old.exists():
        old.replace(path)


def _is_within(target: Path, name: str) -> bool:
    parts = PurePosixPath(name)
    is_plain = not parts.is_absolute() and ".." not in parts.parts
    return is_plain and (target / name).resolve().is_relative_to(target)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _put(
    folder: Path,
    files: Mapping[str, bytes],
    obsolete: Sequence[str],
    undo: contextlib.ExitStack,
    held: contextlib.ExitStack,
) -> Path:
    """Write files, and note how all is undone; returns a hidden folder that is to be removed."""
    target = folder.resolve()
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    roll_back(target)
    _make_folder(target.parent, undo.callback)
    is_new = not target.exists()
    if not is_new:
        held.enter_context(folder_locked(target))
    # Within a folder that is there: it may be writable while the one around it is not.
    fresh = _beside(target if is_new else target / "files")
    undo.callback(shutil.rmtree, fresh, ignore_errors=True)
    new, old = fresh / "new", fresh / "old"
    fresh.mkdir()
    held.enter_context(folder_locked(fresh))
    new.mkdir()
    for name, content in files.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        _write(new / name, content)
    if is_new:
        try:
            new.rename(target)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise OSError(errno.EBUSY, "another process has written it meanwhile") from None
            raise
        undo.callback(shutil.rmtree, target, ignore_errors=True)
        return fresh
    journal: dict[str, Any] = {
        "files": [
            (name, _digest(content), (target / name).exists()) for name, content in files.items()
        ],
        "obsolete": obsolete,
        "folders": sorted(
            {
                parent.as_posix()
                for name in files
                for parent in PurePosixPath(name).parents
                if not (target / parent).exists()
            },
            reverse=True,
        ),
    }
    _write(fresh / _JOURNAL, json.dumps(journal).encode())
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
        if not path.is_file() and not path.is_dir():
            raise OSError(errno.EINVAL, f"{path.name} is a pipe or a device")
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
