from __future__ import annotations

from typing import Any, Final

import pytest

from destinations.segment.fql import check_fql
from destinations.segment.fql.parser import parse, parse_strictly
from destinations.segment.fql.syntax import Condition, FqlError, FqlIssue, Group, Node
from destinations.segment.fql.tokens import lex

SUPPORTED: Final = "is not supported: expected contains or match"
FIELDS: Final = "type, event, name, userId, properties.<name>, traits.<name> or context.<name>"
VALUE: Final = '"text" in double quotes, a number, true, false or null'
OPERATORS: Final = "one of = != < <= > >="
PATTERN: Final = 'match should have a pattern with one * at its end or start, such as "x*" or "*x"'
NO_CONDITION: Final = 'expected a condition, such as type = "track"'
UNCLOSED: Final = "the parenthesis that opens here is never closed"


@pytest.mark.parametrize(
    "text",
    [
        'type = "track"',
        'type="track"',
        'type = "track" and event != null',
        '(type = "track" or type = "page") and properties.price >= 9.99',
        'properties.price > "5"',
        "traits.plan = null or context.device.id != true",
        '!contains(event, "x") and match(name, "x*") or !match(properties.a, "*x")',
        'properties.product\\ name = "x"',
        "userId = false and properties.a < -5",
        'event = ""',
        'type = "track" and event = "x" or event = "y"',
        'match(event, "*")',
        "type < 5",
        "properties.a <= 5 or properties.a >= 5",
    ],
)
def test_fql_is_accepted(text: str) -> None:
    """What is documented is accepted."""
    assert check_fql(text) == []


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, f"expected {FIELDS}, got the end"),
        ("nonsense", 0, f"expected {FIELDS}, got nonsense"),
        ('type == "track"', 6, f"expected {VALUE}, got ="),
        ("type = track", 7, f"expected {VALUE}, got track"),
        ("type = 'track'", 7, "text should stand in double quotes"),
        (
            'type = "track" AND event = "x"',
            15,
            "expected and, or, or the end, got AND",
        ),
        ('not type = "track"', 0, f"expected {FIELDS}, got not"),
        ('type = "track" and', 18, f"expected {FIELDS}, got the end"),
        ('type = "track', 7, 'the text that starts here should end with "'),
        ('type = "track" and ((event = "x"))', 20, "expected one level of parentheses"),
        ('(type = "track"', 15, "expected and, or, or ), got the end"),
        ('properties = "x"', 0, f"expected {FIELDS}, got properties"),
        ('type.x = "x"', 0, f"expected {FIELDS}, got type.x"),
        ('anonymousId = "x"', 0, f"expected {FIELDS}, got anonymousId"),
        ("length(event) > 3", 0, f"the function length {SUPPORTED}"),
        ('type = "track" and lowercase (event) = "x"', 19, f"the function lowercase {SUPPORTED}"),
        ('contains(lowercase(event), "x")', 9, f"the function lowercase {SUPPORTED}"),
        ('!startsWith(event, "x")', 1, f"the function startsWith {SUPPORTED}"),
        (
            'containz(event, "x")',
            0,
            f"the function containz {SUPPORTED}; did you mean contains?",
        ),
        ('contains(contains(event, "x"), "y")', 9, f"expected {FIELDS}, got contains"),
        ('properties.list[0] = "x"', 15, "a name should not be followed by '['"),
        ('contains(type, "x")', 9, "contains does not work on type"),
        ("contains(event, 5)", 16, 'expected "text" in double quotes, got 5'),
        ('match(event, "x")', 13, PATTERN),
        ('match(event, "*x*")', 13, PATTERN),
        ('match(event "x*")', 12, 'expected a comma, got "x*"'),
        ('!type = "x"', 1, "expected contains( or match( after !, got type"),
        ('!(type = "x")', 1, "expected contains( or match( after !, got ("),
        ("properties.a > null", 15, "after > expected a number, got null"),
        ('properties.a > "x"', 15, 'after > expected a number, got "x"'),
        ("properties.a = -", 15, f"expected {VALUE}, got -"),
        ('type = "a"x', 9, 'the text that starts here should end with "'),
        (
            'type = "a"and event = "b"',
            9,
            "after text expected a space, a comma or a parenthesis",
        ),
        ("properties.\\. = 1", 0, f"expected {FIELDS}, got properties.."),
        ('type = "a" #', 11, "the character '#' does not belong in a subscription"),
        ("properties.a = 1.", 17, "after a decimal point expected digits"),
        ("properties.a = 1.2.3", 18, "a number should have one decimal point"),
        ("type!=5", 4, "after ! expected = and a space, or contains( or match("),
        ('type exists "x"', 5, f"expected {OPERATORS}, got exists"),
        ("type\\", 5, "after a backslash expected a character"),
        ('!contains(event "x")', 16, 'expected a comma, got "x"'),
        ('!contains(event, "x"', 20, "expected ), got the end"),
        ('contains event, "x")', 9, "expected ( after contains, got event"),
        ("contains(event", 14, "expected a comma, got the end"),
        ("contains(", 9, f"expected {FIELDS}, got the end"),
        ("contains", 8, "expected ( after contains, got the end"),
        ("contains(event,", 15, 'expected "text" in double quotes, got the end'),
        ('contains(event, "x" and type = "a"', 20, "expected ), got and"),
        ('contains(event, "x" type', 20, "expected ), got type"),
        ('match(event, "x*"', 17, "expected ), got the end"),
        ('contains(5, "x")', 9, f"expected {FIELDS}, got 5"),
        ('contains(foo, "x")', 9, f"expected {FIELDS}, got foo"),
        ('(type = "a" and contains(foo, "x"))', 25, f"expected {FIELDS}, got foo"),
        ('(contains(event, "x"', 20, "expected ), got the end"),
        ('(contains(event, "x" 5) or type = "b")', 21, "expected ), got 5"),
        ('type = "a" type = "b"', 11, "expected and, or, or the end, got type"),
        ('(type = "a" type = "b")', 12, "expected and, or, or ), got type"),
        ('(type = "a" and)', 15, f"expected {FIELDS}, got )"),
        ("()", 1, f"expected {FIELDS}, got )"),
        ('type = "a" and ()', 16, f"expected {FIELDS}, got )"),
        ('type = "a" )', 11, "expected and, or, or the end, got )"),
        (') type = "a"', 0, f"expected {FIELDS}, got )"),
        ("type", 4, f"expected {OPERATORS}, got the end"),
        ("type =", 6, f"expected {VALUE}, got the end"),
        ('type = "a" or or', 14, f"expected {FIELDS}, got or"),
        ("and", 0, f"expected {FIELDS}, got and"),
        ("(", 1, f"expected {FIELDS}, got the end"),
        ('type = "a" or (', 15, f"expected {FIELDS}, got the end"),
        ("(type", 5, f"expected {OPERATORS}, got the end"),
        ("! ", 0, "after ! expected = and a space, or contains( or match("),
        ("!contains", 9, "expected ( after contains, got the end"),
        ("!5", 0, "after ! expected = and a space, or contains( or match("),
        ('! (type = "a")', 0, "after ! expected = and a space, or contains( or match("),
        ("properties.a < true", 15, "after < expected a number, got true"),
        ('properties.a <= "x"', 16, 'after <= expected a number, got "x"'),
        ("properties.a >= true", 16, "after >= expected a number, got true"),
        ('properties.a < "X5"', 15, 'after < expected a number, got "X5"'),
        ('< contains(event, "x")', 0, f"expected {FIELDS}, got <"),
        ('(type = "a" and) or type = "b"', 15, f"expected {FIELDS}, got )"),
        ("type !a", 5, f"expected {OPERATORS}, got !"),
        ('type \\= "a"', 5, f"expected {OPERATORS}, got ="),
        ('properties.a < ""', 15, 'after < expected a number, got ""'),
        ('properties.a < "5x"', 15, 'after < expected a number, got "5x"'),
        ('properties.a <= "5', 16, 'the text that starts here should end with "'),
        ("constructor", 0, f"expected {FIELDS}, got constructor"),
        ("constructor =", 0, f"expected {FIELDS}, got constructor"),
        ("constructor = 5", 0, f"expected {FIELDS}, got constructor"),
        ("toString = 5", 0, f"expected {FIELDS}, got toString"),
        ("properties.a. = 5", 12, f"expected {OPERATORS}, got ."),
        ("properties..a = 5", 0, f"expected {FIELDS}, got properties"),
        (".a = 5", 0, f"expected {FIELDS}, got ."),
        ('properties.a "x"', 13, f'expected {OPERATORS}, got "x"'),
        ('type = "a", type = "b"', 10, "expected and, or, or the end, got ,"),
        ("type = 5x", 8, "expected and, or, or the end, got x"),
        ("type = nullx", 7, f"expected {VALUE}, got nullx"),
        ("type = .", 7, f"expected {VALUE}, got ."),
        ("properties.a = true)", 19, "expected and, or, or the end, got )"),
        ('"x" = type', 0, f'expected {FIELDS}, got "x"'),
        ("5", 0, f"expected {FIELDS}, got 5"),
        ("null", 0, f"expected {FIELDS}, got null"),
        ("type = \"a\" or event = 'b'", 22, "text should stand in double quotes"),
        ("contains(event, 'x')", 16, "text should stand in double quotes"),
        ("contains(event, x)", 16, 'expected "text" in double quotes, got x'),
        ('contains(event, "x"y)', 18, 'the text that starts here should end with "'),
        (
            'contains(event, "a"b") or type = "c"',
            18,
            "after text expected a space, a comma or a parenthesis",
        ),
        ('contains(event, "x",)', 19, "expected ), got ,"),
        ('match(event, "x*y")', 13, PATTERN),
        ('match(event, "")', 13, PATTERN),
        ("match(event, x)", 13, 'expected "text" in double quotes, got x'),
        ("match(event, 5)", 13, 'expected "text" in double quotes, got 5'),
        ('(type = "a") type = "b"', 13, "expected and, or, or the end, got type"),
        ('(contains(type, "a"))', 10, "contains does not work on type"),
        ('((contains(event, "a")))', 1, "expected one level of parentheses"),
        (
            '(type = "a" and (event = "b")) or name = "c"',
            16,
            "expected one level of parentheses",
        ),
    ],
)
def test_other_text_is_refused_with_its_place(text: str, position: int, message: str) -> None:
    """What is no FQL is refused: where, and what would be right."""
    (issue,) = check_fql(text)
    assert issue == FqlIssue(position, message)
    assert str(issue) == f"at character {position + 1}: {issue.message}"


