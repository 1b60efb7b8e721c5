"""Check the spelling of words and the length of sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from destinations.extras import libraries_of
from destinations.kit.lint.checks.found import Found
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rules import Rule
from destinations.kit.lint.source import Source
from destinations.kit.lint.words import field_words

if TYPE_CHECKING:
    from spellchecker import SpellChecker

__all__ = ["long_sentences", "spelling"]

_WORD: Final = re.compile(
    r"(?<![\w\ufffc.@/])[^\W\d_]+(?:['\u2019][^\W\d_]+)*(?![\w\ufffc@/]|\.\w)"
)
_SENTENCE: Final = re.compile(r"[^.!?:\n|]+")
_LONGEST: Final = 35


@cache
def _dictionary() -> SpellChecker:
    # Loading the dictionary takes a third of a second: only a lint needs it.
    with libraries_of("kit"):
        from spellchecker import SpellChecker  # noqa: PLC0415 - slow to import

    return SpellChecker(language="en")


def spelling(source: Source, _rule: Rule, configuration: Configuration) -> Iterator[Found]:
    """Find words of the prose that no dictionary has, except acronyms and the title's own words."""
    title = str((source.page.front_matter or {}).get("title", ""))
    titles = [heading.text for heading in source.page.headings if heading.level == 1]
    own = {word.lower() for text in (title, *titles) for word in _WORD.findall(text)}
    known = {word.lower() for word in field_words()} | configuration.words | own
    for found in _WORD.finditer(source.prose):
        word = found[0].replace("\u2019", "'")
        plain = word.lower().removesuffix("'s")
        if word.isupper() or len(plain) < 2 or plain in known:
            continue
        if plain not in _dictionary() and word.lower() not in _dictionary():
            yield Found(found.start(), word)


def long_sentences(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find sentences of more than 35 words."""
    for found in _SENTENCE.finditer(source.prose):
        words = len(re.findall(r"[^\W_][\w'\u2019-]*|\ufffc+", found[0]))
        if words > _LONGEST:
            lead = len(found[0]) - len(found[0].lstrip())
            yield Found(found.start() + lead, str(words))
