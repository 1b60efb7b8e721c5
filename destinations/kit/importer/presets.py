"""Check presets and decide which become subscriptions, and which are set aside as comments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.definition.defaults import broken_mapping
from destinations.definition.document import Document
from destinations.errors import DefinitionError
from destinations.kit.importer.findings import Findings
from destinations.kit.importer.fql import proper_fql
from destinations.kit.importer.segment_model import SegmentPreset
from destinations.kit.importer.subscriptions import mapped_here, not_imported
from destinations.kit.importer.sync_mode import refused_sync_mode
from destinations.kit.importer.titles import numbered
from destinations.segment.fields import SYNC_MODE
from destinations.segment.fql import check_fql, compile_fql, never_holds, unknown_types
from destinations.segment.mapping import (
    compile_mapping,
    compile_value,
)

__all__ = ["PlannedPreset", "canonical", "checked_fql", "checked_value", "plan_presets"]


_NO_LINES: Final = Document("", {}, {})
"""What issues come from whose places are those of Segment's file."""


@dataclass(frozen=True, slots=True)
class PlannedPreset:
    """An entry of ``presets``; ``aside`` is the reason if it is written as a comment.

    ``comments`` say what was changed.
    """

    entry: Mapping[str, Any]
    aside: str | None = None
    comments: Sequence[str] = field(default=())


def checked_fql(text: str, path: str, findings: Findings) -> str | None:
    """Return FQL with the meaning of ``text``, noting changes; None if there is none."""
    written = proper_fql(text)
    if written is None:
        issues = "; ".join(map(str, check_fql(text)))
        findings.note(path, f"{issues}; no FQL has the same meaning: write it yourself")
        return None
    compiled = compile_fql(text)
    warnings = "; ".join(map(str, (*compiled.warnings, *unknown_types(text))))
    if written != text:
        findings.note(path, f"{warnings}: imported as {written}, as Segment reads it")
    elif warnings:
        findings.note(path, warnings)
    return written


def checked_value(value: object, path: str, findings: Findings) -> bool:
    """Return whether a mapping value can be imported.

    A value that does not compile is an issue in the file. One that would fail for every event is
    noted and left out.
    """
    try:
        compiled = compile_value(value)
    except DefinitionError as error:
        for issue in error.issues:
            findings.issue(path + issue.path, issue.message)
        return False
    for warning in compiled.warnings:
        findings.note(path + warning.path, f"{warning.message}: left to you")
    return not compiled.warnings


def plan_presets(
    presets: Iterable[SegmentPreset],
    titles: Mapping[str, str],
    defaults: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Mapping[str, Any]],
    findings: Findings,
) -> list[PlannedPreset]:
    """Plan the import of each preset.

    By action there are ``titles``, ``defaults`` (mappings) and ``fields`` (JSON Schema).

    A preset of an unknown action is noted and left out. A mapping that equals the fields' defaults
    is omitted, as a preset without one has the defaults.
    """
    planned = []
    names: set[tuple[str, str]] = set()
    for preset in presets:
        if preset.action not in titles:
            findings.note(preset.path, not_imported(preset))
            continue
        own = preset.name or titles[preset.action]
        name = numbered(own, (taken for action, taken in names if action == preset.action))
        names.add((preset.action, name))
        planned.append(
            _plan(preset, name, defaults[preset.action], fields[preset.action], findings)
        )
    return planned


def _plan(
    preset: SegmentPreset,
    name: str,
    default: Mapping[str, Any],
    fields: Mapping[str, Any],
    findings: Findings,
) -> PlannedPreset:
    aside = preset.aside or refused_sync_mode(preset.mapping, fields["properties"], preset.action)
    entry: dict[str, Any] = {"name": name, "partnerAction": preset.action}
    comments = []
    subscribe = preset.subscribe
    if subscribe is not None:
        written = checked_fql(subscribe, preset.subscribe_path, findings)
        if written is None:
            aside = aside or "its subscribe is not FQL"
        elif never_holds(written) is not None:
            aside = aside or "its subscribe fits no event"
        elif written != subscribe:
            comments.append(f"Segment's file says: {subscribe}")
            subscribe = written
    entry["subscribe"] = subscribe or ""
    if preset.mapping is not None:
        # A sync mode that is refused is why the preset is set aside: it stays to be seen.
        shown = {SYNC_MODE, *fields["properties"]}
        mapping = mapped_here(preset.mapping, shown, preset.mapping_path, findings)
        if not _compiles(mapping, preset.mapping_path, findings):
            aside = aside or "a part of its mapping fails for every event that reaches it"
        for issue in broken_mapping(_NO_LINES, preset.mapping_path, mapping, fields):
            findings.note(issue.path, issue.message)
            aside = aside or "a value of its mapping does not fit its own field"
        if canonical(mapping) != canonical(default):
            entry["mapping"] = mapping
    if aside is not None:
        findings.note(preset.path, f"the preset {name!r} is set aside: {aside}")
    return PlannedPreset(entry, aside, comments)


def _compiles(mapping: Mapping[str, Any], path: str, findings: Findings) -> bool:
    """Check a mapping like `checked_value`; as a whole it may also be one internal directive."""
    before = len(findings.issues)
    try:
        compile_mapping(dict(mapping))
    except DefinitionError as error:
        for issue in error.issues:
            findings.issue(path + issue.path, issue.message)
    return len(findings.issues) == before and checked_value(mapping, path, findings)


def canonical(value: object) -> str:
    """Return a value of JSON as text, the same for equal ones; true and 1 differ."""
    return json.dumps(value, sort_keys=True)
