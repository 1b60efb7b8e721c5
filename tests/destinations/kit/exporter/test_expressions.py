"""Regular expressions find in JavaScript what they find here, or are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from destinations.kit.exporter.expressions import (
    UnsayablePatternError,
    javascript_pattern,
    javascript_patterns,
)
from destinations.segment.patterns import compile_pattern

TRANSLATED: Final[Mapping[str, str]] = {
    "rate limit": "rate limit",
    "": "",
    r"^\d+$": r"^\d+$",
    r"rate\-limit": "rate-limit",
    r"a\ \_\'\"\@\:\/b": "a _'\"@:/b",
    r"\.\*\\": r"\.\*\\",
    "]}": r"\]\}",
    "[]F]": r"[\]F]",
    "[^]F]": r"[^\]F]",
    r"[a\-z][\w-][-\w]": r"[a\-z][\w\-][\-\w]",
    r"[A-Z\]]": r"[A-Z\]]",
    r"\U00000046\x46\x{46}\u0046\u{46}": "FFFFF",
    r"\x{1F600}": "😀",
    r"\x2e": r"\.",
    r"\cA\t": "\x01\t",
    ".": r"[^\n]",
    "(?s).": r"[\s\S]",
    "(?s:a.)b.": r"(?:a[\s\S])b[^\n]",
    "(?m)^a$": r"(?<![^\n])a(?![^\n])",
    "(?i)foo": "(?i)foo",
    "(?is).": r"(?i)[\s\S]",
    "(?P<n>a)": "(?<n>a)",
    "(?<n>a)": "(?<n>a)",
    "(?<n.b>a)": "(?:a)",
    r"\Aa\z": "^a$",
    r"\pL\p{Lu}": r"\p{L}\p{Lu}",
    "a{2,3}?|(?:b+)*": "a{2,3}?|(?:b+)*",
    # Beside a look-around, the engine takes letters and digits of all scripts.
    r"(?!a)\d[\s\w]\D": (
        r"(?!a)[\p{Nd}][\p{White_Space}\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}][^\p{Nd}]"
    ),
    r"\(?=\d": r"\(?=\d",
    r"[(?=]\d": r"[(?=]\d",
}
"""Expressions with what stands for them in JavaScript."""

REFUSED: Final[Mapping[str, str]] = {
    "F*+": "in a group",
    "a{2}{3}": "in a group",
    "^*": "of a position",
    "a{ 2 }": "counts nothing",
    "(?x) a": "the group (?x)",
    "(?i:a)": "the group (?i:",
    "a(?i)b": "the group (?i)",
    "(?i-s)a": "the group (?i-",
    r"(a)\1": "a back-reference",
    r"\<": r"the escape \<",
    r"\b{start}": r"the escape \b",
    r"\p{Greek}": r"the escape \p",
    r"(?i)\P{Lu}": r"\P{Lu}",
    "[[:alpha:]]": "a class in a class",
    "[a[b]]": "a class in a class",
    "[a&&b]": "&& in a class",
    "[+--]": "- between",
    r"(?!a)[\W]": "beside a look-around",
}
"""Expressions without a counterpart, with a part of what is said."""


@pytest.mark.parametrize("pattern", TRANSLATED)
def test_translated(pattern: str) -> None:
    """What has an exact counterpart is written in JavaScript's syntax."""
    compile_pattern(pattern)
    assert javascript_pattern(pattern) == TRANSLATED[pattern]


def test_the_edge_of_a_word_is_that_of_all_scripts() -> None:
    """JavaScript's own edge of a word knows only the letters of ASCII."""
    assert r"\b" not in javascript_pattern(r"\ba\B")
    assert r"(?<=[\p{Alphabetic}" in javascript_pattern(r"\ba")


@pytest.mark.parametrize("pattern", REFUSED)
def test_refused(pattern: str) -> None:
    """All else that is legal here is refused, and the message says what it is."""
    compile_pattern(pattern)
    with pytest.raises(UnsayablePatternError) as caught:
        javascript_pattern(pattern)
    assert REFUSED[pattern] in str(caught.value)
    assert "no exact counterpart in JavaScript's regular expressions" in str(caught.value)


def test_patterns_of_a_schema() -> None:
    """All patterns of a schema are translated, and nothing that only looks like one."""
    found: dict[str, str] = {}
    schema: dict[str, Any] = {
        "const": {"pattern": r"\-"},
        "properties": {"pattern": {"type": "string", "pattern": r"\-"}},
        "anyOf": [True, {"pattern": r"\_"}],
        "items": {"not": {"pattern": r"(a)\1"}},
    }
    assert javascript_patterns(schema, found.__setitem__, "/when") == {
        "const": {"pattern": r"\-"},
        "properties": {"pattern": {"type": "string", "pattern": "-"}},
        "anyOf": [True, {"pattern": "_"}],
        "items": {"not": {"pattern": r"(a)\1"}},
    }
    assert list(found) == ["/when/items/not/pattern"]
