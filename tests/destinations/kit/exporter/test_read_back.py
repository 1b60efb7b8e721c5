"""What is imported from the export of a shipped definition, for fields and presets.

That is the definition again, as far as Segment's files can say it: `said_by_fields` says what that
is of fields. A value of Segment's mappings with a directive that they lack (``@convert``) is
refused by the export by name, and so no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from destinations.definition import ActionDefinition, DestinationDefinition, load_definition
from destinations.kit.exporter.events import event_fields
from destinations.kit.exporter.fields import said_by_fields
from destinations.kit.exporter.segment import export_segment
from destinations.kit.importer import import_segment
from destinations.segment.mapping.parts import beyond_segment
from tests.shipped import DEFINITIONS, SHIPPED


@pytest.fixture(scope="module", params=SHIPPED)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[DestinationDefinition, DestinationDefinition]:
    """Return a definition, and the one that is imported from its export."""
    folder = tmp_path_factory.mktemp("read-back")
    export_segment(DEFINITIONS / request.param, folder / "there", partial=True)
    file = folder / "there" / "metadata.json"
    imported = import_segment(file, out=folder / request.param)
    return load_definition(DEFINITIONS / request.param), imported.definition


Both = tuple[DestinationDefinition, DestinationDefinition]


def _said_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    said = said_by_fields(fields)
    for spec in said["properties"].values():
        if any(beyond_segment(spec.get("default"))):
            del spec["default"]
    return said


def test_fields(both: Both) -> None:
    """Each action that takes events has the same fields, in the same order."""
    before, after = both
    assert list(after.actions) == list(before.event_actions)
    for slug, action in before.event_actions.items():
        meant, found = _said_fields(action.fields), after.actions[slug].fields
        _add_fields_of_events(before, action, meant)
        assert found == meant, slug
        assert list(found["properties"]) == list(meant["properties"])


def _add_fields_of_events(
    definition: DestinationDefinition, action: ActionDefinition, fields: dict[str, Any]
) -> None:
    """Add what says in an export what the destination requires of every event."""
    for one in event_fields(definition, action):
        fields["properties"][one.key] = {
            "title": one.field["label"],
            "description": one.field["description"],
            "type": "string",
            "x-hidden": True,
            "default": one.field["default"],
        }
        if one.field.get("required"):
            fields["required"] = [*fields.get("required", []), one.key]


def test_titles(both: Both) -> None:
    """So are what people read of actions, and the events that they take by default."""
    before, after = both
    for slug, action in before.event_actions.items():
        found = after.actions[slug]
        assert (found.title, found.description) == (action.title, action.description)
        assert found.default_subscription == action.default_subscription


def test_presets(both: Both) -> None:
    """So are the presets, but those whose mapping the export refuses."""
    before, after = both
    meant = [
        (one.name, one.partner_action, one.subscribe, _said_mapping(before, one))
        for one in before.presets
        if one.partner_action in before.event_actions
        and (_is_default(before, one) or not any(beyond_segment(one.mapping)))
    ]
    assert [
        (one.name, one.partner_action, one.subscribe, dict(one.mapping)) for one in after.presets
    ] == meant


def _is_default(definition: DestinationDefinition, preset: Any) -> bool:
    action = definition.actions[preset.partner_action]
    return bool(preset.mapping == action.default_mapping)


def _said_mapping(definition: DestinationDefinition, preset: Any) -> dict[str, Any]:
    is_default = _is_default(definition, preset)
    action = definition.actions[preset.partner_action]
    of_event = {one.key: one.mapping for one in event_fields(definition, action)}
    own = {
        key: value
        for key, value in preset.mapping.items()
        if not (is_default and any(beyond_segment(value)))
    }
    return {**own, **of_event}
