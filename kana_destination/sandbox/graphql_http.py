"""The form of a GraphQL request over HTTP: read bodies, and refuse those that are not GraphQL."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from kana_destination.sandbox.errors import KanaError
from kana_destination.sandbox.execution import GraphQLRequest

__all__ = ["WireError", "encode", "read_json", "read_request"]


class WireError(Exception):
    """A request that is not GraphQL; the answer is an HTTP status with a JSON message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def to_json(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"errors": [{"message": str(self), "extensions": {"code": "BAD_REQUEST"}}]}


def encode(value: object) -> bytes:
    """Return the value as compact JSON, in ASCII only, so that it can carry any text."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def read_json(body: bytes) -> object:
    """Return the JSON value of a body; raises :class:`WireError` (400)."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
        if rb"\u" in body:
            # Text with a lone surrogate can be neither stored nor sent.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise WireError(400, f"The body is not JSON: {error}") from None
    return value


def read_request(body: bytes) -> GraphQLRequest:
    """Return a GraphQL request; raises :class:`WireError` (400) or :class:`KanaError`."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise WireError(400, 'The body must be a JSON object {"query": ..., "variables": ...}')
    query, name = value.get("query"), value.get("operationName")
    if not isinstance(query, str):
        raise WireError(400, "The body must have a query as text")
    if name is not None and not isinstance(name, str):
        raise WireError(400, "operationName must be text")
    return GraphQLRequest(query, _variables(value.get("variables")), name or None)


def _variables(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_constant=_no_constant) if value.strip() else None
        except (ValueError, RecursionError) as error:
            raise KanaError(f"variables is not JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise KanaError("variables must be an object, or text that holds one")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")
