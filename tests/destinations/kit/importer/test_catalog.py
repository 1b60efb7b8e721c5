"""All destinations of the conformance data, imported one by one from the whole catalog."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, load_definition
from destinations.kit.importer import Imported, import_segment
from destinations.segment.fql import compile_fql
from destinations.segment.javascript.equality import equal
from destinations.segment.mapping import compile_mapping
from destinations.segment.validation import compile_schema

CONFORMANCE = Path(__file__).parents[3] / "conformance"
CATALOG: Mapping[str, Any] = json.loads(
    gzip.decompress((CONFORMANCE / "definitions.json.gz").read_bytes())
)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Imported]:
    """What was made of each destination, each in a folder of its own."""
    home = tmp_path_factory.mktemp("catalog")
    results = {}
    for slug, raw in CATALOG.items():
        file = home / f"{slug}.json"
        file.write_text(json.dumps({slug: raw}), encoding="utf-8")
        results[slug] = import_segment(file, out=home / slug)
    return results


@pytest.fixture(scope="module")
def loaded(imported: Mapping[str, Imported]) -> Mapping[str, DestinationDefinition]:
    """The definitions as the framework loads them from their folders."""
    return {slug: load_definition(result.folder) for slug, result in imported.items()}


def test_every_destination_loads(loaded: Mapping[str, DestinationDefinition]) -> None:
    """Each has all its actions and fields, in their order, and one pending request for each."""
    for slug, raw in CATALOG.items():
        definition = loaded[slug]
        assert set(definition.actions) == set(raw["actions"])
        assert definition.pending_requests == tuple(definition.requests)
        assert len(definition.requests) == len(raw["actions"])
        for key, action in raw["actions"].items():
            properties = definition.actions[key].fields["properties"]
            assert list(properties) == list(action["fields"])
            assert definition.actions[key].default_mapping == {
                name: field["default"]
                for name, field in action["fields"].items()
                if field.get("default") is not None
            }


def test_presets_compile_without_warnings(loaded: Mapping[str, DestinationDefinition]) -> None:
    """No preset that was taken over warns of anything."""
    warnings = [
        (slug, preset.name, str(warning))
        for slug, definition in loaded.items()
        for preset in definition.presets
        for warning in (
            *compile_fql(preset.subscribe).warnings,
            *compile_mapping(dict(preset.mapping)).warnings,
        )
    ]
    assert warnings == []


def test_presets_mean_what_they_meant(
    imported: Mapping[str, Imported], loaded: Mapping[str, DestinationDefinition]
) -> None:
    """Each preset of FQL for an action that is there is taken over; the others are noted."""
    for slug, raw in CATALOG.items():
        meant = [
            preset
            for preset in raw["presets"]
            if "subscribe" in preset and preset["partnerAction"] in raw["actions"]
        ]
        presets = loaded[slug].presets
        assert [preset.partner_action for preset in presets] == [
            preset["partnerAction"] for preset in meant
        ]
        for preset, before in zip(presets, meant, strict=True):
            assert equal(preset.mapping, before["mapping"])
            assert preset.subscribe.lower() == before["subscribe"].lower() or slug == (
                "actions-equals"  # its words stand without quotes
            )
        set_aside = {note.path for note in imported[slug].notes if "/presets/" in note.path}
        for index, preset in enumerate(raw["presets"]):
            if preset not in meant:
                assert f"/{slug}/presets/{index}" in set_aside


def _vectors() -> Iterator[dict[str, Any]]:
    with gzip.open(CONFORMANCE / "actions.jsonl.gz", "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def test_payloads_are_those_of_segment(loaded: Mapping[str, DestinationDefinition]) -> None:
    """Each vector of the reference runtime comes out the same through the imported fields."""
    schemas = {
        (slug, key): compile_schema(dict(action.fields))
        for slug, definition in loaded.items()
        for key, action in definition.actions.items()
    }
    different: dict[str, list[int]] = defaultdict(list)
    seen = set()
    for number, vector in enumerate(_vectors(), start=1):
        if "skipped" in vector:
            continue
        slug, key = vector["destination"], vector["action"]
        seen.add(slug)
        resolved = compile_mapping(vector["mapping"]).resolve(vector["event"])
        checked = schemas[slug, key].check(resolved)
        if "error" in vector:
            passed = bool(checked.errors)
        else:
            passed = not checked.errors and equal(checked.payload, vector["payload"])
        if not passed:
            different[slug].append(number)
    assert different == {}
    assert seen == set(CATALOG)


def test_presets_take_the_same_events(loaded: Mapping[str, DestinationDefinition]) -> None:
    """Also where FQL was written anew, the events of the vectors are taken or not as before."""
    for slug, raw in CATALOG.items():
        before = [
            compile_fql(preset["subscribe"])
            for preset in raw["presets"]
            if "subscribe" in preset and preset["partnerAction"] in raw["actions"]
        ]
        after = [compile_fql(preset.subscribe) for preset in loaded[slug].presets]
        for call in ("track", "identify", "page", "screen", "group", "alias"):
            for name in ("Other", "Order Completed", "Product Added", "Signed Up"):
                event = {"type": call, "event": name}
                taken = [fql.matches(event) for fql in before]
                assert [fql.matches(event) for fql in after] == taken
