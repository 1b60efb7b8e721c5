"""The OpenAPI document of the API, made from its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator

from destinations._version import __version__
from destinations.console.api.schemas import COMPONENTS, ref
from destinations.console.api.table import OPERATIONS, Operation
from destinations.console.problems import API, PROBLEM_TYPE
from destinations.statuses import PHRASES

__all__ = ["openapi_document"]

_OF_ALL: Final = (400, 401, 403, 421, 422, 429, 500, 503)
_OF_BODIES: Final = (408, 413, 415)
_DESCRIPTION: Final = (
    "See and decide on deliveries. Send a key of the configuration (api.keys) as Authorization: "
    "Bearer KEY; read only looks, and operate may change something. Times are ISO 8601 in UTC. "
    "Faults are problem documents."
)


@cache
def openapi_document() -> Mapping[str, Any]:
    """Return the document, as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    paths["/openapi.json"] = {
        "get": {
            "operationId": "showDocument",
            "summary": "Show this document.",
            "responses": {
                "200": _answer("The document", {"type": "object"}),
                **_faults((401, 403, 421, 429, 500)),
            },
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Destinations",
            "version": __version__,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": API}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": dict(COMPONENTS),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of the configuration: api.keys.",
                }
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    statuses = {*_OF_ALL, *one.faults, *(_OF_BODIES if one.body else ())}
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"Needs the role {one.needs}.",
        "responses": {"200": _answer(one.summary, ref(one.gives)), **_faults(sorted(statuses))},
    }
    parameters = list(_parameters(one))
    if parameters:
        found["parameters"] = parameters
    if one.body is not None:
        found["requestBody"] = {
            "required": not Draft202012Validator(COMPONENTS[one.body]).is_valid({}),
            "content": {"application/json": {"schema": ref(one.body)}},
        }
    return found


def _parameters(one: Operation) -> Iterator[dict[str, Any]]:
    for place, schemas in (("path", one.parts), ("query", one.query)):
        for name, schema in schemas.items():
            bare = {key: schema[key] for key in schema if key != "description"}
            described = {"description": schema["description"]} if "description" in schema else {}
            yield {
                "name": name,
                "in": place,
                "required": place == "path",
                **described,
                "schema": bare,
            }


def _answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _faults(statuses: Any) -> dict[str, Any]:
    return {
        str(status): {
            "description": PHRASES[status],
            "content": {PROBLEM_TYPE: {"schema": ref("Problem")}},
        }
        for status in statuses
    }
