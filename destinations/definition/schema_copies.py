"""Compare the JSON Schemas beside a definition, which editors read, with those that are shipped."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "schema_copies", "stale_schemas", "update_schemas"]

FOLDER: Final = "schemas"
"""The folder of copies within a definition's folder; its files refer to it with ``$schema``."""

_NAMES: Final = tuple(f"{kind}.schema.json" for kind in ("destination", "action", "case"))


def schema_copies() -> dict[str, str]:
    """Return the texts of all copies, by their names within a definition's folder."""
    return {f"{FOLDER}/{name}": _shipped(name) for name in _NAMES}


def stale_schemas(folder: Traversable) -> list[str]:
    """Return the copies that differ from what is shipped, such as ``schemas/case.schema.json``."""
    return [f"{FOLDER}/{name}" for name in _stale(folder)]


def update_schemas(folder: Path) -> list[str]:
    """Replace the copies that differ; return the same as `stale_schemas`. Raises `OSError`."""
    stale = stale_schemas(folder)
    shipped = schema_copies()
    for name in stale:
        (folder / name).write_text(shipped[name], encoding="utf-8")
    return stale


def _shipped(name: str) -> str:
    schemas = importlib.resources.files("destinations.definition") / "schemas"
    return (schemas / name).read_text(encoding="utf-8")


def _stale(folder: Traversable) -> Iterator[str]:
    for name in _NAMES:
        copy = folder / FOLDER / name
        if copy.is_file() and copy.read_bytes() != _shipped(name).encode():
            yield name
