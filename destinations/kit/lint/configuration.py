"""Read a page author's own levels and words from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.lint.finding import Level
from destinations.kit.lint.rules import load_rules
from destinations.segment.json_pointer import pointer

__all__ = ["Configuration", "read_configuration"]

_KEYS: Final = ("levels", "words")


@dataclass(frozen=True, slots=True)
class Configuration:
    """Levels by rule id, in place of the rules' own, and words that are spelled correctly."""

    levels: Mapping[str, Level] = field(default_factory=dict)
    words: frozenset[str] = frozenset()


def read_configuration(path: Path) -> Configuration:
    """Return the configuration in a YAML or JSON file: ``levels`` by rule id, and a list ``words``.

    Raises `UsageError` for an unreadable file, `DefinitionError` with every issue in it.
    """
    try:
        text = read_text_input(path, pipes=True)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the configuration {path}: {getattr(error, 'strerror', None) or error}"
        raise UsageError(msg) from None
    document = read_document(text, name=str(path))
    issues = list(_issues(document))
    if issues:
        raise DefinitionError(issues)
    levels = document.data.get("levels", {})
    return Configuration(levels, frozenset(word.lower() for word in document.data.get("words", ())))


def _issues(document: Document) -> list[Issue]:
    data = document.data
    if not isinstance(data, dict):
        return [document.issue("", "must be a mapping with the keys levels and words")]
    issues = [
        document.issue(pointer(key), f"is not a key here; known: {', '.join(_KEYS)}")
        for key in data
        if key not in _KEYS
    ]
    levels, words = data.get("levels", {}), data.get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        issues.append(document.issue("/words", "must be a list of words"))
    if not isinstance(levels, dict):
        return [*issues, document.issue("/levels", "must be a mapping of rule ids to levels")]
    ids = {rule.id for rule in load_rules()}
    for rule, level in levels.items():
        place = pointer("levels", rule)
        if rule not in ids:
            issues.append(document.issue(place, "is not a rule; docs lint --rules lists all"))
        # Meant by those who wrote an unquoted off, which readers of YAML 1.1 take for false.
        if level is False:
            levels[rule] = "off"
        elif level not in get_args(Level):
            expected = ", ".join(get_args(Level))
            issues.append(document.issue(place, f"must be one of {expected}, not {level!r}"))
    return issues
