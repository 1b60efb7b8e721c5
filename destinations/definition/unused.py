"""Find fields of actions that cannot serve: no request reads them, or their default never fits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.definition.document import Document
from destinations.definition.mapping_places import reconcile_key, with_payload
from destinations.errors import Issue
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.roots import reads

__all__ = ["times_as_numbers", "unread_fields"]

_OF_BATCHES: Final = frozenset({"enable_batching", "batch_size", "batch_keys", "batch_bytes"})
"""Fields that Segment's runtime reads, and no request."""

_CHECKED: Final = ("x-identifier", "x-refuse")
"""Keywords of fields that are there to be checked, whether they are sent or not."""

_WHOLE: Final = re.compile(r"\bpayload\b(?![\\\"'\s]*[.\[])")

_TIMES: Final = ("timestamp", "originalTimestamp", "receivedAt", "sentAt")
_NUMBERS: Final = frozenset({"integer", "number", "null"})


def unread_fields(document: Document, action: Document) -> Iterator[Issue]:
    """Yield the fields whose names no request of an action has: what they hold is never sent.

    Any text with the word counts as a mapping that reads it. What code makes is not looked at, nor
    a request that is still to be written.
    """
    perform, data = action.data["perform"], action.data
    if not {"request", "steps"} & perform.keys() or "mapper" in data.get("unmapped", {}):
        return
    requests = document.data["requests"]
    made = {name: requests[name] for name in _reached(requests, with_payload(perform))}
    if any("pending" in request for request in made.values()):
        return
    others = {key: value for key, value in data.items() if key not in {"fields", "$schema"}}
    sources = [made, document.data["transport"], others]
    if _WHOLE.search(json.dumps(sources, default=str)) is not None:
        return
    for name, spec in data["fields"].get("properties", {}).items():
        if name in _OF_BATCHES or any(word in spec for word in _CHECKED):
            continue
        if not reads(sources, re.escape(name)):
            place = pointer("fields", "properties", name)
            yield action.issue(place, f"is never sent: no request reads $.payload.{name}")


def times_as_numbers(action: Document) -> Iterator[Issue]:
    """Yield the fields of numbers whose default is a time of the event, which is text."""
    for name, spec in action.data["fields"].get("properties", {}).items():
        kind, default = spec.get("type"), spec.get("default")
        kinds = {kind} if isinstance(kind, str) else set(kind or ())
        path = default.get("@path") if isinstance(default, Mapping) else None
        key = path.removeprefix("$.") if isinstance(path, str) else None
        if kinds and kinds <= _NUMBERS and key in _TIMES:
            place = pointer("fields", "properties", name, "default")
            cure = f"{{'@convert': {{value: {{'@path': $.{key}}}, to: seconds}}}}"
            yield action.issue(place, f"gives text such as 2026-03-05T14:30:00Z: write {cure}")


def _reached(requests: Mapping[str, Any], names: list[str]) -> set[str]:
    """Return these requests, and those that are made for them with the same payload."""
    found: set[str] = set()
    left = [name for name in names if name in requests]
    while left:
        name = left.pop()
        found.add(name)
        request = requests[name]
        asked = [request.get(reconcile_key(request), {}).get("ask")]
        asked.append(request.get("list", {}).get("request"))
        left += [one for one in asked if one in requests and one not in found]
    return found
