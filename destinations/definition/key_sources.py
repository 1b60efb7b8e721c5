"""Tell whether an idempotency key is an event's own: a partner drops what comes with a known key.

Two events with one key would count as one, and nobody would be told. So a key must read what tells
events apart, also through the fields of a payload and what a subscription maps to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition.model import ActionDefinition, DestinationDefinition
from destinations.errors import DefinitionError, DestinationsError
from destinations.segment.javascript import UNDEFINED
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.parts import alternatives, members, paths_read
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = [
    "compiles",
    "keys_of",
    "put_at",
    "same_key",
    "shared_key",
    "subscription_key_issues",
    "twice_message",
]

_TIMES: Final = frozenset({"timestamp", "originalTimestamp"})
_OF_USER: Final = frozenset({"userId", "anonymousId", "previousId", "traits"})
_SHARED: Final = frozenset(
    {
        "type", "event", "name", "category", "groupId", "sentAt", "receivedAt", "integrations",
        "version", "channel", "writeKey", "projectId", "metadata",
    }
)  # fmt: skip
"""What many events share; those of one request of an SDK have the same ``sentAt``."""

_SHARED_CONTEXT: Final = frozenset(
    {
        "active", "app", "campaign", "channel", "consent", "device", "groupId", "ip", "library",
        "locale", "location", "network", "os", "page", "protocols", "referrer", "screen",
        "sessionId", "timezone", "traits", "userAgent", "userAgentData",
    }
)  # fmt: skip
"""The fields of ``context`` in Segment's Spec."""

_OWN: Final = "such as {'@path': $.event.messageId}"


def shared_key(source: object, fields: Mapping[str, Any] | None, *, action: str = "") -> str | None:
    """Return why several events would have the same key; None if each has its own.

    ``fields`` are the mappings of the payload that the key reads; None if these are not known.
    """
    for one in alternatives(source):
        if one.on != "data" or one.value is None:
            continue
        paths = paths_read(one.value)
        if not paths:
            return f"is the same for all events: {_DROPS}; read what is an event's own, {_OWN}"
        kinds = set[str]()
        shown: list[str] = []
        for path in paths:
            found, reads = _kinds(split_path(strip_root(path)), fields)
            kinds |= found
            shown.append(reads)
        if not _tells_apart(kinds):
            of_action = f" in {action}" if action else ""
            return (
                f"reads only {' and '.join(shown)}{of_action}, which several events share:"
                f" {_DROPS}; add what is an event's own, {_OWN}"
            )
    return None


_DROPS: Final = "the partner would take only the first one, and drop the others as its repeats"


def subscription_key_issues(
    keys: Mapping[str, object], mapping: object
) -> Iterator[tuple[str, str]]:
    """Yield (place, message) for each key that a subscription's mapping gives to several events.

    ``keys`` are the sources of the keys that the requests of its action have, by request.
    """
    fields = members(mapping)
    for name, source in keys.items() if fields is not None else ():
        message = shared_key(source, fields)
        if message is not None and shared_key(source, None) is None:
            read = [one for one in _fields_of_key(source) or () if one in (fields or ())]
            place = pointer(read[0]) if len(read) == 1 else ""
            yield place, f"the idempotency key of {name} {message}"


def _fields_of_key(source: object) -> Sequence[str] | None:
    """Return the fields of the payload that a key reads; None if it may read all of them."""
    paths = [split_path(strip_root(path)) for path in paths_read(source)]
    if {("payload",), ()} & set(paths):
        return None
    return list(dict.fromkeys(path[1] for path in paths if path[0] == "payload"))


def compiles(mapping: object) -> bool:
    """Return whether a mapping has no issue of its own, which is reported elsewhere."""
    try:
        compile_value(mapping)
    except DefinitionError:
        return False
    return True


def _tells_apart(kinds: set[str]) -> bool:
    return "own" in kinds or {"time", "user"} <= kinds


