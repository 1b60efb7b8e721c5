"""Read presets and subscriptions in Segment's shapes.

The action library has ``{partnerAction, subscribe, mapping, type, eventSlug}``. In the Public API,
a preset is ``{actionId, trigger, fields}``, and a subscription ``{actionSlug, actionId, trigger,
settings, enabled, modelId}``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.left_out import note_left_out
from destinations.kit.importer.segment_model import SegmentPreset
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys
from destinations.segment.mapping.compiler import ROOT_DIRECTIVE
from destinations.segment.mapping.parts import split

__all__ = ["SWITCHED_OFF", "mapped_here", "not_imported", "note_unread", "read_preset"]

SWITCHED_OFF: Final = "it is switched off in Segment"
"""Why a subscription or filter that is not enabled is set aside."""

_ACTION: Final = ("partnerAction", "actionSlug")
_SUBSCRIBE: Final = ("subscribe", "trigger")
_MAPPING: Final = ("mapping", "fields", "settings")
_AUTOMATIC: Final = "automatic"
_INTERNAL: Final = "__segment_internal"
_BATCHING: Final = ("enable_batching", "batch_size", "batch_bytes", "batch_keys")
_HOOKS: Final = ("onMappingSave", "retlOnMappingSave")
_HOOK_OUTPUTS: Final = "hookOutputs"
"""The root at which mappings read what hooks gave."""

_READS_HOOKS: Final = (
    "reads what code of Segment's gave when the mapping was saved (hookOutputs), which nothing"
    " gives here: it is always missing"
)


def note_unread(raw: Mapping[str, Any], path: str, findings: Findings) -> None:
    """Note the keys of a preset that nothing is made of."""
    read = (*_ACTION, *_SUBSCRIBE, *_MAPPING, "actionId", "name", "type", "enabled", "modelId")
    note_left_out(raw, "preset", read, path, findings)


def not_imported(preset: SegmentPreset) -> str:
    """Return the message about a preset for an action that the definition lacks.

    A file of subscriptions does not say where an action runs.
    """
    named = f"{preset.name!r} " if preset.name else ""
    return (
        f"{named}is for the action {preset.action!r}, which is not imported, as those that run in"
        " a browser or an app: left out"
    )


def mapped_here(
    mapping: Mapping[str, Any],
    fields: Collection[str],
    path: str,
    findings: Findings,
    *,
    told: Collection[str] = (),
) -> dict[str, Any]:
    """Return a mapping without the keys that are for Segment alone, unless ``fields`` have them.

    They are noted, but those in ``told``, and so are values that read what Segment's hooks gave.
    """
    kept = dict(mapping)
    if not directive_keys(mapping) and ROOT_DIRECTIVE not in mapping:
        for key in mapping:
            message = "" if key in fields else _left_out(key)
            if message:
                del kept[key]
            if message and key not in told:
                findings.note(path + pointer(key), message)
    for place in _reading_hooks(kept):
        findings.note(path + place, _READS_HOOKS)
    return kept


def _left_out(key: str) -> str:
    """Return why a key of a mapping is for Segment alone; empty if it may be a field."""
    if key in _HOOKS:
        return "holds what code of Segment's gave when the mapping was saved: left out"
    if key.startswith(_INTERNAL) or key in _BATCHING:
        return "is for Segment's own sending: left out"
    return ""


def _reading_hooks(mapping: Any) -> Iterator[str]:
    """Yield the place of each path and template in a mapping that reads what hooks gave."""
    found = split(mapping)
    if found is not None:
        for part in found.parts:
            code = part.value if part.role == "code" and isinstance(part.value, str) else None
            paths = () if code is None else found.directive.paths(code)
            if any(path and path[0] == _HOOK_OUTPUTS for path in paths):
                yield part.place
            else:
                yield from (part.place + place for place in _reading_hooks(part.value))
        return
    if isinstance(mapping, Mapping):
        items = [(str(key), value) for key, value in mapping.items()]
    else:
        listed = mapping if isinstance(mapping, list) else []
        items = [(str(index), value) for index, value in enumerate(listed)]
    for key, value in items:
        yield from (pointer(key) + place for place in _reading_hooks(value))


def read_preset(
    raw: Mapping[str, Any], path: str, slugs: Mapping[str, str], findings: Findings
) -> SegmentPreset | None:
    """Return the preset at ``path``; ``slugs`` are the actions' by id. None after an issue.

    If it says one thing by two keys, the first one counts, and the other is noted.
    """
    before = len(findings.issues)
    for keys in (_ACTION, _SUBSCRIBE, _MAPPING):
        _note_other(raw, keys, path, findings)
    action = _action(raw, path, slugs, findings)
    name = findings.text(raw, "name", path)
    key = _given(raw, _SUBSCRIBE)
    subscribe = findings.text(raw, key, path) if key else None
    mapping_key = _given(raw, _MAPPING)
    mapping = raw[mapping_key] if mapping_key else None
    if mapping is not None and not isinstance(mapping, dict):
        message = f"should be an object, the mapping, but is {json_type(mapping)}"
        findings.issue(f"{path}/{mapping_key}", message)
    aside = _aside(raw, findings, path)
    if subscribe is None and aside is None:
        findings.issue(path, "lacks 'subscribe' (or 'trigger'), the FQL of the events it is for")
    if action is None or len(findings.issues) > before:
        return None
    return SegmentPreset(
        action=action,
        path=path,
        mapping_path=f"{path}/{mapping_key or 'mapping'}",
        name=name,
        subscribe=subscribe,
        subscribe_path=f"{path}/{key or 'subscribe'}",
        mapping=mapping,
        aside=aside,
    )


def _given(raw: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((key for key in keys if raw.get(key) is not None), None)


def _note_other(raw: Mapping[str, Any], keys: Sequence[str], path: str, findings: Findings) -> None:
    """Note the keys whose value is not taken, as an earlier one has another value."""
    used = _given(raw, keys)
    for key in keys:
        if used is not None and raw.get(key) is not None and raw[key] != raw[used]:
            findings.note(f"{path}/{key}", f"differs from {used!r}, which is taken: left out")


def _action(
    raw: Mapping[str, Any], path: str, slugs: Mapping[str, str], findings: Findings
) -> str | None:
    key = _given(raw, _ACTION)
    if key is not None:
        return findings.text(raw, key, path, required=True)
    identifier = findings.text(raw, "actionId", path)
    if identifier is None:
        findings.issue(path, "lacks the action: 'partnerAction', 'actionSlug' or 'actionId'")
        return None
    if identifier not in slugs and not slugs:
        message = "is an id, and this file does not say of which action: give 'actionSlug' as well"
        findings.issue(f"{path}/actionId", message)
        return None
    return slugs.get(identifier, identifier)


def _aside(raw: Mapping[str, Any], findings: Findings, path: str) -> str | None:
    """Return why Segment does not match it with a source's events; None if it does."""
    kind = findings.text(raw, "type", path)
    if kind is not None and kind != _AUTOMATIC:
        slug = findings.text(raw, "eventSlug", path)
        of = f" ({slug})" if slug else ""
        return f"Segment starts it by events of its own{of}, not by FQL"
    if raw.get("modelId"):
        return "it takes rows of a Reverse ETL model, not events"
    if raw.get("enabled") is False:
        return SWITCHED_OFF
    return None
