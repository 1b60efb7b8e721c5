"""Search a definition's regular expressions in texts, in bounded time.

The texts come from events and partners, so an expression such as ``^(a+)+$`` must not run for ever.
The engine is that of jsonschema-rs: linear in the text, with a limit of steps for look-around and
back-references, beyond which nothing is found.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Final

import jsonschema_rs

__all__ = ["compile_pattern", "is_pattern"]


_LITERAL: Final = frozenset({"\ufffd"})
"""What definitions often look for, apart from letters and digits: a character that was lost."""


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a function that searches ``pattern``, a regular expression of JSON Schema (ECMA-262).

    Raises `ValueError` for an invalid expression, or one that takes too much memory.
    """
    if pattern.isalnum() or pattern in _LITERAL:  # nothing in it means more than itself
        return lambda text: pattern in text
    try:
        search = jsonschema_rs.validator_for({"pattern": pattern}).is_valid
    except (jsonschema_rs.ValidationError, ValueError):
        raise ValueError(f"should be a regular expression{_reason(pattern)}") from None

    def holds(text: str) -> bool:
        try:
            return search(text)
        except UnicodeEncodeError:  # a lone surrogate cannot be searched
            return search(text.encode("utf-8", "replace").decode())

    return holds


def is_pattern(text: str) -> bool:
    """Return whether ``text`` is a regular expression of JSON Schema."""
    try:
        jsonschema_rs.validator_for({"pattern": text})
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True


def _reason(pattern: str) -> str:
    """Return why it is invalid, from Python's engine: the library does not name the place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f": {error}"
    return " of JSON Schema (ECMA-262), and not a large one"
