r"""Paths: ``$.properties.products[0].name``, ``context.device``, ``properties['user id']``.

The rules are those of the reference runtime. A path is cut at dots (in quotes, too: ``['a.b']`` is
``a`` then ``b``), at ``[`` before a digit or quote, and at ``]`` after one; empty parts and all
quotes vanish.

Beyond the reference, a dot after a backslash is one of the name: ``properties.a\.b`` is
``properties`` then ``a.b``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from destinations.segment.javascript.inherited import INHERITED_MEMBERS
from destinations.segment.javascript.members import Getter, getter

__all__ = ["compile_path", "may_give_function", "split_path", "strip_root"]

_CUT: Final = re.compile(r"\[(?=[\"'\d])|(?<!\\)\.|(?<=[\"'\d])\]+", re.ASCII)
_QUOTES: Final = str.maketrans("", "", "\"'")
_LONGEST_CACHED: Final = 256


def strip_root(path: str) -> str:
    """Remove the first ``$.`` from ``path``, wherever it stands."""
    return path.replace("$.", "", 1)


def split_path(path: str) -> tuple[str, ...]:
    """Return the keys that ``path`` follows, from the root down; none for the root itself."""
    parts = tuple(part.translate(_QUOTES) for part in _CUT.split(path) if part)
    return tuple(part.replace("\\.", ".") for part in parts) if "\\." in path else parts


def may_give_function(path: str) -> bool:
    """Return whether the path names a method of objects, text, lists or numbers."""
    return any(key in INHERITED_MEMBERS for key in split_path(path))


def compile_path(path: str) -> Getter:
    """Return a function that finds ``path`` in a value: UNDEFINED where nothing is found.

    A falsy value on the way is what is found. Kept in a cache, because templates and directives
    may compute their paths from the event; long ones are not, because events would fill it.
    """
    return _cached(path) if len(path) <= _LONGEST_CACHED else getter(split_path(path))


@lru_cache(maxsize=4096)
def _cached(path: str) -> Getter:
    return getter(split_path(path))
