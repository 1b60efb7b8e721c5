"""List installed plugins without loading them, as ``--help`` must be fast."""

from __future__ import annotations

import importlib.metadata
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "DEFINITIONS",
    "PLUGINS",
    "InstalledPoint",
    "Package",
    "installed_points",
    "plugin_slugs",
]

DEFINITIONS: Final = "destinations.definitions"
PLUGINS: Final = "destinations.plugins"


class Package(NamedTuple):
    """An installed package, by its name and version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


class InstalledPoint(NamedTuple):
    """An entry point, and the package that it comes with."""

    point: EntryPoint
    package: Package


def installed_points(group: str) -> tuple[InstalledPoint, ...]:
    """Return the entry points of a group, each once, in the order of their packages' names.

    They are read anew when a package came or went: to read those of all packages takes as long as
    to open a destination, and a server opens hundreds.
    """
    return _read(group, tuple(_Searched.of(path) for path in sys.path))


def plugin_slugs() -> list[str]:
    """Return the slugs of the destinations that have a plugin, sorted."""
    return sorted({found.point.name for found in installed_points(PLUGINS)})


class _Searched(NamedTuple):
    """A place in which packages are looked for; it changes when one comes or goes."""

    path: str
    inode: tuple[int, int]
    changed_ns: int

    @classmethod
    def of(cls, path: str) -> _Searched:
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            return cls(path, (0, 0), 0)
        return cls(path, (status.st_dev, status.st_ino), status.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(group: str, searched: tuple[_Searched, ...]) -> tuple[InstalledPoint, ...]:  # noqa: ARG001 - what was found there
    found = {
        (package, point.value, point.name): InstalledPoint(point, package)
        for point in importlib.metadata.entry_points(group=group)
        for package in [_package_of(point)]
    }
    return tuple(found[key] for key in sorted(found))


def _package_of(point: EntryPoint) -> Package:
    if point.dist is None:  # made by hand
        return Package(point.module, "")
    return Package(point.dist.name, point.dist.version)
