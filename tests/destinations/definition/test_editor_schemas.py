"""Editors complete and check mappings by the shipped schemas, as the runtime does."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import yaml

from destinations.errors import MappingError
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.directives import DIRECTIVES
from destinations.segment.validation.formats import FORMATS

ROOT = Path(__file__).parents[3]
PUBLIC = ROOT / "tests" / "conformance" / "definitions.json.gz"
KINDS = ("destination", "action", "case")
SCHEMAS = sorted(
    path
    for package in ("destinations", "kana_destination")
    for path in (ROOT / package).rglob("*.schema.json")
)
DEFINITIONS = sorted(path.parent.name for path in ROOT.glob("definitions/*/destination.yaml"))

GOOD: dict[str, object] = {
    "text": "plain",
    "null": None,
    "an object": {"a": {"b": [1, {"@path": "$.c"}]}},
    "a path": {"@path": "$.userId"},
    "a path that is found": {"@path": {"@template": "properties.{{event}}"}},
    "with notes": {"@path": "$.userId", "_metadata": {"label": "User"}},
    "a template": {"@template": "{{userId}}"},
    "a literal": {"@literal": {"any": "thing"}},
    "if": {"@if": {"exists": {"@path": "$.a"}, "then": 1}},
    "if blank": {"@if": {"blank": {"@path": "$.a"}, "then": {"@path": "$.a"}, "else": None}},
    "case": {"@case": {"operator": "upper", "value": {"@path": "$.a"}}},
    "replace": {"@replace": {"pattern": "a", "value": "b", "pattern2": "c", "replacement2": ""}},
    "items": {"@arrayPath": ["$.properties.products", {"id": {"@path": "$.id"}}]},
    "an array": {"@arrayPath": [{"@path": "$.properties"}]},
    "flatten": {"@flatten": {"separator": ".", "value": {"@path": "$.a"}, "omitArrays": True}},
    "json": {"@json": {"mode": "encode", "value": {"a": 1}}},
    "merge": {"@merge": {"objects": [{"@path": "$.a"}, {"b": 1}], "direction": "left"}},
    "transform": {"@transform": {"apply": {"a": {"@path": "$.b"}}, "mapping": {"@path": "$.a"}}},
    "exclude": {"@excludeWhenNull": {"a": None}},
    "liquid": {"@liquid": "{{ a | upcase }}"},
    "convert": {"@convert": {"value": {"@path": "$.a"}, "to": "iso"}},
    "convert in steps": {"@convert": {"value": "a", "to": ["trim", "lower", "sha256"]}},
}
BAD: dict[str, object] = {
    "no directive": {"@paht": "$.a"},
    "two directives": {"@path": "$.a", "@template": "b"},
    "a key next to a directive": {"@path": "$.a", "b": 1},
    "notes alone": {"@nothing": 1, "_metadata": {}},
    "within an object": {"a": {"b": {"@paht": "$.a"}}},
    "within an argument": {"@if": {"exists": {"@paht": "$.a"}, "then": 1}},
    "a path that is a number": {"@path": 1},
    "a path that is an object": {"@path": {"a": 1}},
    "a template that is a list": {"@template": ["a"]},
    "a literal with a mistake": {"@literal": {"@paht": "$.a"}},
    "if with nothing to test": {"@if": {"then": 1}},
    "if that is a text": {"@if": "$.a"},
    "case of no kind": {"@case": {"operator": "title", "value": "a"}},
    "case without operator": {"@case": {"value": "a"}},
    "case of a number": {"@case": {"operator": "upper", "value": 1}},
    "replace without pattern": {"@replace": {"value": "a"}},
    "replace with an empty pattern": {"@replace": {"pattern": "", "value": "a"}},
    "replace with a long pattern": {"@replace": {"pattern": "a" * 11, "value": "a"}},
    "replace with a long second pattern": {
        "@replace": {"pattern": "a", "value": "a", "pattern2": "a" * 11}
    },
    "replace with a text for a flag": {"@replace": {"pattern": "a", "value": "b", "global": "x"}},
    "an array path that is a text": {"@arrayPath": "$.a"},
    "an array path of a number": {"@arrayPath": [1]},
    "a shape with a mistake": {"@arrayPath": ["$.a", {"b": {"@paht": "$.c"}}]},
    "flatten without separator": {"@flatten": {"value": {}}},
    "flatten without value": {"@flatten": {"separator": "."}},
    "json of no mode": {"@json": {"mode": "parse", "value": 1}},
    "json without value": {"@json": {"mode": "encode"}},
    "merge without direction": {"@merge": {"objects": []}},
    "merge of an object": {"@merge": {"objects": {}, "direction": "left"}},
    "merge of texts": {"@merge": {"objects": ["a"], "direction": "left"}},
    "transform without apply": {"@transform": {"mapping": {}}},
    "transform of a text": {"@transform": {"apply": "a", "mapping": {"b": 1}}},
    "convert without a word": {"@convert": {"value": 1}},
    "convert without a value": {"@convert": {"to": "iso"}},
    "convert to an unknown word": {"@convert": {"value": 1, "to": "second"}},
    "convert to an unknown word after another": {"@convert": {"value": 1, "to": ["iso", "x"]}},
    "convert to no words": {"@convert": {"value": 1, "to": []}},
    "convert to a number": {"@convert": {"value": 1, "to": 5}},
    "convert with a mistake": {"@convert": {"value": {"@paht": "$.a"}, "to": "iso"}},
    "liquid that is an object": {"@liquid": {"@path": "$.a"}},
    "liquid that is too long": {"@liquid": "a" * 1001},
}
UNKNOWN: dict[str, object] = {
    # The runtime ignores these, so they are mistyped.
    "a key of if": {"@if": {"exists": 1, "than": 2}},
    "a key of replace": {"@replace": {"pattern": "a", "value": "b", "ignoreCase": True}},
    "a key of convert": {"@convert": {"value": 1, "to": "iso", "from": "seconds"}},
    "a key of flatten": {"@flatten": {"separator": ".", "value": {}, "omitarrays": True}},
}


def _schema(kind: str) -> dict[str, Any]:
    path = files("destinations.definition") / "schemas" / f"{kind}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema


@cache
def _of_files(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_schema(kind))


@cache
def _of_mappings() -> jsonschema.Draft202012Validator:
    schema = {"$ref": "#/$defs/mapping", "$defs": _schema("action")["$defs"]}
    return jsonschema.Draft202012Validator(schema)


def _is_accepted(mapping: object) -> bool:
    """Whether the runtime loads a mapping without any issue."""
    try:
        return not compile_value(mapping).warnings
    except MappingError:
        return False


@pytest.mark.parametrize("mapping", GOOD.values(), ids=GOOD)
def test_what_is_right(mapping: object) -> None:
    """What the runtime accepts, editors accept."""
    assert _is_accepted(mapping)
    assert [error.message for error in _of_mappings().iter_errors(mapping)] == []


@pytest.mark.parametrize("mapping", BAD.values(), ids=BAD)
def test_what_is_wrong(mapping: object) -> None:
    """What the runtime refuses, editors mark."""
    assert not _is_accepted(mapping)
    assert not _of_mappings().is_valid(mapping)


@pytest.mark.parametrize("mapping", UNKNOWN.values(), ids=UNKNOWN)
def test_what_has_no_effect(mapping: object) -> None:
    """Editors mark what the runtime accepts without doing anything."""
    assert _is_accepted(mapping)
    assert not _of_mappings().is_valid(mapping)


def test_each_directive_is_described() -> None:
    """Every directive of the runtime and each of its arguments has words for editors."""
    described = _schema("action")["$defs"]["mapping"]["properties"]
    assert set(described) == {*DIRECTIVES, "_metadata"}
    assert set(DIRECTIVES) < {next(iter(one)) for one in GOOD.values() if isinstance(one, dict)} | {
        "@path"
    }
    for name, spec in described.items():
        assert spec["description"].endswith("."), name
        for key, argument in spec.get("properties", {}).items():
            assert argument["description"].endswith("."), f"{name}.{key}"


def _keys(schema: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key that a schema knows, with what it says of it."""
    for name, spec in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if name == "properties":
            for key, below in spec.items():
                yield f"{place}.{key}", below
                yield from _keys(below if isinstance(below, dict) else {}, f"{place}.{key}")
        elif isinstance(spec, dict | list) and name not in {"const", "default", "enum"}:
            yield from _keys(spec, f"{place}/{name}")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_each_key_is_described(path: Path) -> None:
    """Every key of every file has a sentence, which editors and the reference show."""
    schema = json.loads(path.read_text("utf-8"))
    keys = [(place, spec) for place, spec in _keys(schema) if isinstance(spec, dict)]
    assert len(keys) > 10
    for place, spec in keys:
        said = spec
        while "description" not in said and "$ref" in said:
            said = schema["$defs"][said["$ref"].rpartition("/")[2]]
        assert said.get("description", "").rstrip("*`)").endswith("."), place


