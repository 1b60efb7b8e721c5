"""Make the rows of an action's table of fields from the definition that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.definition.form_keywords import rule_text
from destinations.kit.partner_page.flavour import code_span, in_one_line, joined
from destinations.segment.json_pointer import value_at
from destinations.segment.mapping.parts import split

__all__ = ["FieldRow", "SettingRow", "field_rows", "first_sources", "setting_rows"]

_WHOLE_EVENT: Final = "The whole event"
_NO_FIELD: Final = "None"
_OWN_NAMES: Final = "*"
_EACH_OWN: Final = "A field for each, of the same name"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field; ``sources`` are the paths of an event that its default mapping reads first.

    The empty path is the whole event. ``partners`` are the partner's names of the field, none if
    the definition has none; ``*`` stands for those of an object's members. ``required`` is true
    only if an event without the field ends as invalid. ``sentence`` is the description, followed by
    what the definition says besides: the values that the field takes, what a computed value is made
    of, and the default.
    """

    key: str
    title: str
    sources: tuple[str, ...]
    partners: tuple[str, ...]
    required: bool
    sentence: str

    @property
    def partner(self) -> str:
        """Return the partner's names as Markdown, never empty, as other fields may have some."""
        names = [_EACH_OWN if name == _OWN_NAMES else code_span(name) for name in self.partners]
        return ", ".join(names) or _NO_FIELD

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
    """Return the fields of ``action`` in the order of its definition.

    A field that forms hide and that reads nothing of the event is not the customer's affair.
    """
    properties: dict[str, dict[str, Any]] = action.fields["properties"]
    # An event without this field is kept, not refused, so for the customer it is optional.
    kept = action.unmapped.missing if action.unmapped else None
    return [
        FieldRow(
            key=key,
            title=spec["title"],
            sources=tuple(dict.fromkeys(first_sources(spec.get("default")))),
            partners=_names(spec.get("x-partnerField", ())),
            required=key in action.fields.get("required", ()) and key != kept,
            sentence=_sentence(spec, *_computed(spec.get("default"))),
        )
        for key, spec in properties.items()
        if not spec.get("x-hidden") or any(first_sources(spec.get("default")))
    ]


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def setting_rows(definition: DestinationDefinition) -> list[SettingRow]:
    """Return the settings that Segment's catalog has, in the order of the definition."""
    required = definition.settings.get("required", ())
    return [
        SettingRow(key, spec["title"], key in required, _sentence(spec))
        for key, spec in definition.settings["properties"].items()
        if spec.get("x-catalog", True) and not spec.get("x-hidden")
    ]


def _sentence(spec: Mapping[str, Any], *computed: str) -> str:
    """Return what a row says of a field or a setting."""
    description = in_one_line(spec["description"])
    sentences = [description, *_choices(spec), *_of_forms(spec), *computed]
    default = _default(spec.get("x-otherwise", spec.get("default")))
    if default and "default" not in description.lower():
        sentences.append(f"Defaults to `{default}`.")
    return " ".join(sentences)


def _choices(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield which values a field takes, if they are listed."""
    items = spec.get("items")
    for begin, schema in (("One of", spec), ("A list of", items)):
        values = schema.get("enum", ()) if isinstance(schema, dict) else ()
        labels = schema.get("x-labels") if isinstance(schema, dict) else None
        shown = [
            f"`{_text(value)}`" + (f" ({in_one_line(label)})" if label else "")
            for value, label in zip(values, labels or [None] * len(values), strict=True)
            if value is not None
        ]
        if shown:
            yield f"{begin} {joined(shown, 'or')}."


def _of_forms(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield what forms say of a field: when it is required or shown, and what may be entered."""
    for keyword, begin in (("x-requiredWhen", "Required if"), ("x-dependsOn", "Only used if")):
        if keyword in spec and (begin != "Only used if" or "x-requiredWhen" not in spec):
            yield f"{begin} {rule_text(spec[keyword])}."
    if "x-choices" in spec:
        yield "Chosen from a list that the partner has."
    if "x-placeholder" in spec:
        yield f"For example, {code_span(in_one_line(spec['x-placeholder']))}."
    if spec.get("readOnly"):
        yield "Its mapping can't be changed."


def _computed(mapping: object) -> Iterator[str]:
    """Yield what a mapping does besides reading the paths of `first_sources`."""
    found = split(mapping)
    if found is None:
        return
    name, code, text = found.directive.name, found.part("code"), found.part("text")
    for part in found.results()[1:]:
        other = [source for source in first_sources(part.value) if source]
        if other:
            yield f"Falls back to {joined([f'`{source}`' for source in other])}."
    if name in _TEMPLATES and code is not None and isinstance(code.value, str):
        yield f"Made from the {_TEMPLATES[name]} `{' '.join(code.value.split())}`."
    elif name == "@case" and text is not None:
        yield f"In {value_at(mapping, '/@case/operator')} case."
    elif name == "@convert":
        to = value_at(mapping, "/@convert/to")
        said = ", ".join(_CONVERTED[word] for word in ([to] if isinstance(to, str) else to))
        yield f"{said[:1].upper()}{said[1:]}."
    elif name in _RESULTS:
        yield _RESULTS[name]


_TEMPLATES: Final = {"@template": "template", "@liquid": "Liquid template"}
_CONVERTED: Final = {
    "iso": "as a time in ISO 8601",
    "seconds": "in seconds since 1970",
    "milliseconds": "in milliseconds since 1970",
    "microseconds": "in microseconds since 1970",
    "number": "as a number",
    "integer": "as a whole number",
    "text": "as text",
    "lower": "in lower case",
    "upper": "in upper case",
    "trim": "without white space around it",
    "digits": "only its digits",
    "sha256": "hashed with SHA-256",
    "uuid": "as a UUID",
}
_RESULTS: Final = {
    "@arrayPath": "A list with an entry for each item.",
    "@flatten": "Flattened into one object.",
    "@merge": "Merged into one object.",
    "@replace": "With parts of the text replaced.",
}


def first_sources(mapping: object) -> Iterator[str]:
    """Yield the event paths that a mapping reads first, before any alternatives."""
    found = split(mapping)
    if found is not None:
        results = [part for part in found.results() if part.on == "data"]
        for part in results[:1] or found.parts:
            if part.role == "code" and isinstance(part.value, str):
                yield from map(".".join, found.directive.paths(part.value))
            elif part.on == "data":
                yield from first_sources(part.value)
    elif isinstance(mapping, dict | list):
        for inner in mapping.values() if isinstance(mapping, dict) else mapping:
            yield from first_sources(inner)


def _default(mapping: object) -> str:
    """Return the literal fallback of a mapping, as text; empty without one."""
    found = split(mapping)
    if found is None:
        return "" if mapping is None or isinstance(mapping, dict | list) else _text(mapping)
    results = found.results()
    is_sure = len(results) > 1 or (len(results) == 1 and found.part("input") is None)
    return _default(results[-1].value) if is_sure else ""


def _text(value: object) -> str:
    """Return a value as people write it in a form: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
