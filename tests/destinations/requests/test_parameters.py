"""Lists and objects in queries and forms: as the definition says, and never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from tests.case_tables import each_value

DESTINATION: Mapping[str, Any] = {
    "name": "Ask",
    "slug": "ask",
    "description": "Takes parameters.",
    "presets": [{"name": "Ask", "partnerAction": "ask", "subscribe": 'type = "track"'}],
}
VALUE = {"title": "Value", "description": "What is sent.", "default": {"@path": "$.properties.v"}}
ANY = ["string", "number", "boolean", "array", "object", "null"]


def _documents(
    value: object = None, array_format: str | None = None, kind: Any = None, **rest: Any
) -> dict[str, Any]:
    call: dict[str, Any] = {"method": "POST", "path": ["ask"], **rest}
    if not rest:
        call["query"] = {"v": value or {"@path": "$.payload.v"}}
    if array_format is not None:
        call["arrayFormat"] = array_format
    request = {"description": "Asks.", "idempotent": True, "rest": call}
    action = {
        "slug": "ask",
        "title": "Ask",
        "description": "Asks.",
        "fields": {
            "type": "object",
            "properties": {
                "v": {**VALUE, "type": kind or "string"},
                "plain": {**VALUE, "type": "string", "default": "p"},
                "deep": {
                    **VALUE,
                    "type": "object",
                    "default": {},
                    "properties": {"ids": {"type": "array"}, "name": {"type": "string"}},
                },
            },
        },
        "perform": {"request": "ask"},
    }
    return {"destination": {**DESTINATION, "requests": {"ask": request}}, "ask": action}


def _event(value: object) -> dict[str, Any]:
    event = {"type": "track", "event": "E", "userId": "u", "messageId": "m"}
    return {**event, "properties": {"v": value}}


WRITTEN = [
    ("repeat", [1, "b", True], "v=1&v=b&v=true"),
    ("repeat", ["a&v=b", "c=d"], "v=a%26v%3Db&v=c%3Dd"),
    ("repeat", [None, "a", None], "v=a"),
    ("repeat", ["a"], "v=a"),
    ("repeat", [], ""),
    ("repeat", [[1], 2], None),
    ("repeat", [{"a": 1}], None),
    ("repeat", {"a": 1}, None),
    ("comma", [1, "b", 1.5], "v=1,b,1.5"),
    ("comma", ["a"], "v=a"),
    ("comma", [], ""),
    ("comma", [None], ""),
    ("comma", ["a,b", "c"], None),
    ("comma", [["a"]], None),
    ("comma", {"a": 1}, None),
    ("brackets", [1, "b"], "v[]=1&v[]=b"),
    ("brackets", {"a": 1, "b": {"c": ["d", "e"]}}, "v[a]=1&v[b][c][]=d&v[b][c][]=e"),
    ("brackets", [{"a": 1}, {"a": 2, "b": None}], "v[0][a]=1&v[1][a]=2"),
    ("brackets", [[1, 2], 3], "v[0][]=1&v[0][]=2&v[1]=3"),
    ("brackets", {"a&b": "c=d"}, "v[a%26b]=c%3Dd"),
    ("brackets", {}, ""),
    ("json", [1, "b", None], 'v=[1,"b",null]'),
    ("json", {"a": [1.0, "&"]}, 'v={"a":[1.0,"%26"]}'),
    ("json", [], "v=[]"),
    (None, "text", "v=text"),
    (None, 5, "v=5"),
    (None, None, ""),
    (None, ["a", "b"], None),
    (None, {"a": 1}, None),
    (None, [], None),
    *((one, "a,b[]", "v=a,b[]") for one in ("repeat", "comma", "brackets", "json")),
]


@each_value
@pytest.mark.parametrize("place", ["query", "form"])
@pytest.mark.parametrize(("array_format", "value", "written"), WRITTEN, ids=str)
def test_how_lists_and_objects_are_written(
    deliver: Any,
    partner: Any,
    array_format: str | None,
    value: object,
    written: str | None,
    place: str,
) -> None:
    """As it is declared; where that says nothing of a value, the event is invalid."""
    # Of a property nothing is known before the event is there.
    rest = {place: {"v": {"@path": "$.event.properties.v"}}}
    folder = deliver.write_definition(**_documents(None, array_format, ANY, **rest))
    done = deliver("serve" if place == "query" else "run", folder, [_event(value)])
    if written is None:
        assert (done.outcomes, partner.received) == ({"m": "invalid"}, [])
        assert "/v: " in done.reasons["m"]
        return
    assert done.outcomes == {"m": "delivered"}
    (came,) = partner.received
    sent = came.target.partition("?")[2] if place == "query" else came.body.decode()
    for mark in '[],{}":':
        sent = sent.replace(f"%{ord(mark):02X}", mark)
    assert sent == written
    assert "object Object" not in unquote(sent)


ISSUES = [
    ({"kind": "array"}, "query/v", "v is a list: declare with arrayFormat how to write it"),
    ({"kind": "object"}, "query/v", "v is an object: declare with arrayFormat"),
    ({"kind": ["array", "null"]}, "query/v", "v is a list"),
    ({"kind": "object", "array_format": "comma"}, "query/v", "comma is only for lists"),
    ({"kind": "object", "array_format": "repeat"}, "query/v", "repeat is only for lists"),
    ({"kind": "array", "array_format": "comma"}, None, None),
    ({"kind": "object", "array_format": "brackets"}, None, None),
    ({"kind": "object", "array_format": "json"}, None, None),
    ({"kind": "string"}, None, None),
    ({"value": ["a", "b"]}, "query/v", "v is a list"),
    ({"value": {"a": {"@path": "$.payload.v"}}}, "query/v", "v is an object"),
    ({"value": {"@literal": [1]}}, "query/v", "v is a list"),
    ({"value": {"@arrayPath": ["$.event.properties.v", {"a": 1}]}}, "query/v", "v is a list"),
    ({"value": {"@merge": {"objects": [{"a": 1}], "direction": "left"}}}, "query/v", "an object"),
    ({"value": {"@flatten": {"value": {"a": 1}, "separator": "."}}}, "query/v", "an object"),
    (
        {"value": {"@if": {"exists": 1, "then": "a", "else": {"@path": "$.payload.deep"}}}},
        "query/v",
        "v is an object",
    ),
    ({"value": {"@path": "$.payload.deep.ids"}}, "query/v", "v is a list"),
    ({"value": {"@path": "payload['deep'].name"}}, None, None),
    ({"value": {"@json": {"mode": "encode", "value": {"@path": "$.payload.deep"}}}}, None, None),
    ({"value": {"@template": "{{payload.plain}}"}}, None, None),
    ({"form": {"ids": {"@path": "$.payload.deep.ids"}}}, "form/ids", "ids is a list"),
    ({"form": {"@path": "$.payload"}}, "form", "deep is an object"),
    ({"query": {"@path": "$.payload.deep"}}, "query", "ids is a list"),
    ({"array_format": "indices"}, "arrayFormat", "must be one of repeat, brackets, comma, json"),
]


@pytest.mark.parametrize(("change", "place", "message"), ISSUES, ids=str)
def test_what_is_known_when_it_is_loaded(
    deliver: Any, command: Any, change: dict[str, Any], place: str | None, message: str
) -> None:
    """A definition that would send a list or an object in no format is refused."""
    folder = deliver.write_definition(**_documents(**change))
    done = command("validate", folder)
    if place is None:
        assert "/requests/" not in done.out + done.err  # there may be fields that nothing reads
    else:
        assert done.code == 2
        assert f"/requests/ask/rest/{place}: " in done.out
        assert message in done.out
        assert "destination.yaml" in command("run", folder, "--events", "-", "--no-store").err
