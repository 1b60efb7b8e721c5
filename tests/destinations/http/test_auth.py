"""Credentials of requests by ``transport.auth``: headers and keys in the query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.errors import ResolveError
from destinations.http import CompiledRequest, compile_request
from destinations.secrets import Secret

Load = Callable[..., DestinationDefinition]

URL = "https://api.example.com/v1"
SECRET = {"title": "Secret", "description": "A secret.", "type": "string", "format": "password"}
KEY = "sk/test 1&2=3"
QUERY = {"apiKey": {"setting": "apiKey", "query": "api key"}}


def _compiled(load: Load, name: str, auth: object, **rest: Any) -> CompiledRequest:
    def change(documents: Any) -> None:
        destination = documents["destination"]
        destination["settings"]["properties"]["word"] = SECRET
        destination["transport"] |= {"auth": auth, "headers": {}}
        destination["authentication"]["scheme"] = "custom"
        destination["requests"]["save"]["rest"] = {"method": "POST", "url": URL, **rest}

    definition = load(change)
    return compile_request(definition.requests[name], definition.transport, definition.error_rules)


def _made(request: CompiledRequest, settings: Mapping[str, Any]) -> Any:
    context = {
        "event": {},
        "payload": {"id": "u1"},
        "settings": {"endpoint": "https://api.example.com/graphql", **settings},
    }
    return request.prepare([request.part(context)], context)


BASIC = {"basic": {"user": "apiKey"}}
PAIR = {"basic": {"user": "endpoint", "password": "apiKey"}}
HEADER = {"apiKey": {"setting": "apiKey", "header": "X-Key"}}
HEADERS: list[tuple[object, Mapping[str, Any], Mapping[str, str]]] = [
    (BASIC, {"apiKey": Secret("Aladdin")}, {"authorization": "Basic QWxhZGRpbjo="}),
    (
        PAIR,
        {"endpoint": "Aladdin", "apiKey": Secret("open sesame")},
        {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
    ),
    (PAIR, {"endpoint": "Aladdin"}, {"authorization": "Basic QWxhZGRpbjo="}),
    ({"bearer": "apiKey"}, {"apiKey": Secret(KEY)}, {"authorization": f"Bearer {KEY}"}),
    (HEADER, {"apiKey": Secret(KEY)}, {"x-key": KEY}),
    # Without a value there is no header: not one with nothing in it.
    ({"bearer": "apiKey"}, {}, {}),
    ({"bearer": "apiKey"}, {"apiKey": Secret("")}, {}),
    (HEADER, {}, {}),
    (QUERY, {"apiKey": Secret(KEY)}, {}),
]


@pytest.mark.parametrize(("auth", "settings", "expected"), HEADERS, ids=str)
def test_headers(
    load: Load, auth: object, settings: Mapping[str, Any], expected: Mapping[str, str]
) -> None:
    """Each way makes its header of the values of settings, as they are."""
    request = _compiled(load, "save", auth, json={})
    made = _made(request, settings).headers
    found = {name.lower(): value for name, value in made.items()}
    assert {name: found[name] for name in found.keys() & {"authorization", "x-key"}} == expected
    assert all(type(value) is str for value in made.values())


@pytest.mark.parametrize(
    ("rest", "settings", "url"),
    [
        ({}, {"apiKey": Secret(KEY)}, f"{URL}?api+key=sk%2Ftest+1%262%3D3"),
        (
            {"path": ["users"], "query": {"a": 1}},
            {"apiKey": Secret("k1")},
            f"{URL}/users?api+key=k1&a=1",
        ),
        ({"url": f"{URL}?v=2"}, {"apiKey": Secret("k1")}, f"{URL}?v=2&api+key=k1"),
        ({}, {}, URL),
        ({"query": {"a": 1}}, {"apiKey": ""}, f"{URL}?a=1"),
    ],
)
def test_a_key_in_the_query(
    load: Load, rest: dict[str, Any], settings: Mapping[str, Any], url: str
) -> None:
    """It is encoded, and comes before the parameters of the request; nothing without a value."""
    assert _made(_compiled(load, "save", QUERY, **rest), settings).url == url


def test_operations_of_graphql_have_them_too(load: Load) -> None:
    """A key in a header or in the query is one of all requests."""
    settings = {"apiKey": Secret("k1")}
    assert _made(_compiled(load, "find", HEADER), settings).headers["X-Key"] == "k1"
    made = _made(_compiled(load, "find", QUERY), settings)
    assert made.url == "https://api.example.com/graphql?api+key=k1"


def test_a_header_of_the_request_replaces_it(load: Load) -> None:
    """What a request says of its own is sent, in whatever case, and nothing beside it."""
    request = _compiled(load, "save", {"bearer": "apiKey"}, headers={"authorization": "Own x"})
    headers = _made(request, {"apiKey": Secret("k1")}).headers
    assert [value for name, value in headers.items() if name.lower() == "authorization"] == [
        "Own x"
    ]


@pytest.mark.parametrize(
    ("auth", "value", "message"),
    [
        (BASIC, "a:b", "the setting apiKey must not contain a colon"),
        ({"bearer": "apiKey"}, "a\nb", "must not contain line breaks"),
        (HEADER, "\u0416", "must be text in Latin-1"),
    ],
)
def test_keys_that_no_header_can_have(load: Load, auth: object, value: str, message: str) -> None:
    """They are found before anything is sent, as no event is to blame."""
    request = _compiled(load, "save", auth)
    with pytest.raises(ResolveError, match=message):
        request.fixed_url({"apiKey": Secret(value)})
