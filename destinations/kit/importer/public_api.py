"""Read destination metadata of Segment's Public API: lists of actions, fields and options.

The API does not include properties of object fields and conditions of required fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.left_out import note_left_out
from destinations.kit.importer.library import note_place
from destinations.kit.importer.options import read_option
from destinations.kit.importer.segment_model import SegmentAction, SegmentDestination
from destinations.kit.importer.subscriptions import note_unread, read_preset

__all__ = ["read_metadata"]

# Segment's own bookkeeping, in every destination's options.
_OF_SEGMENT: Final = ("metadata", "subscriptions", "versionSettings")
_HIDDEN: Final = "hidden"
_READ: Final = (
    *("id", "name", "slug", "description", "website", "categories", "contacts"),
    *("supportedPlatforms", "options", "actions", "presets"),
)
_READ_OF_ACTIONS: Final = (
    *("id", "slug", "name", "description", "platform", "hidden", "defaultTrigger", "fields"),
)
_READ_OF_FIELDS: Final = (
    *("id", "sortOrder", "fieldKey", "type", "label", "description", "placeholder"),
    *("defaultValue", "required", "multiple", "choices", "dynamic", "allowNull"),
)


def read_metadata(
    raw: Mapping[str, Any], slug: str, path: str, findings: Findings
) -> SegmentDestination:
    """Return the metadata at ``path``; issues are added to ``findings``."""
    note_left_out(raw, "destination", _READ, path, findings)
    listed = findings.objects(raw["actions"], f"{path}/actions")
    slugs = {str(item.get("id")): str(item.get("slug")) for _, item in listed if "id" in item}
    actions = [_action(item, place, findings) for place, item in listed]
    presets = []
    for place, item in findings.objects(raw.get("presets"), f"{path}/presets"):
        note_unread(item, place, findings)
        presets.append(read_preset(item, place, slugs, findings))
    options = None
    if raw.get("options") is not None:
        found = findings.objects(raw["options"], f"{path}/options")
        options = [
            read_option(
                item,
                findings.text(item, "name", place, required=True) or "",
                place,
                findings,
                "defaultValue",
            )
            for place, item in found
            if item.get("name") not in _OF_SEGMENT
        ]
    return SegmentDestination(
        slug=slug,
        actions=[action for action in actions if action is not None],
        presets=[preset for preset in presets if preset is not None],
        path=path,
        name=findings.text(raw, "name", path, required=True),
        id=findings.text(raw, "id", path),
        description=findings.text(raw, "description", path),
        website=findings.text(raw, "website", path),
        categories=_categories(raw, path, findings),
        maintainer=_maintainer(raw.get("contacts")),
        platforms=_platforms(raw.get("supportedPlatforms")),
        options=options,
    )


def _action(raw: Mapping[str, Any], path: str, findings: Findings) -> SegmentAction | None:
    slug = findings.text(raw, "slug", path, required=True)
    if not note_place(findings.text(raw, "platform", path), slug or "", path, findings):
        return None
    note_left_out(raw, "action", _READ_OF_ACTIONS, path, findings)
    listed = findings.objects(raw.get("fields"), f"{path}/fields")
    orders = [item.get("sortOrder") for _, item in listed]
    if all(isinstance(order, int | float) for order in orders):
        listed.sort(key=lambda placed: placed.value["sortOrder"])
    fields: dict[str, Any] = {}
    for place, item in listed:
        key = findings.text(item, "fieldKey", place, required=True)
        if key in fields:
            findings.issue(f"{place}/fieldKey", f"is another field {key!r}: keep one")
        elif key is not None:
            fields[key] = _field(item, key, place, findings)
    if slug is None:
        return None
    is_hidden = findings.flag(raw, "hidden", path)
    if is_hidden:
        findings.note(f"{path}/hidden", "Segment does not show the action: a comment says so")
    return SegmentAction(
        slug=slug,
        fields=fields,
        path=path,
        name=findings.text(raw, "name", path),
        description=findings.text(raw, "description", path),
        default_subscription=findings.text(raw, "defaultTrigger", path),
        hidden=is_hidden,
    )


def _field(raw: Mapping[str, Any], key: str, path: str, findings: Findings) -> dict[str, Any]:
    """Return a field in the shape of the action library."""
    note_left_out(raw, "field", _READ_OF_FIELDS, path, findings)
    kind = (findings.text(raw, "type", path, required=True) or "string").lower()
    if kind == _HIDDEN:
        findings.note(
            f"{path}/type", f"the field {key!r} is hidden, of no known type: taken as text"
        )
        kind = "string"
    field: dict[str, Any] = {
        "label": findings.text(raw, "label", path),
        "description": findings.text(raw, "description", path),
        "type": kind,
        "placeholder": findings.text(raw, "placeholder", path),
        "default": raw.get("defaultValue"),
        "required": findings.flag(raw, "required", path),
        "multiple": findings.flag(raw, "multiple", path),
        "allowNull": findings.flag(raw, "allowNull", path),
        "dynamic": findings.flag(raw, "dynamic", path),
    }
    if raw.get("choices") and field["dynamic"]:
        message = "Segment ignores them, as it asks the partner for the choices: left out"
        findings.note(f"{path}/choices", message)
    elif raw.get("choices"):
        field["choices"] = raw["choices"]
    return field


def _categories(raw: Mapping[str, Any], path: str, findings: Findings) -> Sequence[str]:
    value = raw.get("categories")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f"should be a list of texts but is {json_type(value)}"
        findings.issue(f"{path}/categories", message)
        return ()
    return tuple(dict.fromkeys(value))


def _maintainer(contacts: object) -> Mapping[str, str] | None:
    """Return name and email of the first contact with both; a primary one wins."""
    found = [
        contact
        for contact in (contacts if isinstance(contacts, list) else ())
        if isinstance(contact, dict)
        and all(isinstance(contact.get(key), str) and contact[key] for key in ("name", "email"))
    ]
    found.sort(key=lambda contact: contact.get("isPrimary") is not True)
    return {key: found[0][key] for key in ("name", "email")} if found else None


def _platforms(value: object) -> Mapping[str, bool]:
    if not isinstance(value, dict):
        return {}
    return {
        name: value[name]
        for name in ("browser", "mobile", "server")
        if isinstance(value.get(name), bool)
    }
