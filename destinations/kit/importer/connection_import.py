"""Make a connection from the subscriptions and filters of a destination at Segment.

A subscription of the Public API is ``{id, name, actionId, actionSlug, destinationId, modelId,
enabled, trigger, settings}``, a filter is ``{id, sourceId, destinationId, if, actions, title,
description, enabled, createdAt, updatedAt}``; each of its actions has a ``type`` (``DROP``,
``SAMPLE``, ``DROP_PROPERTIES``, ``ALLOW_PROPERTIES``) and ``percent`` and ``path``, or ``fields``.
Source: ``DestinationSubscription``, ``DestinationFilterV1`` and ``DestinationFilterActionV1`` in
``model/`` of https://github.com/segmentio/public-api-sdk-typescript. Presets of the action library
are ``{name, partnerAction, subscribe, mapping, type}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from destinations.definition import DestinationDefinition
from destinations.definition.connection import Connection, connect
from destinations.definition.document import read_document
from destinations.definition.schema_issues import schema_issues
from destinations.errors import DefinitionError, Issue, UsageError, did_you_mean
from destinations.kit.importer.findings import Findings, Placed, json_type
from destinations.kit.importer.presets import canonical, checked_fql
from destinations.kit.importer.reading import (
    filters_in,
    next_page_of,
    read_json_file,
    subscriptions_in,
)
from destinations.kit.importer.segment_model import SegmentPreset
from destinations.kit.importer.subscriptions import (
    SWITCHED_OFF,
    mapped_here,
    not_imported,
    read_preset,
)
from destinations.kit.importer.sync_mode import refused_sync_mode
from destinations.kit.importer.titles import numbered
from destinations.kit.importer.yaml_text import comment, yaml_text
from destinations.segment.fields import SYNC_MODE
from destinations.segment.filters import property_path
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys
from destinations.segment.mapping.compiler import ROOT_DIRECTIVE

__all__ = ["ALL_EVENTS", "ImportedConnection", "import_connection"]

ALL_EVENTS: Final = "all"
"""The condition of a filter at Segment that is for all events."""

_ANY_TYPE: Final = 'type != ""'
_QUOTED: Final = re.compile(r'"[^"]*+"|\'([^\'"]*+)\'')
"""A text of FQL, which knows no escapes; one in single quotes that may stand in double ones."""

_ROOTS: Final = ("properties", "traits", "context")
_OF_SEGMENT: Final = frozenset(
    {
        *("id", "actionId", "destinationId", "modelId", "sourceId", "createdAt", "updatedAt"),
        *("reverseETLSchedule", "type", "eventSlug"),
    }
)
"""What has no use but at Segment: one note for all subscriptions says that it is left out."""

_READ: Final = (
    *("name", "actionSlug", "partnerAction", "trigger", "subscribe", "enabled"),
    *("settings", "mapping", "fields"),
)
_READ_OF_FILTERS: Final = ("if", "actions", "title", "description", "enabled")


@dataclass(frozen=True, slots=True)
class ImportedConnection:
    """The ``text`` of a connection file, and ``notes`` on what is not in it as it was."""

    text: str
    notes: Sequence[Issue]


@dataclass(slots=True)
class _Written:
    """Holds the parts of a connection, and the file and place that each comes from."""

    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    filters: list[dict[str, Any]] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    of_segment: set[str] = field(default_factory=set)


def import_connection(
    definition: DestinationDefinition,
    file: Path,
    *,
    filters: Path | None = None,
    allow_overlap: bool = False,
) -> ImportedConnection:
    """Return the connection that Segment's subscriptions in a file make.

    ``filters`` is a file of filters; without it those in ``file`` are taken. The result is checked
    as each connection is. Raises `UsageError` for a file that cannot be used, `DefinitionError`
    with every issue, each at its place in Segment's file.
    """
    findings = Findings(str(file))
    written = _Written()
    value = read_json_file(file)
    found = subscriptions_in(value)
    listed = filters_in(value) if filters is None else None
    if found is None and listed is None:
        raise UsageError(f"{file} holds no subscriptions of Segment's, and no filters")
    _note_page(value, findings)
    _subscriptions(definition, found or (), written, findings)
    _filters(listed or (), written, findings)
    if filters is not None:
        of_filters = Findings(str(filters))
        value = read_json_file(filters)
        listed = filters_in(value)
        if listed is None:
            raise UsageError(f"{filters} holds no filters of Segment's")
        _note_page(value, of_filters)
        _filters(listed, written, of_filters)
        findings.issues += of_filters.issues
        findings.notes += of_filters.notes
    for key in sorted(written.of_segment):
        findings.note("", f"{key} is only of use at Segment: left out")
    if not written.subscriptions and not written.filters:
        findings.raise_issues()
        raise UsageError(f"nothing of {file} can be in a connection: {_reasons(findings)}")
    text = _text(written, allow_overlap=allow_overlap)
    # All at once: what cannot be read does not hide what does not fit the definition.
    known = {(one.file, one.path) for one in findings.issues}
    checked = _issues(definition, text, written)
    findings.issues += [one for one in checked if (one.file, one.path) not in known]
    findings.raise_issues()
    return ImportedConnection(text, tuple(findings.notes))


def _reasons(findings: Findings) -> str:
    return "; ".join(f"{one.path or '/'} {one.message}" for one in findings.notes) or "it is empty"


def _note_page(value: object, findings: Findings) -> None:
    if next_page_of(value) is not None:
        findings.note("/data/pagination", "there are more pages: this is only a part of the list")


def _subscriptions(
    definition: DestinationDefinition,
    found: Sequence[Placed[Any]],
    written: _Written,
    findings: Findings,
) -> None:
    names: set[tuple[str, str]] = set()
    for path, raw in found:
        if not isinstance(raw, dict):
            findings.issue(path, f"should be a subscription, an object, but is {json_type(raw)}")
            continue
        preset = read_preset(raw, path, {}, findings)
        if preset is None:
            continue
        if preset.aside is not None and preset.aside != SWITCHED_OFF:
            findings.note(path, f"{preset.name!r} is left out: {preset.aside}")
            continue
        known = definition.event_actions
        # A name that is nearly another is a mistake; what an import left out has names of its own.
        if preset.action not in known and not did_you_mean(preset.action, known):
            findings.note(path, not_imported(preset))
            continue
        action = definition.actions.get(preset.action)
        own = preset.name or (preset.action if action is None else action.title)
        name = numbered(own, (taken for slug, taken in names if slug == preset.action))
        if preset.name and name != preset.name:
            findings.note(f"{path}/name", f"is the name of another one as well: {name!r} here")
        names.add((preset.action, name))
        written.of_segment |= raw.keys() & _OF_SEGMENT
        _note_unknown(raw, path, {*_READ, *_OF_SEGMENT}, findings)
        subscribe = _fql(preset.subscribe or "", preset.subscribe_path, findings)
        entry: dict[str, Any] = {"name": name, "partnerAction": preset.action}
        entry["subscribe"] = subscribe
        mapping = _mapping(definition, preset, findings)
        if mapping:
            entry["mapping"] = mapping
        if raw.get("enabled") is False:
            entry["enabled"] = False
        place = pointer("subscriptions", len(written.subscriptions))
        written.sources[place] = (findings.file, path)
        written.sources[f"{place}/subscribe"] = (findings.file, preset.subscribe_path)
        given = next(key for key in ("partnerAction", "actionSlug", "actionId") if raw.get(key))
        written.sources[f"{place}/partnerAction"] = (findings.file, f"{path}/{given}")
        written.sources[f"{place}/mapping"] = (findings.file, preset.mapping_path)
        written.subscriptions.append(entry)


def _fql(text: str, path: str, findings: Findings) -> str:
    """Return FQL with the meaning of a text; an issue if there is none."""
    before = len(findings.notes)
    found = checked_fql(text, path, findings)
    if found is None:  # it says why in a note, but without it nothing would be delivered
        findings.issues += findings.notes[before:]
        del findings.notes[before:]
    return found or text


def _double_quoted(text: str) -> str:
    """Return FQL with its texts in double quotes; conditions of filters may have single ones."""
    return _QUOTED.sub(
        lambda found: found.group() if found[1] is None else f'"{found[1]}"',
        text,
    )


def _mapping(
    definition: DestinationDefinition, preset: SegmentPreset, findings: Findings
) -> dict[str, Any]:
    """Return a mapping without what is the default of its field.

    At Segment ``settings`` are the whole mapping; here fields that it does not name keep their
    defaults. So those of them that have a default are noted.
    """
    action, given = definition.actions.get(preset.action), dict(preset.mapping or {})
    if action is None or directive_keys(given) or ROOT_DIRECTIVE in given:
        return mapped_here(given, (), preset.mapping_path, findings)
    fields, default = action.fields["properties"], action.default_mapping
    refused = refused_sync_mode(given, fields, action.slug)
    if refused is not None:
        findings.issue(preset.mapping_path + pointer(SYNC_MODE), refused)
    told = () if refused is None else (SYNC_MODE,)
    given = mapped_here(given, fields, preset.mapping_path, findings, told=told)
    missing = [key for key in default if key not in given] if given else []
    if missing:
        names = ", ".join(missing)
        findings.note(preset.mapping_path, f"does not map {names}: the default is kept here")
    return {
        key: value
        for key, value in given.items()
        if key not in default or canonical(value) != canonical(default[key])
    }


def _filters(found: Sequence[Placed[Any]], written: _Written, findings: Findings) -> None:
    for path, raw in found:
        if not isinstance(raw, dict):
            findings.issue(path, f"should be a filter, an object, but is {json_type(raw)}")
            continue
        title = findings.text(raw, "title", path) or ""
        if raw.get("enabled") is False:
            findings.note(path, f"the filter {title!r} is left out: {SWITCHED_OFF}")
            continue
        written.of_segment |= raw.keys() & _OF_SEGMENT
        _note_unknown(raw, path, {*_READ_OF_FILTERS, *_OF_SEGMENT}, findings)
        condition = findings.text(raw, "if", path, required=True)
        if condition is None:
            continue
        when = None
        if condition.strip() != ALL_EVENTS:
            when = _fql(_double_quoted(condition), f"{path}/if", findings)
        for place, action in findings.objects(raw.get("actions"), f"{path}/actions"):
            entry = _filter(action, when, place, findings)
            if entry is None:
                continue
            own = pointer("filters", len(written.filters))
            written.sources[own] = (findings.file, place)
            for key in ("when", "drop"):
                written.sources[f"{own}/{key}"] = (findings.file, f"{path}/if")
            written.filters.append(entry)
            written.titles.append(title)


def _filter(
    action: Mapping[str, Any], when: str | None, path: str, findings: Findings
) -> dict[str, Any] | None:
    """Return one action of a filter as a filter; None after an issue."""
    kind = findings.text(action, "type", path, required=True)
    more = {} if when is None else {"when": when}
    if kind == "DROP":
        return {"drop": _ANY_TYPE if when is None else when}
    if kind == "SAMPLE":
        percent, by = action.get("percent"), findings.text(action, "path", path)
        if isinstance(percent, bool) or not isinstance(percent, int | float):
            message = f"should be a number from 0 to 1 but is {json_type(percent)}"
            findings.issue(f"{path}/percent", message)
            return None
        of = {} if by is None else {"by": by.removeprefix("$.")}
        return {"sample": percent, **of, **more}
    if kind in ("DROP_PROPERTIES", "ALLOW_PROPERTIES"):
        names = _names(action.get("fields"), f"{path}/fields", findings)
        key = "blockProperties" if kind == "DROP_PROPERTIES" else "allowProperties"
        return {key: names, **more} if names else None
    if kind is not None:
        known = "DROP, SAMPLE, DROP_PROPERTIES, ALLOW_PROPERTIES"
        findings.issue(f"{path}/type", f"unknown action {kind!r}; known: {known}")
    return None


def _names(fields: object, path: str, findings: Findings) -> list[str]:
    """Return the names of properties in ``{properties: [...], context: [...]}``.

    Each list may also be ``{fields: [...]}``. What is in ``properties`` and in ``traits`` needs no
    root here.
    """
    if not isinstance(fields, dict) or not fields:
        message = f"should be an object with properties, traits or context: {json_type(fields)}"
        findings.issue(path, message)
        return []
    by_root: dict[str, list[str]] = {}
    for root, given in fields.items():
        place = path + pointer(root)
        listed = given.get("fields") if isinstance(given, dict) else given
        if listed in (None, []):
            continue
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            findings.issue(place, "should be a list of texts")
        elif root.split(".")[0] not in _ROOTS:
            what = f"{root!r}" if root else "the event itself"
            message = f"of {what} nothing can be taken out; it can of: {', '.join(_ROOTS)}"
            findings.issue(place, message)
        else:
            by_root[root] = listed
    traits = by_root.get("traits", [])
    both = [one for one in by_root.get("properties", []) if one in traits and _is_bare(one)]
    rest = [
        f"{root}.{one}"
        for root, listed in by_root.items()
        for one in listed
        if root not in ("properties", "traits") or one not in both
    ]
    return both + rest


def _is_bare(name: str) -> bool:
    """Return whether a name stands for a property and a trait."""
    return [path[0] for path in property_path(name)] == ["properties", "traits"]


def _note_unknown(
    raw: Mapping[str, Any], path: str, known: AbstractSet[str], findings: Findings
) -> None:
    for key in raw:
        if key not in known:
            findings.note(path + pointer(key), "has no place in a connection: left out")


def _text(written: _Written, *, allow_overlap: bool) -> str:
    parts = []
    if written.subscriptions:
        parts.append(yaml_text({"subscriptions": written.subscriptions}))
        if allow_overlap:
            parts.append("allowOverlap: true\n")
    if written.filters:
        parts.append("filters:\n")
        before = ["", *written.titles]
        for former, title, one in zip(before, written.titles, written.filters, strict=False):
            parts.append(comment(title, indent=2) if title != former else "")
            parts.append(_item(one))
    return "".join(parts)


def _item(data: Mapping[str, Any]) -> str:
    """Return the block of an item of a list."""
    text = yaml_text(data, indent=4)
    return "  - " + text.removeprefix(" " * 4)


def _issues(definition: DestinationDefinition, text: str, written: _Written) -> Sequence[Issue]:
    """Return every issue of a connection, at its place in Segment's file."""
    document = read_document(text, name="connection")
    issues = list(schema_issues(document, "connection"))
    try:
        if not issues:
            connect(
                definition,
                Connection.of(document, document.data),
                allowing="use --allow-overlap",
            )
    except DefinitionError as error:
        issues = list(error.issues)
    return [_at_its_source(one, written) for one in issues]


def _at_its_source(issue: Issue, written: _Written) -> Issue:
    place = issue.path
    while place and place not in written.sources:
        place = place.rpartition("/")[0]
    if place not in written.sources:
        return replace(issue, line=None)
    file, path = written.sources[place]
    return replace(issue, file=file, path=path + issue.path[len(place) :], line=None)
