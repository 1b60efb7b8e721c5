"""Compare the JSON Schemas beside a definition, which editors read, with those that are shipped."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "KINDS", "schema_file", "schema_text", "stale_schemas", "update_schemas"]

FOLDER: Final = "schemas"
"""The folder of copies within a definition's folder; its files refer to it with ``$schema``."""

KINDS: Final = ("destination", "action", "case")


def schema_file(kind: str) -> str:
    """Return the name of the file of a schema."""
    return f"{kind}.schema.json"


def schema_text(kind: str) -> str:
    """Return the text of a schema as it is shipped."""
    schemas = importlib.resources.files("destinations.definition") / "schemas"
    return (schemas / schema_file(kind)).read_text(encoding="utf-8")


def stale_schemas(folder: Traversable) -> list[str]:
    """Return the copies that differ from what is shipped, such as ``schemas/case.schema.json``."""
    return [f"{FOLDER}/{schema_file(kind)}" for kind in _stale(folder)]


def update_schemas(folder: Path) -> list[str]:
    """Replace the copies that differ; return the same as `stale_schemas`. Raises `OSError`."""
    stale = list(_stale(folder))
    for kind in stale:
        (folder / FOLDER / schema_file(kind)).write_text(schema_text(kind), encoding="utf-8")
    return [f"{FOLDER}/{schema_file(kind)}" for kind in stale]


def _stale(folder: Traversable) -> Iterator[str]:
    for kind in KINDS:
        copy = folder / FOLDER / schema_file(kind)
        if copy.is_file() and copy.read_bytes() != schema_text(kind).encode():
            yield kind
