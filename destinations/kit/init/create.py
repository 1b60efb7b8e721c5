"""Create a new destination's folder from templates: valid, tested, and explained by comments."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from destinations.definition.schema_copies import schema_copies
from destinations.definition.yaml_schema import write_scalar
from destinations.errors import UsageError

__all__ = ["create_destination"]

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ENDING: Final = ".in"


def create_destination(slug: str, parent: Path) -> list[Path]:
    """Make the folder ``slug`` in ``parent`` and return its files, sorted.

    The schemas are copied beside the definition, for editors. Raises `UsageError` for an invalid
    slug, for a folder that is not empty, and if it cannot be written.
    """
    if not _SLUG.fullmatch(slug):
        msg = f"invalid name {slug!r}: use small letters, digits and single hyphens"
        raise UsageError(msg)
    folder = parent / slug
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            msg = f"{folder} exists and is not empty; choose another name or --path"
            raise UsageError(msg)
        return sorted(_write(folder / name, text) for name, text in _files(slug))
    except OSError as error:
        msg = f"cannot write {folder}: {error.strerror}"
        raise UsageError(msg) from None


def _files(slug: str) -> Iterator[tuple[str, str]]:
    """Yield (name within the folder, text) of every file."""
    name = slug.replace("-", " ").title()
    for path, source in _templates(importlib.resources.files(__package__) / "template", ""):
        text = source.read_text(encoding="utf-8")
        # A whole value is quoted if YAML readers would disagree on it, as on 2026-01-01.
        for placeholder, value in (("__SLUG__", slug), ("__NAME__", name)):
            text = text.replace(f": {placeholder}", f": {write_scalar(value)}")
            text = text.replace(placeholder, value)
        yield path, text
    yield from schema_copies().items()


def _templates(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_ENDING):
            yield prefix + entry.name.removesuffix(_ENDING), entry


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
