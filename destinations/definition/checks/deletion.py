"""Find the issues in ``onDelete``: a request that deletes nobody, or reads what is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.definition.build import DELETION_FIELDS
from destinations.definition.checks.steps import only_reads
from destinations.definition.document import Document
from destinations.definition.mapping_places import reconcile_key, with_payload
from destinations.definition.model import DELETION
from destinations.definition.reads import Shape, unreadable
from destinations.errors import Issue, unknown_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.parts import paths_read
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["deletion_issues"]

_PLACE: Final = "/onDelete/request"
_USER: Final = frozenset({(), ("event",), ("payload",), ("event", "userId"), ("payload", "userId")})
_LACKS: Final = (
    "properties", "traits", "event", "name", "category", "groupId", "previousId",
)  # fmt: skip
"""What an event that deletes a user does not have."""

_HAS: Final = "a deletion has only a userId, and perhaps an anonymousId"


def deletion_issues(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield the issues in ``onDelete``, but for those of its request wherever it is made."""
    if "onDelete" not in document.data:
        return
    name, requests = document.data["onDelete"]["request"], document.data["requests"]
    if name not in requests:
        yield document.issue(_PLACE, unknown_name("request", name, requests))
    else:
        yield from _of_request(document, name, requests[name], actions)
    if DELETION in actions:
        message = f"the action {DELETION} has the name of the one that this makes: rename it"
        yield document.issue("/onDelete", message)


def _of_request(
    document: Document, name: str, request: Mapping[str, Any], actions: Mapping[str, Document]
) -> Iterator[Issue]:
    if reconcile_key(request) in request:
        yield document.issue(_PLACE, f"{name} must not have reconcile, as it deletes")
    if "pending" in request:
        return
    if only_reads(request):
        how = "is readOnly" if request.get("readOnly") else f"is a {_kind(request)}"
        message = f"{name} {how}, which deletes nobody: expected a request that changes something"
        yield document.issue(_PLACE, message)
    read = {split_path(strip_root(path)) for path in paths_read(list(_mappings(request).values()))}
    if not any(path[:2] in _USER for path in read):
        message = f"{name} does not read who is deleted: expected $.payload.userId in it"
        yield document.issue(_PLACE, message)
    makers = [
        action.data for action in actions.values() if name in with_payload(action.data["perform"])
    ]
    fields = [key for data in makers for key in data["fields"]["properties"]]
    shape = _shape(name, fields)
    place = pointer("requests", name)
    for key, mapping in _mappings(request).items():
        for path, message in unreadable(mapping, place + key, shape):
            if message.startswith("must not read"):
                yield document.issue(path, message)


def _kind(request: Mapping[str, Any]) -> str:
    return "GraphQL query" if "graphql" in request else "GET request"


_MAPPED: Final = ("url", "path", "query", "headers", "json", "form", "text", "ndjson")


def _mappings(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mappings of a request by their places in it."""
    rest = request.get("rest", {})
    found = {pointer("rest", key): rest[key] for key in _MAPPED if key in rest}
    variables = request.get("graphql", {}).get("variables")
    return found if variables is None else {"/graphql/variables": variables}


def _shape(name: str, fields: list[str]) -> Shape:
    """Return what a request can read when it deletes; ``fields`` are those of its other actions."""
    cure = f"{_HAS}; if {name} is made elsewhere as well, give onDelete a request of its own"
    event = {key: f"must not read event.{key} for onDelete: {cure}" for key in _LACKS}
    own = DELETION_FIELDS["properties"]
    payload = {
        key: f"must not read payload.{key} for onDelete: {cure}" for key in fields if key not in own
    }
    keys = {
        "event": Shape("key of events", {}, event, is_open=True),
        "payload": Shape("field", dict.fromkeys(own), payload, is_open=True),
    }
    return Shape("root", keys, is_open=True)
