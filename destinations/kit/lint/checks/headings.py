"""Check headings and their sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from destinations.kit.lint.checks.found import Found
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rules import Rule
from destinations.kit.lint.source import Source
from destinations.kit.lint.words import field_words
from destinations.kit.partner_page.calls import METHODS

__all__ = [
    "empty_sections",
    "first_level",
    "heading_order",
    "sentence_case",
    "title_case",
    "top_level_sections",
]

_SMALL: Final = frozenset(
    ["a", "an", "and", "as", "at", "but", "by", "for", "from", "in", "of", "on", "or", "the", "to"]
)


def empty_sections(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find headings with nothing below them, not even a sub-section."""
    for heading in source.page.headings:
        if not source.page.section(heading, whole=True):
            yield Found(source.start_of(heading.line), heading.text)


def top_level_sections(
    source: Source, rule: Rule, _configuration: Configuration
) -> Iterator[Found]:
    """Find second-level headings that the template does not have."""
    known = {text.lower() for text in rule.allowed}
    for heading in source.page.headings:
        if heading.level == 2 and heading.text.lower() not in known:
            yield Found(source.start_of(heading.line), heading.text)


def first_level(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Check titles: a page's is in its front matter; a submission has one, at its top."""
    titles = [heading for heading in source.page.headings if heading.level == 1]
    if source.page.flavour == "published":
        for heading in titles:
            yield Found(source.start_of(heading.line), "the site makes the title from front matter")
        return
    for heading in titles[1:]:
        yield Found(source.start_of(heading.line), "a page has one title")


def heading_order(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find headings more than one level below the one before them."""
    level = 0
    for heading in source.page.headings:
        if level and heading.level > level + 1:
            yield Found(source.start_of(heading.line), heading.text)
        level = heading.level


def title_case(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find titles with a word in lower case, except articles and short prepositions."""
    title = str((source.page.front_matter or {}).get("title", ""))
    words = title.split()
    for index, word in enumerate(words):
        inner = 0 < index < len(words) - 1
        if word[:1].islower() and not (inner and word in _SMALL):
            yield Found(max(source.text.find(title), 0), title)
            return


def sentence_case(source: Source, rule: Rule, configuration: Configuration) -> Iterator[Found]:
    """Find capitals within a heading, except in names, acronyms and methods of the Segment Spec."""
    title = str((source.page.front_matter or {}).get("title", ""))
    names = {word for word in field_words() if word[:1].isupper()}
    names |= {method.capitalize() for method in METHODS} | set(title.split())
    names |= {heading.text for heading in source.page.headings if heading.level == 1}
    known = {name.lower() for name in names} | configuration.words
    for heading in source.page.headings:
        if heading.text in rule.allowed or heading.level == 1:
            continue
        plain = re.sub(r"`[^`]*`|\]\([^)]*\)", "", heading.text)
        words = re.findall(r"[A-Za-z][\w'-]*", plain)
        capitals = [word for word in words[1:] if word[0].isupper() and not word.isupper()]
        wrong = [word for word in capitals if word.lower() not in known]
        if wrong or (words and words[0][0].islower()):
            yield Found(source.start_of(heading.line), heading.text)
