"""Fields that are imported and exported again are those of Segment's file.

Equal are values of JSON, and the order of fields; the order of the two members of a choice, or of
those of a condition, counts for nothing. The table has cases of our own. Segment's destinations are
not kept here: folders of them are given as for the tests of the importer (SEGMENT_METADATA for
copies of ``metadata.json``, SEGMENT_LIBRARY for the npm package).
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.kit.exporter.fields import action_fields, setting_fields
from destinations.kit.exporter.findings import Findings
from destinations.kit.exporter.metadata import public_field, public_setting
from destinations.kit.importer import Imported, import_segment
from destinations.kit.importer.action_file import action_schema
from destinations.kit.importer.findings import Findings as ImportFindings
from destinations.kit.importer.library import read_library
from destinations.kit.importer.settings_schema import settings_schema
from destinations.segment.fields import SYNC_MODE

SOURCES = {
    "SEGMENT_METADATA": {
        "destinations": 276,
        "actions": 612,
        "fields": 5917,
        "properties": 3868,
        "kept": 34,
    },
    "SEGMENT_LIBRARY": {
        "destinations": 214,
        "actions": 601,
        "fields": 5873,
        "properties": 3817,
        "kept": 34,
    },
}


def _public(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: public_field(one) for key, one in fields.items()}


def _text(fields: Mapping[str, Any]) -> str:
    """Return public fields as text, the same for equal ones in the same order."""
    return json.dumps([[key, _parts(one)] for key, one in fields.items()])


def _parts(field: Mapping[str, Any]) -> Any:
    return [
        [key, _text(value) if key == "properties" and value else json.dumps(value, sort_keys=True)]
        for key, value in field.items()
    ]


def _exported(schema: Mapping[str, Any]) -> dict[str, Any]:
    findings = Findings(defaultdict(lambda: Document("", {}, {})))
    fields = action_fields(schema, "", (), findings).fields
    assert not findings.refused
    return {key: one for key, one in fields.items() if key != SYNC_MODE}


@pytest.mark.parametrize("variable", SOURCES)
def test_all_public_fields(variable: str) -> None:
    """Each field of each action that runs on servers is the same after import and export."""
    given = os.environ.get(variable)
    if not given:
        pytest.skip(f"set {variable} to a folder of Segment's destinations")
    counts, different = Counter[str](), []
    for file in sorted(Path(given).glob("*.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        if "actions" not in raw:
            continue
        counts["destinations"] += 1
        findings = ImportFindings(file.name)
        for action in read_library(raw, raw["slug"], "", findings).actions:
            before = raw["actions"][action.slug]["fields"]
            counts["actions"] += 1
            counts["fields"] += len(before)
            counts["properties"] += sum(_inner(one) for one in before.values())
            if not _is_public(before):  # as in the library
                before = _public(before)
            schema = action_schema(action, findings)
            kept = [pair for key, one in schema["properties"].items() for pair in _kept(one, key)]
            counts["kept"] += len(kept)
            after = _public(_exported(schema))
            if _text(before) != _text(after):
                different.append(f"{file.name} {action.slug}")
        assert not findings.issues
    assert different == []
    assert counts == SOURCES[variable]


@pytest.mark.parametrize("variable", SOURCES)
def test_the_docs_say_how_many(variable: str) -> None:
    """The page about importing has these counts."""
    text = (Path(__file__).parents[4] / "docs" / "importing.md").read_text(encoding="utf-8")
    row = " | ".join(f"{number:,}" for number in SOURCES[variable].values())
    assert f"| {row} |" in text


SETTINGS = {
    # A text that is named like a secret is one here, and has no default.
    "SEGMENT_METADATA": {"equal": 467, "type": 14, "default": 8, "description": 2, "left out": 1},
    "SEGMENT_LIBRARY": {"equal": 464, "type": 14, "default": 9, "description": 2, "left out": 1},
}


@pytest.mark.parametrize("variable", SETTINGS)
def test_all_public_settings(variable: str) -> None:
    """So are settings, but for what is counted here by the member that differs."""
    given = os.environ.get(variable)
    if not given:
        pytest.skip(f"set {variable} to a folder of Segment's destinations")
    counts = Counter[str]()
    for file in sorted(Path(given).glob("*.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        findings = ImportFindings(file.name)
        read = read_library(raw, raw["slug"], "", findings) if "actions" in raw else None
        if read is None or not read.actions:
            continue
        nowhere = Findings(defaultdict(lambda: Document("", {}, {})))
        schema = settings_schema(read.options, findings)
        found = setting_fields(schema, "", nowhere, frozenset()).fields
        assert not nowhere.refused
        for key, before in ((raw.get("authentication") or {}).get("fields") or {}).items():
            if key not in found:
                counts["left out"] += 1
                continue
            wanted, after = public_setting(before), public_setting(found[key])
            assert list(wanted) == list(after)
            differing = [name for name, value in wanted.items() if value != after[name]]
            counts.update(differing or ["equal"])
    assert counts == SETTINGS[variable]


def _is_public(fields: Mapping[str, Any]) -> bool:
    return all("displayMode" in one and "additionalProperties" in one for one in fields.values())


def _inner(field: Mapping[str, Any]) -> int:
    """Count the properties of a field, and those within them."""
    inner = (field.get("properties") or {}) if field["type"] == "object" else {}
    return len(inner) + sum(_inner(one) for one in inner.values())


def _condition(key: str, value: Any = "x", **more: Any) -> dict[str, Any]:
    return {"fieldKey": key, "operator": "is", "value": value, **more}


def _rule(*conditions: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**more, "conditions": list(conditions)}


PLAIN: dict[str, dict[str, Any]] = {
    "every type": {
        kind: {"type": kind}
        for kind in (
            *("string", "text", "password", "number", "integer", "boolean", "datetime", "object"),
        )
    },
    "lists of every type": {
        kind: {"type": kind, "multiple": True}
        for kind in ("string", "text", "number", "integer", "boolean", "datetime", "object")
    },
    "null": {
        "a": {"type": "string", "allowNull": True},
        "b": {"type": "datetime", "allowNull": True},
        "c": {"type": "object", "allowNull": True},
    },
    "bounds that are enforced": {
        "a": {"type": "string", "minimum": 1, "maximum": 20},
        "b": {"type": "number", "minimum": 0.5, "maximum": -1},
    },
    "formats": {
        "a": {"type": "string", "format": "email"},
        "b": {"type": "string", "format": "uri", "multiple": True},
    },
    "choices": {
        "a": {
            "type": "string",
            "choices": [{"label": "Yes", "value": "y"}, {"label": "n", "value": "n"}],
        },
        "b": {
            "type": "number",
            "choices": [{"label": "1", "value": 1}, {"label": "B", "value": 2}],
        },
        "e": {"type": "string", "multiple": True, "choices": [{"label": "Y", "value": "y"}]},
        "f": {"type": "string", "allowNull": True, "choices": [{"label": "Y", "value": "y"}]},
        "g": {"type": "string", "dynamic": True},
    },
    "forms": {
        "a": {
            "type": "string",
            "placeholder": "p",
            "category": "identifier",
            "unsafe_hidden": True,
            "readOnly": True,
            "displayMode": "collapsed",
        },
        "b": {
            "type": "object",
            "defaultObjectUI": "keyvalue:only",
            "disabledInputMethods": ["literal", "function"],
            "additionalProperties": True,
        },
        "c": {
            "type": "string",
            "unsafe_hidden": False,
            "readOnly": False,
            "disabledInputMethods": [],
        },
    },
    "defaults": {
        "a": {"type": "string", "default": ""},
        "b": {"type": "boolean", "default": False},
        "c": {"type": "number", "default": 0},
        "d": {"type": "object", "default": {"@path": "$.properties"}},
        "e": {"type": "string", "multiple": True, "default": []},
    },
    "conditions": {
        "a": {"type": "string"},
        "b": {"type": "string", "required": _rule(_condition("a"), match="all")},
        "c": {"type": "string", "depends_on": _rule(_condition("a"), _condition("b"))},
        "d": {"type": "string", "depends_on": _rule(_condition("a", ["x", "y"]), match="any")},
        "e": {
            "type": "string",
            "required": _rule({"fieldKey": "a", "operator": "is_not"}),
        },
    },
    "objects": {
        "a": {
            "type": "object",
            "required": True,
            "properties": {"x": {"type": "string", "required": True}, "y": {"type": "integer"}},
        },
        "b": {
            "type": "object",
            "multiple": True,
            "additionalProperties": True,
            "properties": {
                "x": {"type": "object", "properties": {"y": {"type": "number", "minimum": 2}}}
            },
        },
        "c": {"type": "object", "properties": {}},
        "d": {"type": "object", "multiple": True, "additionalProperties": True},
    },
}
"""Fields that keywords of a definition say."""

KEPT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a format that decides nothing": (
        {
            "a": {"type": "string", "format": "text"},
            "b": {"type": "datetime", "format": "date-time"},
            "c": {"type": "string", "format": "password", "multiple": True},
            "d": {"type": "string", "format": "date-like"},
        },
        {
            "a": {"type": "string", "format": "text"},
            "b": {"format": "date-time"},
            "c": {"type": "string", "format": "password"},
            "d": {"type": "string", "format": "date-like"},
        },
    ),
    "bounds that are not enforced": (
        {
            "a": {"type": "integer", "minimum": 1, "maximum": 9},
            "b": {"type": "number", "minimum": 0},
            "c": {"type": "text", "maximum": 10},
            "d": {"type": "string", "multiple": True, "maximum": 3},
        },
        {
            "a": {"minimum": 1, "maximum": 9},
            "b": {"minimum": 0},
            "c": {"maximum": 10},
            "d": {"maximum": 3},
        },
    ),
    "null without effect": (
        {
            "a": {"type": "object", "allowNull": True, "properties": {"x": {"type": "string"}}},
            "b": {"type": "string", "multiple": True, "allowNull": True},
        },
        {"a": {"allowNull": True}, "b": {"allowNull": True}},
    ),
    "conditions on what is not there": (
        {"a": {"type": "string", "depends_on": _rule(_condition("gone"))}},
        {"a": {"depends_on": _rule(_condition("gone"))}},
    ),
    "conditions in another form": (
        {
            "a": {"type": "string"},
            "b": {"type": "string", "depends_on": _rule(_condition("a", type="field"))},
        },
        {"b": {"depends_on": _rule(_condition("a", type="field"))}},
    ),
    "conditions that stand in allOf": (
        {
            "a": {"type": "string"},
            "b": {
                "type": "object",
                "multiple": True,
                "properties": {
                    "x": {"type": "string", "required": _rule(_condition("a"))},
                    "y": {"type": "string", "required": True},
                },
            },
        },
        {
            "b/x": {"required": _rule(_condition("a"))},
            "b/y": {"required": True},
        },
    ),
    "empty texts": (
        {
            "a": {"type": "string", "placeholder": "", "category": ""},
            "b": {"type": "string", "choices": [{"label": "", "value": "x"}]},
        },
        {
            "a": {"placeholder": "", "category": ""},
            "b": {"choices": [{"label": "", "value": "x"}]},
        },
    ),
    "what is no object": (
        {"a": {"type": "string", "additionalProperties": True}},
        {"a": {"additionalProperties": True}},
    ),
}
"""Fields that need ``x-segment``, and what stands there."""

Importing = Callable[[Mapping[str, Any]], Imported]


@pytest.fixture
def importing(tmp_path: Path) -> Importing:
    """Imports a destination with fields of one action, and gives all of them a label."""

    def run(fields: Mapping[str, Any]) -> Imported:
        described = _described(fields)
        action = {"title": "Send", "description": "Sends.", "fields": described}
        raw = {"slug": "ours", "name": "Ours", "mode": "cloud", "actions": {"send": action}}
        (tmp_path / "metadata.json").write_text(json.dumps(raw), encoding="utf-8")
        return import_segment(tmp_path / "metadata.json", out=tmp_path / "ours", force=True)

    return run


def _described(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {"label": key, "description": "D.", **one} for key, one in fields.items()}


def _kept(spec: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    if "x-segment" in spec:
        yield name, spec["x-segment"]
    for key, inner in spec.get("items", spec).get("properties", {}).items():
        yield from _kept(inner, f"{name}/{key}")


def _all_kept(imported: Imported) -> dict[str, Any]:
    properties = imported.definition.actions["send"].fields["properties"]
    return dict(pair for key, spec in properties.items() for pair in _kept(spec, key))


def _after(imported: Imported) -> dict[str, Any]:
    """Return the fields that an export of the definition on the disk has."""
    definition = load_definition(imported.folder)
    return _exported(definition.actions["send"].fields)


def _flat(fields: Mapping[str, Any]) -> str:
    # A property that has no label gets its key as one: Segment's forms show nothing better.
    return _text(_public(_labelled(fields)))


def _labelled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {
            "label": key,
            **one,
            **(
                {"properties": _labelled(one["properties"])}
                if one.get("properties") is not None
                else {}
            ),
        }
        for key, one in fields.items()
    }


@pytest.mark.parametrize("name", PLAIN)
def test_what_keywords_say(name: str, importing: Importing) -> None:
    """A field comes back as it was, and nothing is kept for Segment only."""
    fields = PLAIN[name]
    imported = importing(fields)
    assert _flat(_after(imported)) == _flat(_described(fields))
    assert _all_kept(imported) == {}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_for_segment(name: str, importing: Importing) -> None:
    """What no keyword says stands in ``x-segment``, and comes back from there."""
    fields, kept = KEPT[name]
    imported = importing(fields)
    assert _all_kept(imported) == kept
    assert _flat(_after(imported)) == _flat(_described(fields))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"minimum": "1"}, "minimum"),
    ({"maximum": True}, "maximum"),
    ({"format": 3}, "format"),
    ({"placeholder": 3}, "placeholder"),
    ({"unsafe_hidden": "yes"}, "unsafe_hidden"),
    ({"displayMode": "wide"}, "displayMode"),
]


@pytest.mark.parametrize(("wrong", "key"), WRONG)
def test_what_is_of_a_wrong_kind(wrong: dict[str, Any], key: str, importing: Importing) -> None:
    """What Segment's forms cannot know is left out with a note, and the rest is imported."""
    imported = importing({"a": {"type": "string", **wrong}})
    notes = {note.path: note.message for note in imported.notes}
    assert notes[f"/actions/send/fields/a/{key}"].endswith("left out")
    assert _all_kept(imported) == {}
    assert _flat(_after(imported)) == _flat(_described({"a": {"type": "string"}}))