def _kinds(path: Sequence[str], fields: Mapping[str, Any] | None) -> tuple[set[str], str]:
    """Return what a path of a key is about, and how a message shows the path."""
    shown = ".".join(path)
    root, *keys = path or ("",)
    if root == "event":
        return {_kind(keys)}, shown
    if root != "payload" or fields is None or not keys or keys[0] not in fields:
        return {"own"}, shown
    mapping: object = fields[keys[0]]
    for key in keys[1:]:
        inner = members(mapping)
        mapping = None if inner is None else inner.get(key)
    if mapping is None:
        return {"own"}, shown
    read = paths_read(mapping)
    return _kinds_of_field(mapping), f"{shown} ({' and '.join(read) if read else 'a constant'})"


def _kinds_of_field(mapping: object) -> set[str]:
    """Return what all values are about that a field's mapping may give."""
    found: list[set[str]] = []
    for one in alternatives(mapping):
        if one.on != "data":
            return {"own"}
        if one.value is not None:
            paths = [split_path(strip_root(path)) for path in paths_read(one.value)]
            found.append({_kind(path) for path in paths})
    shared = [kinds for kinds in found if not _tells_apart(kinds)]
    return set[str]().union(*(shared or found)) if found else {"own"}


def _kind(keys: Sequence[str]) -> str:
    """Return what a path of an event is about: the event itself (own), or what it shares."""
    first = keys[0] if keys else ""
    if first in _TIMES:
        return "time"
    if first in _OF_USER:
        return "user"
    if first == "context":
        return "shared" if len(keys) == 1 or keys[1] in _SHARED_CONTEXT else "own"
    return "shared" if first in _SHARED else "own"


def same_key(
    keys: Mapping[str, object],
    mapping: object,
    other_keys: Mapping[str, object],
    other_mapping: object,
) -> str | None:
    """Return a request that two subscriptions would make for one event with the same key.

    Each has the sources of its keys by request, and the mapping to its payload. None if there is no
    such request.
    """
    for name, source in keys.items():
        if name in other_keys:
            fields = _fields_of_key(source)
            if _is_same(source, fields, mapping, other_mapping):
                return name
    return None


def twice_message(name: str, other: str) -> str:
    """Return why two subscriptions must not make a request for one event with the same key."""
    return (
        f"overlaps with {other!r}, and both give an event the same idempotency key of {name}: the"
        f" partner would drop the second request as a repeat of the first; narrow one of them, or"
        f" map another key in each, {_OTHER}"
    )


_OTHER: Final = "such as {'@template': '{{messageId}}-second'}"


def keys_of(definition: DestinationDefinition, action: ActionDefinition) -> dict[str, object]:
    """Return the sources of the keys that an action's requests have, by request."""
    found = {name: definition.requests[name] for name in action.perform.with_payload}
    keys = {name: request.idempotency_key for name, request in found.items()}
    return {name: key.source for name, key in keys.items() if key is not None}


def _is_same(source: object, fields: Sequence[str] | None, one: object, other: object) -> bool:
    """Return whether two mappings lead to the same key, as far as that is known without events."""
    if one == other:
        return True
    of_one, of_other = members(one), members(other)
    if fields is None or of_one is None or of_other is None:
        return False
    read = [{name: each.get(name) for name in fields} for each in (of_one, of_other)]
    if read[0] == read[1]:
        return True
    paths = [set(paths_read(each)) for each in read]
    if paths[0] != paths[1]:
        return False
    event = _sample_event(paths[0])
    keys = [_key(source, event, each) for each in read]
    return keys[0] is not None and keys[0] == keys[1]


def _key(source: object, event: Mapping[str, Any], fields: Mapping[str, object]) -> object:
    try:
        payload = {name: compile_value(each).resolve(event) for name, each in fields.items()}
        key = compile_value(source).resolve({"event": event, "payload": payload})
    except DestinationsError:
        return None
    return None if key is UNDEFINED else key


def _sample_event(paths: Iterable[str]) -> dict[str, Any]:
    """Return an event with text at each of these paths, which tells it apart from the others."""
    event: dict[str, Any] = {}
    for path in paths:
        put_at(event, split_path(strip_root(path)), path)
    return event


def put_at(place: dict[str, Any], keys: Sequence[str], value: object) -> None:
    """Put a value at a path below an object, unless something is there."""
    for key in keys[:-1]:
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        place = inner
    if keys:
        place.setdefault(keys[-1], value)
