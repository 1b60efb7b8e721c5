"""Defaults of settings that the catalog does not ask for stand in the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.kit.exporter import export_segment
from tests.destinations.kit.exporter.folders import Definition

HOST: Final = {"@path": "$.settings.host"}
URLS: Final = {
    "setting": "host",
    "urls": {
        "eu": {"@template": "https://{{settings.host}}.example.com"},
        "us": "https://x.example",
    },
}


PLACES: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "a header": ({"headers": {"X-Host": HOST}}, "headers: { 'X-Host': 'eu' }"),
    "a body": ({"json": {"a": [HOST, "b"]}}, "json: { a: ['eu', 'b'] }"),
    "a query": ({"query": {"host": HOST}}, "parameters({ host: 'eu' })"),
    "a path": ({"path": ["v9", HOST, "x"]}, "'eu', 'x')"),
    "the whole of a template": (
        {"json": {"a": {"@template": "-{{ settings.host }}-"}}},
        "json: { a: '-eu-' }",
    ),
    "a part of a template": (
        {"json": {"a": {"@template": "{{settings.host}}-{{payload.name}}"}}},
        "json: { a: { '@template': 'eu-{{payload.name}}' } }",
    ),
    "within a directive": (
        {"json": {"a": {"@case": {"operator": "upper", "value": HOST}}}},
        "'@case': { operator: 'upper', value: 'eu' }",
    ),
    "the choice of a URL": ({"url": URLS, "path": None}, "'https://eu.example.com'"),
    "a literal": (
        {"json": {"a": {"@literal": HOST}, "b": "settings"}},
        "{ a: { '@literal': 'eu' }, b: 'settings' }",
    ),
}


@pytest.mark.parametrize(("rest", "written"), PLACES.values(), ids=PLACES.keys())
def test_constants(rest: Mapping[str, Any], written: str, tmp_path: Path) -> None:
    """They are literals wherever a request reads them, and no setting is left."""
    definition = Definition()
    definition.destination["settings"]["properties"]["host"] = {
        "title": "Host",
        "description": "The host.",
        "type": "string",
        "enum": ["eu", "us"],
        "default": "eu",
        "x-catalog": False,
    }
    definition.rest.update(rest)
    if definition.rest["path"] is None:
        del definition.rest["path"]
    definition.cases.clear()
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    assert written in exported.files["requests.ts"]
    for name in ("index.ts", "metadata.json", "generated-types.ts"):
        assert "host" not in exported.files[name]
