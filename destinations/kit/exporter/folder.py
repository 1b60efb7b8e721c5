"""Keep what was written by hand in an exported folder, and tell one from other folders."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from destinations.definition import is_definition
from destinations.definition.input_files import read_text_input
from destinations.errors import UsageError
from destinations.whole_files import files_written

__all__ = [
    "BY_HAND",
    "MARK",
    "check_edits",
    "check_folder",
    "check_owned",
    "edited_files",
    "stale_files",
    "with_digests",
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
_NEAR_MARK: Final = re.compile(
    r"^[ \t]*(?:/[/*]+|\*|#|<!--)?[ \t]*by[ _-]*hand\b[^\n]*?\b(?:begin|start|end)\b[^\n]*$",
    re.MULTILINE | re.IGNORECASE,
)
_DIGESTS: Final = "// Digests: "
"""How the second line begins: what was written, so that a change of it is found."""

_TYPES: Final = "generated-types.ts"
_UNMARKED: Final = (_TYPES, "metadata.json")
"""Files without a line of ours; their digests are in ``index.ts`` of their folder."""


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
    former = _slug(folder / "index.ts") if folder.is_dir() else None
    if former == slug:
        return
    what = "is not an export of `destinations export segment`"
    if former is not None:
        what = f"is the export of {former}, not of {slug}"
    raise UsageError(
        f"{folder} {what}, and would be overwritten: name another folder, or add --force"
    )


def _read(path: Path) -> str:
    try:
        return read_text_input(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        ) from None


# -- digests -------------------------------------------------------------------------------------


def with_digests(files: Mapping[str, str]) -> dict[str, str]:
    """Return files with a line that says what was written, after the first one of each."""
    found = dict(files)
    for name, text in files.items():
        if not text.startswith(MARK):
            continue
        folder, _, own = name.rpartition("/")
        names = [own, *_UNMARKED] if own == "index.ts" else [own]
        within = f"{folder}/" if folder else ""
        digests = [
            f"{one} {_digest(files[within + one])}" for one in names if within + one in files
        ]
        first, _, rest = text.partition("\n")
        found[name] = f"{first}\n{_DIGESTS}{', '.join(digests)}\n{rest}"
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(_outside(text).encode()).hexdigest()[:16]


def _outside(text: str) -> str:
    """Return what is written by an export, without digests and code by hand."""
    lines = text.split("\n")
    if len(lines) > 1 and lines[1].startswith(_DIGESTS):
        del lines[1]
    emptied = _REGION.sub(BY_HAND, "\n".join(lines))
    return emptied.rstrip("\n") + "\n"


def _digests(text: str) -> Mapping[str, str]:
    """Return the digests that a file notes, by name; empty if it has none."""
    line = text.partition("\n")[2].partition("\n")[0]
    if not text.startswith(MARK) or not line.startswith(_DIGESTS):
        return {}
    pairs = [one.split(" ") for one in line.removeprefix(_DIGESTS).strip().split(", ")]
    return {one[0]: one[1] for one in pairs if len(one) == 2}


def edited_files(folder: Path, files: Mapping[str, str], stale: Iterable[str]) -> list[str]:
    """Return the files of an export that were changed since, outside of the places by hand.

    Those that are to be written as they are found are none of them.
    """
    found = []
    for name in [*files, *stale]:
        path = folder / name
        if not path.is_file():
            continue
        text = _read(path)
        if name in files and _outside(text) == _outside(files[name]):
            continue
        if text.startswith(MARK):
            if _digests(text).get(path.name) != _digest(text):
                found.append(name)
        elif path.name in _UNMARKED:
            index = path.with_name("index.ts")
            noted = _digests(_read(index)) if index.is_file() else {}
            if noted.get(path.name, _digest(text)) != _digest(text):
                found.append(name)
    return found


def check_edits(folder: Path, edited: Iterable[str]) -> None:
    """Raise `UsageError` for files that were changed since an export wrote them."""
    names = list(edited)
    if not names:
        return
    paths = ", ".join(str(folder / name) for name in names)
    has, it = ("has", "it") if len(names) == 1 else ("have", "them")
    raise UsageError(
        f"{paths} {has} changes outside of the places for code by hand, and the export would"
        f" overwrite {it}: move your code between `// By hand: begin` and `// By hand: end`, change"
        " the definition, or add --force to drop the changes"
    )


# -- code by hand --------------------------------------------------------------------------------


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
        wanted = len(_REGION.findall(text))
        _check_marks(path, former, text)
        if len(regions) > wanted:
            raise UsageError(
                f"{path} has {len(regions)} places that are written by hand, and there is room for"
                f" {wanted}: put them together"
            )
        kept = iter(regions)
        found[name] = _REGION.sub(partial(_filled, kept), text)
    return found


def _check_marks(path: Path, former: str, text: str) -> None:
    """Raise `UsageError` where it is not clear what was written by hand."""
    regions = _REGION.findall(former)
    if former.startswith(MARK) and _outside(former) != _outside(text):
        known = set(text.splitlines())
        for near in _NEAR_MARK.finditer(_REGION.sub("", former)):
            if not _MARKS.fullmatch(near[0]) and near[0] not in known and _is_edited(former):
                raise UsageError(
                    f"{path} has the line {near[0].strip()!r}, which looks like a mark:"
                    " expected `// By hand: begin` or `// By hand: end`"
                )
    if len(_MARKS.findall(former)) != 2 * len(regions) or any(map(_MARKS.search, regions)):
        raise UsageError(
            f"{path} has a mark `// By hand: begin` or `// By hand: end` without the other:"
            " expected both, each on a line of its own"
        )
    if not regions and _is_edited(former) and _digests(former):
        raise UsageError(
            f"{path} has no marks `// By hand: begin` and `// By hand: end` any more: put them"
            " back around your code, or delete the file if there is none"
        )


def _is_edited(former: str) -> bool:
    noted = _digests(former)
    return _digest(former) not in noted.values()


def _filled(kept: Iterator[str], place: re.Match[str]) -> str:
    lines = place[0].splitlines(keepends=True)
    return lines[0] + next(kept, "") + lines[-1]


# -- the folder ----------------------------------------------------------------------------------


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
    """Return the files of an earlier export that this one no longer writes.

    Raises `UsageError` for one with code that was written by hand.
    """
    found = []
    for name in _exported_files(folder):
        if name in files:
            continue
        path = folder / name
        if any(region.strip() for region in _REGION.findall(_read(path))):
            raise UsageError(
                f"{path} has code that was written by hand, and the definition has nothing left"
                " that it belongs to: move the code, and delete the file"
            )
        found.append(name)
    return found


def _exported_files(folder: Path) -> Iterator[str]:
    """Yield the files that an export has written into a folder, in the places that it writes to.

    Other exports may be in folders of this one: theirs are not looked at.
    """
    index = folder / "index.ts"
    slug = _slug(index)
    if slug is None:
        return
    places = [folder]
    for place in sorted(folder.iterdir()):
        if _is_plain(place) and not any((place / one).exists() for one in _ROOT_FILES):
            places.append(place)
            if place.name == "__tests__" and _is_plain(place / "__helpers__"):
                places.append(place / "__helpers__")
    for place in places:
        own = [path for path in sorted(place.glob("*.ts")) if _slug(path) == slug]
        if place / "index.ts" in own and (place / _TYPES).is_file():
            own.append(place / _TYPES)
        yield from sorted(path.relative_to(folder).as_posix() for path in own)


_ROOT_FILES: Final = ("metadata.json", "versioning-info.ts")
"""Files that only the own folder of a destination has."""


def _is_plain(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not folder.name.startswith(".")


def _slug(path: Path) -> str | None:
    """Return the destination whose export wrote a file; None if it was none."""
    found = _EXPORTED.match(_read(path)) if path.is_file() else None
    return found and found[1]


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
