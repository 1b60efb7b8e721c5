"""Read definitions in the shape of Segment's action library: actions by slug, fields by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.segment_model import SegmentAction, SegmentDestination, SegmentOption
from destinations.kit.importer.subscriptions import read_preset
from destinations.segment.json_pointer import pointer

__all__ = ["read_library"]


def read_library(
    raw: Mapping[str, Any], slug: str, path: str, findings: Findings
) -> SegmentDestination:
    """Return the definition at ``path``; issues are added to ``findings``."""
    actions = [
        _action(item, key, place, findings)
        for key, place, item in _by_key(raw["actions"], f"{path}/actions", findings)
    ]
    presets = [
        read_preset(item, place, {}, findings)
        for place, item in findings.objects(raw.get("presets"), f"{path}/presets")
    ]
    authentication = raw.get("authentication")
    options = None
    if isinstance(authentication, dict) and "fields" in authentication:
        place = f"{path}/authentication/fields"
        options = [
            _option(item, key, at, findings)
            for key, at, item in _by_key(authentication["fields"], place, findings)
        ]
    return SegmentDestination(
        slug=slug,
        actions=actions,
        presets=[preset for preset in presets if preset is not None],
        path=path,
        name=findings.text(raw, "name", path),
        description=findings.text(raw, "description", path),
        options=options,
    )


def _by_key(value: object, path: str, findings: Findings) -> list[tuple[str, str, dict[str, Any]]]:
    """Yield (key, path, value) of each object in an object."""
    if not isinstance(value, dict):
        findings.issue(path, f"should be an object but is {json_type(value)}")
        return []
    found = []
    for key, item in value.items():
        place = path + pointer(key)
        if isinstance(item, dict):
            found.append((key, place, item))
        else:
            findings.issue(place, f"should be an object but is {json_type(item)}")
    return found


def _action(raw: Mapping[str, Any], slug: str, path: str, findings: Findings) -> SegmentAction:
    fields = raw.get("fields")
    if not isinstance(fields, dict):
        findings.issue(
            f"{path}/fields", f"should be an object of fields but is {json_type(fields)}"
        )
        fields = {}
    return SegmentAction(
        slug=slug,
        fields=fields,
        path=path,
        name=findings.text(raw, "title", path),
        description=findings.text(raw, "description", path),
        default_subscription=findings.text(raw, "defaultSubscription", path),
        hidden=findings.flag(raw, "hidden", path),
    )


def _option(raw: Mapping[str, Any], name: str, path: str, findings: Findings) -> SegmentOption:
    choices = raw.get("choices")
    return SegmentOption(
        name=name,
        type=findings.text(raw, "type", path, required=True) or "",
        path=path,
        label=findings.text(raw, "label", path),
        description=findings.text(raw, "description", path),
        required=raw.get("required") is True,
        default=raw.get("default"),
        choices=choices if isinstance(choices, list) else (),
    )
