"""Read a page author's own levels, words and rules from a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, get_args

from destinations.definition.document import Document, read_document
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.lint.finding import Level
from destinations.kit.lint.rule import Rule
from destinations.kit.lint.rules import own_rules, with_own_rules, word_lists
from destinations.kit.lint.time_limit import PATTERN_SECONDS, time_limit
from destinations.kit.lint.vale import read_text
from destinations.kit.lint.word_lists import read_words
from destinations.segment.json_pointer import pointer

__all__ = ["CONFIGURATION_FILES", "Configuration", "configuration_of", "read_configuration"]

CONFIGURATION_FILES: Final = ("lint.yaml", "words.txt")
"""The files in a page's folder that configure its lint: a configuration and a word list."""

_SECONDS: Final = PATTERN_SECONDS
_KEYS: Final = ("levels", "words", "styles")


@dataclass(frozen=True, slots=True)
class Configuration:
    """Levels by rule id, in place of the rules' own; known words; and rules of one's own.

    ``words`` are in lower case, ``patterns`` match whole words; ``files`` says whence those are.
    """

    levels: Mapping[str, Level] = field(default_factory=dict)
    words: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()
    rules: tuple[Rule, ...] = ()
    files: Mapping[re.Pattern[str], Path] = field(default_factory=dict)

    def knows(self, word: str) -> bool:
        """Return whether a word is one of the known ones, in any case.

        Raises `UsageError` for a pattern that backtracks.
        """
        return word.lower() in self.words or any(self._matches(one, word) for one in self.patterns)

    def _matches(self, pattern: re.Pattern[str], word: str) -> bool:
        try:
            with time_limit(_SECONDS):
                return pattern.fullmatch(word) is not None
        except TimeoutError:
            raise UsageError(
                f"{self.files[pattern]}: {pattern.pattern!r} takes longer than {_SECONDS:g} "
                f"seconds for the word {word[:20]!r}: it backtracks, as does a repetition in a "
                "repetition"
            ) from None

    def with_words(self, path: Path) -> Configuration:
        """Return the configuration with the words of a list, too."""
        words, patterns = read_words(path)
        return replace(
            self,
            words=self.words | words,
            patterns=(*self.patterns, *patterns),
            files={**self.files, **dict.fromkeys(patterns, path)},
        )

    def with_styles(self, folder: Path) -> Configuration:
        """Return the configuration with the rules and words of a folder of Vale's styles, too."""
        result = replace(self, rules=(*self.rules, *own_rules(folder)))
        for path in word_lists(folder):
            result = result.with_words(path)
        return result


def configuration_of(
    page: Path,
    *,
    config: Path | None = None,
    styles: Path | None = None,
    words: Sequence[Path] = (),
) -> Configuration:
    """Return what applies to a page: ``config`` or lint.yaml in its folder, and all word lists.

    The list words.txt in the page's folder is always one of them. Raises as `read_configuration`,
    `Configuration.with_styles` and `Configuration.with_words` do.
    """
    own, own_words = (page.parent / name for name in CONFIGURATION_FILES)
    file = config or (own if own.is_file() else None)
    if file is not None:
        configuration = read_configuration(file, styles=styles)
    else:
        configuration = Configuration() if styles is None else Configuration().with_styles(styles)
    for path in (*words, *([own_words] if own_words.is_file() else [])):
        configuration = configuration.with_words(path)
    return configuration


def read_configuration(path: Path, *, styles: Path | None = None) -> Configuration:
    """Return the configuration in a YAML or JSON file, with the rules of a folder ``styles``, too.

    Its keys are ``levels`` by rule id, ``words``, a list, and ``styles``, a folder in Vale's
    format, relative to the file. Raises `UsageError` for an unreadable file, `DefinitionError`
    with every issue in it.
    """
    document = read_document(read_text(path, "configuration"), name=str(path), may_be_empty=True)
    if document.data is None:
        return Configuration() if styles is None else Configuration().with_styles(styles)
    if not isinstance(document.data, dict):
        keys = " and ".join((", ".join(_KEYS[:-1]), _KEYS[-1]))
        raise DefinitionError([document.issue("", f"must be a mapping with the keys {keys}")])
    configuration = Configuration()
    folder = document.data.get("styles")
    if isinstance(folder, str):
        configuration = configuration.with_styles(path.parent / folder)
    if styles is not None:
        configuration = configuration.with_styles(styles)
    issues = _issues(document, configuration)
    if issues:
        raise DefinitionError(issues)
    words = frozenset(word.lower() for word in document.data.get("words", ()))
    levels = document.data.get("levels", {})
    return replace(configuration, levels=levels, words=configuration.words | words)


def _issues(document: Document, configuration: Configuration) -> list[Issue]:
    data = document.data
    issues = [
        document.issue(pointer(key), f"is not a key here; known: {', '.join(_KEYS)}")
        for key in data
        if key not in _KEYS
    ]
    levels, words = data.get("levels", {}), data.get("words", [])
    if not isinstance(data.get("styles", ""), str):
        issues.append(document.issue("/styles", "must be the path of a folder"))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        issues.append(document.issue("/words", "must be a list of words"))
    if not isinstance(levels, dict):
        return [*issues, document.issue("/levels", "must be a mapping of rule ids to levels")]
    ids = {rule.id for rule in with_own_rules(configuration.rules)}
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
