"""The form of GraphQL over HTTP: read requests, refuse those that are not GraphQL, name answers.

The rules are those of the GraphQL-over-HTTP specification, where Kana does not say otherwise: it
takes POST only, ``variables`` may be text that holds an object, and an answer in
``application/json`` has the status 200 whatever GraphQL finds wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any, Final

from destinations.sandbox.wire import JSON, WireError, read_json
from kana_destination.sandbox.execution import GraphQLRequest

__all__ = [
    "GRAPHQL_JSON",
    "RequestHead",
    "answer_type",
    "read_request",
    "status_of",
]

GRAPHQL_JSON: Final = "application/graphql-response+json"
"""The media type whose answers tell by their status whether the request was run."""

# A weight of RFC 9110, section 12.4.2.
_WEIGHT: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_STATUSES: Final = {"UNAUTHENTICATED": 401, "INTERNAL_SERVER_ERROR": 500}


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The headers of a request that GraphQL over HTTP reads; None for a missing one."""

    authorization: str | None
    content_type: str | None
    accept: str | None


def read_request(head: RequestHead, body: bytes) -> GraphQLRequest:
    """Return a GraphQL request; raises `WireError` (400, 415)."""
    _check_content_type(head.content_type)
    value = read_json(body)
    if not isinstance(value, dict):
        raise WireError(400, 'The body must be a JSON object {"query": ..., "variables": ...}')
    query, name = value.get("query"), value.get("operationName")
    if not isinstance(query, str):
        raise WireError(400, "The body must have a query as text")
    if name is not None and not isinstance(name, str):
        raise WireError(400, "operationName must be text")
    if not isinstance(value.get("extensions"), dict | None):
        raise WireError(400, "extensions must be an object")
    return GraphQLRequest(query, _variables(value.get("variables")), name or None)


def _check_content_type(text: str | None) -> None:
    if not text:
        raise WireError(400, f"The body has no Content-Type: expected {JSON}")
    header = Message()
    header["Content-Type"] = text
    charset = header.get_content_charset("utf-8")
    if header.get_content_type() != JSON or charset not in {"utf-8", "utf8"}:
        raise WireError(415, f"Invalid Content-Type {text!r}: expected {JSON} in UTF-8")


def _variables(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = read_json(value.encode(), "variables") if value.strip() else None
        except UnicodeEncodeError as error:
            raise WireError(400, f"variables is not JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WireError(400, "variables must be an object, or text that holds one")
    return value


def answer_type(accept: str | None) -> str:
    """Return the media type of an answer, `JSON` or `GRAPHQL_JSON`, by the header ``Accept``.

    The one with the higher weight, or else the one that the header names first. `JSON` without a
    header, and where it takes neither: an answer in another form says more than a 406.
    """
    ranges = _ranges(accept or "")
    weights = {}
    for kind in (JSON, GRAPHQL_JSON):
        found = (ranges.get(key) for key in (kind, "application/*", "*/*"))
        weights[kind] = next((each for each in found if each is not None), (0.0, 0))
    chosen = weights[GRAPHQL_JSON]
    return GRAPHQL_JSON if chosen[0] and chosen > weights[JSON] else JSON


def _ranges(accept: str) -> Mapping[str, tuple[float, int]]:
    """Return the weight of each media range, and its place: the earlier, the greater."""
    found: dict[str, tuple[float, int]] = {}
    for place, text in enumerate(accept.split(",")):
        name, *parameters = (part.strip().lower() for part in text.split(";"))
        weight = next((part[2:].strip() for part in parameters if part.startswith("q=")), "1")
        if _WEIGHT.fullmatch(weight):
            found.setdefault(name, (float(weight), -place))
    return found


def status_of(result: Mapping[str, Any], media_type: str) -> int:
    """Return the HTTP status of a GraphQL answer.

    200 in `JSON`, as Kana does, and for every answer that has ``data``. In `GRAPHQL_JSON`, a
    request that was not run has 400, or 401 for its key, or 500 for a failure of the sandbox.
    """
    if media_type == JSON or "data" in result:
        return 200
    (first, *_) = result["errors"]
    return _STATUSES.get(first.get("extensions", {}).get("code"), 400)