@pytest.mark.parametrize(
    ("text", "path", "operator", "operand"),
    [
        ("properties = 5", ("properties", "properties"), "number_equals", 5.0),
        ("properties = null", ("properties", "properties"), "not_exists", None),
        ("properties.\\. = 1", None, "number_equals", 1.0),
        ("properties.\\[ = 1", None, "number_equals", 1.0),
        ("properties.a\\.b = 1", ("properties", "a", "b"), "number_equals", 1.0),
        ("type = track", ("type",), "=", "track"),
        ("type exists x", ("type",), "exists", "x"),
        ("type . 5", ("type",), ".", "5"),
        ("type = (", ("type",), "=", "("),
        ("name = true", ("name",), "=", "true"),
        ("userId < null", ("userId",), "<", "null"),
        ("name < true", ("name",), "<", "true"),
        ("properties.a < null", ("properties", "a"), "<", "null"),
        ("event = 'a'", ("event",), "=", "'a'"),
        ("type =", ("type",), "=", "eos"),
        ('contains(propertiesx, "x")', ("properties", "propertiesx"), "contains", "x"),
        ('contains(properties, "x")', ("properties", "properties"), "contains", "x"),
        ("contains(name, 5)", ("name",), "contains", "5"),
        ("contains(name, true)", ("name",), "contains", "true"),
        ("contains(name, false)", ("name",), "contains", "false"),
        ("contains(event,", ("event",), "contains", "eos"),
        ('contains(event, "x"', ("event",), "contains", "x"),
        ("match(event, x)", ("event",), "ends_with", ""),
        ('match(event, "*x*")', ("event",), "starts_with", "*x"),
        ('match(event, "x")', ("event",), "ends_with", ""),
        ('match(event, "")', ("event",), "ends_with", ""),
        ('!match(event, "*x")', ("event",), "not_ends_with", "x"),
        ("!contains(traits.a, null)", ("traits", "a"), "not_contains", "null"),
        ('match(context.a.b, "x*")', ("context", "a", "b"), "starts_with", "x"),
        ("match(event, 5)", ("event",), "ends_with", ""),
        ('contains(properties.a\\., "x")', ("properties", "a"), "contains", "x"),
        ('contains(traits.\\., "x")', None, "contains", "x"),
        ("type = )", ("type",), "=", ")"),
        ("properties.a = x", ("properties", "a"), "=", "x"),
        ("traits.a != 5", ("traits", "a"), "number_not_equals", 5.0),
        ('traits.a = "5"', ("traits", "a"), "=", "5"),
        ("context.a <= 5", ("context", "a"), "<=", 5.0),
        ("traits.a = +5", ("traits", "a"), "number_equals", 5.0),
        ("traits.a != true", ("traits", "a"), "!=", True),
        ("traits.a != false", ("traits", "a"), "!=", False),
        ("properties\\. = 5", (), "number_equals", 5.0),
        ("traits.a != null", ("traits", "a"), "exists", None),
        ("traits.a null null", ("traits", "a"), "null", "null"),
        ('traits.a = "true"', ("traits", "a"), "=", "true"),
        ('traits.a = "null"', ("traits", "a"), "=", "null"),
        ('event = "null"', ("event",), "=", "null"),
        ("event = null", ("event",), "=", "null"),
        ("event != true", ("event",), "!=", "true"),
        ("userId = true", ("userId",), "is_true", None),
        ("userId = false", ("userId",), "is_false", None),
        ("userId != null", ("userId",), "exists", None),
        ("userId = null", ("userId",), "not_exists", None),
        ("name = null", ("name",), "not_exists", None),
        ("name != null", ("name",), "exists", None),
        ("type = 5", ("type",), "=", "5"),
        ("type = 1.50", ("type",), "=", "1.5"),
        ("type = true", ("type",), "=", "true"),
        ("traits.a = .", ("traits", "a"), "=", "."),
        ('type "=" "a"', ("type",), '"="', "a"),
        ("event = '\"'", ("event",), "=", "'\"'"),
        ('event = "\'"', ("event",), "=", "'"),
        ("traits.a = '\"a\"'", ("traits", "a"), "=", "'\"a\"'"),
        ('contains(contextual, "x")', ("context", "contextual"), "contains", "x"),
        ("userId != true", ("userId",), "!=", "true"),
        ("userId = 5", ("userId",), "=", "5"),
        ("type = null", ("type",), "=", "null"),
        ("type != null", ("type",), "!=", "null"),
        ('properties.a.b >= "5"', ("properties", "a", "b"), ">=", "5"),
        ("context.a > 5", ("context", "a"), ">", 5.0),
        ("traits.a < 5", ("traits", "a"), "<", 5.0),
        ("traits.a = false", ("traits", "a"), "is_false", None),
        ("event < 5", ("event",), "<", "5"),
        ('event != "x"', ("event",), "!=", "x"),
    ],
)
def test_conditions_are_read_as_in_the_reference(
    text: str, path: tuple[str, ...] | None, operator: str, operand: Any
) -> None:
    """Each condition, FQL or not, has the reference's path, operator and operand."""
    condition = Condition(path, operator, operand, text)
    assert parse(text, lex(text)) == Group("and", (condition,))


