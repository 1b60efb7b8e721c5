"""A connection: which events the actions of a destination receive, as one customer chose it.

It takes the place of the presets of the definition. Two subscriptions that receive the same event
send it twice, without a word. Where an amount is added, that is billed twice: so it is refused
unless it is asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

from destinations.definition.checks.mappings import plain_text_issues
from destinations.definition.checks.subscriptions import preset_issues
from destinations.definition.defaults import broken_mapping
from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.definition.key_sources import (
    compiles,
    keys_of,
    same_key,
    subscription_key_issues,
    twice_message,
)
from destinations.definition.model import ActionDefinition, DestinationDefinition, Preset
from destinations.definition.schema_issues import schema_issues
from destinations.errors import DefinitionError, Issue, UsageError, did_you_mean
from destinations.segment.event import EVENT_TYPES, SPEC_FIELDS
from destinations.segment.filters import (
    PROPERTY_ROOTS,
    EventFilter,
    path_fault,
    property_path,
)
from destinations.segment.fql import check_fql, compile_fql, never_holds, overlap
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys

__all__ = ["Connection", "connect", "read_connection"]

_VERSION_BYTES: Final = 4

_SUBSCRIPTIONS: Final = "subscriptions"
_FILTERS: Final = "filters"
_KINDS: Final[Mapping[str, Literal["sample", "drop", "block", "allow"]]] = {
    "sample": "sample",
    "drop": "drop",
    "blockProperties": "block",
    "allowProperties": "allow",
}
_OF_PROPERTIES: Final = ("blockProperties", "allowProperties")


@dataclass(frozen=True, slots=True)
class Connection:
    """The subscriptions and filters at a ``place`` of a document that fits the schema.

    What is None is not in it: that of the definition stays, with its presets.
    """

    document: Document
    subscriptions: Sequence[Mapping[str, Any]] | None = None
    filters: Sequence[Mapping[str, Any]] | None = None
    allow_overlap: bool = False
    place: str = ""

    @classmethod
    def of(cls, document: Document, data: Mapping[str, Any], place: str = "") -> Self:
        """Return the connection that ``data`` is, at a place of a document."""
        given, allows = data.get(_SUBSCRIPTIONS), data.get("allowOverlap", False)
        return cls(document, given, data.get(_FILTERS), allows, place)

    @classmethod
    def checked(cls, document: Document) -> Self:
        """Return the connection that a document is; raises `DefinitionError` with every issue."""
        issues = list(schema_issues(document, "connection"))
        if issues:
            raise DefinitionError(issues)
        return cls.of(document, document.data)

    @property
    def version(self) -> str:
        """A short digest of what it says, by which it is told from others."""
        said = [self.subscriptions, self.filters, self.allow_overlap]
        text = json.dumps(said, sort_keys=True, ensure_ascii=False)
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=_VERSION_BYTES).hexdigest()


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
    return Connection.checked(read_document(text, name=str(path)))


def connect(
    definition: DestinationDefinition,
    connection: Connection,
    *,
    allowing: str = "say allowOverlap: true",
) -> DestinationDefinition:
    """Return a definition with the subscriptions of a connection in place of its presets.

    It also has its filters. What the connection does not have stays as the definition has it, which
    may have another connection's: that of one customer goes over the default of all. Subscriptions
    that can match no event, and filters that leave none, are among its warnings. Raises
    `DefinitionError` with every issue; ``allowing`` says how subscriptions may overlap.
    """
    issues = list(_filter_issues(connection))
    if connection.subscriptions is not None:
        place = connection.place + pointer(_SUBSCRIPTIONS)
        issues += _issues(definition, connection.document, place, connection.subscriptions)
    if issues:
        raise DefinitionError(issues)
    filters = definition.filters
    if connection.filters is not None:
        filters = tuple(_filter(one) for one in connection.filters)
    warnings = (*definition.warnings, *_empty_filters(connection))
    version = connection.version
    if definition.connection and None in (connection.subscriptions, connection.filters):
        version = f"{definition.connection}+{version}"
    definition = replace(definition, filters=filters, warnings=warnings, connection=version)
    if connection.subscriptions is None:
        return definition
    return _subscribed(definition, connection, connection.subscriptions, allowing)


def _subscribed(
    definition: DestinationDefinition,
    connection: Connection,
    given: Sequence[Mapping[str, Any]],
    allowing: str,
) -> DestinationDefinition:
    """Return a definition with subscriptions, which are checked but for overlaps."""
    document, place = connection.document, connection.place + pointer(_SUBSCRIPTIONS)
    presets = [_preset(one, definition.actions[one["partnerAction"]]) for one in given]
    enabled = [(at, one) for at, one in enumerate(presets) if given[at].get("enabled", True)]
    if connection.allow_overlap:
        issues = list(_same_keys(definition, document, place, enabled))
    else:
        issues = list(_overlaps(definition, document, place, enabled, allowing))
    if issues:
        raise DefinitionError(issues)
    warnings = [
        document.issue(place + pointer(at, "subscribe"), str(issue))
        for at, one in enabled
        for issue in (never_holds(one.subscribe), *compile_fql(one.subscribe).warnings)
        if issue is not None
    ]
    for at, _ in enabled:
        mapping = given[at].get("mapping")
        warnings += plain_text_issues(document, place + pointer(at, "mapping"), mapping)
    return replace(
        definition,
        presets=tuple(one for _, one in enabled),
        allow_overlap=connection.allow_overlap,
        warnings=(*definition.warnings, *warnings),
    )


def _filter_issues(connection: Connection) -> Iterator[Issue]:
    document = connection.document
    for at, one in enumerate(connection.filters or ()):
        place = connection.place + pointer(_FILTERS, at)
        kinds = [key for key in _KINDS if key in one]
        if len(kinds) != 1:
            message = f"must have one of {', '.join(_KINDS)}; it has: {', '.join(kinds) or 'none'}"
            yield document.issue(place, message)
            continue
        (kind,) = kinds
        if "by" in one and kind != "sample":
            yield document.issue(place + "/by", "is for sample: leave it out")
        if "when" in one and kind == "drop":
            yield document.issue(place + "/when", "is for other filters: drop has the FQL itself")
        for key in ("when", "drop"):
            for issue in check_fql(one[key]) if key in one else ():
                yield document.issue(place + pointer(key), str(issue))
        for path, fault in _path_faults(one, kind):
            yield document.issue(place + path, fault)


def _path_faults(given: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the paths of a filter, with their places in it."""
    if "by" in given and (fault := path_fault(given["by"], SPEC_FIELDS)):
        yield "/by", fault
    for nth, name in enumerate(given[kind] if kind in _OF_PROPERTIES else ()):
        fault = path_fault(name, PROPERTY_ROOTS) if "." in name else ""
        if not fault and not property_path(name):
            fault = "expected the name of a property, such as email or context.ip"
        if fault:
            yield pointer(kind, nth), fault


