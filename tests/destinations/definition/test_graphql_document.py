"""GraphQL operations: what is accepted, and how they are repeated."""

from __future__ import annotations

import graphql
import pytest

from destinations.definition.graphql_document import (
    alias,
    check_operation,
    parse_operation,
    root_keys,
    variable_name,
)

TWO = """mutation Two($id: ID!, $by: Int) {
    first: rename(id: $id) { id } second: add(id: $id, by: $by) { ok }
}"""
ADD = "mutation Add($input: In!, $note: String) { add(input: $input, note: $note) { ok } }"


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        (ADD, ["input", "note"]),
        (ADD, ["input"]),
        ("{ features { id } }", []),
        ("query { ping }", []),
        ("query Q($a: Int! = 3) { q(a: $a) }", []),
        ("query Q($a: [In!]!) { q(deep: {list: [$a]}) { b { c(x: $a) } } }", ["a"]),
        ("query Q($a: Boolean!) { q { b @include(if: $a) } }", ["a"]),
        ("query Q { q { ... on Thing { id } } }", []),
        (TWO, ["id", "by"]),
        ("{ a b }", []),
        ("{ a: x(of: 1) b: x(of: 2) c }", []),
    ],
)
def test_operations_are_accepted(document: str, variables: list[str]) -> None:
    """One operation with root fields of their own names; variables are declared, used, mapped."""
    assert list(check_operation(document, dict.fromkeys(variables))) == []


@pytest.mark.parametrize(
    ("document", "variables", "issues"),
    [
        ("", [], ["line 1 of the document: Syntax Error: Unexpected <EOF>."]),
        ("query {\n  a(\n}", [], ["line 3 of the document: Syntax Error"]),
        ("query A { a } query B { b }", [], ["must hold exactly one operation"]),
        ("query A { a { ...F } } fragment F on T { b }", [], ["must hold exactly one operation"]),
        ("type A { b: Int }", [], ["must hold exactly one operation"]),
        ("query A { a { ...F } }", [], ["must not use fragments"]),
        ("subscription A { a }", [], ["must be a query or a mutation"]),
        ("query A { a b { ...F } }", [], ["must not use fragments"]),
        ("query A { x: a }", [], ["must not give its only root field an alias"]),
        ("query A { ... on Query { a } }", [], ["must select its root fields directly"]),
        ("query A { b ... on Query { a } }", [], ["must select its root fields directly"]),
        ("query A { a(x: 1) a(x: 2) }", [], ["root fields called 'a'; give each its own alias"]),
        ("query A { a: b a c b: a }", [], ["has 2 root fields called 'a'"]),
        ("query A { a b(x: $c) }", [], ["uses the undeclared variable $c"]),
        ("query A @cached { a }", [], ["must not have directives on the operation"]),
        ("query A { a(x: $b) }", [], ["uses the undeclared variable $b"]),
        ("query A($b: Int) { a }", [], ["declares the unused variable $b"]),
        ("query A($b: Int) { a(x: $b) }", ["b", "c"], ["variables has 'c', but"]),
        ("query A($b: Int!) { a(x: $b) }", [], ["needs the variable 'b'; add it to variables"]),
        (
            "query A($b: Int!, $c: Int) { a(x: $d) }",
            ["e"],
            [
                "undeclared variable $d",
                "declares the unused variable $b",
                "declares the unused variable $c",
                "variables has 'e'",
                "needs the variable 'b'",
            ],
        ),
    ],
)
def test_operations_are_refused(document: str, variables: list[str], issues: list[str]) -> None:
    """Every issue is reported, each in words that say what would be right."""
    found = list(check_operation(document, dict.fromkeys(variables)))
    assert len(found) == len(issues)
    for text, expected in zip(found, issues, strict=True):
        assert expected in text


def _printed(document: str) -> str:
    """A document in one fixed form, which is refused if it is not GraphQL."""
    return graphql.print_ast(graphql.parse(document))


@pytest.mark.parametrize(
    ("document", "size", "repeated"),
    [
        (
            ADD,
            1,
            """mutation Add($input_0: In!, $note_0: String) {
                e0: add(input: $input_0, note: $note_0) { ok }
            }""",
        ),
        (
            ADD,
            2,
            """mutation Add($input_0: In!, $note_0: String, $input_1: In!, $note_1: String) {
                e0: add(input: $input_0, note: $note_0) { ok }
                e1: add(input: $input_1, note: $note_1) { ok }
            }""",
        ),
        ("{ ping }", 2, "query Operation { e0: ping e1: ping }"),
        (
            TWO,
            2,
            """mutation Two($id_0: ID!, $by_0: Int, $id_1: ID!, $by_1: Int) {
                e0_first: rename(id: $id_0) { id }
                e0_second: add(id: $id_0, by: $by_0) { ok }
                e1_first: rename(id: $id_1) { id }
                e1_second: add(id: $id_1, by: $by_1) { ok }
            }""",
        ),
        ("{ a x: b { c } }", 1, "query Operation { e0_a: a e0_x: b { c } }"),
        (
            "query Q($a: Int! = 3) { q(a: $a) }",
            1,
            "query Q($a_0: Int! = 3) { e0: q(a: $a_0) }",
        ),
        (
            'query Q($a: Int) { q(s: "$a {a}", o: {a: [$a]}) @x(y: $a) { c(d: $a) } }',
            1,
            'query Q($a_0: Int) { e0: q(s: "$a {a}", o: {a: [$a_0]}) @x(y: $a_0) { c(d: $a_0) } }',
        ),
    ],
)
def test_operations_are_repeated(document: str, size: int, repeated: str) -> None:
    """Each event has an alias and variables of its own; texts, types and defaults stay."""
    assert _printed(parse_operation(document).document(size)) == _printed(repeated)


def test_a_parsed_operation_tells_its_parts() -> None:
    """Kind, name, root field and variables are those of the document."""
    operation = parse_operation(ADD)
    assert (operation.kind, operation.name, operation.keys) == ("mutation", "Add", ())
    assert operation.variables == (("input", "In!"), ("note", "String"))


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        (TWO, ["first", "second"]),
        ("{ a x: b }", ["a", "x"]),
        (ADD, []),
        ("{ ...F } fragment F on T { a }", []),
        ("type A { b: Int }", []),
        ("query {", []),
        ("", []),
    ],
)
def test_the_keys_of_several_root_fields(document: str, keys: list[str]) -> None:
    """What the answer calls them, in their order; a single one needs none."""
    assert list(root_keys(document)) == keys
    if keys:
        assert list(parse_operation(document).keys) == keys


def test_names_in_a_batch() -> None:
    """Aliases and variables are numbered from 0, in the order of the events."""
    assert [alias(0), alias(12), alias(3, "move")] == ["e0", "e12", "e3_move"]
    assert variable_name("input", 3) == "input_3"


@pytest.mark.parametrize("size", [1, 100])
def test_a_batch_is_valid_against_a_schema(size: int) -> None:
    """A server that knows the operation's types accepts the repeated document."""
    schema = graphql.build_schema(
        "input In { a: Int } type Out { ok: Boolean } type Query { ping: Int }"
        " type Mutation { add(input: In!, note: String): Out }"
    )
    document = graphql.parse(parse_operation(ADD).document(size))
    assert graphql.validate(schema, document) == []
