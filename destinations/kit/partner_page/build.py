"""Renders the page of a destination: data and templates in, Markdown and HTML out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from destinations.definition import DestinationDefinition
from destinations.errors import UsageError
from destinations.extras import libraries_of
from destinations.kit.partner_page.escaping import (
    active_html,
    escaped,
    plain_liquid,
    script_links,
)
from destinations.kit.partner_page.facts import page_facts
from destinations.kit.partner_page.flavour import FLAVOURS, Flavour
from destinations.kit.partner_page.html import preview_html
from destinations.kit.partner_page.markdown import inline_tokens
from destinations.kit.partner_page.rendering import render
from destinations.runtime.plugins import Plugin, TellsItsPage

with libraries_of("kit"):
    import jinja2

__all__ = ["page_files", "render_page", "stale_files", "write_files"]

_TEMPLATES: Final = jinja2.PackageLoader("destinations.kit.partner_page", "templates")
_ENDING: Final = ".md.j2"


def render_page(
    folder: Traversable,
    definition: DestinationDefinition,
    plugin: Plugin | None,
    flavour: Flavour,
) -> str:
    """Return the page of the definition in ``folder`` as Markdown.

    The folder's own templates, ``page/*.md.j2``, come before those of the framework; they see no
    other file. Raises `UsageError` for a template that cannot be rendered, for a sample that does
    not work, and for HTML that a browser carries out.
    """
    candidate: object = plugin  # it may follow both protocols
    data = candidate.page_data() if isinstance(candidate, TellsItsPage) else {}
    code = plugin.code(None) if plugin is not None else None
    facts = page_facts(definition, code, data)
    # A submission stands on a page that carries out no Liquid.
    values = escaped(facts, liquid=flavour.name == "published")
    steps = facts["documentation"].get("setup", [])
    try:
        text = render(flavour, _templates(folder), values, steps)
        _check(text)
    except UsageError as error:
        raise UsageError(f"the page of {definition.slug}: {error}") from None
    return _tidy(text)


def _check(text: str) -> None:
    """Raise `UsageError` for what a browser carries out.

    That is a template's own, or a value that a template put where it ends a span of code.
    """
    for token in inline_tokens(plain_liquid(text)):
        find = script_links if token.type == "text" else active_html
        for found in find(token.content):
            shown = " ".join(found[0].split())
            raise UsageError(f"it holds what a browser carries out: {shown}")


def _templates(folder: Traversable) -> dict[str, str]:
    """Return all templates by name; those of the folder come before those of the framework."""
    environment = jinja2.Environment(loader=_TEMPLATES, autoescape=True)
    found = {}
    for name in _TEMPLATES.list_templates():
        if name.endswith(_ENDING):
            found[name], _, _ = _TEMPLATES.get_source(environment, name)
    page = folder.joinpath("page")
    if not page.is_dir():
        return found
    for file in page.iterdir():
        if file.name.endswith(_ENDING) and file.is_file():
            if isinstance(file, Path) and not _is_inside(file, folder):
                raise UsageError(f"page/{file.name} leads out of the folder of the definition")
            found[file.name] = file.read_text(encoding="utf-8")
    return found


def _is_inside(file: Path, folder: Traversable) -> bool:
    """Tell whether a file is in the folder, wherever links lead to."""
    return isinstance(folder, Path) and file.resolve().is_relative_to(folder.resolve())


def page_files(
    folder: Traversable, definition: DestinationDefinition, plugin: Plugin | None
) -> dict[str, str]:
    """All files of a page by name: each flavour, and an HTML preview of the published one."""
    files = {
        f"{definition.slug}{flavour.suffix}.md": render_page(folder, definition, plugin, flavour)
        for flavour in FLAVOURS
    }
    files[f"{definition.slug}.html"] = preview_html(files[f"{definition.slug}.md"])
    return files


def write_files(files: Mapping[str, str], target: Path) -> None:
    """Write files into the folder ``target``, which is made if it is missing."""
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_text(text, encoding="utf-8", newline="\n")


def stale_files(files: Mapping[str, str], target: Path) -> list[str]:
    """Return the paths in ``target`` that are missing or hold something else than ``files``."""
    return [
        str(target / name)
        for name, text in files.items()
        if not (target / name).is_file() or (target / name).read_bytes() != text.encode()
    ]


def _tidy(text: str) -> str:
    """One empty line between blocks, none at the ends, no spaces at the ends of lines."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
