"""Run GraphQL requests against the state: one at a time, and durable before the answer."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from graphql import GraphQLError, GraphQLResolveInfo, execute_sync

from kana_destination.sandbox.documents import Document, documents_of
from kana_destination.sandbox.errors import KanaError, error_entry
from kana_destination.sandbox.graphql_schema import Api, schema_of
from kana_destination.sandbox.resolvers import Context
from kana_destination.sandbox.state import State

__all__ = ["Account", "GraphQLRequest"]

_NOT_STORED: Final = "The sandbox could not write its database file: nothing was changed"


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A request; ``operation_name`` is needed where the document has several operations."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None = None


class Account:
    """The state of an account and the API on it; safe to use from several threads."""

    def __init__(self, state: State, api: Api, clock: Callable[[], datetime]) -> None:
        self.state = state
        self._schema = schema_of(api)
        self._documents = documents_of(api)
        self._clock = clock
        # Coarse, and also around queries: the interpreter runs one thread at a time anyway.
        self.lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Wait for the running request, then refuse all others."""
        with self.lock:
            self._closed = True

    def now(self) -> datetime:
        """Return the time of the clock in UTC."""
        return self._clock().astimezone(UTC)

    def document(self, text: str) -> Document:
        """Return the parsed and validated document."""
        return self._documents.get(text)

    def run(
        self, request: GraphQLRequest, injected: Mapping[str, KanaError] | None = None
    ) -> dict[str, Any]:
        """Run a request and return ``{data, errors}``; changes are stored when this returns.

        Without ``data`` nothing was run. ``injected`` has errors for root fields, by alias; those
        fields are not run. Raises ``ConnectionAbortedError`` once the account is closed.
        """
        with self.lock:
            if self._closed:
                raise ConnectionAbortedError("the sandbox has been stopped")
            document = self._documents.get(request.query)
            if document.node is None:
                return {"errors": list(document.errors)}
            now = self.now()
            result = execute_sync(
                self._schema,
                document.node,
                context_value=Context(self.state, now, now.toordinal()),
                variable_values=dict(request.variables),
                operation_name=request.operation_name,
                middleware=[_injector(injected)] if injected else None,
            )
            try:
                self.state.commit()
            except sqlite3.Error as error:
                print(f"{_NOT_STORED}: {error}", file=sys.stderr)
                failed = GraphQLError(_NOT_STORED, original_error=error)
                return {"errors": [error_entry(failed, "INTERNAL_SERVER_ERROR")]}
        errors = result.errors
        if not errors:
            return {"data": result.data}
        entries = [error_entry(error, "BAD_USER_INPUT") for error in errors]
        if result.data is None and all(error.path is None for error in errors):
            return {"errors": entries}
        return {"errors": entries, "data": result.data}


def _injector(injected: Mapping[str, KanaError]) -> Callable[..., Any]:
    def resolve(
        next_: Callable[..., Any], root: object, info: GraphQLResolveInfo[Any], **args: object
    ) -> object:
        if info.path.prev is None and info.path.key in injected:
            raise injected[str(info.path.key)]
        return next_(root, info, **args)

    return resolve
