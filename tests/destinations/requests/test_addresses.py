"""Where requests go: no value of an event chooses their host, their path or their query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.case_tables import each_value

ROOT = "/v1/users"

ENCODED = {
    "plain": "plain",
    "a/b": "a%2Fb",
    "../../v1/keys/1?x=": "..%2F..%2Fv1%2Fkeys%2F1%3Fx%3D",
    "who?admin=true#": "who%3Fadmin%3Dtrue%23",
    "x#frag": "x%23frag",
    "50% off": "50%25%20off",
    "jos\u00e9": "jos%C3%A9",
    "a b": "a%20b",
    "100%25": "100%2525",
    "a\\..\\b": "a%5C..%5Cb",
    "u@example.com/x": "u%40example.com%2Fx",
    "\U0001f600": "%F0%9F%98%80",
    "a\0b": "a%00b",
    "line\nbreak": "line%0Abreak",
    "//evil.example/x": "%2F%2Fevil.example%2Fx",
    "%2e%2e": "%252e%252e",
    "%2F..%2F": "%252F..%252F",
    "...": "...",
    ".a": ".a",
    "~u-1_x.y": "~u-1_x.y",
    "a;b=c,d": "a%3Bb%3Dc%2Cd",
    "{{settings.apiKey}}": "%7B%7Bsettings.apiKey%7D%7D",
    "http://evil.example": "http%3A%2F%2Fevil.example",
    "\u2024\u2024": "%E2%80%A4%E2%80%A4",
    "\uff0e\uff0e": "%EF%BC%8E%EF%BC%8E",
}
"""Ids, and the one segment of the path that each is."""

REFUSED = {"..": "another path", ".": "another path"}

DESTINATION: Mapping[str, Any] = {
    "name": "Put User",
    "slug": "put-user",
    "description": "Puts users where their id names a path.",
    "settings": {
        "type": "object",
        "required": ["apiKey", "endpoint"],
        "additionalProperties": False,
        "properties": {
            "apiKey": {
                "title": "API Key",
                "description": "The key.",
                "type": "string",
                "format": "password",
            },
            "endpoint": {"title": "Endpoint", "description": "The URL.", "type": "string"},
            "region": {"title": "Region", "description": "Where.", "type": "string"},
        },
    },
    "transport": {
        "headers": {"Authorization": {"@template": "Bearer {{settings.apiKey}}"}},
        "timeout": {"connect": 5, "read": 10, "total": 30},
        "retry": {"backoff": {"base": 0.01, "cap": 0.01}},
    },
    "presets": [{"name": "Put", "partnerAction": "put", "subscribe": 'type = "identify"'}],
}
ACTION: Mapping[str, Any] = {
    "slug": "put",
    "title": "Put",
    "description": "Puts a user.",
    "fields": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "id": {
                "title": "ID",
                "description": "The id.",
                "type": "string",
                "default": {"@path": "$.userId"},
            },
            "source": {
                "title": "Source",
                "description": "Where from.",
                "type": "string",
                "default": {"@path": "$.context.source"},
            },
            "any": {
                "title": "Any",
                "description": "Anything.",
                "type": ["string", "number", "boolean", "array", "object", "null"],
                "default": {"@path": "$.traits.any"},
            },
        },
    },
    "perform": {"request": "put"},
}


def _documents(transport: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
    destination = {
        **DESTINATION,
        "transport": {**DESTINATION["transport"], **transport},
        "requests": {
            "put": {
                "description": "Puts a user.",
                "idempotent": True,
                "rest": {"method": "PUT", **rest},
            }
        },
    }
    return {"destination": destination, "put": dict(ACTION)}


BASE = {"baseUrl": {"@path": "$.settings.endpoint"}}
PATH = ["v1", "users", {"@path": "$.payload.id"}, "traits"]
OLD_URL = {"@template": "{{settings.endpoint}}/v1/users/{{payload.id}}/traits"}
FORMS: Mapping[str, dict[str, Any]] = {
    "a path": _documents(BASE, path=PATH),
    "a path below a longer base": _documents(
        {"baseUrl": {"@template": "{{settings.endpoint}}/v1/"}}, path=PATH[1:]
    ),
    "a path below a URL of its own": _documents({}, url=BASE["baseUrl"], path=PATH),
    "a path of templates": _documents(
        BASE, path=["v1", "users", {"@template": "{{payload.id}}"}, "traits"]
    ),
    "a template of a URL": _documents({}, url=OLD_URL),
    "a template of the event": _documents(
        {}, url={"@template": "{{settings.endpoint}}/v1/users/{{event.userId}}/traits"}
    ),
    "a template of three braces": _documents(
        {}, url={"@template": "{{settings.endpoint}}/v1/users/{{{ payload.id }}}/traits"}
    ),
    "a template for all requests": _documents({"url": OLD_URL}),
    "a template of a choice": _documents(
        {}, url={"@if": {"exists": {"@path": "$.payload.id"}, "then": OLD_URL, "else": "http://a/"}}
    ),
}


def _identify(number: int, user: str, **traits: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"type": "identify", "messageId": f"i{number}", "userId": user}
    return {**event, "traits": traits, "context": {"source": "a&b=c d"}}


@each_value
@pytest.mark.parametrize("form", FORMS)
def test_an_id_is_one_segment_of_the_path(deliver: Any, way: Any, partner: Any, form: str) -> None:
    """Whatever an id holds, it leads nowhere but below the path that the definition says."""
    folder = deliver.write_definition(**FORMS[form])
    ids = [*ENCODED, *REFUSED]
    events = [_identify(number, user) for number, user in enumerate(ids)]
    done = deliver(way, folder, events)
    sent = {f"{ROOT}/{segment}/traits" for segment in ENCODED.values()}
    assert set(partner.targets) == sent
    assert len(partner.targets) == len(ENCODED)
    for number, user in enumerate(ids):
        expected = "invalid" if user in REFUSED else "delivered"
        assert (user, done.outcomes[f"i{number}"]) == (user, expected)
        assert REFUSED.get(user, "") in done.reasons[f"i{number}"]
    warns = "must not hold a value of the event" in done.shown
    assert warns is (
        "template of a" in form
        or "template for" in form
        or "of the event" in form
        or "three braces" in form
    )


@each_value
@pytest.mark.parametrize(
    ("value", "target"),
    [
        (7, "/v1/7"),
        (1.5, "/v1/1.5"),
        (True, "/v1/true"),
        (0, "/v1/0"),
        ("", None),
        (None, None),
        (["a", "b"], None),
        ({"a": 1}, None),
        ([], None),
    ],
)
@pytest.mark.parametrize("form", ["path", "url"])
def test_what_can_be_a_segment(
    deliver: Any, way: Any, partner: Any, form: str, value: object, target: str | None
) -> None:
    """Text, numbers and booleans; an empty segment would be another resource, the one above."""
    documents = (
        _documents(BASE, path=["v1", {"@path": "$.payload.any"}])
        if form == "path"
        else _documents({}, url={"@template": "{{settings.endpoint}}/v1/{{payload.any}}"})
    )
    done = deliver(way, deliver.write_definition(**documents), [_identify(0, "u", any=value)])
    assert partner.targets == ([] if target is None else [target])
    assert done.outcomes == {"i0": "delivered" if target else "invalid"}
    assert target or "/path/1" in done.reasons["i0"] or "/url" in done.reasons["i0"]


@pytest.mark.parametrize(
    "template",
    [
        "{{payload.id}}",
        "http://{{payload.id}}/v1",
        "{{settings.endpoint}}{{payload.id}}",
        "{{settings.endpoint}}.{{payload.id}}/v1",
        "http://{{payload.id}}@127.0.0.1/v1",
        "{{payload.id}}://127.0.0.1/v1",
    ],
)
def test_no_event_chooses_the_host(deliver: Any, way: Any, partner: Any, template: str) -> None:
    """Not even one that is the partner's: with the key of the customer, it would go anywhere."""
    documents = _documents({}, url={"@template": template})
    ids = [partner.url, partner.url.removeprefix("http://"), "@evil.example", "http", ":80", "a"]
    events = [_identify(number, user) for number, user in enumerate(ids)]
    done = deliver(way, deliver.write_definition(**documents), events)
    assert partner.received == []
    assert set(done.outcomes.values()) == {"invalid"}
    assert all("an event must not choose the host" in reason for reason in done.reasons.values())


