"""Create a new destination's folder or package from templates: valid, tested, and explained."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from destinations.definition.schema_copies import schema_copies
from destinations.definition.yaml_schema import write_scalar
from destinations.errors import UsageError
from destinations.whole_files import files_written

__all__ = ["create_destination", "create_package", "package_definition"]

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ENDING: Final = ".in"

_BY_REQUEST: Final = "perform:\n  request: sendEvent\n"
_BY_GENERATOR: Final = (
    "# The plugin has the generator; it may ask for these requests.\n"
    "perform:\n  generator: trackEvent\n  requests: [sendEvent]\n"
)


def create_destination(slug: str, parent: Path) -> list[Path]:
    """Make the folder ``slug`` in ``parent`` and return its files, sorted.

    The schemas are copied into the definition's folder, for editors. Raises `UsageError` for an
    invalid slug, for a folder that is not empty, and if it cannot be written.
    """
    return _create(slug, parent, _definition)


def create_package(slug: str, parent: Path) -> list[Path]:
    """Make a Python package in the folder ``slug`` of ``parent`` and return its files, sorted.

    It has the definition, and a plugin with code, a command and a sandbox. Raises as
    `create_destination` does.
    """
    return _create(slug, parent, _package)


def package_definition(slug: str, package: Path) -> Path:
    """Return the folder of the definition in a ``package`` that `create_package` made."""
    return package / _module(slug) / "definitions" / slug


def _create(
    slug: str, parent: Path, files: Callable[[str], Iterable[tuple[str, str]]]
) -> list[Path]:
    if not _SLUG.fullmatch(slug):
        msg = f"invalid name {slug!r}: use lowercase letters, digits and single hyphens"
        raise UsageError(msg)
    folder = parent / slug
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            msg = f"{folder} exists and is not empty; choose another name or --path"
            raise UsageError(msg)
        texts = {name: text.encode() for name, text in files(slug)}
        with files_written(folder, texts):
            return sorted(folder / name for name in texts)
    except OSError as error:
        msg = f"cannot write {folder}: {error.strerror}"
        raise UsageError(msg) from None


def _definition(slug: str) -> Iterator[tuple[str, str]]:
    """Yield (name within the folder, text) of every file of a definition."""
    yield from _filled("template", slug)
    yield from schema_copies().items()


def _package(slug: str) -> Iterator[tuple[str, str]]:
    """Yield (name within the folder, text) of every file of a package."""
    yield from _filled("package_template", slug)
    definitions = f"{_module(slug)}/definitions"
    docstring = '"""The definitions of this package, one folder each."""\n'
    yield f"{definitions}/__init__.py", docstring
    for name, text in _definition(slug):
        yield f"{definitions}/{slug}/{name}", text.replace(_BY_REQUEST, _BY_GENERATOR)


def _module(slug: str) -> str:
    """Return the name of the package to import: a slug may begin with a digit."""
    return "destination_" + slug.replace("-", "_")


def _filled(template: str, slug: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a template with the names of the destination in their places."""
    name = slug.replace("-", " ").title()
    module = _module(slug)
    names = {"__PACKAGE__": module, "__MODULE__": slug.replace("-", "_")}
    names |= {"__DISTRIBUTION__": module.replace("_", "-")}
    for path, source in _templates(importlib.resources.files(__package__) / template, ""):
        text = source.read_text(encoding="utf-8")
        # A whole value is quoted if YAML readers would disagree on it, as on 2026-01-01.
        for placeholder, value in (("__SLUG__", slug), ("__NAME__", name)):
            text = text.replace(f": {placeholder}", f": {write_scalar(value)}")
            text = text.replace(placeholder, value)
        for placeholder, value in names.items():
            text, path = text.replace(placeholder, value), path.replace(placeholder, value)  # noqa: PLW2901 - its name, filled in as well
        yield path, text


def _templates(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_ENDING):
            yield prefix + entry.name.removesuffix(_ENDING), entry
