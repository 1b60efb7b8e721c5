"""Find text that is executed instead of shown: Liquid by the site, HTML by browsers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source
from destinations.kit.partner_page.page_escaping import LIQUID, script_links
from destinations.kit.partner_page.page_escaping import active_html as html_in

__all__ = ["active_html", "liquid"]

# What Liquid itself does not touch, or does not print.
_SILENT: Final = re.compile(
    r"\{%-?\s*(?P<tag>raw|comment)\s*-?%\}.*?\{%-?\s*end(?P=tag)\s*-?%\}", re.DOTALL
)
# What pages of Segment's docs include, on a line of its own.
_INCLUDE: Final = re.compile(
    r"\{%-?\s*include\s+(?:components|content)/[\w/-]+\.(?:html|md)(?:\s+[\w-]+=\"[^\"{}]*\")*\s*-?%\}"
)
# A text that a page names, to print it where it is needed.
_NAMED: Final = re.compile(r"\{%-?\s*(?:capture\s+(?P<capture>\w+)|assign\s+(?P<assign>\w+)\s*=)")
_NAMING: Final = re.compile(
    r"\{%-?\s*(?:capture\s+\w+\s*|endcapture\s*|assign\s+\w+\s*=[^%]*)-?%\}"
)
_PRINTED: Final = re.compile(r"\{\{-?\s*(?P<name>\w+)(?P<part>\.[\w.-]+)?\s*(?:\|[^{}]*)?-?\}\}")


def liquid(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find tags and placeholders of Liquid, which the site executes even in code."""
    raw = [(found.start(), found.end()) for found in _SILENT.finditer(source.text)]
    named = {one["capture"] or one["assign"] for one in _NAMED.finditer(source.uncoded)}
    for found in LIQUID.finditer(source.text):
        is_raw = any(start <= found.start() < end for start, end in raw)
        if len(found[0]) == 2 and not is_raw:
            line = source.text[found.start() :].splitlines()[0]
            if _INCLUDE.fullmatch(line.strip()) and source.text[found.start() - 1] == "\n":
                continue
            if _is_meant(source, found.start(), named):
                continue
            yield Found(found.start(), line[:40], found[0])


def _is_meant(source: Source, offset: int, named: Collection[str]) -> bool:
    """Return whether Liquid outside of code names a text, or prints one of the page's or site's."""
    if _NAMING.match(source.uncoded, offset):
        return True
    printed = _PRINTED.match(source.uncoded, offset)
    if printed is None:
        return False
    return printed["name"] in named or (
        printed["name"] in {"page", "site"} and bool(printed["part"])
    )


def active_html(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find scripts, frames, event handlers and the like, outside of code."""
    for found in (*html_in(source.uncoded), *script_links(source.uncoded)):
        yield Found(found.start(), " ".join(found[0].split()))
