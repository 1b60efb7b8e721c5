"""Check idempotency keys: where they are sent, and that no two events share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.definition.document import Document
from destinations.definition.key_sources import (
    compiles,
    same_key,
    shared_key,
    subscription_key_issues,
    twice_message,
)
from destinations.definition.mapping_places import with_payload
from destinations.durations import parse_duration
from destinations.errors import Issue
from destinations.segment.fql import check_fql, compile_fql, overlap
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys

__all__ = ["idempotency_key_issues", "keys_of_presets"]


_SHORTEST_KEY: Final = 60.0
"""Seconds: a request, with all that it waits for, has to fit in."""


def idempotency_key_issues(
    document: Document, name: str, request: Mapping[str, Any], actions: Mapping[str, Document]
) -> Iterator[Issue]:
    """Yield the issues in ``idempotencyKey``: its source, its place, and how long it counts."""
    if "idempotencyKey" not in request:
        return
    yield from _shared_keys(document, name, request["idempotencyKey"]["from"], actions)
    key, place = request["idempotencyKey"], pointer("requests", name, "idempotencyKey")
    if request["idempotent"]:
        yield document.issue(place, f"has no effect: {name} is idempotent and sent again")
    if "onLostAnswer" in request and not request["idempotent"]:
        message = (
            f"must not be set: {name} has idempotencyKey, and what the key no longer protects is"
            " never just sent again"
        )
        yield document.issue(pointer("requests", name, "onLostAnswer"), message)
    if parse_duration(key["for"]) < _SHORTEST_KEY:
        message = f"{key['for']} is too short: expected at least 1m, such as 24h"
        yield document.issue(place + "/for", message)
    if "header" in key:
        yield from _key_in_header(document, name, request, key["header"])
    else:
        yield from _key_in_field(document, name, request, key["field"])


def _shared_keys(
    document: Document, name: str, source: object, actions: Mapping[str, Document]
) -> Iterator[Issue]:
    """Yield that several events would have the same key, by itself or by the fields' defaults."""
    place = pointer("requests", name, "idempotencyKey", "from")
    if not compiles(source):
        return
    message = shared_key(source, None)
    if message is not None:
        yield document.issue(place, message)
        return
    for slug, action in actions.items():
        if name in with_payload(action.data["perform"]):
            message = shared_key(source, _defaults(action.data), action=slug)
            if message is not None:
                yield document.issue(place, message)


def _defaults(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping that an action's subscriptions have unless they say otherwise."""
    properties = action["fields"]["properties"]
    given = {key: spec["default"] for key, spec in properties.items() if "default" in spec}
    return {key: value for key, value in given.items() if compiles(value)}


def keys_of_presets(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield that presets give several events, or one event twice, the same idempotency key."""
    requests = document.data["requests"]
    keyed: list[tuple[int, Mapping[str, Any], Mapping[str, object], object]] = []
    for index, preset in enumerate(document.data.get("presets", ())):
        action = actions.get(preset["partnerAction"])
        if action is None or check_fql(preset["subscribe"]):
            continue
        sources = {
            name: requests[name]["idempotencyKey"]["from"]
            for name in with_payload(action.data["perform"])
            if "idempotencyKey" in requests.get(name, {})
        }
        sources = {name: source for name, source in sources.items() if compiles(source)}
        mapping = preset.get("mapping", _defaults(action.data))
        if not sources or not compiles(mapping):
            continue
        if "mapping" in preset:
            place = pointer("presets", index, "mapping")
            for path, message in subscription_key_issues(sources, mapping):
                yield document.issue(place + path, message)
        for _, other, others, made in keyed:
            name = same_key(others, made, sources, mapping)
            if name is None:
                continue
            if overlap(compile_fql(other["subscribe"]), compile_fql(preset["subscribe"])):
                message = twice_message(name, other["name"])
                yield document.issue(pointer("presets", index, "subscribe"), message)
        keyed.append((index, preset, sources, mapping))


def _key_in_header(
    document: Document, name: str, request: Mapping[str, Any], header: str
) -> Iterator[Issue]:
    place = pointer("requests", name, "idempotencyKey", "header")
    if request.get("batch", {}).get("size", 1) > 1:
        message = f"needs batch.size 1: the batches of {name} share their headers; use field"
        yield document.issue(place, message)
    own = request.get("rest", {}).get("headers", {})
    for headers, where in (
        (own, "rest"),
        (document.data["transport"].get("headers", {}), "transport"),
    ):
        if header.lower() in map(str.lower, headers):
            yield document.issue(place, f"{where}.headers has {header} already: keep only one")


def _key_in_field(
    document: Document, name: str, request: Mapping[str, Any], field: str
) -> Iterator[Issue]:
    place = pointer("requests", name, "idempotencyKey", "field")
    rest = request.get("rest")
    if rest is None:
        yield document.issue(place, f"is for REST requests: use header, as {name} is not one")
        return
    body = rest.get("json", rest.get("form"))
    if body is None:
        yield document.issue(place, "needs rest.json or rest.form: the key becomes a part of it")
    elif not isinstance(body, dict):
        yield document.issue(place, "needs an object as rest.json: the key becomes a member of it")
    elif not directive_keys(body) and field in body:
        yield document.issue(place, f"the body has {field!r} already: remove it there")
