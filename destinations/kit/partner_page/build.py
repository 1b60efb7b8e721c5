"""Render a destination's page from its data and templates to Markdown and HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from destinations.definition import DestinationDefinition
from destinations.errors import UsageError, did_you_mean
from destinations.extras import libraries_of
from destinations.kit.partner_page.calls import METHODS
from destinations.kit.partner_page.facts import page_facts
from destinations.kit.partner_page.flavour import FLAVOURS, Flavour
from destinations.kit.partner_page.html import preview_html
from destinations.kit.partner_page.images import IMAGES, is_inside, page_images
from destinations.kit.partner_page.markdown import inline_tokens
from destinations.kit.partner_page.page_escaping import (
    active_html,
    escaped,
    plain_liquid,
    script_links,
    without_code,
)
from destinations.kit.partner_page.rendering import render
from destinations.runtime.plugins import Plugin, plugin_code, plugin_page_data
from destinations.whole_files import files_written

with libraries_of("kit"):
    import jinja2

__all__ = ["page_files", "render_page", "stale_files", "write_files"]

_TEMPLATES: Final = jinja2.PackageLoader("destinations.kit.partner_page", "templates")
_ENDING: Final = ".md.j2"
_SLOTS: Final = frozenset(
    {
        *(name for name in _TEMPLATES.list_templates() if name.endswith(_ENDING)),
        *(f"{slot}{_ENDING}" for slot in ("after-setup", "for-review")),
        *(f"{prefix}{method}{_ENDING}" for method in METHODS for prefix in ("", "after-")),
    }
)
"""The templates that a definition may have: those of the framework, and those that they include."""
_FENCE: Final = re.compile(r" {0,3}(`{3,})(.*)")


def render_page(
    folder: Traversable,
    definition: DestinationDefinition,
    plugin: Plugin | None,
    flavour: Flavour,
) -> str:
    """Return the page of the definition in ``folder`` as Markdown.

    The folder's own templates, ``page/*.md.j2``, replace those of the framework; they cannot read
    other files. Raises `UsageError` for a template that cannot be rendered, a sample that does not
    work, and HTML that a browser would execute.
    """
    facts = page_facts(definition, plugin_code(plugin, None), plugin_page_data(plugin))
    # The page of a submission does not execute Liquid.
    values = escaped(facts, liquid=flavour.name == "published")
    steps = facts["documentation"].get("setup", [])
    try:
        text = render(flavour, _templates(folder), values, steps)
        _check(text)
    except UsageError as error:
        raise UsageError(f"the page of {definition.slug}: {error}") from None
    return _tidy(text)


def _check(text: str) -> None:
    """Raise `UsageError` for HTML that a browser would execute.

    It may be a template's own, or a value that a template put where it ends a code span.
    """
    for token in inline_tokens(plain_liquid(text)):
        text = without_code(token.content) if token.type == "inline" else token.content
        of_html = () if token.type == "text" else active_html(text)
        for found in (*of_html, *script_links(text)):
            shown = " ".join(found[0].split())
            raise UsageError(f"it holds HTML that a browser would execute: {shown}")


def _templates(folder: Traversable) -> dict[str, str]:
    """Return all templates by name; the folder's own replace those of the framework."""
    environment = jinja2.Environment(loader=_TEMPLATES, autoescape=True)
    found = {}
    for name in _TEMPLATES.list_templates():
        if name.endswith(_ENDING):
            found[name], _, _ = _TEMPLATES.get_source(environment, name)
    own: list[str] = []
    page = folder.joinpath("page")
    if not page.is_dir():
        return found
    for file in page.iterdir():
        if file.name.endswith(_ENDING) and file.is_file():
            if isinstance(file, Path) and not is_inside(file, folder):
                raise UsageError(f"page/{file.name} leads out of the definition's folder")
            found[file.name] = file.read_text(encoding="utf-8")
            own.append(file.name)
    for name in own:
        if name not in _SLOTS and not any(name in text for text in found.values()):
            near = did_you_mean(name, _SLOTS)
            raise UsageError(
                f"page/{name}: no template includes it{near}; known: {', '.join(sorted(_SLOTS))}"
            )
    return found


def page_files(
    folder: Traversable, definition: DestinationDefinition, plugin: Plugin | None
) -> dict[str, bytes]:
    """Return all files of a page by name: each flavour as Markdown and as a preview, the images.

    Raises `UsageError` as `render_page` and `page_images` do.
    """
    slug = definition.slug
    images = page_images(folder)
    texts = {
        flavour: render_page(folder, definition, plugin, flavour).encode() for flavour in FLAVOURS
    }
    links = {flavour.name: f"{slug}{flavour.suffix}.html" for flavour in FLAVOURS}
    pages = {f"{slug}{flavour.suffix}.md": text for flavour, text in texts.items()}
    previews = {
        f"{slug}{flavour.suffix}.html": preview_html(text.decode(), links=links).encode()
        for flavour, text in texts.items()
    }
    return {**pages, **previews, **images}


def write_files(files: Mapping[str, bytes], target: Path) -> None:
    """Write files into the folder ``target``, all or none, creating it and its folders if missing.

    Images of an earlier page that are not among them are removed, and their folder with the last.
    """
    former = _former_images(files, target)
    with files_written(target, files, obsolete=[f"{IMAGES}/{path.name}" for path in former]):
        pass
    if former and not any((target / IMAGES).iterdir()):
        (target / IMAGES).rmdir()


def stale_files(files: Mapping[str, bytes], target: Path) -> list[str]:
    """Return the paths in ``target`` that differ from ``files``, images of an earlier page too."""
    changed = [
        str(target / name)
        for name, content in files.items()
        if not (target / name).is_file() or (target / name).read_bytes() != content
    ]
    return [*changed, *map(str, _former_images(files, target))]


def _former_images(files: Mapping[str, bytes], target: Path) -> list[Path]:
    """Return the images in ``target`` that no longer belong to the page."""
    place = target / IMAGES
    if not place.is_dir():
        return []
    found = sorted(path for path in place.iterdir() if path.suffix in {".png", ".gif"})
    return [path for path in found if f"{IMAGES}/{path.name}" not in files]


def _tidy(text: str) -> str:
    """Leave one empty line between blocks, none at the ends, and no spaces at the ends of lines.

    Code blocks stay as they are.
    """
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            lines.append(line)
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
            continue
        fence = found[1] if found and "`" not in found[2] else ""
        prose = line.rstrip(" \t")
        if prose or (lines and lines[-1]):
            lines.append(prose)
    return "\n".join(lines).strip() + "\n"
