"""Regular expressions that definitions hold, searched in texts in bounded time.

They are searched in what events and partners say, so an expression such as ``^(a+)+$`` must not be
able to take for ever. The engine is that of jsonschema-rs: linear in the text, and with a bound on
its steps for look-around and back-references, beyond which nothing is found.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import jsonschema_rs

__all__ = ["compile_pattern", "is_pattern"]


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Whether ``pattern``, a regular expression of JSON Schema (ECMA-262), is found in a text.

    Raises ValueError for text that is none, or one that takes too much memory.
    """
    try:
        search = jsonschema_rs.validator_for({"pattern": pattern}).is_valid
    except (jsonschema_rs.ValidationError, ValueError):
        raise ValueError(f"should be a regular expression{_reason(pattern)}") from None

    def holds(text: str) -> bool:
        try:
            return search(text)
        except UnicodeEncodeError:  # half a surrogate pair is no character that could be found
            return search(text.encode("utf-8", "replace").decode())

    return holds


def is_pattern(text: str) -> bool:
    """Whether ``text`` is a regular expression of JSON Schema."""
    try:
        jsonschema_rs.validator_for({"pattern": text})
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True


def _reason(pattern: str) -> str:
    """Why it is none: the library does not say where, Python does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f": {error}"
    return " of JSON Schema (ECMA-262), and not a large one"
