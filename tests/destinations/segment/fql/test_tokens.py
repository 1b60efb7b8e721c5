from __future__ import annotations

import pytest

from destinations.segment.fql.syntax import FqlError
from destinations.segment.fql.tokens import Kind, lex


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ('type = "x"', ["type", "=", '"x"', "eos"]),
        ("properties . a.b", ["properties.a.b", "eos"]),
        ("a\\.b\\ c", ["a.b c", "eos"]),
        ("a <=5", ["a", "<", "=", "5", "eos"]),
        ("a <= 5", ["a", "<=", "5", "eos"]),
        (
            "and android or order null nullable",
            ["and", "android", "or", "order", "null", "nullable", "eos"],
        ),
        ("an", ["a", "eos"]),
        ("-5 +2 1.5", ["-5", "+2", "1.5", "eos"]),
        ('"a"b" c', ['"a"', '"b"', "c", "eos"]),
        ("!contains(x, y)", ["!", "contains", "(", "x", ",", "y", ")", "eos"]),
        ("a [b]", ["a", "[", "b", "]", "eos"]),
    ],
)
def test_text_is_cut_as_in_the_reference(text: str, tokens: list[str]) -> None:
    """Words end where fql-ts ends them, its oddities included: a quote only ends before a space."""
    assert [token.text for token in lex(text)] == tokens


def test_tokens_know_their_place() -> None:
    """A token says where it starts and ends; joined names span all their parts."""
    name, operator, text, end = lex('  properties.a = "é"')
    assert (name.kind, name.start, name.end) == (Kind.IDENT, 2, 14)
    assert (operator.start, operator.end) == (15, 16)
    assert (text.kind, text.start, text.end) == (Kind.STRING, 17, 20)
    assert (end.kind, end.start) == (Kind.END, 20)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('"open', 0),
        ("a #", 2),
        ("b\r", 1),
        ("1.", 2),
        ("1.2.3", 3),
        ("a!=b", 1),
        ("x" * 100_000, 0),
        ('"' + "x" * 100_000 + '"', 0),
        ("a[0]", 1),
    ],
)
def test_what_cannot_be_cut_is_refused_with_its_place(text: str, position: int) -> None:
    """The error says where the text stops making sense."""
    with pytest.raises(FqlError) as caught:
        lex(text)
    assert caught.value.issue.position == position
