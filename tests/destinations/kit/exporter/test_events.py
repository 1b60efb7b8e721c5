"""What a partner requires of every event becomes hidden fields of each action."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from destinations.kit.exporter import export_segment
from tests.destinations.kit.exporter.folders import Definition


class Required(NamedTuple):
    """Events of a definition; the fields by key, each with whether it is required; the checks."""

    events: Mapping[str, Any]
    fields: Mapping[str, bool]
    checks: tuple[str, ...]


REQUIRED: Final[Mapping[str, Required]] = {
    "nothing": Required({}, {}, ()),
    "a field": Required(
        {"requires": ["userId"]},
        {"event_userId": True},
        ("event_userId: { event: 'userId' }",),
    ),
    "all of them": Required(
        {"requires": ["messageId", "anonymousId", "userId"]},
        {"event_messageId": True, "event_anonymousId": True, "event_userId": True},
        ("event_messageId: { event: 'messageId' }", "event_anonymousId: {", "event_userId: {"),
    ),
    "no placeholders": Required(
        {"placeholders": ["null"]},
        {"event_userId": False},
        ("event_userId: { event: 'userId', placeholders: ['null'] }",),
    ),
    "both": Required(
        {"requires": ["userId", "messageId"], "placeholders": ["null", "none"]},
        {"event_userId": True, "event_messageId": True},
        (
            "event_userId: { event: 'userId', placeholders: ['null', 'none'] }",
            "event_messageId: { event: 'messageId' }",
        ),
    ),
}


@pytest.mark.parametrize("required", REQUIRED.values(), ids=REQUIRED.keys())
def test_fields(required: Required, tmp_path: Path) -> None:
    """They are in code, catalog, types and presets, and code takes them out of the payload."""
    definition = Definition()
    definition.destination["events"] = required.events
    other = {**definition.destination["presets"][0], "name": "Other", "subscribe": 'type = "page"'}
    definition.destination["presets"].append({**other, "mapping": {"name": "page"}})
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    metadata = json.loads(exported.files["metadata.json"])
    fields = metadata["actions"]["track"]["fields"]
    found = {key: one["required"] for key, one in fields.items() if key.startswith("event_")}
    assert found == required.fields
    assert all(fields[key]["hidden"] for key in found)
    mapping = {key: {"@path": f"$.{key.removeprefix('event_')}"} for key in found}
    for preset in metadata["presets"]:
        assert {key: one for key, one in preset["mapping"].items() if key in found} == mapping
    action = exported.files["track/index.ts"]
    for check in required.checks:
        assert check in action
    assert ("check(payload)" in action) is bool(found)
    for key, is_required in found.items():
        optional = "" if is_required else "?"
        assert f"  {key}{optional}: string\n" in exported.files["track/generated-types.ts"]
    assert not [one for one in exported.left_out if one.path.startswith("/events")]
    for delivery in exported.deliveries:
        if delivery.action == "track":
            assert {key: delivery.mapping[key] for key in found} == mapping


def test_a_field_of_the_same_name(tmp_path: Path) -> None:
    """The field of the action stays, and the hidden one has another name."""
    definition = Definition()
    definition.destination["events"] = {"requires": ["userId"]}
    properties = definition.action["fields"]["properties"]
    properties["event_userId"] = {**properties["id"], "title": "Own"}
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    fields = json.loads(exported.files["metadata.json"])["actions"]["track"]["fields"]
    assert fields["event_userId"]["label"] == "Own"
    assert fields["event_userId_"]["default"] == {"@path": "$.userId"}


@pytest.mark.parametrize("placeholders", [[], ["null"]], ids=["none", "some"])
def test_deletions(placeholders: list[str], tmp_path: Path) -> None:
    """A deletion needs no field of the event, and is refused for a user that is none."""
    definition = Definition()
    events: dict[str, Any] = {"requires": ["messageId"]}
    definition.destination["events"] = events | (
        {"placeholders": placeholders} if placeholders else {}
    )
    definition.delete_users({"@path": "$.payload.userId"})
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    index = exported.files["index.ts"]
    assert ("checkUser(payload)" in index) is bool(placeholders)
    assert ("checks({ userId: { placeholders: ['null'] } })" in index) is bool(placeholders)
    assert "checks.ts" in exported.files
