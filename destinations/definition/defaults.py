"""Find constants of a definition that break the schema of their own setting or field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destinations.definition.document import Document
from destinations.errors import DefinitionError, Issue, ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.parts import alternatives, split
from destinations.segment.validation import compile_schema
from destinations.segment.validation.required_when import unconditional

__all__ = ["broken_field_defaults", "broken_mapping", "broken_setting_defaults"]


def broken_setting_defaults(document: Document) -> Iterator[Issue]:
    """Yield the defaults of settings that their own schema refuses."""
    for key, spec in document.data["settings"]["properties"].items():
        if "default" in spec:
            place = pointer("settings", "properties", key, "default")
            yield from _broken(document, place, "setting", spec, spec["default"])


def broken_field_defaults(document: Document) -> Iterator[Issue]:
    """Yield the constant defaults of an action's fields that their own schema refuses."""
    properties = document.data["fields"]["properties"]
    mapping = {key: spec["default"] for key, spec in properties.items() if "default" in spec}
    for key, value in mapping.items():
        place = pointer("fields", "properties", key, "default")
        yield from _broken_results(document, place, properties[key], value)


def broken_mapping(
    document: Document, place: str, mapping: Mapping[str, Any], fields: Mapping[str, Any]
) -> Iterator[Issue]:
    """Yield the constants in a subscription's mapping that the schema of their field refuses."""
    for key, spec in fields["properties"].items():
        if key in mapping:
            yield from _broken_results(document, place + pointer(key), spec, mapping[key])


def _broken_results(
    document: Document, place: str, spec: Mapping[str, Any], value: object
) -> Iterator[Issue]:
    """Yield why each constant that a mapping may give is refused, if it can give nothing else."""
    found = [
        list(_broken(document, at, "field", spec, result)) for at, result in _results(value, place)
    ]
    if all(found):
        yield from (issue for issues in found for issue in issues)


def _results(value: object, place: str) -> Iterator[tuple[str, Any]]:
    """Yield the constants that a mapping may give, with their places; UNDEFINED for what varies."""
    try:
        compile_value(value)
    except DefinitionError:  # which is reported as an issue of its own
        return
    for one in alternatives(value):
        at, found = place + one.place, split(one.value)
        if found is not None and found.directive.name == "@case" and isinstance(one.value, dict):
            argument = one.value["@case"]
            for inner, text in _results(argument.get("value"), f"{at}/@case/value"):
                yield inner, _in_case(argument, text)
        else:
            yield at, _constant(one.value)


def _in_case(argument: Mapping[str, Any], text: Any) -> Any:
    """Return what ``@case`` makes of a constant; UNDEFINED where it fails or there is none."""
    if text is UNDEFINED:
        return UNDEFINED
    try:
        return compile_value({"@case": {**argument, "value": text}}).resolve({})
    except (DefinitionError, ResolveError):
        return UNDEFINED


def _constant(value: object) -> Any:
    """Return the value of a mapping that is the same for every event, else UNDEFINED."""
    try:
        return compile_value(value).constant
    except DefinitionError:  # which is reported as an issue of its own
        return UNDEFINED


def _broken(
    document: Document, place: str, kind: str, spec: Mapping[str, Any], value: Any
) -> Iterator[Issue]:
    if value is UNDEFINED:
        return
    try:
        alone = unconditional(spec)
        schema = compile_schema({"type": "object", "properties": {"value": alone}})
    except DefinitionError:  # as above
        return
    # As at run time: text that holds a number is one, and what is empty counts as absent.
    for error in schema.check({"value": value}).errors:
        inner = error.path.removeprefix("/value")
        yield document.issue(place + inner, f"does not fit its own {kind}: {error.message}")
