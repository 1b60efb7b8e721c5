"""What is compared with Segment's runtime: a destination, the same in its shape, and events."""

from __future__ import annotations

import gzip
import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.workload import EVERY_CASE, ROOT
from destinations.definition import (
    ActionDefinition,
    DestinationDefinition,
    Preset,
    load_definition,
)
from destinations.definition.settings import Settings
from destinations.errors import EventError
from destinations.kit.importer import import_segment
from destinations.outcome import Result
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plugins import find_plugin
from destinations.segment.event import Event, check_event, read_json

__all__ = [
    "CORPUS",
    "Subject",
    "compiled",
    "corpus_subjects",
    "imported",
    "kana_destination",
    "kana_subjects",
]

CORPUS: Final = ROOT / "tests" / "conformance" / "definitions.json.gz"
"""The fields and presets of 96 public destinations of Segment."""

_LARGEST_EXACT_INTEGER: Final = 2**53 - 1
_VECTORS: Final = ROOT / "tests" / "conformance" / "actions.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Subject:
    """A destination bound to settings, the same in Segment's shape, and events as JSON text."""

    name: str
    destination: Destination
    peer: Mapping[str, Any]
    events: Sequence[bytes]


def kana_destination() -> Destination:
    """Kana with its plugin, and settings that lead nowhere."""
    plugin = find_plugin("kana")
    settings = {"apiKey": "prv_test_benchmark", "endpoint": "http://127.0.0.1/"}
    return Destination(
        load_definition(find_folder("kana")),
        Settings(settings, ("apiKey",)),
        plugin.code(None) if plugin is not None else None,
    )


def kana_subjects() -> list[Subject]:
    """Kana as it is shipped, and with only Segment's keywords: the same work as the reference does.

    What Kana has in addition to these (``x-``) refuses values that are not identifiers, and amounts
    that were not meant; the reference knows nothing of the kind. Both have the example's events
    that reach a destination at all. Left out is what the reference cannot give: events of which our
    own keywords make another payload, or none, and integers that no double holds exactly.
    """
    destination = kana_destination()
    definition = destination.definition
    in_segments_words = _without_own_keywords(definition)
    lines = EVERY_CASE.read_bytes().splitlines()
    events = [
        line
        for line in lines
        if _is_admitted(destination, line)
        and not _holds_large_integer(read_json(line))
        and _payloads(destination, line) == _payloads(in_segments_words, line)
    ]
    actions = {slug: _segment_fields(action) for slug, action in definition.event_actions.items()}
    peer = _peer(definition.slug, actions, definition.presets)
    return [
        Subject("kana", destination, peer, events),
        Subject("kana in Segment's keywords", in_segments_words, peer, events),
    ]


def corpus_subjects(count: int) -> list[Subject]:
    """The ``count`` destinations of the corpus with the most presets; of equals, the most fields.

    Presets for what is not an event (without ``subscribe``) and for what runs in browsers (the
    action is not there) do not count. The events are those of the destination's vectors that give a
    payload; a destination without any is passed over.
    """
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        corpus: dict[str, Any] = json.load(file)
    events: dict[str, list[Event]] = {slug: [] for slug in corpus}
    with gzip.open(_VECTORS, "rt", encoding="utf-8") as file:
        for vector in map(json.loads, file):
            events[vector["destination"]].append(vector["event"])
    order = sorted(corpus, key=lambda slug: (*_extent(corpus[slug]), slug))
    with tempfile.TemporaryDirectory() as folder:
        subjects = (
            _corpus_subject(imported(slug, Path(folder)), corpus[slug], events[slug])
            for slug in order
        )
        return list(itertools.islice((one for one in subjects if one.events), count))


def imported(slug: str, folder: Path) -> Path:
    """One destination of the corpus as a definition of its own, in ``folder``."""
    return import_segment(CORPUS, destination=slug, out=folder / slug).folder


def compiled(definition: DestinationDefinition) -> Destination:
    """An imported definition, compiled; its settings are left empty, since nothing is sent."""
    return Destination(definition, Settings({}, ()))


def _is_admitted(destination: Destination, line: bytes) -> bool:
    try:
        event = check_event(read_json(line))
    except EventError:
        return False
    is_huge = _is_huge((event.get("properties") or {}).get("delta"))
    return destination.admit(event) is None and not is_huge


def _without_own_keywords(definition: DestinationDefinition) -> Destination:
    actions = {
        slug: replace(
            action,
            fields={
                **action.fields,
                "properties": {
                    key: {name: value for name, value in spec.items() if name[:2] != "x-"}
                    for key, spec in action.fields["properties"].items()
                },
            },
            unmapped=None,
        )
        for slug, action in definition.actions.items()
    }
    plugin = find_plugin(definition.slug)
    code = plugin.code(None) if plugin is not None else None
    plain = replace(definition, actions=actions, placeholders=(), blank_traits=None)
    return Destination(plain, Settings({}, ()), code)


def _payloads(destination: Destination, line: bytes) -> list[Any]:
    """What is made of an event; of each subscription that makes nothing of it, None."""
    return [
        None if isinstance(what, Result) else what
        for _, what in destination.payloads(read_json(line))
    ]


def _holds_large_integer(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_large_integer, value.values()))
    if isinstance(value, list):
        return any(map(_holds_large_integer, value))
    return isinstance(value, int) and abs(value) > _LARGEST_EXACT_INTEGER


def _is_huge(amount: object) -> bool:
    try:
        number = float(amount) if isinstance(amount, int | float | str) else 0.0
    except ValueError:
        return False
    return not -(2**31) <= number < 2**31


def _segment_fields(action: ActionDefinition) -> dict[str, Any]:
    """An action's JSON Schema as fields of Segment; bounds of texts are those of their lengths."""
    names = {
        "title": "label",
        "description": "description",
        "type": "type",
        "default": "default",
        "minLength": "minimum",
        "minimum": "minimum",
        "maximum": "maximum",
    }
    fields = {
        key: {names[keyword]: value for keyword, value in spec.items() if keyword[:2] != "x-"}
        for key, spec in action.fields["properties"].items()
    }
    for key in action.fields["required"]:
        fields[key]["required"] = True
    return fields


def _peer(name: str, actions: Mapping[str, Any], presets: Sequence[Preset]) -> dict[str, Any]:
    return {
        "name": name,
        "actions": {slug: {"fields": fields} for slug, fields in actions.items()},
        "subscriptions": [
            {
                "partnerAction": preset.partner_action,
                "subscribe": preset.subscribe,
                "mapping": preset.mapping,
            }
            for preset in presets
        ],
    }


def _extent(source: Mapping[str, Any]) -> tuple[int, int]:
    actions: Mapping[str, Any] = source["actions"]
    presets = sum(
        "subscribe" in preset and preset["partnerAction"] in actions for preset in source["presets"]
    )
    return -presets, -sum(len(action["fields"] or {}) for action in actions.values())


def _corpus_subject(folder: Path, source: Mapping[str, Any], events: Sequence[Event]) -> Subject:
    destination = compiled(load_definition(folder))
    slug = destination.definition.slug
    actions = {name: action["fields"] for name, action in source["actions"].items()}
    return Subject(
        slug,
        destination,
        _peer(slug, actions, destination.definition.presets),
        [
            json.dumps(event).encode()
            for event in events
            if any(not isinstance(what, Result) for _, what in destination.payloads(event))
        ],
    )