QUERIES = {
    "a query": _documents(BASE, path=["v1"], query={"source": {"@path": "$.payload.source"}}),
    "a query of a template": _documents(
        {}, url={"@template": "{{settings.endpoint}}/v1?source={{payload.source}}"}
    ),
}


@pytest.mark.parametrize("form", QUERIES)
def test_a_value_is_one_parameter_of_the_query(
    deliver: Any, way: Any, partner: Any, form: str
) -> None:
    """It adds no other parameter, and ends none."""
    deliver(way, deliver.write_definition(**QUERIES[form]), [_identify(0, "u")])
    (target,) = partner.targets
    assert target.replace("+", "%20") == "/v1?source=a%26b%3Dc%20d"


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("{{settings.endpoint}}", ["v1", "users:import"], "/v1/users:import"),
        ("{{settings.endpoint}}/", ["v1", ""], "/v1/"),
        ("{{settings.endpoint}}/api/", [2, {"@path": "$.settings.region"}], "/api/2/eu%2Fwest"),
        ("{{settings.endpoint}}/api?v=1", ["v1", "a b"], "/api/v1/a%20b?v=1"),
        ("{{settings.endpoint}}/api?v=1", None, "/api?v=1"),
    ],
)
def test_the_text_of_a_definition(
    deliver: Any, way: Any, partner: Any, base: str, path: list[Any] | None, target: str
) -> None:
    """What the definition says stays as it is; what the settings say is a segment as well."""
    rest = {} if path is None else {"path": path}
    documents = _documents({"baseUrl": {"@template": base}}, **rest)
    folder = deliver.write_definition(**documents)
    done = deliver(way, folder, [_identify(0, "u")], region="eu/west")
    assert (partner.targets, done.outcomes) == ([target], {"i0": "delivered"})
    # The paths do not read all fields of the action, which is told.
    warnings = [line for line in done.shown.splitlines() if line.startswith("warning")]
    assert all("is never sent: no request reads" in line for line in warnings)
