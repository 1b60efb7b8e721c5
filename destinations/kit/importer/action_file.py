"""Write the YAML of one action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.definition.defaults import broken_field_defaults
from destinations.definition.document import Document
from destinations.errors import DefinitionError
from destinations.kit.importer.field_notes import prepared_fields
from destinations.kit.importer.findings import Findings
from destinations.kit.importer.kept import keep_for_segment
from destinations.kit.importer.presets import checked_fql, checked_value
from destinations.kit.importer.segment_model import SegmentAction
from destinations.kit.importer.titles import NO_DESCRIPTION, title_of
from destinations.kit.importer.yaml_text import comment, yaml_text
from destinations.segment.fields import fields_to_schema
from destinations.segment.fql import compile_fql
from destinations.segment.json_pointer import pointer

__all__ = ["action_schema", "action_text"]

_HIDDEN: Final = "Segment does not show this action to people who set the destination up."
_SCHEMA_LINE: Final = {"$schema": "schemas/action.schema.json"}
_FIRST: Final = ("title", "description", "type", "format", "enum", "x-labels")
_LAST: Final = ("items", "required", "additionalProperties", "properties", "allOf", "default")


def action_schema(action: SegmentAction, findings: Findings) -> dict[str, Any]:
    """Return the JSON Schema of an action's fields, in a definition's form.

    Issues in the fields and their defaults are added to ``findings``. An action without fields
    accepts any payload, as in Segment's runtime.
    """
    if not action.fields:
        return {"type": "object", "additionalProperties": True, "properties": {}}
    place = f"{action.path}/fields"
    try:
        fields = prepared_fields(action.fields, place, findings)
        schema = fields_to_schema(fields, path=place)
    except DefinitionError as error:
        for issue in error.issues:
            findings.issue(issue.path, issue.message)
        return {"type": "object", "properties": {}}
    del schema["$schema"]
    keep_for_segment(schema, fields)
    for key, spec in schema["properties"].items():
        spec.setdefault("title", title_of(key))
        spec.setdefault("description", NO_DESCRIPTION)
        if "default" in spec and not checked_value(
            spec["default"], place + pointer(key, "default"), findings
        ):
            del spec["default"]
    for issue in broken_field_defaults(Document("", {"fields": schema}, {})):
        name = next(
            name
            for name in schema["properties"]
            if issue.path.startswith(pointer("fields", "properties", name, "default"))
        )
        findings.note(place + pointer(name, "default"), f"{issue.message}: left out")
        schema["properties"][name].pop("default", None)
    return schema


def action_text(
    action: SegmentAction, title: str, schema: Mapping[str, Any], request: str, findings: Findings
) -> str:
    """Return an action's file as text; it has the fields ``schema`` and performs ``request``."""
    head: dict[str, Any] = {
        **_SCHEMA_LINE,
        "slug": action.slug,
        "title": title,
        "description": action.description or NO_DESCRIPTION,
    }
    remarks = [_HIDDEN, *action.remarks] if action.hidden else action.remarks
    parts = [*map(comment, remarks), yaml_text(head), *_subscription(action, findings), "\n"]
    parts += [*_fields(schema), "\n", yaml_text({"perform": {"request": request}})]
    return "".join(parts)


def _subscription(action: SegmentAction, findings: Findings) -> Iterator[str]:
    given = action.default_subscription
    if given is None:
        return
    written = checked_fql(given, f"{action.path}/defaultSubscription", findings)
    if written != given:
        yield comment(f"Segment's file says: {given}")
    if written is not None:
        yield yaml_text({**_method(written), "defaultSubscription": written})


def _method(fql: str) -> dict[str, str]:
    """Return the Spec call of an action if its subscription names exactly one, else None."""
    types = compile_fql(fql).types
    return {"method": min(types)} if len(types) == 1 else {}


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    around = {key: value for key, value in schema.items() if key != "properties"}
    after = {"allOf": around.pop("allOf")} if "allOf" in around else {}
    order = ("type", "required", "additionalProperties")
    yield "fields:\n"
    yield yaml_text({key: around[key] for key in order if key in around}, indent=2)
    if not schema["properties"]:
        yield "  properties: {}\n"
    else:
        yield "  properties:\n"
        for key, spec in schema["properties"].items():
            yield yaml_text({key: _ordered(spec)}, indent=4)
    if after:
        yield comment("Conditions that require fields, as Segment's runtime reads them.", indent=2)
        yield yaml_text(after, indent=2)


def _ordered(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with its keywords in the usual order of reading."""
    keys = [key for key in _FIRST if key in schema]
    keys += [key for key in schema if key not in (*_FIRST, *_LAST)]
    keys += [key for key in _LAST if key in schema]
    found = {key: schema[key] for key in keys}
    if isinstance(found.get("properties"), dict):
        found["properties"] = {name: _ordered(inner) for name, inner in found["properties"].items()}
    if isinstance(found.get("items"), dict):
        found["items"] = _ordered(found["items"])
    return found
