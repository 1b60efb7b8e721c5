"""Write findings in the forms that programs read: JSON, GitHub's annotations, SARIF."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from destinations._version import __version__
from destinations.kit.lint.finding import Finding
from destinations.kit.lint.page import example_message
from destinations.kit.lint.rule import Rule

__all__ = ["FORMATS", "github", "rules_text", "sarif", "text"]

_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_COMMANDS: Final = {"error": "error", "warning": "warning", "suggestion": "notice"}
_LEVELS: Final = {"error": "error", "warning": "warning", "suggestion": "note"}


def text(findings: Sequence[Finding], _rules: Iterable[Rule]) -> str:
    """Return a line for each finding: place, level, message and rule."""
    return "\n".join(map(str, findings))


def as_json(findings: Sequence[Finding], _rules: Iterable[Rule]) -> str:
    """Return a JSON array with the fields of each finding."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def github(findings: Sequence[Finding], _rules: Iterable[Rule]) -> str:
    """Return a workflow command for each finding, which GitHub shows at its line."""
    return "\n".join(
        f"::{_COMMANDS[one.level]} file={_escaped(one.file, is_property=True)},line={one.line},"
        f"col={one.column},title={_escaped(one.rule, is_property=True)}::{_escaped(one.message)}"
        for one in findings
    )


def sarif(findings: Sequence[Finding], rules: Iterable[Rule]) -> str:
    """Return a log in SARIF 2.1.0, with the rules that have findings."""
    known = {rule.id: rule for rule in rules}
    ids = list(dict.fromkeys(finding.rule for finding in findings))
    driver = {
        "name": "destinations docs lint",
        "version": __version__,
        "rules": [_descriptor(name, known.get(name)) for name in ids],
    }
    results = [_result(finding, ids.index(finding.rule)) for finding in findings]
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def rules_text(rules: Iterable[Rule]) -> str:
    """Return each rule with its level, its message, and an example of what is right and wrong."""
    return "\n".join(
        "\n".join((f"{rule.id}: {rule.level}: {example_message(rule)}", *_examples(rule)))
        for rule in rules
    )


FORMATS: Final[Mapping[str, Callable[[Sequence[Finding], Iterable[Rule]], str]]] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "github": github,
}
"""The functions that write findings, by the name of the format."""


def _examples(rule: Rule) -> Iterable[str]:
    for name, example in (("good", rule.good), ("bad", rule.bad)):
        lines = example.rstrip().splitlines()
        yield from (f"  {name if not index else '':>4}  {line}" for index, line in enumerate(lines))


def _descriptor(name: str, rule: Rule | None) -> dict[str, Any]:
    if rule is None:  # one of Vale's own
        return {"id": name}
    example = f"Instead of: {rule.bad.strip()}\n\nWrite: {rule.good.strip()}"
    more = {"help": {"text": example}} if rule.good else {}
    return {
        "id": name,
        "shortDescription": {"text": example_message(rule)},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
        **more,
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": finding.file},
        "region": {"startLine": finding.line, "startColumn": finding.column},
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.level],
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }


def _escaped(value: str, *, is_property: bool = False) -> str:
    """Return text escaped for a workflow command, in which some characters separate."""
    value = value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return value.replace(":", "%3A").replace(",", "%2C") if is_property else value
