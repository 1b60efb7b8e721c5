"""Read the word list: names and terms that general dictionaries lack."""

from __future__ import annotations

import importlib.resources
from functools import cache

__all__ = ["field_words"]


@cache
def field_words() -> frozenset[str]:
    """Return all words of words.txt unchanged; names begin with a capital."""
    path = importlib.resources.files("destinations.kit.lint") / "words.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
