"""Make the rows of an action's table of fields from the definition that runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.kit.partner_page.flavour import in_one_line, joined

__all__ = ["FieldRow", "SettingRow", "field_rows", "first_sources", "setting_rows"]

_NO_DEFAULT: Final = object()
_LIQUID_PATH: Final = re.compile(r"\{\{-?\s*([A-Za-z_][\w.]*)")
_WHOLE_EVENT: Final = "The whole event"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field; ``sources`` are the paths of an event that its default mapping reads first.

    The empty path is the whole event. ``partner`` is the partner's name of the field, empty if the
    definition has none. ``required`` is true only if an event without the field ends as invalid.
    ``sentence`` is the description, followed by what the definition says besides: the values that
    the field takes, what a computed value is made of, and the default.
    """

    key: str
    title: str
    sources: tuple[str, ...]
    partner: str
    required: bool
    sentence: str

    @property
    def cell(self) -> str:
        """Return the event's paths as Markdown; the title if nothing is read by default."""
        if not self.sources:
            return self.title
        return ", ".join(f"`{source}`" if source else _WHOLE_EVENT for source in self.sources)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting of Segment's catalog; ``sentence`` is as in `FieldRow`."""

    key: str
    title: str
    required: bool
    sentence: str


def field_rows(action: ActionDefinition) -> list[FieldRow]:
    """Return the fields of ``action`` in the order of its definition."""
    properties: dict[str, dict[str, Any]] = action.fields["properties"]
    # An event without this field is kept, not refused, so for the customer it is optional.
    kept = action.unmapped.missing if action.unmapped else None
    return [
        FieldRow(
            key=key,
            title=spec["title"],
            sources=tuple(dict.fromkeys(first_sources(spec.get("default")))),
            partner=spec.get("x-partnerField", ""),
            required=key in action.fields.get("required", ()) and key != kept,
            sentence=_sentence(spec, *_computed(spec.get("default"))),
        )
        for key, spec in properties.items()
    ]


def setting_rows(definition: DestinationDefinition) -> list[SettingRow]:
    """Return the settings that Segment's catalog has, in the order of the definition."""
    required = definition.settings.get("required", ())
    return [
        SettingRow(key, spec["title"], key in required, _sentence(spec))
        for key, spec in definition.settings["properties"].items()
        if spec.get("x-catalog", True)
    ]


def _sentence(spec: Mapping[str, Any], *computed: str) -> str:
    """Return what a row says of a field or a setting."""
    description = in_one_line(spec["description"])
    sentences = [description, *_choices(spec), *computed]
    default = _default(spec.get("x-otherwise", spec.get("default", _NO_DEFAULT)))
    if default and "default" not in description.lower():
        sentences.append(f"Defaults to `{default}`.")
    return " ".join(sentences)


def _choices(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield which values a field takes, if they are listed."""
    items = spec.get("items")
    for begin, schema in (("One of", spec), ("A list of", items)):
        values = schema.get("enum", ()) if isinstance(schema, dict) else ()
        shown = [f"`{_text(value)}`" for value in values if value is not None]
        if shown:
            yield f"{begin} {joined(shown, 'or')}."


def _computed(mapping: object) -> Iterator[str]:
    """Yield what a mapping does besides reading the paths of `first_sources`."""
    if not isinstance(mapping, dict):
        return
    for key, value in mapping.items():
        if key == "@if":
            other = [source for source in first_sources(value.get("else")) if source]
            if other:
                yield f"Falls back to {joined([f'`{source}`' for source in other])}."
        elif key in _TEMPLATES and isinstance(value, str):
            yield f"Made from the {_TEMPLATES[key]} `{' '.join(value.split())}`."
        elif key == "@case":
            yield f"In {value.get('operator')} case."
        elif key in _RESULTS:
            yield _RESULTS[key]


_TEMPLATES: Final = {"@template": "template", "@liquid": "Liquid template"}
_RESULTS: Final = {
    "@arrayPath": "A list with an entry for each item.",
    "@flatten": "Flattened into one object.",
    "@merge": "Merged into one object.",
    "@replace": "Parts of the text are replaced.",
}


def first_sources(mapping: object) -> Iterator[str]:
    """Yield the event paths that a mapping reads first, before any alternatives."""
    if isinstance(mapping, list):
        for item in mapping:
            yield from first_sources(item)
    elif isinstance(mapping, dict):
        for key, value in mapping.items():
            yield from _of_directive(key, value)


def _of_directive(key: str, value: Any) -> Iterator[str]:
    """Yield the paths that one directive reads, or one plain key of an object."""
    if key == "@path" and isinstance(value, str):
        yield value.removeprefix("$").removeprefix(".")
    elif key == "@liquid" and isinstance(value, str):
        yield from _LIQUID_PATH.findall(value)
    elif key == "@template" and isinstance(value, str):
        for path in re.findall(r"\{\{\{?\s*([^{}\s]+)\s*\}?\}\}", value):
            yield path.removeprefix("$.")
    elif key == "@if":
        yield from first_sources(value.get("then") if isinstance(value, dict) else None)
    elif key == "@arrayPath" and isinstance(value, list):
        # Paths in the shape are relative to each item.
        yield from first_sources({"@path": value[0]} if isinstance(value[0], str) else value[0])
    elif key not in {"@literal", "_metadata"}:
        yield from first_sources(value)


def _default(mapping: object) -> str:
    """Return the literal fallback of a mapping, as text; empty without one."""
    if isinstance(mapping, dict):
        other = mapping.get("@if", {}).get("else") if "@if" in mapping else None
        return "" if other is None or isinstance(other, dict | list) else _text(other)
    return "" if mapping is _NO_DEFAULT or mapping is None else _text(mapping)


def _text(value: object) -> str:
    """Return a value as people write it in a form: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
