"""What the reference says of mappings, FQL and fields, as inputs of conformance vectors.

``python -m tests.reference.documented FOLDER`` asks Segment's runtime, whose ``node_modules`` are
in the folder, and writes its answers to tests/conformance/documented/.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "differential"))

from differential_inputs.reference import Judge, Reference

from destinations.segment.mapping.parts import beyond_segment
from making.conversions import DATES, EMPTIES, FORMATS, PLACES, READ, TYPES, VALUES, Schema
from making.directives import read_directives, read_mapping_page
from making.fql import TABLES, event_of, read_fql
from making.liquid import liquid_examples, read_liquid_page

__all__ = ["INPUTS", "VECTORS", "Record", "documented", "key_of", "kind_of", "mapping_examples"]

Record = dict[str, Any]

VECTORS: Final = Path(__file__).parents[1] / "conformance" / "documented"

INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "mapping": ("mapping", "event"),
    "fql": ("fql", "event"),
    "action": ("fields", "subscribe", "mapping", "event"),
}
"""By the kind of a vector, the keys of its input; the others are what comes of it."""

_FILES: Final = {"mapping": "mapping.jsonl", "fql": "fql.jsonl", "action": "actions.jsonl"}


def mapping_examples() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every example of the pages on directives, with the name of its page."""
    for name, said in read_directives().items():
        for one in said["examples"]:
            yield name, one
    for one in read_mapping_page()["examples"]:
        yield "mapping", one


def documented(kind: str) -> list[Record]:
    """The inputs that the reference names: each once, in the order of its pages."""
    made = {"mapping": _mappings, "fql": _subscriptions, "action": _payloads}[kind]()
    return list({json.dumps(one): one for one in made}.values())


def key_of(kind: str, vector: Mapping[str, Any]) -> str:
    """The input of a vector, as text that is the same for the same input."""
    return json.dumps({key: vector[key] for key in INPUTS[kind]})


def kind_of(path: Path) -> str:
    """The kind of the vectors in a file."""
    return next(kind for kind, name in _FILES.items() if name == path.name)


def _mappings() -> Iterator[Record]:
    for _, one in mapping_examples():
        # What only we have, Segment's runtime cannot be asked about.
        if "differs" not in one and not any(beyond_segment(one["mapping"])):
            yield {"mapping": one["mapping"], "event": one.get("event", {})}
    event = read_liquid_page()["event"]
    for example in liquid_examples():
        yield {"mapping": {"text": {"@liquid": example.template}}, "event": event}


def _subscriptions() -> Iterator[Record]:
    for one in read_fql()["examples"]:
        for event in (*one.get("matches", ()), *one.get("others", ())):
            yield {"fql": one["fql"], "event": event}
    for grid in TABLES:
        for condition in grid.conditions:
            for value in grid.values:
                yield {"fql": condition, "event": event_of(grid.field, value)}


def _payloads() -> Iterator[Record]:
    tables: list[tuple[Sequence[Any], Mapping[str, Schema]]] = [
        (VALUES, TYPES),
        (READ, {name: TYPES[name] for name in ("number", "integer")}),
        (DATES, FORMATS),
    ]
    for values, schemas in tables:
        for schema in schemas.values():
            for value in values:
                yield _payload(schema, value)
    for place in PLACES.values():
        for schema in EMPTIES.values():
            for value in (None, ""):
                if _can_be_field(place.schema(schema)):
                    yield _payload(place.schema(schema), place.value(value))


def _payload(schema: Schema, value: Any) -> Record:
    return {
        "fields": {"f": {"label": "F", "description": "F.", **_field(schema)}},
        "subscribe": 'type = "track"',
        "mapping": {"f": {"@path": "$.properties.f"}},
        "event": {"type": "track", "properties": {"f": value}},
    }


def _can_be_field(schema: Schema) -> bool:
    """Whether Segment has a field of this schema: none of any type, or of a list with nulls."""
    if "type" not in schema or not all(map(_can_be_field, schema.get("properties", {}).values())):
        return False
    items = schema.get("items")
    return items is None or (isinstance(items.get("type"), str) and _can_be_field(items))


def _field(schema: Schema) -> Record:
    """A schema as Segment defines a field."""
    kind = schema["type"]
    if kind == "array":
        return {**_field(schema["items"]), "multiple": True}
    if schema.get("format") == "date-like":
        return {"type": "datetime"}
    field: Record = {"type": kind if isinstance(kind, str) else kind[0]}
    if not isinstance(kind, str):
        field["allowNull"] = True
    if "format" in schema:
        field["format"] = schema["format"]
    if "properties" in schema:
        inner = schema["properties"].items()
        field["properties"] = {key: {"label": "M", **_field(one)} for key, one in inner}
    return field


def main(folder: Path) -> None:
    """Write the vectors."""
    reference = Reference(folder)
    definitions: Record = {}
    with tempfile.TemporaryDirectory() as place:
        judge = Judge(reference, Path(place))
        for kind, name in _FILES.items():
            vectors = [judge.vector(kind, one)[0] for one in documented(kind)]
            if kind == "action":
                vectors = [_defined(vector, definitions) for vector in vectors]
            lines = (json.dumps(vector, ensure_ascii=False) + "\n" for vector in vectors)
            (VECTORS / name).write_text("".join(lines), encoding="utf-8")
    reference.close()
    actions = {name: {"fields": fields} for name, fields in definitions.items()}
    text = json.dumps({"documented": {"actions": actions}}, indent=1)
    (VECTORS / "definitions.json").write_text(text + "\n", encoding="utf-8")


def _defined(vector: Record, definitions: Record) -> Record:
    """A vector of an action with the name of its fields in their place."""
    fields = vector.pop("fields")
    name = next((name for name, known in definitions.items() if known == fields), "")
    if not name:
        name = f"fields{len(definitions) + 1}"
        definitions[name] = fields
    return {"destination": "documented", "action": name, **vector}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
