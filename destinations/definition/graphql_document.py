"""Check a definition's GraphQL operations when loaded, and repeat them under aliases for batches.

A definition writes one operation, with one root field or several that run in order. To send many
events in one request, the root field is repeated under the aliases ``e0``, ``e1``, ... (several:
``e0_first``, ``e0_second``, ``e1_first``, ...) and each variable ``$x`` becomes ``$x_0``, ``$x_1``,
... Mutations of one document run one after another (GraphQL specification, 6.2.2). After one that
fails in a position that must not be null, the others do not run (6.4.4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

import graphql

__all__ = [
    "Operation",
    "RootField",
    "alias",
    "check_operation",
    "operation_kind",
    "parse_operation",
    "root_keys",
    "variable_name",
]

# A placeholder for the event's index; this character cannot occur in GraphQL source.
_INDEX = "\x00"


def alias(index: int, key: str = "") -> str:
    """Return the alias for the event at ``index`` of a batch; ``key`` is that of the root field."""
    return f"e{index}_{key}" if key else f"e{index}"


def variable_name(name: str, index: int | str) -> str:
    """Return the name of a variable for the event at ``index`` of a batch."""
    return f"{name}_{index}"


@dataclass(frozen=True, slots=True)
class RootField:
    """One root field as text, with a placeholder for the event's index after each variable.

    ``key`` distinguishes the root fields of one operation: the alias, else the name; empty if
    there is only one.
    """

    key: str
    selection: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, split so that it can be repeated; ``kind`` is ``query`` or ``mutation``.

    ``variables`` holds pairs (name, type with default); ``root_fields`` keep the source's order.
    """

    kind: str
    name: str
    root_fields: tuple[RootField, ...]
    variables: tuple[tuple[str, str], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of the root fields; empty if there is only one."""
        return tuple(field.key for field in self.root_fields if field.key)

    def document(self, size: int) -> str:
        """Return the text that runs the operation ``size`` times, each under its aliases."""
        return _repeat(self, size)


@lru_cache(maxsize=4096)
def _repeat(operation: Operation, size: int) -> str:
    declarations = ", ".join(
        f"${variable_name(name, index)}: {type_}"
        for index in range(size)
        for name, type_ in operation.variables
    )
    fields = "\n".join(
        f"{alias(index, field.key)}: {field.selection.replace(_INDEX, str(index))}"
        for index in range(size)
        for field in operation.root_fields
    )
    head = f"{operation.kind} {operation.name}" + (f"({declarations})" if declarations else "")
    return f"{head} {{\n{fields}\n}}"


@lru_cache(maxsize=128)
def parse_operation(document: str) -> Operation:
    """Split a document without issues (see `check_operation`)."""
    (definition,) = graphql.parse(document, no_location=True).definitions
    assert isinstance(definition, graphql.OperationDefinitionNode)  # noqa: S101 - for the types
    fields = [
        field
        for field in definition.selection_set.selections
        if isinstance(field, graphql.FieldNode)
    ]
    return Operation(
        kind=definition.operation.value,
        name=definition.name.value if definition.name else "Operation",
        root_fields=tuple(
            RootField(_key(field) if len(fields) > 1 else "", _selection(field)) for field in fields
        ),
        variables=tuple(
            (variable.variable.name.value, _type(variable))
            for variable in definition.variable_definitions or ()
        ),
    )


def operation_kind(document: str) -> str:
    """Return ``query`` or ``mutation``; empty for an invalid document."""
    try:
        (operation,) = graphql.parse(document, no_location=True).definitions
    except (graphql.GraphQLSyntaxError, ValueError):
        return ""
    if not isinstance(operation, graphql.OperationDefinitionNode):
        return ""
    return operation.operation.value


def root_keys(document: str) -> Sequence[str]:
    """Return the keys of the root fields; empty for a single one and for an invalid document."""
    try:
        (operation,) = graphql.parse(document, no_location=True).definitions
    except (graphql.GraphQLSyntaxError, ValueError):
        return ()
    if not isinstance(operation, graphql.OperationDefinitionNode):
        return ()
    fields = operation.selection_set.selections
    keys = [_key(field) for field in fields if isinstance(field, graphql.FieldNode)]
    return keys if len(keys) > 1 else ()


def _key(field: graphql.FieldNode) -> str:
    """Return a root field's name in the answer: its alias, else its name."""
    return field.alias.value if field.alias else field.name.value


def _selection(field: graphql.FieldNode) -> str:
    """Return a root field's text without its alias."""
    numbered: graphql.FieldNode = graphql.visit(field, _Numbered())
    text = graphql.print_ast(numbered)
    return text.removeprefix(f"{field.alias.value}: ") if field.alias else text


def _type(variable: graphql.VariableDefinitionNode) -> str:
    text = graphql.print_ast(variable.type)
    if variable.default_value is None:
        return text
    return f"{text} = {graphql.print_ast(variable.default_value)}"


class _Numbered(graphql.Visitor):
    """Adds the event's index to the name of every variable."""

    def enter_variable(self, node: graphql.VariableNode, *_: object) -> graphql.VariableNode:
        name = variable_name(node.name.value, _INDEX)
        return graphql.VariableNode(name=graphql.NameNode(value=name))


class _Used(graphql.Visitor):
    """Collects the variables that a selection uses, and whether it uses fragments."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.fragments = False

    def enter_variable(self, node: graphql.VariableNode, *_: object) -> None:
        self.variables.add(node.name.value)

    def enter_fragment_spread(self, *_: object) -> None:
        self.fragments = True


def check_operation(document: str, variables: Mapping[str, object]) -> Iterator[str]:
    """Yield the issues in a document, given the variables that the definition maps."""
    try:
        definitions = graphql.parse(document).definitions
    except graphql.GraphQLSyntaxError as error:
        line = error.locations[0].line if error.locations else 1
        yield f"line {line} of the document: {error.message}"
        return
    operation = definitions[0]
    if len(definitions) != 1 or not isinstance(operation, graphql.OperationDefinitionNode):
        yield "must hold exactly one operation and no fragments"
        return
    if operation.operation is graphql.OperationType.SUBSCRIPTION:
        yield "must be a query or a mutation"
    if operation.directives:
        yield "must not have directives on the operation: it is repeated for batches"
    issues = list(_check_roots(operation.selection_set.selections))
    yield from issues
    if issues:
        return
    used = _Used()
    graphql.visit(operation.selection_set, used)
    if used.fragments:
        yield "must not use fragments"
    declared = {
        variable.variable.name.value: variable for variable in operation.variable_definitions or ()
    }
    yield from _check_variables(declared, used.variables, variables.keys())


def _check_roots(fields: Sequence[graphql.SelectionNode]) -> Iterator[str]:
    found = [field for field in fields if isinstance(field, graphql.FieldNode)]
    if len(found) != len(fields):
        yield "must select its root fields directly, not in fragments"
    elif len(found) == 1 and found[0].alias:
        yield "must not give its only root field an alias: batches give one to each event"
    for key, count in Counter(map(_key, found)).items():
        if count > 1:
            yield f"has {count} root fields called {key!r}; give each its own alias"


def _check_variables(
    declared: Mapping[str, graphql.VariableDefinitionNode], used: set[str], mapped: AbstractSet[str]
) -> Iterator[str]:
    for name in sorted(used - declared.keys()):
        yield f"uses the undeclared variable ${name}"
    for name in sorted(declared.keys() - used):
        yield f"declares the unused variable ${name}"
    for name in sorted(mapped - declared.keys()):
        yield f"variables has {name!r}, but the operation does not declare it"
    for name in sorted(declared.keys() - mapped):
        node = declared[name]
        if isinstance(node.type, graphql.NonNullTypeNode) and node.default_value is None:
            yield f"needs the variable {name!r}; add it to variables"
