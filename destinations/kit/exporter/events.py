"""Write what a partner requires of every event as hidden fields: code sees payloads only.

The event itself is not enough: in a batch, Segment leaves out invalid payloads, and does not say of
which events those were.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import ActionDefinition, DestinationDefinition

__all__ = ["EventField", "event_fields"]

_TITLES: Final = {"userId": "User ID", "anonymousId": "Anonymous ID", "messageId": "Message ID"}


@dataclass(frozen=True, slots=True)
class EventField:
    """A hidden field ``key`` that holds the member ``name`` of the event, and its check."""

    key: str
    name: str
    field: Mapping[str, Any]
    check: Mapping[str, Any]

    @property
    def mapping(self) -> Mapping[str, Any]:
        """Return the mapping that fills it."""
        found: Mapping[str, Any] = self.field["default"]
        return found


def event_fields(definition: DestinationDefinition, action: ActionDefinition) -> list[EventField]:
    """Return the fields that an action needs besides its own."""
    required = definition.required_event_fields
    names = dict.fromkeys([*required, *(["userId"] if definition.placeholders else [])])
    own = action.fields["properties"]
    return [_field(definition, one, own, is_required=one in required) for one in names]


def _field(
    definition: DestinationDefinition, name: str, own: Collection[str], *, is_required: bool
) -> EventField:
    key = f"event_{name}"
    while key in own:
        key += "_"
    title = _TITLES[name]
    says = (
        f"{definition.name} takes no event without it."
        if is_required
        else f"{definition.name} takes no event in which it stands for a missing value."
    )
    field: dict[str, Any] = {
        "label": f"{title} of the event",
        "description": says,
        "type": "string",
        **({"required": True} if is_required else {}),
        "unsafe_hidden": True,
        "default": {"@path": f"$.{name}"},
    }
    check: dict[str, Any] = {"event": name}
    if name == "userId" and definition.placeholders:
        check["placeholders"] = list(definition.placeholders)
    return EventField(key, name, field, check)