def test_formats_are_those_of_the_runtime() -> None:
    """Editors mark a format of a field or setting that no runtime knows."""
    of_field = _schema("action")["properties"]["fields"]["properties"]["properties"]
    of_setting = _schema("destination")["$defs"]["settings"]["properties"]["properties"]
    for spec in (of_field, of_setting):
        assert spec["additionalProperties"]["properties"]["format"]["enum"] == list(FORMATS)


def test_all_schemas_describe_mappings_alike() -> None:
    """A subscription of a case has the same mappings as one of a definition."""
    first, *others = [_schema(kind)["$defs"] for kind in KINDS]
    names = ("mapping", "directive", "textOrDirective", "objectOrDirective")
    assert all(each[name] == first[name] for each in others for name in names)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_shipped_definitions_are_right(name: str) -> None:
    """Editors find nothing in the definitions that are shipped, nor in their cases."""
    folder = ROOT / "definitions" / name
    checked = {
        **dict.fromkeys(folder.glob("*.yaml"), "action"),
        **dict.fromkeys(sorted(folder.glob("cases/*.yaml"))[:5], "case"),
        folder / "destination.yaml": "destination",
    }
    for path, kind in checked.items():
        data = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
        found = [error.message for error in _of_files(kind).iter_errors(data)]
        assert found == [], path


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("destination", "transport.headers.Authorization"),
        ("destination", "requests.postMessage.rest.json"),
        ("destination", "presets.0.mapping"),
        ("action", "fields.properties.text.default"),
    ],
)
def test_mappings_are_checked_where_they_stand(kind: str, path: str) -> None:
    """A mistyped directive is marked in each of these places."""
    file = "destination.yaml" if kind == "destination" else "postMessage.yaml"
    data = yaml.safe_load((ROOT / "definitions" / "slack" / file).read_text("utf-8"))
    *parents, last = path.split(".")
    place = data
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last] = {"@paht": "$.a"}
    errors = [error.message for error in _of_files(kind).iter_errors(data)]
    assert any("@paht" in message for message in errors)


def test_public_mappings_are_right() -> None:
    """Editors accept the mappings that Segment publishes."""
    with gzip.open(PUBLIC, "rt", encoding="utf-8") as file:
        definitions = json.load(file)
    mappings = {
        json.dumps(field["default"], sort_keys=True): f"{name}/{slug}/{key}"
        for name, definition in definitions.items()
        for slug, action in definition["actions"].items()
        for key, field in action["fields"].items()
        if "default" in field
    }
    assert len(mappings) > 100
    schema = {"$ref": "#/$defs/mapping", "$defs": _schema("action")["$defs"]}
    quick = jsonschema_rs.Draft202012Validator(schema)
    assert not quick.is_valid({"@paht": "$.a"})
    wrong = [place for text, place in mappings.items() if not quick.is_valid(json.loads(text))]
    assert wrong == []