def _filter(given: Mapping[str, Any]) -> EventFilter:
    (key,) = (key for key in _KINDS if key in given)
    kind, when = _KINDS[key], given.get("when")
    if kind == "sample":
        return EventFilter(kind, when, given[key], given.get("by", "messageId"))
    if kind == "drop":
        return EventFilter(kind, given[key])
    return EventFilter(kind, when, paths=tuple(given[key]))


def _empty_filters(connection: Connection) -> Iterator[Issue]:
    """Yield the filters that leave no event, and those that are for none.

    Of what filters drop together, that is known where only the type of an event decides. Then it is
    also known of subscriptions to which no event is left.
    """
    document = connection.document
    dropped: set[str] = set()
    for at, one in enumerate(connection.filters or ()):
        place = connection.place + pointer(_FILTERS, at)
        condition = one.get("drop", one.get("when"))
        if condition is not None and (never := never_holds(condition)) is not None:
            yield document.issue(place, f"is for no event: {never}")
        elif "drop" in one or one.get("sample") == 0:
            types = _types_of(condition)
            if types and not dropped >= types and dropped | types == set(EVENT_TYPES):
                yield document.issue(place, "leaves no event: nothing is delivered")
            dropped |= types
    for at, one in enumerate(connection.subscriptions or ()):
        types = set(compile_fql(one["subscribe"]).types)
        if dropped != set(EVENT_TYPES) and types and types <= dropped:
            message = f"filters leave no event for {one['name']!r}"
            yield document.issue(connection.place + pointer(_SUBSCRIPTIONS, at), message)


def _types_of(condition: str | None) -> set[str]:
    """Return the types of which a condition selects all events."""
    if condition is None:
        return set(EVENT_TYPES)
    fql = compile_fql(condition)
    return set(fql.types) if fql.asks_type_only else set()


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
        if action is None:
            continue
        if "mapping" in one and compiles(mapping):
            made = _preset(one, action).mapping
            for path, message in subscription_key_issues(keys_of(definition, action), made):
                yield document.issue(place + pointer(at, "mapping") + path, message)
        if directive_keys(mapping):
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
    allowing: str,
) -> Iterator[Issue]:
    """Yield the pairs of subscriptions by which one event would be added twice."""
    adding = [
        (at, one, compile_fql(one.subscribe))
        for at, one in presets
        if definition.adds(definition.actions[one.partner_action])
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
            f"count twice; narrow one of them, or {allowing}"
        )
        yield document.issue(place + pointer(at, "subscribe"), message)


def _same_keys(
    definition: DestinationDefinition,
    document: Document,
    place: str,
    presets: Sequence[tuple[int, Preset]],
) -> Iterator[Issue]:
    """Yield the pairs of subscriptions of which the partner would drop one as a repeat."""
    for (_, one), (at, other) in itertools.combinations(presets, 2):
        first, second = (
            keys_of(definition, definition.actions[each.partner_action]) for each in (one, other)
        )
        name = same_key(first, one.mapping, second, other.mapping)
        if name is not None and overlap(compile_fql(one.subscribe), compile_fql(other.subscribe)):
            message = f"{other.name!r} {twice_message(name, one.name)}"
            yield document.issue(place + pointer(at, "subscribe"), message)
