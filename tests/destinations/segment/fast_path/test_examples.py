"""Real mappings and events: nearly all payloads are made by the code, the same as by the rules."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.definition.settings import Settings
from destinations.errors import DefinitionError, EventError, ResolveError
from destinations.outcome import Result
from destinations.runtime.destination import Destination
from destinations.runtime.plugins import find_folder, find_plugin
from destinations.segment.event import check_event, read_json
from destinations.segment.fast_path import FastPath, compile_fast_path
from destinations.segment.fields import fields_to_schema
from destinations.segment.mapping import compile_mapping
from destinations.segment.validation import compile_schema

ROOT = Path(__file__).parents[4]
VECTORS = ROOT / "tests" / "conformance"


def _vectors() -> list[dict[str, Any]]:
    with gzip.open(VECTORS / "actions.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_vectors() -> None:
    """The vectors of actions come out by the code as by the rules, and nearly all that fit take it.

    The code is made for each action with its mapping, as a subscription of it would be.
    """
    with gzip.open(VECTORS / "definitions.json.gz", "rt", encoding="utf-8") as file:
        corpus = json.load(file)
    made: dict[str, tuple[FastPath | None, Any, Any]] = {}
    taken = fitting = 0
    for vector in _vectors():
        action = corpus[vector["destination"]]["actions"].get(vector["action"])
        mapping = vector["mapping"]
        key = json.dumps([vector["destination"], vector["action"], mapping])
        if key not in made:
            try:
                schema = fields_to_schema(action["fields"])
                compiled = compile_mapping(mapping), compile_schema(schema)
            except DefinitionError:
                continue
            made[key] = (compile_fast_path(mapping, schema), *compiled)
        fast_path, resolver, checker = made[key]
        try:
            checked = checker.check(resolver.resolve(vector["event"]))
        except ResolveError:
            checked = None
        is_fitting = checked is not None and checked.ok
        fitting += is_fitting
        if fast_path is None or not fast_path.takes(vector["event"]):
            continue
        assert is_fitting, f"{key} takes what does not fit"
        assert repr(fast_path.payload(vector["event"])) == repr(checked.payload)
        taken += 1
    assert fitting > 500
    assert taken >= 0.98 * fitting


@pytest.fixture(scope="module")
def kana() -> Destination:
    plugin = find_plugin("kana")
    settings = Settings({"apiKey": "prv_test_x", "endpoint": "http://127.0.0.1/"}, ("apiKey",))
    code = plugin.code(None) if plugin is not None else None
    return Destination(load_definition(find_folder("kana")), settings, code)


def test_kana_examples(kana: Destination) -> None:
    """Every event of the example that gives a payload takes the code, which gives the same."""
    payloads = 0
    for line in (ROOT / "tests/fixtures/examples/every-case.ndjson").read_bytes().splitlines():
        try:
            event = check_event(read_json(line))
        except EventError:
            continue
        for subscription in kana.subscriptions:
            expected = subscription.payload_by_rules(event)
            given = subscription.payload(event)
            assert repr(given) == repr(expected)
            if subscription.fql.matches(event) and not isinstance(expected, Result):
                assert subscription.fast_path is not None
                assert subscription.fast_path.takes(event), line
                payloads += 1
    assert payloads > 500
