"""Check the spelling of words, sentences without a subject, and paragraphs that are there twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source
from destinations.kit.lint.spelling import correction, is_plain_slip, is_word
from destinations.kit.subjects import verb_without_subject

__all__ = ["missing_subjects", "repeated_paragraphs", "spelling", "unknown_words"]

# Words with digits, dots or slashes in them, and those that touch code, are not words of a
# language.
_WORD: Final = re.compile(
    r"(?<![\w\ufffc.@/#-])[^\W\d_]+(?:['\u2019-][^\W\d_]+)*(?![\w\ufffc@/]|\.\w|-[\d\ufffc])"
)
# Code-like words and plurals of acronyms: camelCase, SDKs.
_CODE_LIKE: Final = re.compile(r"[a-z]+[A-Z]|[A-Z]{2,}|[A-Z][a-z]+[A-Z]")
_SENTENCE_START: Final = re.compile(r"(?:^|[.!?:|\n\ufffd*_([\"'\u201c>]\s*)$")
_LEAST: Final = 8
"""A shorter paragraph, such as an item of a list, may be there twice."""


class _Unknown(NamedTuple):
    offset: int
    word: str
    correction: str


def spelling(source: Source, rule: Rule, configuration: Configuration) -> Iterator[Found]:
    """Find words that no dictionary has and that look like a slip of a known one."""
    ignored = [re.compile(pattern) for pattern in rule.allowed]
    for one in _unknown(source, configuration):
        if one.correction and not any(pattern.search(one.word) for pattern in ignored):
            yield Found(one.offset, one.word, one.correction, one.offset + len(one.word))


def unknown_words(source: Source, _rule: Rule, configuration: Configuration) -> Iterator[Found]:
    """Find words that no dictionary has and that are like no other word."""
    for one in _unknown(source, configuration):
        if not one.correction:
            yield Found(one.offset, one.word, end=one.offset + len(one.word))


def _unknown(source: Source, configuration: Configuration) -> Iterator[_Unknown]:
    own = _own_names(source)
    for found in _WORD.finditer(source.prose):
        whole = found[0].replace("\u2019", "'")
        if configuration.knows(whole) or is_word(whole.lower()):
            continue
        at = found.start()
        for part in whole.split("-"):
            offset, at = at, at + len(part) + 1
            plain = re.sub(r"'s$|'$", "", part)
            # Parts of compounds are short: add-ons.
            if len(plain) < (4 if "-" in whole else 3) or _CODE_LIKE.match(plain):
                continue
            word = plain.lower()
            if word in own or configuration.knows(plain) or is_word(word) or is_word(part.lower()):
                continue
            slip = correction(word, frozenset(own | configuration.words))
            is_slip_of_name = slip in own and len(word) > 5
            # A capital within a sentence marks a name, which may look like any word. One at the
            # start of a sentence may do so, unless it is a plain slip.
            if not _is_name(source.prose, offset, plain) or is_slip_of_name:
                is_sure = plain[0].islower() or is_slip_of_name or is_plain_slip(word, slip)
                yield _Unknown(offset, part, slip if is_sure else "")


def _own_names(source: Source) -> set[str]:
    """Return the words of titles, and those that have a capital in the middle of a sentence."""
    title = str((source.page.front_matter or {}).get("title", ""))
    titles = [heading.text for heading in source.page.headings if heading.level == 1]
    return {word.lower() for text in (title, *titles) for word in re.findall(r"[^\W\d_]+", text)}


def _is_name(prose: str, offset: int, word: str) -> bool:
    if not word[0].isupper():
        return False
    if _SENTENCE_START.search(prose[max(0, offset - 6) : offset]) is None:
        return True
    # At the start of a sentence it is one if it has its capital in the middle of others as well.
    return any(
        _SENTENCE_START.search(prose[max(0, other.start() - 6) : other.start()]) is None
        for other in re.finditer(rf"\b{re.escape(word)}\b", prose)
    )


def missing_subjects(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find paragraphs that begin with what somebody does, and do not say who.

    Items of a list and cells of a table may go on with a sentence that was begun above them.
    """
    for start, text in source.paragraphs:
        found = verb_without_subject(text)
        if found is not None and not source.text.endswith("|", 0, start):
            yield Found(start + found.start("verb"), found["verb"], end=start + found.end("verb"))


def repeated_paragraphs(
    source: Source, _rule: Rule, _configuration: Configuration
) -> Iterator[Found]:
    """Find paragraphs and items of lists that are on the page twice.

    Rows of a table may be alike, and a hint is for readers of one section.
    """
    seen: dict[str, int] = {}
    for start, text in source.paragraphs:
        end = start + len(text)
        words = " ".join(source.text[start:end].split()).strip("|> ").casefold()
        line, _ = source.place(start)
        begin = source.start_of(line)
        in_hint = source.text.count("\n:::", 0, begin) % 2 == 1
        is_apart = in_hint or source.text.startswith((":::", "|", ">"), begin)
        if is_apart or len(words.split()) < _LEAST:
            continue
        if words in seen:
            yield Found(start + len(text) - len(text.lstrip()), str(seen[words]))
        seen.setdefault(words, line)
