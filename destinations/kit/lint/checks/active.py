"""Find text that is executed instead of shown: Liquid by the site, HTML by browsers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source
from destinations.kit.partner_page.page_escaping import LIQUID, script_links
from destinations.kit.partner_page.page_escaping import active_html as html_in

__all__ = ["active_html", "liquid"]

# What Liquid itself does not touch.
_RAW: Final = re.compile(r"\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}", re.DOTALL)
# What Segment's templates of pages include, on a line of its own.
_INCLUDE: Final = re.compile(
    r"\{%-?\s*include\s+(?:components/[\w-]+\.html|content/plan-grid\.md)(?:\s+[\w-]+=\"[^\"{}]*\")*\s*-?%\}"
)


def liquid(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find tags and placeholders of Liquid, which the site executes even in code."""
    raw = [(found.start(), found.end()) for found in _RAW.finditer(source.text)]
    for found in LIQUID.finditer(source.text):
        is_raw = any(start <= found.start() < end for start, end in raw)
        if len(found[0]) == 2 and not is_raw:
            line = source.text[found.start() :].splitlines()[0]
            if _INCLUDE.fullmatch(line.strip()) and source.text[found.start() - 1] == "\n":
                continue
            yield Found(found.start(), line[:40])


def active_html(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find scripts, frames, event handlers and the like, outside of code."""
    for found in (*html_in(source.uncoded), *script_links(source.uncoded)):
        yield Found(found.start(), " ".join(found[0].split()))
