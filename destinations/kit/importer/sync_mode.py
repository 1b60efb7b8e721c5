"""Make a field of an action's sync mode, and say of a mapping whether its action has one.

The sync mode of a subscription (add, update, upsert, delete or mirror) stands in its mapping, under
a key of Segment's own. So it is a field of the action like all others: a subscription that names
one is honoured, one that names an unknown one is refused, and requests read it from the payload.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.left_out import is_empty, note_left_out
from destinations.segment.fields import SYNC_MODE

__all__ = ["refused_sync_mode", "sync_mode_field"]

_LABEL: Final = "Sync mode"
_DESCRIPTION: Final = "What happens to records at the partner."
_READ: Final = ("default", "label", "description", "choices")


def sync_mode_field(raw: object, path: str, findings: Findings) -> dict[str, Any] | None:
    """Return the field for an action's ``syncMode``, None without one."""
    if is_empty(raw):
        return None
    if not isinstance(raw, dict):
        findings.issue(path, f"should be an object but is {json_type(raw)}")
        return None
    note_left_out(raw, "action", _READ, path, findings)
    choices = [
        {"value": item.get("value"), "label": item.get("label")}
        for _, item in findings.objects(raw.get("choices"), f"{path}/choices")
    ]
    field: dict[str, Any] = {
        "type": "string",
        "label": findings.text(raw, "label", path) or _LABEL,
        "description": findings.text(raw, "description", path) or _DESCRIPTION,
    }
    if choices:
        field["choices"] = choices
    default = findings.text(raw, "default", path)
    if default is not None and choices and default not in [one["value"] for one in choices]:
        findings.note(f"{path}/default", f"{default!r} is not one of the choices: left out")
    elif default is not None:
        field["default"] = default
    return field


def refused_sync_mode(
    mapping: Mapping[str, Any] | None, fields: Collection[str], action: str
) -> str | None:
    """Return why the sync mode of a mapping cannot be honoured; None if it can, or has none."""
    mode = None if mapping is None else mapping.get(SYNC_MODE)
    if is_empty(mode) or SYNC_MODE in fields:
        return None
    return (
        f"the sync mode {mode!r} cannot be honoured: {action} has no field {SYNC_MODE}; give it"
        " one whose requests do what the mode says, or take the mode out"
    )
