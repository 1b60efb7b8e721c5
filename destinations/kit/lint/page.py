"""Apply all rules to one page, and fix what is mechanical."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from destinations.kit.lint.checks import CHECKS
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.finding import Finding
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.rules import with_own_rules
from destinations.kit.lint.source import Source

__all__ = ["fix_page", "lint_page"]

_DEFAULT: Final = Configuration()
_ROUNDS: Final = 5
"""A fixed place can uncover another; more rounds than this would be rules that contradict."""


def lint_page(
    text: str, path: Path, configuration: Configuration = _DEFAULT
) -> tuple[Finding, ...]:
    """Return every finding in a page, by place; paths of images are relative to the file ``path``.

    A page with front matter is of the published flavour, any other a submission.
    """
    source = Source(text, path)
    findings = []
    for rule, found in _all_found(source, configuration):
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
                fixed = fixed[: one.offset] + one.fix + fixed[one.end :]
                start = one.offset
        if fixed == text:
            break
        text = fixed
    return text


def _all_found(source: Source, configuration: Configuration) -> Iterator[tuple[Rule, Found]]:
    for rule in with_own_rules(configuration.rules):
        level = configuration.levels.get(rule.id, rule.level)
        if level == "off" or source.page.flavour not in rule.flavours:
            continue
        if rule.search is not None:
            found = rule.search(source)
        else:
            found = CHECKS[rule.check or ""](source, rule, configuration)
        yield from ((rule, one) for one in found)
