"""Fields of actions, and payloads aimed at the edges of what they allow."""

from __future__ import annotations

import json
from typing import Any, Final

from differential_inputs.json_values import json_values, numbers, one_in, scalars, texts
from hypothesis import strategies as st

__all__ = ["fields_and_payloads"]

_TYPES: Final = ("string", "text", "password", "number", "integer", "boolean", "datetime", "object")
_KEYS: Final = ("a", "b", "c", "email", "length", "0", "user id", "é")
_FORMATS: Final = (
    "email", "uri", "uuid", "date", "time", "date-time", "hostname", "ipv4", "ipv6",
    "uri-reference", "duration", "url", "json-pointer", "byte", "date-like",
)  # fmt: skip
_FORMATTED: Final = (
    "a@b", "a@b.co", "ann@example.com", "ann..x@example.com", "ANN@EXAMPLE.COM",
    '"a b"@example.com', "ann@-x.co", "ann@exa_mple.com", "é@example.com", "ann@example.com ",
    "http://x", "https://example.com/a b", "https://example.com/%zz", "https://[::1]/", "urn:x",
    "mailto:a@b", "//x/y", "x:", "http://é.com", "123e4567-e89b-12d3-a456-426614174000",
    "urn:uuid:123e4567-e89b-12d3-a456-426614174000", "123E4567E89B12D3A456426614174000",
    "2024-02-29", "2023-02-29", "2024-13-01", "0000-01-01", "2024-1-1", "12:00:00", "24:00:00",
    "23:59:60", "12:00:00Z", "12:00:00+25:00", "12:00", "12:00:00.123z", "2024-01-01T12:00:00Z",
    "2024-01-01 12:00:00Z", "2024-01-01t12:00:00", "2024-01-01T12:00:00+0100",
    "2024-01-01T12:00:00.123456789+01:00", "1.2.3.4", "256.1.1.1", "01.2.3.4", "::1", "1::2::3",
    "fe80::1%1", "::ffff:1.2.3.4", "P1D", "PT1H", "P", "P1Y2M3DT4H5M6S", "P1W", "/a/b", "/a~",
    "a/b", "#/a", "YQ==", "YQ=", "!", "-x.com", "x" * 64 + ".com", "example.com.", "a_b.com",
    "localhost",
)  # fmt: skip
_DATES: Final = (
    "Jan 5, 2024", "5 Jan 2024", "January 5 2024 12:00", "2024/01/05", "01/05/2024", "13/05/2024",
    "2024-01-05T12:00", "2024-01-05T12:00:00.000+02:00", "Fri, 05 Jan 2024 12:00:00 GMT",
    "2024-01", "2024", "20240105", "2024-W01", "1704412800", "1704412800000", "1704412800.5", "-1",
    "1e3", "8640000000000", "8640000000001", "now", "noon", "tomorrow", "2024-01-05 12:00 PM",
    "12:00", "2024-02-30", "2024-01-32", "2024-1-5", "2024-01-05T12:00:00 Z", "2024-01-05z",
    "+002024-01-05", "Jan", "5", "May 2024", "2024-01-05T", "Sat Feb 31 2024", "2024.01.05",
    "20240105T120000Z", "2024-01-05T12:00:00Z[UTC]", "12/25/1995 GMT+0100", "Thu Jan 1 1970 (x)",
    "0", "00", "1 2 3",
)  # fmt: skip

_edges = st.one_of(
    scalars,
    texts,
    st.sampled_from(_FORMATTED),
    st.sampled_from(_DATES),
    numbers,
    st.sampled_from([0, 1, True, "", None]),
)
_payload_values = st.one_of(
    _edges,
    _edges,
    st.lists(_edges, max_size=3),
    st.lists(_edges, min_size=1, max_size=1),
    json_values,
)


def _may_be_defined(value: object) -> bool:
    """Half a surrogate pair in a definition is refused here when it is loaded."""
    return not (isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value))


