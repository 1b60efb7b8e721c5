"""Apply all rules to one page, and fix what is mechanical."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from destinations.errors import UsageError
from destinations.kit.lint.checks import CHECKS
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.finding import Finding
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.rules import with_own_rules
from destinations.kit.lint.source import Source
from destinations.kit.lint.time_limit import PATTERN_SECONDS, time_limit

__all__ = ["example_message", "fix_page", "lint_page"]

_DEFAULT: Final = Configuration()
_FRONT_MATTER: Final = "---\ntitle: Kana Destination\nid: 62d130412ffed8c0b170560f\n---\n\n"
_ROUNDS: Final = 5
"""A fixed place can uncover another; more rounds than this would be rules that contradict."""
_SECONDS: Final = PATTERN_SECONDS
"""The CPU time that the search of one rule has for a page: a shipped one takes milliseconds."""


def lint_page(
    text: str, path: Path, configuration: Configuration = _DEFAULT
) -> tuple[Finding, ...]:
    """Return every finding in a page, by place; paths of images are relative to the file ``path``.

    A page with front matter is of the published flavour, any other a submission.
    """
    source = Source(text, path)
    findings = []
    for rule, found in _most_specific(_all_found(source, configuration)):
        line, column = source.place(found.offset)
        level = configuration.levels.get(rule.id, rule.level)
        message = rule.message_for(found)
        findings.append(Finding(str(path), line, column, rule.id, level, message))
    return tuple(sorted(findings, key=lambda finding: (finding.line, finding.column, finding.rule)))


def fix_page(text: str, path: Path, configuration: Configuration = _DEFAULT) -> str:
    """Return a page with every fix that needs no author."""
    for _ in range(_ROUNDS):
        fixed = text
        found = [one for _, one in _all_found(Source(text, path), configuration)]
        start = len(text)
        for one in sorted(found, key=lambda one: one.offset, reverse=True):
            if one.fix is not None and one.end <= start:  # of two that overlap, the later one
                before = _with_article(fixed[: one.offset], fixed[one.offset :], one.fix)
                fixed = before + one.fix + fixed[one.end :]
                start = one.offset
        if fixed == text:
            break
        text = fixed
    return text


_ARTICLE: Final = re.compile(r"\b(a|an)(\s+)$", re.IGNORECASE)
_VOWEL: Final = re.compile(
    r"(?!eu|one\b|once\b|uni(?!n|m)|us[aeiu]|uti)[aeiou]|hour|honest", re.IGNORECASE
)


def _with_article(before: str, old: str, new: str) -> str:
    """Return the text ``before`` a place with the article that the new text there needs."""
    article = _ARTICLE.search(before)
    starts_with_vowel = _VOWEL.match(new) is not None
    if article is None or not new[:1].isalpha() or starts_with_vowel == bool(_VOWEL.match(old)):
        return before
    letter = article[1][0]
    return f"{before[: article.start()]}{letter}{'n' if starts_with_vowel else ''}{article[2]}"


def _all_found(source: Source, configuration: Configuration) -> Iterator[tuple[Rule, Found]]:
    for rule in with_own_rules(configuration.rules):
        level = configuration.levels.get(rule.id, rule.level)
        if level == "off" or source.page.flavour not in rule.flavours:
            continue
        yield from ((rule, one) for one in _found(rule, source, configuration))


def _found(rule: Rule, source: Source, configuration: Configuration) -> list[Found]:
    if rule.search is None:
        return list(CHECKS[rule.check or ""](source, rule, configuration))
    try:
        with time_limit(_SECONDS):
            return list(rule.search(source))
    except TimeoutError:
        raise UsageError(
            f"{rule.source}: the rule {rule.id} takes longer than {_SECONDS:g} seconds for "
            f"{source.path}: a pattern backtracks, such as one with a repetition in a repetition"
        ) from None


def _most_specific(found: Iterable[tuple[Rule, Found]]) -> list[tuple[Rule, Found]]:
    """Return one finding for the same words, by the rule that knows most of them.

    Those of rules of one's own all stay.
    """
    chosen: dict[Any, tuple[Rule, Found]] = {}
    for rule, one in found:
        is_shipped = bool(rule.good)
        place = (one.offset, one.end) if one.end and is_shipped else (rule.id, len(chosen))
        before = chosen.get(place)
        if before is None or _specificity(rule, one) > _specificity(*before):
            chosen[place] = (rule, one)
    return list(chosen.values())


def _specificity(rule: Rule, found: Found) -> int:
    """Return 2 for a rule that says what to write, 1 for another of prose, 0 for a dictionary."""
    if rule.search is None:
        return 0
    return 1 if found.fix is None else 2


def example_message(rule: Rule) -> str:
    """Return a rule's message with the values of its example of what is wrong."""
    text = f"{rule.bad}\n\n{rule.context}\n"
    if "published" in rule.flavours and not text.startswith("---"):
        text = _FRONT_MATTER + text
    # The images of examples are no files: rules that read them have no values to show.
    source = Source(text, Path("examples-of-rules", "page.md"))
    found = _found(rule, source, _DEFAULT) if rule.bad else []
    return rule.message_for(found[0] if found else Found(0, "...", "..."))