def test_the_end_of_parentheses_is_read_as_in_the_reference() -> None:
    """Where a value is missing in parentheses, the reference compares with its word for the end."""
    text = "(type = )"
    condition = Condition(("type",), "=", "eos", "type = ")
    assert parse(text, lex(text)) == Group("and", (condition,))


def _outline(node: Node) -> Any:
    """Return a node's operator and children, and the text of a condition."""
    if isinstance(node, Group):
        return node.operator, *map(_outline, node.children)
    return node.text if node else None


@pytest.mark.parametrize(
    ("text", "outline"),
    [
        ('type = "a" AND event = "b"', ("and", 'type = "a"', 'event = "b"')),
        ('stray type = "a" words', ("and", 'type = "a"')),
        ('and type = "a"', ("and", 'type = "a"')),
        ('type = "a" or', ("and", 'type = "a"')),
        ('type = "a" event = "b"', ("and", 'type = "a"', 'event = "b"')),
        ('type = "a" or event = "b" name = "c"', ("or", 'type = "a"', 'event = "b"', 'name = "c"')),
        ('() type = "a"', ("and", None, 'type = "a"')),
        ('(type = "a" event = "b")', ("and", 'type = "a"', 'event = "b"')),
        ('type = "a" and ()', ("and", 'type = "a"', None)),
        ('!type = "a"', ("and", 'type = "a"')),
        ('!(type = "a")', ("and", 'type = "a"')),
        ("properties.. = 1", ("and", "properties..")),
        ('type == "a"', ("and", "type ==")),
        ('constructor = 5 type = "a"', ("and", 'type = "a"')),
        ('(contains(event, "x") and type = "a")', ("and", 'contains(event, "x")', 'type = "a"')),
        (
            '(type = "a" or contains(event, "x")) and name = "c"',
            ("and", ("or", 'type = "a"', 'contains(event, "x")'), 'name = "c"'),
        ),
        ('(contains(event, "x" ) and type = "a")', ("and", 'contains(event, "x" )', 'type = "a"')),
        ('(contains(event, 5 5) and name = "a"', ("and", "contains(event, 5", 'name = "a"')),
        ('contains(foo, "x") type = "a"', ("and", 'type = "a"')),
        (') type = "a"', ("and", 'type = "a"')),
        ('type = "a" ) and name = "b"', ("and", 'type = "a"', 'name = "b"')),
        ('(type = "a") event = "b"', ("and", 'type = "a"', 'event = "b"')),
        ('(type = ) and name = "b"', ("and", "type = ", 'name = "b"')),
        ("(contains(event, )", ("and", "contains(event, )")),
        ("properties.a = null and null", ("and", "properties.a = null")),
        (
            'type = "a" ) and contains(event, "b" ) or name = "c"',
            ("or", 'type = "a"', 'contains(event, "b" )', 'name = "c"'),
        ),
        ('contains(event "x" "y" "z")', ("and", 'contains(event "x" "y"')),
        ('type (= "a"', ("and", "type (=")),
        ('constructor and or type = "a"', ("and", 'type = "a"')),
        ("properties.a.. = 1", ("and", "properties.a..")),
        (
            "contains(event, true) and !contains(traits.b, false)",
            ("and", "contains(event, true)", "!contains(traits.b, false)"),
        ),
        ("type = 5 or type = 0.1", ("or", "type = 5", "type = 0.1")),
        ('< type = "a"', ("and", 'type = "a"')),
        ('< contains(event, "x")', ("and", 'contains(event, "x")')),
        ('event type = "a"', ("and", "event type =")),
        ('"!" type = "a"', ("and", 'type = "a"')),
        ('"contains" event = "a"', ("and", 'event = "a"')),
        ('contains(event, "x" and type = "a" )', ("and", 'contains(event, "x"', 'type = "a"')),
        (
            '(contains(event, "x") or !contains(event, "y")) and type = "a"',
            ("and", 'contains(event, "x")', '!contains(event, "y")', 'type = "a"'),
        ),
        ('contains(type, "x") and event = "y"', ("and", 'event = "y"')),
        (
            '(type = "a" and event = "b") or name = "c"',
            ("or", ("and", 'type = "a"', 'event = "b"'), 'name = "c"'),
        ),
        ('(type = "a")', ("and", 'type = "a"')),
    ],
)
def test_levels_are_read_as_in_the_reference(text: str, outline: object) -> None:
    """Words that are no FQL are skipped, and parentheses end at the first that closes."""
    assert _outline(parse(text, lex(text))) == outline


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("()", 0, NO_CONDITION),
        ('(() type = "a")', 1, UNCLOSED),
        ('((type = "a"))', 1, UNCLOSED),
        ("propertiesx.a = 5", 0, NO_CONDITION),
        ('type = "a', 7, 'the text that starts here should end with "'),
        ("constructor", 11, "a value is missing"),
        ("constructor =", 0, NO_CONDITION),
        ("toString . x", 12, "a value is missing"),
        ("type", 4, "a value is missing"),
        ('contains(type, "x")', 0, NO_CONDITION),
        ('contains(typex, "x")', 0, NO_CONDITION),
        ('contains name "x" 5 and type = "a"', 0, NO_CONDITION),
        ("contains", 8, "the first argument is missing"),
        ("contains(", 9, "the second argument is missing"),
        ("contains(event", 14, "the second argument is missing"),
        ('(contains(event, "x"', 0, UNCLOSED),
        ('match(type, "x*")', 0, NO_CONDITION),
        ("foo", 0, NO_CONDITION),
        ("(", 0, UNCLOSED),
        ('(type = "a"', 0, UNCLOSED),
        ("(foo)", 0, NO_CONDITION),
        ("(name )", 7, "a value is missing"),
        ("a,b", 0, NO_CONDITION),
        ("and", 0, NO_CONDITION),
        ("or or", 0, NO_CONDITION),
        ("((", 0, UNCLOSED),
        ("(and)", 0, NO_CONDITION),
        ('!contains foo "x" ,', 0, NO_CONDITION),
        ('"contains"(event, "x")', 0, NO_CONDITION),
        ("match(event, 5*)", 14, "the character '*' does not belong in a subscription"),
        ('(constructor) type = "a"', 24, "a value is missing"),
        ('(type = "a" and event) name = "b"', 33, "a value is missing"),
        ('((type = "a") or event = "b")', 1, UNCLOSED),
    ],
)
def test_reading_fails_where_the_reference_fails(text: str, position: int, message: str) -> None:
    """What the reference cannot read either is told with its place."""
    with pytest.raises(FqlError) as caught:
        parse(text, lex(text))
    assert caught.value.issue == FqlIssue(position, message)


