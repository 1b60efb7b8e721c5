"""Read word lists: names and terms that general dictionaries lack."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from destinations.errors import DefinitionError, Issue
from destinations.kit.lint.vale import read_text

__all__ = ["field_names", "field_words", "read_words"]

_PLAIN: Final = re.compile(r"[\w.'/ -]+")


@cache
def _lines() -> tuple[str, ...]:
    folder = importlib.resources.files("destinations.kit.lint") / "words"
    texts = (file.read_text(encoding="utf-8") for file in folder.iterdir())
    return tuple(line for text in texts for line in _entries(text))


@cache
def field_words() -> frozenset[str]:
    """Return the words of the field, of products and of languages, in lower case."""
    return frozenset(word.lower() for line in _lines() for word in re.split(r"[\s-]+", line))


@cache
def field_names() -> tuple[str, ...]:
    """Return the names that keep their capitals in headings, the longest first."""
    names = {line for line in _lines() if line != line.lower()}
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


def read_words(path: Path) -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """Return the words of a list, one a line, in lower case, and its regular expressions.

    Expressions are those that Vale has in accept.txt. Raises `UsageError` for a file that is not
    text, `DefinitionError` for a broken expression.
    """
    words, patterns, issues = set(), [], []
    for number, line in enumerate(read_text(path, "word list").splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if _PLAIN.fullmatch(entry):
            words.update(entry.lower().split())
            continue
        try:
            patterns.append(re.compile(entry, re.IGNORECASE))
        except re.error as error:
            message = f"{entry!r} is neither a word nor a regular expression: {error.msg}"
            issues.append(Issue(message, file=str(path), line=number))
    if issues:
        raise DefinitionError(issues)
    return frozenset(words), tuple(patterns)


def _entries(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()
