"""Find destinations: definitions in installed packages, and folders.

Group ``destinations.definitions`` of the entry points names packages whose folders are definitions.
"""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from destinations.definition import is_definition
from destinations.errors import UsageError, did_you_mean
from destinations.runtime.entry_points import DEFINITIONS, InstalledPoint, Package, installed_points

__all__ = ["Catalog", "InstalledDestination", "find_folder", "installed", "packages_with"]


@dataclass(frozen=True, slots=True)
class InstalledDestination:
    """A definition in an installed package."""

    slug: str
    folder: Traversable
    package: Package


@dataclass(frozen=True, slots=True)
class Catalog:
    """The installed ``destinations`` by slug, sorted.

    ``conflicts`` has, by slug, what is wrong where two packages have a destination of one name;
    these are left out of ``destinations``. ``issues`` names packages that cannot be read.
    """

    destinations: Mapping[str, InstalledDestination]
    conflicts: Mapping[str, str]
    issues: Sequence[str]


def installed() -> Catalog:
    """Return the destinations of all installed packages, and what is wrong with some."""
    found: dict[str, list[InstalledDestination]] = {}
    issues: list[str] = []
    for place in _places():
        try:
            for one in _definitions(place):
                found.setdefault(one.slug, []).append(one)
        except UsageError as error:
            issues.append(str(error))
    return Catalog(
        {slug: each[0] for slug, each in sorted(found.items()) if len(each) == 1},
        {slug: _conflict(each) for slug, each in sorted(found.items()) if len(each) > 1},
        issues,
    )


def find_folder(destination: str) -> Traversable:
    """Return the folder of DESTINATION: an installed definition's slug, or the path of a folder.

    Raises `UsageError` if it is neither, and if two packages have a destination of this name.
    """
    known = installed()
    if destination in known.destinations:
        return known.destinations[destination].folder
    if destination in known.conflicts:
        raise UsageError(known.conflicts[destination])
    path = Path(destination).resolve()
    if path.is_dir() and is_definition(path):
        return path
    if path.is_dir():
        msg = f"the folder {destination} holds no destination.yaml"
    elif path.is_file() and is_definition(path.parent):
        msg = f"{destination} is a file of a definition: give its folder, {path.parent}"
    else:
        names = ", ".join(known.destinations) or "none"
        near = did_you_mean(destination, [*known.destinations, *_folders_beside(destination)])
        msg = f"unknown destination {destination!r}: neither installed ({names}) nor a folder{near}"
    raise UsageError("; ".join([msg, *known.issues]), topic="destinations list")


def _folders_beside(destination: str) -> Iterator[str]:
    """Yield the folders with definitions that lie where a path would be."""
    parent = Path(destination).parent
    with contextlib.suppress(OSError, ValueError):
        for folder in sorted(parent.iterdir()):
            if folder.is_dir() and is_definition(folder):
                yield str(folder)


def packages_with(folder: Traversable) -> set[Package]:
    """Return the installed packages that hold the definition in ``folder``."""
    found: set[Package] = set()
    for place in _places():
        with contextlib.suppress(UsageError):  # `installed` reports it
            if any(_is_same(one.folder, folder) for one in _definitions(place)):
                found.add(place.package)
    return found


def _places() -> Iterable[InstalledPoint]:
    """Return the packages of definitions, each once: the name of such an entry point is free."""
    found = installed_points(DEFINITIONS)
    return {(place.package, place.point.value): place for place in found}.values()


def _is_same(one: Traversable, other: Traversable) -> bool:
    """Return whether two folders are one; those within archives are the same object or text."""
    if isinstance(one, Path) and isinstance(other, Path):
        return one.resolve() == other.resolve()
    return str(one) == str(other)


def _definitions(place: InstalledPoint) -> Iterator[InstalledDestination]:
    point, package = place
    try:
        folders = [one for one in importlib.resources.files(point.value).iterdir() if one.is_dir()]
    except ModuleNotFoundError as error:
        if error.name is None or not f"{point.value}.".startswith(f"{error.name}."):
            raise _unreadable(place, error) from error
        msg = (
            f"the definitions in {point.value} of {package} are not installed; in a checkout, run "
            "pip install --editable . or start the command destinations instead of python -m"
        )
        raise UsageError(msg) from None
    except (Exception, SystemExit) as error:
        raise _unreadable(place, error) from error
    for folder in folders:
        if is_definition(folder):
            yield InstalledDestination(folder.name, folder, package)


def _unreadable(place: InstalledPoint, error: BaseException) -> UsageError:
    point, package = place
    text = " ".join(str(error).split())
    return UsageError(
        f"the definitions in {point.value} of {package} cannot be imported: "
        f"{type(error).__name__}: {text}"
    )


def _conflict(found: Sequence[InstalledDestination]) -> str:
    names = " and ".join(f"{one.package} ({one.folder})" for one in found)
    cure = "uninstall one of them, or name the folder of the other"
    return f"two packages have a destination {found[0].slug!r}: {names}; {cure}"
