"""Compare the JSON Schemas next to a definition, which editors read, with the shipped ones."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from destinations.whole_files import files_written

__all__ = ["FOLDER", "missing_schemas", "schema_copies", "stale_schemas", "update_schemas"]

FOLDER: Final = "schemas"
"""The folder of copies within a definition's folder; its files refer to it with ``$schema``."""

_NAMES: Final = tuple(f"{kind}.schema.json" for kind in ("destination", "action", "case"))


def schema_copies() -> dict[str, str]:
    """Return the texts of all copies, by their names within a definition's folder."""
    return {f"{FOLDER}/{name}": _shipped(name) for name in _NAMES}


def stale_schemas(folder: Traversable) -> list[str]:
    """Return the copies that differ from what is shipped, such as ``schemas/case.schema.json``."""
    return [f"{FOLDER}/{name}" for name in _stale(folder)]


def missing_schemas(folder: Traversable) -> dict[str, str]:
    """Return the copies that files name with ``$schema`` and that do not exist, each with a file.

    Schemas elsewhere are not looked for: a definition may be installed apart from them.
    """
    found: dict[str, str] = {}
    for place, up in (("", ""), ("cases/", "../")):
        inner = folder / place if place else folder
        files = sorted(inner.iterdir(), key=lambda file: file.name) if inner.is_dir() else ()
        for file in files:
            if not (file.name.endswith(_ENDINGS) and file.is_file()):
                continue
            named = _SCHEMA_KEY.search(file.read_bytes())
            name = named[1].decode(errors="replace").removeprefix("./") if named else ""
            copy = name.removeprefix(up)
            if name == up + copy and copy in schema_copies() and not (folder / copy).is_file():
                found.setdefault(copy, place + file.name)
    return found


_ENDINGS: Final = (".yaml", ".yml", ".json")
_SCHEMA_KEY: Final = re.compile(
    rb"""^[{\s]*["']?\$schema["']?\s*:\s*["']?([^\s"',#}]+)""", re.MULTILINE
)


def update_schemas(folder: Path) -> list[str]:
    """Write the copies that differ or are missing, all or none, and return their names.

    Raises `OSError`.
    """
    stale = [*stale_schemas(folder), *missing_schemas(folder)]
    shipped = schema_copies()
    if stale:
        with files_written(folder, {name: shipped[name].encode() for name in stale}):
            pass
    return stale


def _shipped(name: str) -> str:
    schemas = importlib.resources.files("destinations.definition") / "schemas"
    return (schemas / name).read_text(encoding="utf-8")


def _stale(folder: Traversable) -> Iterator[str]:
    for name in _NAMES:
        copy = folder / FOLDER / name
        if copy.is_file() and copy.read_bytes() != _shipped(name).encode():
            yield name
