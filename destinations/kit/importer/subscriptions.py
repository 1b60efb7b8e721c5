"""Read presets and subscriptions in Segment's shapes.

The action library has ``{partnerAction, subscribe, mapping, type, eventSlug}``. In the Public API,
a preset is ``{actionId, trigger, fields}``, and a subscription ``{actionSlug, actionId, trigger,
settings, enabled, modelId}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.left_out import note_left_out
from destinations.kit.importer.segment_model import SegmentPreset

__all__ = ["SWITCHED_OFF", "note_unread", "read_preset"]

SWITCHED_OFF: Final = "it is switched off in Segment"
"""Why a subscription or filter that is not enabled is set aside."""

_ACTION: Final = ("partnerAction", "actionSlug")
_SUBSCRIBE: Final = ("subscribe", "trigger")
_MAPPING: Final = ("mapping", "fields", "settings")
_AUTOMATIC: Final = "automatic"


def note_unread(raw: Mapping[str, Any], path: str, findings: Findings) -> None:
    """Note the keys of a preset that nothing is made of."""
    read = (*_ACTION, *_SUBSCRIBE, *_MAPPING, "actionId", "name", "type", "enabled", "modelId")
    note_left_out(raw, "preset", read, path, findings)


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
