"""What the actions of Segment's public destinations can send is what their sandboxes expect."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, Preset, RestDefinition
from destinations.errors import UsageError
from destinations.http import HttpRequest
from destinations.kit.importer import import_segment
from destinations.runtime.action import Action, Subscription
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from destinations.sandbox.expected_request import ExpectedRequest
from destinations.sandbox.placeholders import placeholder_settings
from destinations.sandbox.possible_values import values_of
from destinations.sandbox.sample_value import sample
from destinations.sandbox.wire import WireRequest

PUBLIC = Path(__file__).parents[2] / "conformance" / "definitions.json.gz"
CATALOG: Mapping[str, Any] = json.loads(gzip.decompress(PUBLIC.read_bytes()))


_API = "https://api.example.com/v1/"


def _written(definition: DestinationDefinition) -> DestinationDefinition:
    """The definition, whose pending requests send the payload, field by field and in batches."""
    requests = dict(definition.requests)
    for action in definition.actions.values():
        if action.perform.request is not None:
            body = {key: {"@path": f"$.payload.{key}"} for key in action.fields["properties"]}
            call = RestDefinition("POST", _API, ("actions", action.slug), json=body)
            own = requests[action.perform.request]
            requests[own.name] = replace(own, call=call, batch_size=3)
    return replace(definition, requests=requests)


def _payload(definition: DestinationDefinition, slug: str) -> Mapping[str, Any]:
    action = definition.actions[slug]
    schema = Subscription(Preset(slug, slug, 'type = "track"', {}), Action(action, {})).schema
    checked = schema.check(sample(action.fields))
    assert not checked.errors, (slug, checked.errors)
    payload: Mapping[str, Any] = checked.payload
    return payload


def _on_the_wire(request: HttpRequest) -> WireRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return WireRequest(
        request.method, "/" + request.url.split("/", 3)[3], headers, request.body or b""
    )


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_action_fits(name: str, tmp_path: Path) -> None:
    """A payload of all fields and one of the required fields alone are taken, two at a time."""
    file = tmp_path / "catalog.json"
    file.write_text(json.dumps({name: CATALOG[name]}), encoding="utf-8")
    imported = import_segment(file, out=tmp_path / name).definition
    with pytest.raises(UsageError, match="has no request yet that a sandbox could answer"):
        DefinitionSandbox(imported)
    definition = _written(imported)
    settings = placeholder_settings(definition, dict.fromkeys(definition.secret_settings))
    for slug, action in definition.event_actions.items():
        request = definition.requests[action.perform.request or ""]
        values = values_of(definition, settings, request.name)
        expected = ExpectedRequest(definition, request, values)
        whole = _payload(definition, slug)
        least = {key: whole[key] for key in action.fields.get("required", ()) if key in whole}
        contexts = [
            {"event": {}, "payload": payload, "settings": settings} for payload in (whole, least)
        ]
        made = expected.compiled.prepare(
            [expected.compiled.part(context) for context in contexts], contexts[0]
        )
        wire = _on_the_wire(made)
        assert expected.is_at(None, wire.path)
        issues, events = expected.read(wire)
        assert ([str(issue) for issue in issues], events.count) == ([], 2), slug
