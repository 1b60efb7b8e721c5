"""List installed plugins without loading them, as ``--help`` must be fast."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Final, NamedTuple

__all__ = ["DEFINITIONS", "PLUGINS", "Package", "distinct", "package_of", "plugin_slugs"]

DEFINITIONS: Final = "destinations.definitions"
PLUGINS: Final = "destinations.plugins"


class Package(NamedTuple):
    """An installed package, by its name and version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


def plugin_slugs() -> list[str]:
    """Return the slugs of the destinations that have a plugin, sorted."""
    return sorted({found.name for found in importlib.metadata.entry_points(group=PLUGINS)})


def package_of(point: EntryPoint) -> Package:
    """Return the package that an entry point comes with."""
    if point.dist is None:  # made by hand
        return Package(point.module, "")
    return Package(point.dist.name, point.dist.version)


def distinct(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Return entry points, each once, in the order of their packages' names."""
    found = {(package_of(point), point.value): point for point in points}
    return [found[key] for key in sorted(found)]
