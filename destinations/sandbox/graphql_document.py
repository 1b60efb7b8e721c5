"""Check the body of a GraphQL request: its document, for any number of events, and variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import graphql
from jsonschema import Draft202012Validator

from destinations.definition import GraphQLDefinition
from destinations.definition.graphql_document import alias, parse_operation, variable_name
from destinations.sandbox.faults import RootField
from destinations.sandbox.form_check import ReadEvents, RequestIssue
from destinations.sandbox.possible_values import PossibleValues
from destinations.sandbox.schema_issues import schema_issues
from destinations.sandbox.wire import WireError, read_json

__all__ = ["DocumentCheck"]

_ALIAS: Final = re.compile(r"\be(\d+)(?:_\w+)?\s*:")
_MOST_EVENTS: Final = 10_000


class DocumentCheck:
    """One operation, repeated for any number of events."""

    def __init__(self, call: GraphQLDefinition, values: PossibleValues) -> None:
        self.operation = parse_operation(call.document)
        found = {name: values.of(mapping) for name, mapping in call.variables.items()}
        self._optional = {name for name, value in found.items() if value.optional}
        self._variables = {
            name: Draft202012Validator(value.schema) for name, value in found.items()
        }

    def roots(self, count: int) -> tuple[RootField, ...]:
        """Return alias and name of each root field, for so many events."""
        fields = self.operation.root_fields
        return tuple(
            (alias(index, field.key), re.split(r"\W", field.selection, maxsplit=1)[0])
            for index in range(count)
            for field in fields
        )

    def read(self, body: bytes) -> tuple[list[RequestIssue], ReadEvents]:
        """Return what is wrong with a body, and the variables of each event in it."""
        try:
            value = read_json(body)
        except WireError as error:
            return [RequestIssue("body", str(error))], ReadEvents(())
        query = value.get("query") if isinstance(value, dict) else None
        variables = value.get("variables", {}) if isinstance(value, dict) else {}
        if not isinstance(query, str) or not isinstance(variables, dict):
            message = 'must be a JSON object {"query": "...", "variables": {...}}'
            return [RequestIssue("body", message)], ReadEvents(())
        count = 1 + max((int(found) for found in _ALIAS.findall(query)[-8:]), default=0)
        issues = []
        if count > _MOST_EVENTS or _printed(query) != _printed(self.operation.document(count)):
            message = f"is not the operation {self.operation.name} of the definition"
            issues.append(RequestIssue("body /query", message))
            return issues, ReadEvents(())
        events = [self._of_event(index, variables, issues) for index in range(count)]
        known = {variable_name(name, index) for name in self._variables for index in range(count)}
        issues += [
            RequestIssue(f"body /variables/{name}", "is unexpected: the document has no such")
            for name in variables.keys() - known
        ]
        return issues, ReadEvents(events)

    def _of_event(
        self, index: int, variables: Mapping[str, Any], issues: list[RequestIssue]
    ) -> Mapping[str, Any]:
        own = {}
        for name, validator in self._variables.items():
            written = variable_name(name, index)
            place = f"body /variables/{written}"
            if written not in variables:
                if name not in self._optional:
                    issues.append(RequestIssue(place, "is missing"))
                continue
            own[name] = variables[written]
            issues += [
                RequestIssue(place + issue.path, issue.message)
                for issue in schema_issues(validator, own[name])
            ]
        return own

    def to_json(self) -> dict[str, Any]:
        """Return the document for one event, to show."""
        return {"query": self.operation.document(1)}


@lru_cache(maxsize=256)
def _printed(document: str) -> str:
    """Return a document as GraphQL prints it; an invalid one as it is."""
    try:
        return graphql.print_ast(graphql.parse(document, no_location=True))
    except graphql.GraphQLSyntaxError:
        return document
