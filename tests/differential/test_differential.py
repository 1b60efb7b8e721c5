from __future__ import annotations

from collections.abc import Callable
from typing import Any

from differential_inputs.actions import actions
from differential_inputs.fields import fields_and_payloads
from differential_inputs.json_values import events
from differential_inputs.mappings import mappings
from differential_inputs.subscriptions import matching_events, subscriptions
from hypothesis import given, settings

Compare = Callable[[str, dict[str, Any]], None]
as_often_as_asked = settings(settings.get_profile("differential"))


@as_often_as_asked
@given(mapping=mappings(), event=events())
def test_mappings(compare: Compare, mapping: dict[str, Any], event: dict[str, Any]) -> None:
    """A mapping makes the same payload of an event, or is refused where the reference fails."""
    compare("mapping", {"mapping": mapping, "event": event})


@as_often_as_asked
@given(fql=subscriptions(), event=matching_events())
def test_subscriptions(compare: Compare, fql: str, event: dict[str, Any]) -> None:
    """A subscription matches the same events; text that the reference cannot read matches none."""
    compare("fql", {"fql": fql, "event": event})


@as_often_as_asked
@given(fields_and_payload=fields_and_payloads())
def test_fields(
    compare: Compare, fields_and_payload: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Fields make the same of a payload: what is taken out, coerced, and refused."""
    fields, payload = fields_and_payload
    compare(
        "action",
        {
            "fields": fields,
            "subscribe": 'type = "track"',
            "mapping": {"@path": "$.properties"},
            "event": {"type": "track", "properties": payload},
        },
    )


@as_often_as_asked
@given(action=actions())
def test_actions(compare: Compare, action: dict[str, Any]) -> None:
    """From an event to a payload everything together comes out the same."""
    compare("action", action)
