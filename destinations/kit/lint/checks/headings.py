"""Check headings and their sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source
from destinations.kit.lint.word_lists import field_names
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
    """Find headings more than one level below the one before them, except the questions of FAQ."""
    level = 0
    in_faq = False
    for heading in source.page.headings:
        if heading.level == 2:
            in_faq = heading.text.strip().lower() == "faq"
        if level and heading.level > level + 1 and not (in_faq and heading.level == 4):
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
    words = {method.capitalize() for method in METHODS} | set(title.split())
    words |= {heading.text for heading in source.page.headings if heading.level == 1}
    known = {word.lower() for word in words}
    for heading in source.page.headings:
        if heading.text in rule.allowed or heading.level == 1:
            continue
        plain = re.sub(r"`[^`]*`|\]\([^)]*\)|\*\*[^*]+\*\*", "`", heading.text)
        for name in field_names():
            plain = plain.replace(name, "`") if name in plain else plain
        plain = re.sub(r"^[\d.)\s]+", "", plain)
        found = re.findall(r"(?<![\w`.])(?<![.:?!]\s)[A-Za-z][\w'-]*(?!\.\w)", plain)
        begins = re.match(r"[^\w`]*[A-Za-z]", plain) is not None and bool(found)
        # Acronyms, and names with an inner capital, keep theirs.
        capitals = [word.lower() for word in found[begins:] if re.fullmatch(r"[A-Z][a-z'-]+", word)]
        wrong = [one for one in capitals if one not in known and not configuration.knows(one)]
        if wrong or (begins and re.match(r"[a-z]+(?![\w.])", found[0])):
            yield Found(source.start_of(heading.line), heading.text)
