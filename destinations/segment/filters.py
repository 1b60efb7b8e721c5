"""Filter events before any subscription sees them, in the order in which Segment does.

First a share of the events is sampled, then events are dropped; of those that are left, properties
are taken out, and then all properties but some. The order in which filters are written makes no
difference. Each may be for some events only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from destinations.errors import did_you_mean
from destinations.segment.event import Event
from destinations.segment.fql import Fql, compile_fql
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.paths import compile_path, split_path

__all__ = ["PROPERTY_ROOTS", "EventFilter", "EventFilters", "path_fault", "property_path"]

PROPERTY_ROOTS: Final = ("properties", "traits", "context")
"""The objects of an event that have properties."""

_BARE: Final = ("properties", "traits")
"""Where a name without a root stands."""

_STEPS: Final = 2**64


@dataclass(frozen=True, slots=True)
class EventFilter:
    """One filter, for events that fit the FQL ``when``; for all without it.

    ``sample`` keeps a ``share`` of the events, from 0 to 1: all or none of those with the same
    value at the path ``by``; those without one are told apart by their messageId. ``drop`` drops
    them. ``block`` takes out the properties at ``paths``, and ``allow`` leaves nothing but these in
    the objects that they are of.
    """

    kind: Literal["sample", "drop", "block", "allow"]
    when: str | None = None
    share: float = 1.0
    by: str = "messageId"
    paths: tuple[str, ...] = ()


def path_fault(text: str, known: Collection[str]) -> str:
    """Return what is wrong with a path within an event; empty if nothing is.

    Its first part is one of the ``known`` fields, or nothing like one of them.
    """
    if text.startswith("$"):
        return f"is written without $: {text.lstrip('$.') or 'userId'}"
    first = next(iter(split_path(text)), "")
    near = "" if first in known else did_you_mean(first, known)
    return f"begins with {first!r}{near}" if near else ""


def property_path(text: str) -> Sequence[tuple[str, ...]]:
    """Return the paths that a name of a property stands for; none if it is no such name.

    ``context.ip`` is that of the context; ``email`` stands for both properties and traits.
    """
    keys = split_path(text)
    if not keys:
        return []
    if keys[0] in PROPERTY_ROOTS:
        return [keys] if len(keys) > 1 else []
    return [(root, *keys) for root in _BARE]


class EventFilters:
    """The filters of a connection, compiled. Events are never changed: others may read them."""

    def __init__(self, filters: Iterable[EventFilter]) -> None:
        self._by_kind: dict[str, list[tuple[EventFilter, Fql | None]]] = {}
        for one in filters:
            fql = None if one.when is None else compile_fql(one.when)
            self._by_kind.setdefault(one.kind, []).append((one, fql))

    def reason(self, event: Event) -> str:
        """Return why no subscription may see an event; empty if they may."""
        for one in self._of("sample", event):
            if _place(_sampled_by(event, one.by)) >= one.share:
                what = "" if one.when is None else f" of events with {one.when}"
                return f"not in the sample of {one.share:.4g}{what}, by {one.by}"
        for one in self._of("drop", event):
            return f"dropped by the filter {one.when}"
        return ""

    def apply(self, event: Event) -> Event:
        """Return an event without the properties that subscriptions may not see."""
        found = event
        for one in self._of("block", event):
            for path in _paths(one):
                found = _without(found, path)
        for one in self._of("allow", event):
            found = _only(found, _paths(one))
        return found

    def _of(self, kind: str, event: Event) -> Iterable[EventFilter]:
        """Yield the filters of a kind that are for an event."""
        for one, fql in self._by_kind.get(kind, ()):
            if fql is None or fql.matches(event):
                yield one


def _sampled_by(event: Event, path: str) -> object:
    """Return by which value an event is in a sample or not."""
    value = compile_path(path)(event)
    is_there = value is not UNDEFINED and value is not None and value != ""
    return value if is_there else event.get("messageId", UNDEFINED)


def _place(value: object) -> float:
    """Return where a value stands among all, from 0 to below 1; always the same for one value."""
    text = "" if value is UNDEFINED else json.dumps(value, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / _STEPS


def _paths(one: EventFilter) -> list[tuple[str, ...]]:
    return [path for text in one.paths for path in property_path(text)]


def _without(value: Any, path: Sequence[str]) -> Any:
    """Return an object without what is at a path; the same one if there is nothing."""
    key = path[0]
    if not isinstance(value, Mapping) or key not in value:
        return value
    if len(path) == 1:
        return {name: item for name, item in value.items() if name != key}
    inner = _without(value[key], path[1:])
    return value if inner is value[key] else {**value, key: inner}


def _only(event: Event, paths: Sequence[Sequence[str]]) -> Event:
    """Return an event whose objects that paths name have nothing but what is at them."""
    roots = {path[0] for path in paths} & event.keys()
    kept = {
        root: _kept(event[root], [path[1:] for path in paths if path[0] == root]) for root in roots
    }
    return {**event, **kept}


def _kept(value: Any, paths: Sequence[Sequence[str]]) -> Any:
    """Return of an object what is at paths; anything else as it is."""
    if not isinstance(value, Mapping) or not all(paths):
        return value
    by_key: dict[str, list[Sequence[str]]] = {}
    for key, *rest in paths:
        by_key.setdefault(key, []).append(rest)
    return {key: _kept(value[key], rests) for key, rests in by_key.items() if key in value}
