"""A cache of GraphQL documents that have been parsed and validated, by their text.

A client sends few different texts, many times: batches of the same size have the same text. To
parse and check text costs several times as much as to execute it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    validate,
)

from destinations.sandbox.faults import RootField
from kana_destination.sandbox.errors import error_entry
from kana_destination.sandbox.graphql_schema import Api, schema_of

__all__ = ["Document", "Documents", "documents_of"]

_MAX_DOCUMENTS: Final = 256
_MAX_CHARACTERS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text; ``node`` is None if it cannot be run, and ``errors`` say why.

    ``digest`` is the start of the text's SHA-256. ``roots`` has the root fields of each operation,
    by its name (None if it has no name).
    """

    digest: str
    node: DocumentNode | None
    errors: tuple[dict[str, Any], ...]
    roots: Mapping[str | None, tuple[RootField, ...]]

    def operation(self, name: str | None) -> str | None:
        """Return the name of the operation to run: ``name``, or that of the only operation."""
        return next(iter(self.roots)) if name is None and len(self.roots) == 1 else name

    def root_fields(self, name: str | None) -> tuple[RootField, ...]:
        """Return the root fields of :meth:`operation`; empty if there is no such operation."""
        return self.roots.get(self.operation(name), ())


class Documents:
    """A cache of the documents used last, limited in number and in characters.

    Safe to use from several threads.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0

    def get(self, text: str) -> Document:
        """Return the document of a string; that of an invalid one has ``errors``."""
        with self._lock:
            found = self._kept.get(text)
            if found is not None:
                self._kept.move_to_end(text)
                return found
            made = _read(self._schema, text)
            self._kept[text] = made
            self._characters += len(text)
            while len(self._kept) > 1 and (
                len(self._kept) > _MAX_DOCUMENTS or self._characters > _MAX_CHARACTERS
            ):
                oldest, _ = self._kept.popitem(last=False)
                self._characters -= len(oldest)
            return made

    def __len__(self) -> int:
        return len(self._kept)


@cache
def documents_of(api: Api) -> Documents:
    """Return the documents of one form of the API, which all accounts of the process share."""
    return Documents(schema_of(api))


def _read(schema: GraphQLSchema, text: str) -> Document:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    try:
        node = parse(text)
    except GraphQLError as error:
        return Document(digest, None, (error_entry(error, "GRAPHQL_PARSE_FAILED"),), {})
    except RecursionError:
        deep = error_entry(
            GraphQLError("The document is nested too deeply"), "GRAPHQL_PARSE_FAILED"
        )
        return Document(digest, None, (deep,), {})
    found = validate(schema, node)
    errors = tuple(error_entry(error, "GRAPHQL_VALIDATION_FAILED") for error in found)
    return Document(digest, None if errors else node, errors, _roots(node))


def _roots(node: DocumentNode) -> dict[str | None, tuple[RootField, ...]]:
    fragments = {
        one.name.value: one.selection_set
        for one in node.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    return {
        one.name.value if one.name else None: tuple(_fields(one.selection_set, fragments, ()))
        for one in node.definitions
        if isinstance(one, OperationDefinitionNode)
    }


def _fields(
    selections: SelectionSetNode, fragments: Mapping[str, SelectionSetNode], inside: tuple[str, ...]
) -> Iterator[RootField]:
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            name = selection.name.value
            yield (selection.alias.value if selection.alias else name, name)
        elif isinstance(selection, InlineFragmentNode):
            yield from _fields(selection.selection_set, fragments, inside)
        elif isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            # In an invalid document, a fragment may be missing, or may spread itself.
            if name in fragments and name not in inside:
                yield from _fields(fragments[name], fragments, (*inside, name))
