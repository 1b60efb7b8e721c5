"""Apply all rules to one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from destinations.kit.lint.checks import CHECKS, Found
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.finding import Finding
from destinations.kit.lint.rules import Rule, load_rules
from destinations.kit.lint.source import Source

__all__ = ["lint_page"]

_DEFAULT: Final = Configuration()


def lint_page(
    text: str, path: Path, configuration: Configuration = _DEFAULT
) -> tuple[Finding, ...]:
    """Return every finding in a page, by place; paths of images are relative to the file ``path``.

    A page with front matter is of the published flavour, any other a submission.
    """
    source = Source(text, path)
    findings = []
    for rule in load_rules():
        level = configuration.levels.get(rule.id, rule.level)
        if level == "off" or source.page.flavour not in rule.flavours:
            continue
        for found in _found(rule, source, configuration):
            line, column = source.place(found.offset)
            message = rule.message.format(found=found.text, swap=found.swap)
            findings.append(Finding(str(path), line, column, rule.id, level, message))
    return tuple(sorted(findings, key=lambda finding: (finding.line, finding.column, finding.rule)))


def _found(rule: Rule, source: Source, configuration: Configuration) -> Iterator[Found]:
    if rule.check is not None:
        yield from CHECKS[rule.check](source, rule, configuration)
        return
    view: str = getattr(source, rule.view)
    matches = [(match, swap) for pattern, swap in rule.patterns for match in pattern.finditer(view)]
    end = 0
    for match, swap in sorted(matches, key=lambda item: item[0].start()):
        if match.start() >= end:  # two patterns of a rule that match at one place make one finding
            yield Found(match.start(), " ".join(match[0].split()), swap)
            end = match.end()
