"""Whole actions: fields, a mapping for them, a subscription and an event."""

from __future__ import annotations

from typing import Any

from differential_inputs.fields import fields_and_payloads
from differential_inputs.json_values import events, one_in
from differential_inputs.mappings import mapping_values, mappings
from differential_inputs.subscriptions import subscriptions
from hypothesis import strategies as st

__all__ = ["actions"]


@st.composite
def actions(draw: st.DrawFn) -> dict[str, Any]:
    """The inputs of an action; most subscriptions match, and most mappings are for its fields."""
    fields, payload = draw(fields_and_payloads())
    event = draw(events())
    event["properties"] = payload
    if event.get("context", ...) is None:
        # The reference looks into the context for audiences and fails with a TypeError.
        del event["context"]
    mapping: dict[str, Any] = {
        key: draw(st.one_of(st.just({"@path": f"$.properties.{key}"}), mapping_values))
        for key in fields
    }
    if one_in(draw, 6):
        mapping |= draw(mappings())
    subscribe = draw(subscriptions()) if one_in(draw, 3) else 'type = "x" or type != "x"'
    return {"fields": fields, "subscribe": subscribe, "mapping": mapping, "event": event}
