"""List all rules: those of prose are files in Vale's format, those of structure name a check."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from destinations.definition.document import read_document
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.lint.rule import FLAVOURS, Rule
from destinations.kit.lint.vale import read_rule, rule_id

__all__ = ["load_rules", "own_rules", "with_own_rules", "word_lists"]

# Where Vale looks for the words of a style, in its versions 3 and 2.
_VOCABULARIES: Final = ("config/vocabularies/*/accept.txt", "Vocab/*/accept.txt")


@cache
def load_rules() -> tuple[Rule, ...]:
    """Return the shipped rules: by style and name those of prose, then those of structure."""
    with importlib.resources.as_file(importlib.resources.files("destinations.kit.lint")) as folder:
        prose = tuple(read_rule(file) for file in _files(folder / "styles"))
        path = folder / "structure.yaml"
        data = read_document(path.read_text(encoding="utf-8"), name=str(path)).data
    return (*prose, *map(_rule, data["rules"]))


def own_rules(folder: Path) -> tuple[Rule, ...]:
    """Return the rules in a folder of styles, as ``StylesPath`` of Vale's configuration names it.

    Raises `UsageError` for a folder without rules, `DefinitionError` with every issue in them.
    """
    files = _files(folder)
    if not files:
        raise UsageError(f"{folder} has no rules: expected files STYLE/RULE.yml in Vale's format")
    known = {rule.id: rule for rule in load_rules()}
    rules: list[Rule] = []
    issues: list[Issue] = []
    for file in files:
        try:
            rules.append(read_rule(file, known.get(rule_id(file))))
        except DefinitionError as error:
            issues += error.issues
    if issues:
        raise DefinitionError(issues)
    return tuple(rules)


def word_lists(folder: Path) -> list[Path]:
    """Return the lists of accepted words in a folder of styles."""
    return sorted(path for pattern in _VOCABULARIES for path in folder.glob(pattern))


def with_own_rules(own: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return all rules, with those of one's own in place of shipped ones with the same id."""
    merged = {rule.id: rule for rule in load_rules()}
    merged.update((rule.id, rule) for rule in own)
    return tuple(merged.values())


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.yml"), key=lambda file: (file.parent.name, rule_id(file)))


def _rule(spec: Mapping[str, Any]) -> Rule:
    return Rule(
        id=spec["id"],
        level=spec["level"],
        message=spec["message"],
        check=spec["check"],
        good=spec["good"],
        bad=spec["bad"],
        flavours=tuple(spec.get("flavours", FLAVOURS)),
        allowed=tuple(spec.get("allowed", ())),
        context=spec.get("context", ""),
        files=spec.get("files", {}),
    )
