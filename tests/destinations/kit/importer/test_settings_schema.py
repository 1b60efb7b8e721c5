from __future__ import annotations

from typing import Any

import pytest

from destinations.kit.importer.findings import Findings
from destinations.kit.importer.segment_model import SegmentOption
from destinations.kit.importer.settings_schema import settings_schema


def _one(**given: Any) -> tuple[dict[str, Any], list[str]]:
    findings = Findings("f")
    option = SegmentOption(**{"name": "x", "type": "string", "path": "/o"} | given)
    return settings_schema([option], findings), [str(note) for note in findings.notes]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string"}, {"type": "string"}),
        ({"type": "select", "choices": ["a", {"value": "b"}]}, {"enum": ["a", "b"]}),
        ({"type": "boolean", "default": False}, {"type": "boolean", "default": False}),
        ({"type": "number", "default": 1.5}, {"type": "number", "default": 1.5}),
        ({"type": "integer", "default": 2}, {"type": "integer", "default": 2}),
        ({"type": "password"}, {"type": "string", "format": "password"}),
        ({"name": "apiKey"}, {"format": "password"}),
        ({"name": "client_secret"}, {"format": "password"}),
        ({"name": "accessToken"}, {"format": "password"}),
        ({"name": "dbPassword"}, {"format": "password"}),
        ({"label": "L", "description": "D"}, {"title": "L", "description": "D"}),
        (
            {"name": "some_name"},
            {"title": "Some name", "description": "No description was imported."},
        ),
    ],
)
def test_options_become_settings(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each type has its JSON type; what is a secret by type or name is masked."""
    schema, notes = _one(**given)
    (spec,) = schema["properties"].values()
    assert {key: spec.get(key) for key in expected} == expected
    assert notes == []


@pytest.mark.parametrize(
    "given", [{"name": "keyboard"}, {"name": "apiKey", "type": "boolean"}, {"name": "tokens"}]
)
def test_what_is_no_secret(given: dict[str, Any]) -> None:
    """Only text whose name ends like that of a secret is one."""
    (spec,) = _one(**given)[0]["properties"].values()
    assert "format" not in spec


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "map"}, "the option 'x' is of the type map"),
        ({"type": "string", "default": 1}, "is a number and the option is of the type string"),
        ({"type": "number", "default": True}, "is true or false"),
        ({"type": "boolean", "default": "yes"}, "is text"),
        ({"type": "password", "default": "p"}, "default not imported"),
        ({"choices": ["a"], "default": "b"}, "is not one of the choices"),
    ],
)
def test_what_is_left_out(given: dict[str, Any], message: str) -> None:
    """A note says what was not taken over, and why."""
    schema, (note,) = _one(**given)
    assert message in note
    assert all("default" not in spec for spec in schema["properties"].values())


def test_required_and_twice() -> None:
    """Required settings are listed; a name that is there twice is an issue."""
    schema, _ = _one(required=True)
    assert schema["required"] == ["x"]
    findings = Findings("f")
    option = SegmentOption(name="x", type="string", path="/o")
    settings_schema([option, option], findings)
    assert "is another option 'x'" in str(findings.issues[0])
