"""Keep in ``x-segment`` what of a field of Segment's no other keyword says.

That changes nothing of what is valid here; an export writes it again, so that the fields of a
destination that is imported and exported are those that it had.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from destinations.definition.document import Document
from destinations.kit.exporter.fields import KEPT, action_fields
from destinations.kit.exporter.findings import Findings
from destinations.kit.exporter.metadata import public_field

__all__ = ["keep_for_segment"]

_NAMES: Final = (
    *("type", "format", "minimum", "maximum", "allowNull", "additionalProperties"),
    *("required", "depends_on", "choices", "placeholder", "category"),
)


def keep_for_segment(schema: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Add ``x-segment`` to each field of a ``schema`` whose export would not be the one given."""
    nowhere = Findings(defaultdict(lambda: Document("", {}, {})))
    exported = action_fields(schema, "", (), nowhere).fields
    for key, spec in schema["properties"].items():
        _keep(spec, fields[key], exported[key])


def _keep(spec: dict[str, Any], given: Mapping[str, Any], exported: Mapping[str, Any]) -> None:
    wanted, found = public_field(given), public_field(exported)
    kept = {name: wanted[name] for name in _NAMES if _text(wanted[name]) != _text(found[name])}
    kept = {name: value for name, value in kept.items() if value is not None}
    if kept:
        spec[KEPT] = kept
    inner = spec.get("items", spec).get("properties", {})
    for key, one in inner.items():
        _keep(one, given["properties"][key], exported["properties"][key])


def _text(value: object) -> str:
    """Return a value of JSON as text, the same for equal ones; true and 1 differ."""
    return json.dumps(value, sort_keys=True)