@st.composite
def _conditions(draw: st.DrawFn, keys: list[str]) -> dict[str, Any]:
    def condition() -> dict[str, Any]:
        made: dict[str, Any] = {
            "fieldKey": draw(st.sampled_from([*keys, "a.b", "c.a", "nope"])),
            "operator": draw(st.sampled_from(["is", "is_not"])),
        }
        if draw(st.integers(0, 3)):
            made["value"] = draw(
                st.one_of(
                    st.sampled_from([1, "1", True, "x", None, 0, ""]),
                    scalars.filter(_may_be_defined),
                )
            )
        return made

    count = draw(st.sampled_from([1, 1, 2, 3]))
    rule: dict[str, Any] = {"conditions": [condition() for _ in range(count)]}
    match = draw(st.sampled_from(["any", "all", None]))
    return rule | ({"match": match} if match else {})


def _choices(draw: st.DrawFn) -> list[Any]:
    # The validator of the reference refuses choices that are there twice, and so every payload.
    different = st.lists(
        st.one_of(
            st.sampled_from(["x", "1", "true", ""]),
            _edges.filter(_may_be_defined).filter(lambda value: value is not None),
        ),
        min_size=1,
        max_size=4,
        unique_by=json.dumps,
    )
    values = draw(different)
    return [
        value if isinstance(value, str) and draw(st.booleans()) else {"label": "x", "value": value}
        for value in values
    ]


def _bounds(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    size = st.integers(0, 12) if kind == "string" else st.integers(-5, 12)
    return {name: draw(size) for name in ("minimum", "maximum") if one_in(draw, 6)}


def _members(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if depth and draw(st.booleans()):
        members["properties"] = draw(_fields(depth=depth - 1))
    if one_in(draw, 4):
        members["additionalProperties"] = draw(st.booleans())
    return members


@st.composite
def _field(draw: st.DrawFn, key: str, keys: list[str], depth: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(_TYPES))
    field: dict[str, Any] = {"type": kind, "label": key, "description": key}
    if one_in(draw, 4):
        field["required"] = draw(st.one_of(st.booleans(), _conditions(keys), _conditions(keys)))
    for name in ("multiple", "allowNull"):
        if one_in(draw, 4):
            field[name] = draw(st.booleans())
    if kind in {"string", "text", "number"} and one_in(draw, 4):
        field["format"] = draw(st.sampled_from(_FORMATS))
    if kind == "object":
        return field | _members(draw, depth)
    if one_in(draw, 6):
        field["choices"] = _choices(draw)
    return field | (_bounds(draw, kind) if kind in {"string", "number", "integer"} else {})


@st.composite
def _fields(draw: st.DrawFn, depth: int = 1) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(_KEYS), min_size=1, max_size=4, unique=True))
    fields: dict[str, Any] = {}
    for key in keys:
        fields[key] = draw(_field(key, keys, depth))
    return fields


def _payload_of(draw: st.DrawFn, fields: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for key, field in fields.items():
        if one_in(draw, 5):
            continue
        value = _near(draw, field)
        payload[key] = (
            [value, _near(draw, field)] if field.get("multiple") and draw(st.booleans()) else value
        )
    if one_in(draw, 6):
        payload[draw(st.sampled_from((*_KEYS, "nope")))] = draw(_payload_values)
    return payload


def _near(draw: st.DrawFn, field: dict[str, Any]) -> Any:
    choices = [
        choice["value"] if isinstance(choice, dict) else choice
        for choice in field.get("choices", [])
    ]
    if choices != [] and draw(st.booleans()):
        return draw(st.sampled_from(choices))
    if field.get("properties") and draw(st.integers(0, 4)):
        return _payload_of(draw, field["properties"])
    if "format" in field and draw(st.booleans()):
        return draw(st.sampled_from(_FORMATTED))
    if field["type"] == "datetime" and draw(st.booleans()):
        return draw(st.sampled_from(_DATES))
    return draw(_payload_values)


@st.composite
def fields_and_payloads(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields, and a payload for them that is nearly right."""
    fields = draw(_fields())
    return fields, _payload_of(draw, fields)
