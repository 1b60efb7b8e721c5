"""Keep what was written by hand in an exported folder, and tell one from other folders."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from destinations.definition import is_definition
from destinations.errors import UsageError
from destinations.whole_files import files_written

__all__ = [
    "BY_HAND",
    "MARK",
    "check_folder",
    "check_owned",
    "stale_files",
    "with_hand_written",
    "write_folder",
]

MARK: Final = "// Exported by `destinations export segment`"
"""How the first line of each file begins that an export writes, but for types and JSON."""

BY_HAND: Final = "// By hand: begin\n// By hand: end\n"
"""The place for code that the next export keeps."""

_EXPORTED: Final = re.compile(rf"{re.escape(MARK)} from (\S+) ")

_MARKS: Final = re.compile(r"^[ \t]*// By hand: (?:begin|end)[ \t]*$", re.MULTILINE)
_REGION: Final = re.compile(
    r"^[ \t]*// By hand: begin[ \t]*\n(.*?)^[ \t]*// By hand: end[ \t]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


def check_folder(folder: Path, slug: str, *, force: bool) -> None:
    """Raise `UsageError` for a folder that an export of the destination ``slug`` must not change.

    With ``force`` it may be anybody's, but not one that holds a definition.
    """
    if is_definition(folder):
        raise UsageError(
            f"{folder} holds a definition, and an export would mix with it: name another folder"
        )
    if force or not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    former = _exported_slug(folder)
    if former == slug:
        return
    what = "is not an export of `destinations export segment`"
    if former is not None:
        what = f"is the export of {former}, not of {slug}"
    raise UsageError(
        f"{folder} {what}, and would be overwritten: name another folder, or add --force"
    )


def _exported_slug(folder: Path) -> str | None:
    """Return the slug of the definition whose export is in a folder; None for any other folder."""
    index = folder / "index.ts"
    found = _EXPORTED.match(_read(index)) if folder.is_dir() and index.is_file() else None
    return None if found is None else found[1]


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
        if len(_MARKS.findall(former)) != 2 * len(regions) or any(map(_MARKS.search, regions)):
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
        found[name] = _REGION.sub(partial(_filled, kept), text)
    return found


def _filled(kept: Iterator[str], place: re.Match[str]) -> str:
    lines = place[0].splitlines(keepends=True)
    return lines[0] + next(kept, "") + lines[-1]


def check_owned(folder: Path, files: Iterable[str]) -> None:
    """Raise `UsageError` for a file that somebody else wrote, and that would be overwritten."""
    for name in files:
        path = folder / name
        is_marked = name.endswith(".ts") and not name.endswith("generated-types.ts")
        if is_marked and path.exists() and not _read(path).startswith(MARK):
            raise UsageError(
                f"{path} was not written by `destinations export segment`, and would be"
                " overwritten: give it another name, or add --force"
            )


def stale_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the files of an earlier export that this one no longer writes."""
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
        source = _read(path) if path.is_file() else ""
        own = source.startswith(MARK)
        if own and any(region.strip() for region in _REGION.findall(source)):
            raise UsageError(
                f"{path} has code that was written by hand, and the definition has nothing left"
                " that it belongs to: move the code, and delete the file"
            )
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
        with contextlib.suppress(OSError):  # an empty folder does no harm
            _drop_empty((folder / name).parent, folder)


def _drop_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
