"""List installed plugins without loading them, as ``--help`` must be fast."""

from __future__ import annotations

import importlib.metadata
from typing import Final

__all__ = ["DEFINITIONS", "PLUGINS", "plugin_slugs"]

DEFINITIONS: Final = "destinations.definitions"
PLUGINS: Final = "destinations.plugins"


def plugin_slugs() -> list[str]:
    """Return the slugs of the destinations that have a plugin, sorted."""
    return sorted({found.name for found in importlib.metadata.entry_points(group=PLUGINS)})
