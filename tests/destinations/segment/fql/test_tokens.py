from __future__ import annotations

from typing import Final

import pytest

from destinations.segment.fql.syntax import FqlError, FqlIssue
from destinations.segment.fql.tokens import Kind, lex

TOO_LONG: Final = "a word should be shorter than 100000 characters"


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
        ("nul", ["n", "eos"]),
        ("an d", ["an", "d", "eos"]),
        ("andX X5X nullX", ["andX", "X5X", "nullX", "eos"]),
        ("5X", ["5", "X", "eos"]),
        ("and,or)null]", ["and", ",", "or", ")", "null", "]", "eos"]),
        ("a . 5 . b", ["a", ".", "5", ".", "b", "eos"]),
        (".b.", [".", "b", ".", "eos"]),
        ("b.a.", ["b.a", "eos"]),
        ("(a)", ["(", "a", ")", "eos"]),
        ("a_-9\t\\-_\n", ["a_-9", "-_", "eos"]),
        ("a=b!=", ["a", "=", "b", "!=", "eos"]),
        ("!(", ["!", "(", "eos"]),
        ("< <= > >= = !=", ["<", "<=", ">", ">=", "=", "!=", "eos"]),
        ("'a\"b' \"c'd\"", ["'a\"b'", '"c\'d"', "eos"]),
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


def test_tokens_have_kinds() -> None:
    """The kind of a token is told by its first character, and by the whole word."""
    assert [token.kind for token in lex("a . [] , () = !b < != 'x' 5 -1 and or null")] == [
        *(Kind.IDENT, Kind.DOT, Kind.BRACKET, Kind.BRACKET, Kind.COMMA),
        *(Kind.LEFT_PAREN, Kind.RIGHT_PAREN),
        *(Kind.OPERATOR, Kind.OPERATOR, Kind.IDENT, Kind.OPERATOR, Kind.OPERATOR),
        *(Kind.STRING, Kind.NUMBER, Kind.NUMBER),
        *(Kind.CONDITIONAL, Kind.CONDITIONAL, Kind.NULL, Kind.END),
    ]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ('"open', 0, 'the text that starts here should end with "'),
        (" 'open\"", 1, "the text that starts here should end with '"),
        ("a #", 2, "the character '#' does not belong in a subscription"),
        ("b\r", 1, "a name should not be followed by '\\r'"),
        ("a[0]", 1, "a name should not be followed by '['"),
        ("1.", 2, "after a decimal point expected digits"),
        ("1. 5", 2, "after a decimal point expected digits"),
        ("1.2.3", 3, "a number should have one decimal point"),
        ("a!=b", 1, "after ! expected = and a space, or contains( or match("),
        ("a !", 2, "after ! expected = and a space, or contains( or match("),
        ("b\\", 2, "after a backslash expected a character"),
        (" " * 200_001, 200_000, "a subscription should have at most 200,000 characters"),
        (" " + "x" * 100_000, 1, TOO_LONG),
        (' "' + "x" * 100_000 + '"', 1, TOO_LONG),
        (" -" + "1" * 100_000, 1, TOO_LONG),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_cut_is_refused_with_its_place(
    text: str, position: int, message: str
) -> None:
    """The error says where the text stops making sense, and why."""
    with pytest.raises(FqlError) as caught:
        lex(text)
    assert caught.value.issue == FqlIssue(position, message)
    assert str(caught.value) == message


@pytest.mark.parametrize("word", ["x" * 99_999, '"' + "x" * 99_999 + '"', "-" + "1" * 99_999])
def test_long_words_are_cut(word: str) -> None:
    """A word just below the limit is read, and so is a text just as long as is allowed."""
    assert [token.text for token in lex(word.ljust(200_000))] == [word, "eos"]
