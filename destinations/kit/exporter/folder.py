"""Keep what was written by hand in an exported folder, and tell one from other folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from destinations.errors import UsageError
from destinations.whole_files import files_written

__all__ = ["BY_HAND", "made_by_us", "stale_files", "with_hand_written", "write_folder"]

MARK: Final = "// Exported by `destinations export segment`"
"""How the first line of each file begins that an export writes, but for types and JSON."""

BY_HAND: Final = "// By hand: begin\n// By hand: end\n"
"""The place for code that the next export keeps."""

_REGION: Final = re.compile(
    r"^[ \t]*// By hand: begin\n(.*?)^[ \t]*// By hand: end\n", re.MULTILINE | re.DOTALL
)


def made_by_us(folder: Path) -> bool:
    """Return whether an export wrote a folder, or it is empty or missing."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    index = folder / "index.ts"
    return index.is_file() and _read(index).startswith(MARK)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        ) from None


def with_hand_written(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Return files with what is written by hand in the same ones of ``folder``.

    Raises `UsageError` if the marks of such a place were damaged.
    """
    found = {}
    for name, text in files.items():
        path = folder / name
        found[name] = text
        if not path.is_file() or "// By hand: begin" not in text:
            continue
        former = _read(path)
        regions = _REGION.findall(former)
        if former.count("// By hand: ") != 2 * len(regions):
            raise UsageError(
                f"{path} has a mark `// By hand: begin` or `// By hand: end` without the other:"
                " expected both, each on a line of its own"
            )
        wanted = len(_REGION.findall(text))
        if len(regions) > wanted:
            raise UsageError(
                f"{path} has {len(regions)} places that are written by hand, and there is room for"
                f" {wanted}: put them together"
            )
        kept = iter(regions)
        found[name] = _REGION.sub(lambda place: _filled(place[0], next(kept, "")), text)
    return found


def _filled(place: str, kept: str) -> str:
    first, last = place.splitlines(keepends=True)[0], place.splitlines(keepends=True)[-1]
    return first + kept + last


def stale_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the files of an earlier export that this one does not write any more."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.rglob("*.ts")):
        name = path.relative_to(folder).as_posix()
        if name in files:
            continue
        is_types = (
            name.endswith("generated-types.ts")
            and name.replace("generated-types", "index") not in files
        )
        own = _read(path).startswith(MARK)
        beside = path.with_name("index.ts")
        if own or (is_types and beside.is_file() and _read(beside).startswith(MARK)):
            found.append(name)
    return found


def write_folder(folder: Path, files: Mapping[str, str], stale: Iterable[str]) -> None:
    """Write all files, and take out stale ones; what else is there stays.

    Raises `UsageError` if the folder cannot be written; then it is as before.
    """
    contents = {name: text.encode() for name, text in files.items()}
    try:
        with files_written(folder, contents, obsolete=stale):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    for name in stale:
        _drop_empty((folder / name).parent, folder)


def _drop_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
