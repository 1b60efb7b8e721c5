"""Real mappings and events: their payloads are the same in each way to make them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from destinations.errors import DefinitionError
from destinations.segment.fields import fields_to_schema
from tests.destinations.segment.payload.conftest import Ways

VECTORS = Path(__file__).parents[4] / "tests" / "conformance"


def _vectors() -> list[dict[str, Any]]:
    with gzip.open(VECTORS / "actions.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_vectors(ways: Ways) -> None:
    """The vectors of actions come out the same in each way, those that do not fit included."""
    with gzip.open(VECTORS / "definitions.json.gz", "rt", encoding="utf-8") as file:
        corpus = json.load(file)
    made: dict[str, Any] = {}
    fitting = 0
    for vector in _vectors():
        action = corpus[vector["destination"]]["actions"].get(vector["action"])
        key = json.dumps([vector["destination"], vector["action"], vector["mapping"]])
        if key not in made:
            try:
                made[key] = ways(vector["mapping"], fields_to_schema(action["fields"]))
            except DefinitionError:
                continue
        found = {name: make(vector["event"]) for name, make in made[key].items()}
        assert found == dict.fromkeys(found, found["rules"]), key
        fitting += not found["rules"][1]
    assert fitting > 500
