"""Renders the page of a destination: data and templates in, Markdown and HTML out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from destinations.definition import DestinationDefinition
from destinations.errors import UsageError
from destinations.partner_page.facts import page_facts
from destinations.partner_page.fields import in_one_line
from destinations.partner_page.flavour import FLAVOURS, Flavour
from destinations.partner_page.html import preview_html
from destinations.runtime.plugins import Plugin, TellsItsPage

__all__ = ["page_files", "render_page", "stale_files", "write_files"]

_TEMPLATES: Final = jinja2.PackageLoader("destinations.partner_page", "templates")


def render_page(
    folder: Traversable,
    definition: DestinationDefinition,
    plugin: Plugin | None,
    flavour: Flavour,
) -> str:
    """The page of the definition in ``folder`` as Markdown.

    The folder's own templates, ``page/*.md.j2``, come before those of the framework. Raises
    `UsageError` for a template that cannot be rendered and for a sample that does not work.
    """
    candidate: object = plugin  # it may follow both protocols
    data = candidate.page_data() if isinstance(candidate, TellsItsPage) else {}
    code = plugin.code(None) if plugin is not None else None
    facts = page_facts(definition, code, data)
    environment = _environment(folder, flavour)
    environment.globals.update(facts)
    _let_setup_steps_use_names(environment, facts)
    try:
        text = environment.get_template(f"{flavour.name}.md.j2").render()
    except jinja2.TemplateError as error:
        where = (
            f" ({error.name}:{error.lineno})"
            if isinstance(error, jinja2.TemplateSyntaxError)
            else ""
        )
        msg = f"the page of {definition.slug} cannot be rendered{where}: {error.message or error}"
        raise UsageError(msg) from None
    return _tidy(text)


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
    """Writes files into the folder ``target``, which is made if it is missing."""
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_text(text, encoding="utf-8", newline="\n")


def stale_files(files: Mapping[str, str], target: Path) -> list[str]:
    """The paths in ``target`` that are missing or hold something else than ``files``."""
    return [
        str(target / name)
        for name, text in files.items()
        if not (target / name).is_file() or (target / name).read_bytes() != text.encode()
    ]


def _environment(folder: Traversable, flavour: Flavour) -> jinja2.Environment:
    # Sandboxed: a definition is data, and may come from anybody. Nothing is escaped: this makes
    # Markdown, and the preview lets no HTML of a page through.
    environment = SandboxedEnvironment(
        loader=jinja2.ChoiceLoader([jinja2.FunctionLoader(_own(folder)), _TEMPLATES]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        {
            name: getattr(flavour, name)
            for name in ("heading", "hint", "external", "partner", "segment")
        }
    )
    environment.globals["flavour"] = flavour.name
    environment.filters["words"] = _words
    environment.filters["one_line"] = in_one_line
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment


def _let_setup_steps_use_names(environment: jinja2.Environment, facts: Mapping[str, Any]) -> None:
    """Set-up steps of the definition are templates too: they name settings and link pages."""
    steps = facts["documentation"].get("setup", [])
    try:
        rendered = [environment.from_string(step).render() for step in steps]
    except jinja2.TemplateError as error:
        msg = f"a step of /documentation/setup cannot be rendered: {error.message or error}"
        raise UsageError(msg) from None
    environment.globals["setup_steps"] = rendered


def _own(folder: Traversable) -> Any:
    """Loads a template from the definition's folder ``page``; None lets the framework's be used."""

    def load(name: str) -> str | None:
        file = folder.joinpath("page").joinpath(name)
        return file.read_text(encoding="utf-8") if file.is_file() else None

    return load


def _words(items: list[str]) -> str:
    """A list in a sentence: ``a``, ``a and b``, ``a, b, and c``."""
    if len(items) < 3:
        return " and ".join(items)
    return ", ".join(items[:-1]) + ", and " + items[-1]


def _tidy(text: str) -> str:
    """One empty line between blocks, none at the ends, no spaces at the ends of lines."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
