"""Find text that is executed instead of shown: Liquid by the site, HTML by browsers."""

from __future__ import annotations

from collections.abc import Iterator

from destinations.kit.lint.checks.found import Found
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rules import Rule
from destinations.kit.lint.source import Source
from destinations.kit.partner_page.escaping import LIQUID, script_links
from destinations.kit.partner_page.escaping import active_html as html_in

__all__ = ["active_html", "liquid"]


def liquid(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find tags and placeholders of Liquid, which the site executes even in code."""
    for found in LIQUID.finditer(source.text):
        if len(found[0]) == 2:
            line = source.text[found.start() :].splitlines()[0]
            yield Found(found.start(), line[:40])


def active_html(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find scripts, frames, event handlers and the like, outside of code."""
    for found in (*html_in(source.uncoded), *script_links(source.uncoded)):
        yield Found(found.start(), " ".join(found[0].split()))
