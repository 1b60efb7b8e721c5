"""Tell which roots of its data a mapping may read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["reads"]


def reads(source: object, *roots: str) -> bool:
    """Return whether a mapping may read one of these roots of its context.

    Any text that has the word counts, so the answer may be True without a need, never False
    against one.
    """
    if isinstance(source, str):
        # Quotes vanish from a path wherever they stand, as its first "$." does. What is filled in
        # between three braces is a template again.
        text = source.translate(_QUOTES)
        texts = (text, strip_root(text))
        found = any(re.search(rf"\b{root}\b", text) for root in roots for text in texts)
        return found or "{{{" in source
    if isinstance(source, Mapping):
        if any(_may_read_all(source[name]) for name in _COMPUTED if name in source):
            return True
        return any(reads(item, *roots) for pair in source.items() for item in pair)
    if isinstance(source, list | tuple):
        return any(reads(item, *roots) for item in source)
    return False


_QUOTES: Final = str.maketrans("", "", "\"'")
_COMPUTED: Final = ("@path", "@arrayPath", "@template")


def _may_read_all(argument: object) -> bool:
    """Return whether a directive's path is the whole context, or computed for each event."""
    path = argument[0] if isinstance(argument, list) and argument else argument
    return not isinstance(path, str) or not any(split_path(strip_root(path)))
