"""The page on conversions: its tables are made by giving values to fields of each type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from destinations.segment.mapping import compile_mapping
from destinations.segment.validation import compile_schema
from destinations.segment.validation.results import Checked
from making.page import Page, table

__all__ = [
    "DATES",
    "EMPTIES",
    "FORMATS",
    "PLACES",
    "READ",
    "TYPES",
    "VALUES",
    "Schema",
    "conversion_pages",
    "settled",
]

_SOURCE: Final = Path(__file__).parent / "conversions.yaml"
_NOTHING: Final = object()
Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_LIST: Final[Schema] = {"type": "array", "items": _TEXT}

TYPES: Final[Mapping[str, Schema]] = {
    **{name: {"type": name} for name in ("string", "number", "integer", "boolean", "object")},
    "list": _LIST,
}
VALUES: Final[Sequence[Any]] = (
    None, "", " ", "pro", "5", "1.5", "true", 0, 1, 1.5, True, False,
    [], ["5"], ["a", "b"], {}, {"a": 1},
)  # fmt: skip
_WHOLE: Final[Sequence[Any]] = (None, "", "5", "5.0", "0x10", 5.0, 5.5, True, [5])
_PRINTED: Final[Sequence[float]] = (
    5, 5.0, 0.1, -0.0, 1234.50, 0.000001, 0.0000001, 1e21, 12345678901234567890,
)  # fmt: skip
READ: Final[Sequence[str]] = (
    "5", " 5 ", "05", "+5", "1.50", ".5", "1e3", "0x10", "1,000", "1_000", "5 EUR",
    "Infinity", "NaN",
)  # fmt: skip
DATES: Final[Sequence[Any]] = (
    "2026-03-05T14:30:00Z",
    "2026-03-05T14:30:00+01:00",
    "2026-03-05T14:30:00",
    "2026-03-05 14:30",
    "2026-03-05",
    "2026-02-30",
    "March 5, 2026",
    "5.3.2026",
    "1772721000",
    1772721000,
    "tomorrow",
    True,
)
FORMATS: Final[Mapping[str, Schema]] = {
    "date-like": {"type": ["string", "number"], "format": "date-like"},
    "date-time": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
}
EMPTIES: Final[Mapping[str, Schema]] = {
    "string": _TEXT,
    "string or null": {"type": ["string", "null"]},
    "number": {"type": "number"},
    "number or null": {"type": ["number", "null"]},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "any": {},
}


def settled(schema: Schema, value: Any) -> Checked:
    """Return the payload of one field, ``f``, for a value."""
    whole = {"type": "object", "properties": {"f": schema}, "additionalProperties": False}
    return compile_schema(whole).check({"f": value})


def _cell(checked: Checked, found: Callable[[Any], Any] = lambda field: field) -> str:
    """Return what became of a value: JSON, ``left out`` or ``invalid``."""
    if checked.errors:
        return "invalid"
    value = found(checked.payload["f"]) if "f" in checked.payload else _NOTHING
    return "left out" if value is _NOTHING else _json(value)


def conversion_pages() -> Iterator[Page]:
    """Yield the page."""
    text = yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))["text"].format(
        types=_grid(VALUES, TYPES),
        whole=_grid(
            _WHOLE,
            {
                "integer": {"type": "integer"},
                "with x-wholeNumber": {"type": "integer", "x-wholeNumber": True},
            },
        ),
        nulls=_empties(None),
        texts=_empties(""),
        printed=_printed(),
        read=_grid(READ, {name: TYPES[name] for name in ("number", "integer")}),
        dates=_dates(),
    )
    yield Page(
        "conversions.md",
        "conversions",
        "What becomes of a value on its way: types, empty values, numbers and dates.",
        text,
        "docs/making/conversions.yaml",
        ("conversion", "coercion", "types", "empty values", "null"),
    )


def _grid(values: Sequence[Any], schemas: Mapping[str, Schema]) -> str:
    rows = [
        (_json(value), *(_cell(settled(schema, value)) for schema in schemas.values()))
        for value in values
    ]
    return table(("value", *schemas), rows)


def _empties(value: Any) -> str:
    """Return a table of what becomes of an empty value, by the type and the place of its field."""
    rows = [
        (name, *(_in_place(schema, value, place) for place in PLACES))
        for name, schema in EMPTIES.items()
    ]
    return table(("type", *PLACES), rows)


class Place(NamedTuple):
    """A place in a payload: the schema of the field that holds it, and a value there."""

    schema: Callable[[Schema], Schema]
    value: Callable[[Any], Any]
    found: Callable[[Any], Any]


def _object_of(schema: Schema) -> Schema:
    return {"type": "object", "properties": {"m": schema}}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


PLACES: Final[Mapping[str, Place]] = {
    "in the payload": Place(lambda schema: schema, lambda value: value, lambda field: field),
    "in an object": Place(
        _object_of, lambda value: {"m": value}, lambda field: field.get("m", _NOTHING)
    ),
    "in a list": Place(
        _list_of, lambda value: [value], lambda field: field[0] if field else _NOTHING
    ),
    "in an object of a list": Place(
        lambda schema: _list_of(_object_of(schema)),
        lambda value: [{"m": value}],
        lambda field: field[0].get("m", _NOTHING),
    ),
}


def _in_place(schema: Schema, value: Any, name: str) -> str:
    place = PLACES[name]
    return _cell(settled(place.schema(schema), place.value(value)), place.found)


def _dates() -> str:
    rows = [
        (
            _json(value),
            *("no" if settled(schema, value).errors else "yes" for schema in FORMATS.values()),
        )
        for value in DATES
    ]
    return table(("value", *FORMATS), rows)


def _printed() -> str:
    template = compile_mapping({"text": {"@template": "{{properties.n}}"}})
    rows = [
        (json.dumps(number), f'"{template.resolve({"properties": {"n": number}})["text"]}"')
        for number in _PRINTED
    ]
    return table(("number", "text"), rows)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
