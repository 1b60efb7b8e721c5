"""Check the JSON Schemas within a definition, before what reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destinations.definition.document import Document
from destinations.errors import DefinitionError, Issue
from destinations.segment.json_pointer import pointer
from destinations.segment.validation import compile_schema

__all__ = ["broken_schemas", "json_schema_issues"]


def broken_schemas(document: Document) -> Iterator[Issue]:
    """Yield what is wrong within the JSON schemas of a file, which the other checks read."""
    data = document.data
    for key in ("settings", "fields"):
        yield from json_schema_issues(document, pointer(key), data.get(key))
    yield from _schemas_of_rules(document, "", data)
    for name, request in data.get("requests", {}).items():
        place = pointer("requests", name)
        yield from json_schema_issues(document, place + "/expect", request.get("expect"))
        for index, refusal in enumerate(request.get("refusals", ())):
            yield from json_schema_issues(
                document, place + pointer("refusals", index, "when"), refusal["when"]
            )
        yield from _schemas_of_rules(document, place, request)


def _schemas_of_rules(document: Document, place: str, data: Mapping[str, Any]) -> Iterator[Issue]:
    for kind in ("answers", "errorRules"):
        for index, rule in enumerate(data.get(kind, ())):
            body = place + pointer(kind, index, "when", "body")
            yield from json_schema_issues(document, body, rule["when"].get("body"))


def json_schema_issues(document: Document, place: str, schema: object) -> Iterator[Issue]:
    """Yield what is wrong with the JSON Schema at ``place``; what is no object is none."""
    if not isinstance(schema, dict):
        return
    try:
        compile_schema(schema)
    except DefinitionError as error:
        for issue in error.issues:
            yield document.issue(place + issue.path, issue.message)
