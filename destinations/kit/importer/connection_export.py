"""Write a connection as subscriptions and filters of Segment's Public API.

See `destinations.kit.importer.connection_import` for their shapes. What only Segment knows, the ids
of actions, sources and destinations, is not in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.definition import DestinationDefinition
from destinations.definition.connection import Connection, connect
from destinations.errors import DefinitionError, Issue
from destinations.kit.importer.connection_import import ALL_EVENTS
from destinations.segment.filters import property_path
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys
from destinations.segment.mapping.parts import beyond_segment

__all__ = ["export_connection"]

_TYPES: Final = {"blockProperties": "DROP_PROPERTIES", "allowProperties": "ALLOW_PROPERTIES"}


def export_connection(definition: DestinationDefinition, connection: Connection) -> dict[str, Any]:
    """Return ``{subscriptions, filters}``, each if the connection has them.

    Raises `DefinitionError` with every issue if it does not fit the definition, or has directives
    that Segment lacks.
    """
    connect(definition, connection)
    found: dict[str, Any] = {}
    if connection.subscriptions is not None:
        found["subscriptions"] = [
            _subscription(definition, one) for one in connection.subscriptions
        ]
        issues = [
            Issue(f"Segment has no {name}; map this without it", f"{pointer(*place)}{inner}")
            for index, one in enumerate(found["subscriptions"])
            for place in [("subscriptions", index, "mapping")]
            for inner, name in beyond_segment(one["settings"])
        ]
        if issues:
            raise DefinitionError(issues)
    if connection.filters:
        found["filters"] = [_filter(one) for one in connection.filters]
    return found


def _subscription(definition: DestinationDefinition, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a subscription; its settings are the whole mapping, as at Segment."""
    mapping = given.get("mapping", {})
    if not directive_keys(mapping):
        mapping = {**definition.actions[given["partnerAction"]].default_mapping, **mapping}
    return {
        "name": given["name"],
        "actionSlug": given["partnerAction"],
        "enabled": given.get("enabled", True),
        "trigger": given["subscribe"],
        "settings": mapping,
    }


def _filter(given: Mapping[str, Any]) -> dict[str, Any]:
    action: dict[str, Any]
    condition = given.get("when", ALL_EVENTS)
    if "drop" in given:
        condition, action, title = given["drop"], {"type": "DROP"}, "Drop events"
    elif "sample" in given:
        action = {"type": "SAMPLE", "percent": given["sample"]}
        if "by" in given:
            action["path"] = given["by"]
        title = f"Sample of {given['sample']:.4g}"
    else:
        (key,) = _TYPES.keys() & given.keys()
        action = {"type": _TYPES[key], "fields": _fields(given[key])}
        title = "Block properties" if key == "blockProperties" else "Allow properties"
    return {"title": title, "if": condition, "enabled": True, "actions": [action]}


def _fields(names: list[str]) -> dict[str, list[str]]:
    """Return names of properties by the object that they are of."""
    fields: dict[str, list[str]] = {}
    for name in names:
        for root, *_ in property_path(name):
            fields.setdefault(root, []).append(name.removeprefix(f"{root}."))
    return fields