MIXED: Final = (
    "and and or are mixed at one level, where the last one counts for all; use parentheses"
)
SPLIT: Final = (
    "parentheses around a function end at the function's own ), so the rest in them is read as if"
    " it were outside; put the function first or remove them"
)


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ('type = "a" and event = "b" and name = "c"', []),
        ('type = "a" and event = "b" or name = "c"', [(27, MIXED)]),
        ('type = "a" or event = "b" and name = "c" or userId = 1', [(26, MIXED), (41, MIXED)]),
        ('type = "a" and (event = "b" or name = "c")', []),
        ('(type = "a" and event = "b" or name = "c")', [(28, MIXED)]),
        ('contains(event, "x") and (type = "a" or type = "b")', []),
        ('(contains(event, "x"))', [(9, SPLIT)]),
        # Only the first of these is told: the levels after it are not those that were written.
        ('(contains(event, "x") or type = "b") and (match(name, "x*"))', [(9, SPLIT)]),
        ('(type = "a" and !match(event, "x*")) or name = "b"', [(22, SPLIT)]),
    ],
)
def test_surprising_fql_is_warned_about(text: str, warnings: list[tuple[int, str]]) -> None:
    """What is FQL, and does not mean what it seems to, is told with its place."""
    _, found = parse_strictly(text, lex(text))
    assert found == [FqlIssue(*warning) for warning in warnings]


@pytest.mark.parametrize(("value", "name"), [(None, "NoneType"), (5, "int")])
def test_only_text_is_checked(value: Any, name: str) -> None:
    """Anything but text is a mistake of the caller."""
    with pytest.raises(TypeError, match=f"^a subscription is text, not {name}$"):
        check_fql(value)
