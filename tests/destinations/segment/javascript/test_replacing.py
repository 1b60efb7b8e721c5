from __future__ import annotations

import pytest

from destinations.segment.javascript.replacing import replace_text


@pytest.mark.parametrize(
    ("text", "pattern", "replacement", "everywhere", "ignore_case", "result"),
    [
        ("banana", "a", "o", True, False, "bonono"),
        ("banana", "a", "o", False, False, "bonana"),
        ("Banana", "b", "x", True, False, "Banana"),
        ("Banana", "b", "x", True, True, "xanana"),
        ("aaa", "aa", "b", True, False, "ba"),
        ("a.b", ".", "-", True, False, "a-b"),
        ("a(b", "(", "[$&]", True, False, "a[(]b"),
        ("abc", "b", "$$", True, False, "a$c"),
        ("abc", "b", "$`|$'", True, False, "aa|cc"),
        ("abc", "b", "$1$<x>", True, False, "a$1$<x>c"),
        ("É", "é", "e", True, True, "e"),
        ("\u212a", "k", "x", True, True, "\u212a"),
        ("ſ", "s", "x", True, True, "ſ"),
        ("ß", "SS", "x", True, True, "ß"),
        ("abc", "x", "y", True, False, "abc"),
        ("", "x", "y", True, False, ""),
    ],
)
def test_text_is_replaced(
    text: str, pattern: str, replacement: str, everywhere: bool, ignore_case: bool, result: str
) -> None:
    """Patterns stand for themselves, $ forms work, case is folded as regular expressions do."""
    got = replace_text(text, pattern, replacement, everywhere=everywhere, ignore_case=ignore_case)
    assert got == result
