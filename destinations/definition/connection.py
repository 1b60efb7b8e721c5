"""A connection: which events the actions of a destination receive, as one customer chose it.

It takes the place of the presets of the definition. Two subscriptions that receive the same event
send it twice, without a word. Where an amount is added, that is billed twice: so it is refused
unless it is asked for.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from destinations.definition.check import preset_issues
from destinations.definition.defaults import broken_mapping
from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.definition.model import ActionDefinition, DestinationDefinition, Preset
from destinations.definition.schema_issues import schema_issues
from destinations.errors import DefinitionError, Issue, UsageError, did_you_mean
from destinations.segment.fql import compile_fql, never_holds, overlap
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys

__all__ = ["Connection", "connect", "read_connection"]

_SUBSCRIPTIONS: Final = "subscriptions"


@dataclass(frozen=True, slots=True)
class Connection:
    """The subscriptions at a ``place`` of a document that fits the schema."""

    document: Document
    subscriptions: Sequence[Mapping[str, Any]]
    allow_overlap: bool = False
    place: str = ""


def read_connection(path: Path) -> Connection:
    """Return the connection in a file, YAML or JSON.

    Raises `DefinitionError` with every issue, `UsageError` for a file that cannot be read. Whether
    it fits a destination is not looked at; see `connect`.
    """
    try:
        text = read_text_input(path, pipes=True)
    except OSError as error:
        raise UsageError(f"cannot read the connection {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read the connection {path}: it is not UTF-8") from None
    document = read_document(text, name=str(path))
    issues = list(schema_issues(document, "connection"))
    if issues:
        raise DefinitionError(issues)
    data = document.data
    return Connection(document, data[_SUBSCRIPTIONS], data.get("allowOverlap", False))


def connect(definition: DestinationDefinition, connection: Connection) -> DestinationDefinition:
    """Return a definition with the subscriptions of a connection in place of its presets.

    Those that can match no event are among its warnings. Raises `DefinitionError` with every issue.
    """
    place = connection.place + pointer(_SUBSCRIPTIONS)
    given, document = connection.subscriptions, connection.document
    issues = list(_issues(definition, document, place, given))
    if issues:
        raise DefinitionError(issues)
    presets = [_preset(one, definition.actions[one["partnerAction"]]) for one in given]
    enabled = [(at, one) for at, one in enumerate(presets) if given[at].get("enabled", True)]
    if not connection.allow_overlap:
        issues = list(_overlaps(definition, document, place, enabled))
        if issues:
            raise DefinitionError(issues)
    warnings = [
        document.issue(place + pointer(at, "subscribe"), str(never))
        for at, one in enabled
        if (never := never_holds(one.subscribe)) is not None
    ]
    return replace(
        definition,
        presets=tuple(one for _, one in enabled),
        warnings=(*definition.warnings, *warnings),
    )


def _preset(given: Mapping[str, Any], action: ActionDefinition) -> Preset:
    mapping = given.get("mapping", {})
    if not directive_keys(mapping):
        mapping = {**action.default_mapping, **mapping}
    return Preset(given["name"], action.slug, given["subscribe"], mapping)


def _issues(
    definition: DestinationDefinition,
    document: Document,
    place: str,
    given: Sequence[Mapping[str, Any]],
) -> Iterator[Issue]:
    actions = definition.actions
    of_operator = actions.keys() - definition.event_actions.keys()
    yield from preset_issues(document, place, given, actions, of_operator, must_hold=False)
    for at, one in enumerate(given):
        action, mapping = actions.get(one["partnerAction"]), one.get("mapping", {})
        if action is None or directive_keys(mapping):
            continue
        own, fields = place + pointer(at, "mapping"), action.fields["properties"]
        for name in mapping:
            if name not in fields:
                known = ", ".join(fields) or "none"
                near = did_you_mean(name, fields)
                message = f"{action.slug} has no field {name!r}; it has: {known}{near}"
                yield document.issue(own + pointer(name), message)
        yield from broken_mapping(document, own, mapping, action.fields)


def _overlaps(
    definition: DestinationDefinition,
    document: Document,
    place: str,
    presets: Sequence[tuple[int, Preset]],
) -> Iterator[Issue]:
    """Yield the pairs of subscriptions by which one event would be added twice."""
    adding = [
        (at, one, compile_fql(one.subscribe))
        for at, one in presets
        if _adds(definition, definition.actions[one.partner_action])
    ]
    for (_, one, first), (at, other, second) in itertools.combinations(adding, 2):
        found = overlap(first, second)
        if found is None:
            continue
        event = "an event"
        if found.example is not None:
            event = json.dumps(found.example, ensure_ascii=False)
        message = (
            f"{other.name!r} overlaps with {one.name!r}: both may receive {event}, which would "
            "count twice; narrow one of them, or say allowOverlap: true"
        )
        yield document.issue(place + pointer(at, "subscribe"), message)


def _adds(definition: DestinationDefinition, action: ActionDefinition) -> bool:
    """Return whether an action adds to an amount at the partner."""
    perform = action.perform
    names = perform.requests if perform.request is None else (perform.request,)
    return any(definition.requests[name].reconcile is not None for name in names)
