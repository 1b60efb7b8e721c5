"""Tell which roots of its data a mapping may read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from destinations.segment.mapping.directive import Part
from destinations.segment.mapping.parts import Split, split
from destinations.segment.mapping.paths import strip_root

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
        directive = split(source)
        if directive and any(_may_read_all(directive, part) for part in directive.parts):
            return True
        return any(reads(item, *roots) for pair in source.items() for item in pair)
    if isinstance(source, list | tuple):
        return any(reads(item, *roots) for item in source)
    return False


_QUOTES: Final = str.maketrans("", "", "\"'")


def _may_read_all(directive: Split, part: Part) -> bool:
    """Return whether a part is the path of the whole context, or computed for each event."""
    if part.role != "code":
        return False
    is_computed = not isinstance(part.value, str)
    return is_computed or not all(map(any, directive.directive.paths(part.value)))
