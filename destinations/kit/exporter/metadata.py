"""Write ``metadata.json``: what Segment's catalog knows of a destination, in its order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.segment.fields import choice_text

__all__ = ["ActionMetadata", "metadata_text", "public_field", "public_setting", "written"]

_NULLS: Final = (
    *("default", "choices", "placeholder", "properties", "category", "depends_on", "readOnly"),
    *("hidden", "minimum", "maximum", "defaultObjectUI", "disabledInputMethods", "displayMode"),
    "format",
)


@dataclass(frozen=True, slots=True)
class ActionMetadata:
    """Holds the facts that the catalog lists of an action."""

    title: str
    description: str
    default_subscription: str | None
    has_batch: bool
    fields: Mapping[str, Mapping[str, Any]]
    dynamic: Mapping[str, Any]


def metadata_text(  # noqa: PLR0913 - what the catalog knows
    *,
    slug: str,
    name: str,
    description: str,
    scheme: str | None,
    settings: Mapping[str, Mapping[str, Any]],
    actions: Mapping[str, ActionMetadata],
    presets: Sequence[Mapping[str, Any]],
) -> str:
    """Return the file."""
    data = {
        "slug": slug,
        "name": name,
        "mode": "cloud",
        "description": description,
        "authentication": None
        if scheme is None
        else {
            "scheme": scheme,
            "fields": {key: public_setting(one) for key, one in settings.items()},
        },
        "audienceConfig": None,
        "actions": {key: _action(one) for key, one in actions.items()},
        "presets": [{**one, "eventSlug": None} for one in presets],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _action(action: ActionMetadata) -> dict[str, Any]:
    return {
        "title": action.title,
        "description": action.description,
        "platform": "cloud",
        "defaultSubscription": action.default_subscription,
        "hidden": False,
        "hasPerformBatch": action.has_batch,
        "syncMode": None,
        "hooks": None,
        "dynamicFields": None,
        "fields": {key: public_field(one) for key, one in action.fields.items()},
    }


def public_setting(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return a setting with all keys that the catalog has."""
    found = public_field(field)
    keys = (
        "label",
        "description",
        "type",
        "required",
        "multiple",
        "choices",
        "default",
        "depends_on",
    )
    return {key: found[key] for key in keys if key in found}


def public_field(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input field with all keys that the catalog has."""
    found: dict[str, Any] = {key: field[key] for key in ("label", "description") if key in field}
    found |= {
        "type": field["type"],
        "required": _required(field.get("required")),
        "multiple": field.get("multiple", False),
        "allowNull": field.get("allowNull", False),
        "dynamic": field.get("dynamic", False),
    }
    for key in _NULLS:
        found[key] = written(field.get("unsafe_hidden" if key == "hidden" else key))
    properties = found["properties"]
    if field["type"] == "object" and isinstance(properties, Mapping):
        found["properties"] = {key: public_field(one) for key, one in properties.items()}
    else:
        found["properties"] = None
    found["choices"] = [_choice(one) for one in found["choices"] or ()] or None
    found["additionalProperties"] = field.get("additionalProperties", False)
    return found


def _required(value: object) -> object:
    return written(value) if isinstance(value, Mapping) else value is True


def _choice(choice: Any) -> Any:
    if isinstance(choice, Mapping) and "label" in choice and "value" in choice:
        return choice
    return {"label": choice_text(choice), "value": choice}


def written(value: Any, *, undefined: bool = False) -> Any:
    """Return a value as JSON writes it: what is undefined is no member.

    With ``undefined`` the other way round: a condition without a value has one that is undefined.
    """
    if isinstance(value, Mapping):
        found = {key: written(one, undefined=undefined) for key, one in value.items()}
        if undefined:
            return (
                {**found, "value": ...} if "operator" in found and "value" not in found else found
            )
        return {key: one for key, one in found.items() if one is not ...}
    if isinstance(value, list):
        return [written(one, undefined=undefined) for one in value]
    return value
