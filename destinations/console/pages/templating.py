"""Make pages of templates, in which everything is escaped that is not markup of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from destinations.console.pages.query import link
from destinations.console.pages.visit import ConsolePage, Frame, Shown
from destinations.extras import libraries_of
from destinations.pages import (
    Column,
    Html,
    badge,
    bytes_text,
    command,
    duration,
    element,
    empty,
    escape,
    facts,
    message,
    number,
    table,
    time,
)

with libraries_of("console", "the console"):
    import jinja2

__all__ = ["json_shown", "linked", "render"]

_OWN: Final = "destinations.console.pages"


def render(shown: Shown, visit: Frame, page: ConsolePage | None = None) -> str:
    """Return a page as HTML."""
    package = _OWN if page is None else page.package
    values = {
        "visit": visit,
        "page": page,
        "menu": _menu(visit, page),
        "can_change": visit.operator.may("operate"),
        "notice": "",
        **shown.values,
    }
    return _environment(package).get_template(shown.template).render(values)


def linked(text: object, url: str) -> Html:
    """Return a link to a page of this console; only text without a URL."""
    return element("a", text, href=url) if url else escape(text)


def json_shown(value: Any) -> str:
    """Return a JSON value as people read it: indented, and as it was written otherwise."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


_GLOBALS: Final[Mapping[str, object]] = {
    "Column": Column,
    "badge": badge,
    "bytes_text": bytes_text,
    "command": command,
    "duration": duration,
    "empty": empty,
    "facts": facts,
    "link": link,
    "linked": linked,
    "message": message,
    "number": number,
    "table": table,
    "time": time,
}


@cache
def _environment(package: str) -> jinja2.Environment:
    """Return what makes the templates of a package; it finds the shared ones as well."""
    packages = dict.fromkeys((package, _OWN))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one, "templates") for one in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_escaped,
        extensions=["jinja2.ext.loopcontrols"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(_GLOBALS)
    environment.filters["shown_json"] = json_shown
    return environment


def _escaped(value: object) -> object:
    """Escape what is shown in the way of all our pages, unless it is markup already.

    That also takes out characters that would reorder the text around them.
    """
    return value if hasattr(value, "__html__") else escape(value)


def _menu(visit: Frame, current: ConsolePage | None) -> Sequence[tuple[str, str, bool]]:
    """Return the pages of the menu: path, title, and whether it is the one that is shown."""
    here = None if current is None else current.path
    return [
        (one.path, one.title, one.path == here or _is_below(here, one.path))
        for one in visit.pages
        if one.title
    ]


def _is_below(path: str | None, other: str) -> bool:
    return path is not None and other != "/" and path.startswith(f"{other}/")
