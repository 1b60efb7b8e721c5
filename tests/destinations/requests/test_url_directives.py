"""URLs made with any directive: a value of an event is one segment of the path, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import ResolveError
from destinations.http.address import Address
from tests.destinations.requests.test_addresses import _documents, _identify

ENDPOINT = "https://api.example.com:8443"
HOSTILE = [
    "../../v1/keys/1?x=",
    "%2e%2e",
    "%2F..%2F",
    "//evil.example/x",
    "/../..",
    "http://evil.example",
    "@evil.example",
    "a\\..\\b",
    "x#frag",
    "x?admin=true&",
    "a;b=c,d",
    ":80/",
    "line\r\nHost: evil",
    "a\0b",
    "\0000\0",
    "\u2024\u2024/",
    "\uff0e\uff0e\uff0f",
    "\u212a/\u0130",
    "{{settings.apiKey}}",
    "{{ settings.apiKey }}{% if true %}",
    "$.settings.apiKey",
    '"/"',
    '["/"]',
    "&#47;..&#47;",
    "Li8uLi8=",
]
"""Texts that are another path, host or query where they are not encoded."""


def _template(text: str) -> dict[str, Any]:
    return {"@template": text}


def _decoded(value: str) -> str:
    """What url_decode makes of a text; nothing where it refuses the event."""
    try:
        text = unquote(value.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        return ""
    return "" if re.search("%(?![0-9A-Fa-f]{2})", value) else text


PLAIN = _template("{{settings.endpoint}}/v1/{{payload.id}}/traits")
CONDITION = {"exists": {"@path": "$.payload.id"}}
FORMS: Mapping[str, tuple[Any, Any]] = {
    "template": (PLAIN, lambda v: v),
    "literal": ({"@literal": PLAIN}, lambda v: v),
    "exclude": ({"@excludeWhenNull": PLAIN}, lambda v: v),
    "if": ({"@if": {**CONDITION, "then": PLAIN, "else": ENDPOINT}}, lambda v: v),
    "case": ({"@case": {"operator": "lower", "value": PLAIN}}, lambda v: v.lower()),
    "replace": (
        {"@replace": {"pattern": "2", "replacement": "/", "value": PLAIN}},
        lambda v: v.replace("2", "/"),
    ),
    "replace with a dot": (
        {"@replace": {"pattern": "%", "replacement": ".", "value": PLAIN}},
        lambda v: v.replace("%", "."),
    ),
    "case of a replaced choice": (
        {
            "@case": {
                "operator": "upper",
                "value": {
                    "@replace": {
                        "pattern": "z",
                        "replacement": "%2F",
                        "value": {"@if": {**CONDITION, "then": PLAIN}},
                    }
                },
            }
        },
        lambda v: v.replace("z", "%2F").upper(),
    ),
    "template of a choice": (
        {"@template": {"@if": {**CONDITION, "then": PLAIN["@template"], "else": ""}}},
        lambda v: v,
    ),
    "template of a choice of choices": (
        {
            "@template": {
                "@literal": {
                    "@if": {
                        **CONDITION,
                        "then": {"@if": {**CONDITION, "then": PLAIN["@template"]}},
                        "else": {"@path": "$.settings.endpoint"},
                    }
                }
            }
        },
        lambda v: v,
    ),
    "liquid": ({"@liquid": "{{settings.endpoint}}/v1/{{payload.id}}/traits"}, lambda v: v),
    "liquid with a filter": (
        {"@liquid": "{{settings.endpoint | append: '/v1/'}}{{payload.id | url_decode}}/traits"},
        _decoded,
    ),
    "liquid with a replaced part": (
        {"@liquid": "{{settings.endpoint}}/v1/{{payload.id | replace: 'a', '../'}}/traits"},
        lambda v: v.replace("a", "../"),
    ),
    "liquid with an assigned value": (
        {
            "@liquid": "{% assign id = payload.id | append: '/..' %}"
            "{{settings.endpoint}}/v1/{{ id }}/traits"
        },
        lambda v: v + "/..",
    ),
    "liquid with a captured value": (
        {
            "@liquid": "{% capture id %}{{payload.id}}-{{payload.id}}{% endcapture %}"
            "{{settings.endpoint}}/v1/{{ id }}/traits"
        },
        lambda v: f"{v}-{v}".replace("\r\n", "\n"),
    ),
    "liquid with a condition": (
        {
            "@liquid": "{{settings.endpoint}}/v1/"
            "{% if payload.id %}{% echo payload.id %}{% endif %}/traits"
        },
        lambda v: v,
    ),
    "transform": (
        {
            "@transform": {
                "apply": {"to": {"@path": "$.settings.endpoint"}, "id": {"@path": "$.payload.id"}},
                "mapping": _template("{{to}}/v1/{{id}}/traits"),
            }
        },
        lambda v: v,
    ),
    "transform that calls a value settings": (
        {
            "@transform": {
                "apply": {"settings": {"@path": "$.payload"}},
                "mapping": {"@liquid": ENDPOINT + "/v1/{{settings.id}}/traits"},
            }
        },
        lambda v: v,
    ),
}
"""Each form, and what it makes of the value before that is encoded."""


def _url(source: object, value: object) -> str:
    settings = {"endpoint": ENDPOINT, "apiKey": "the-key"}
    context = {"settings": settings, "payload": {"id": value}, "event": {"userId": value}}
    return Address(source).url(context)


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_one_segment(form: str) -> None:
    """What a directive makes of a value is encoded as a whole, after all that it does."""
    source, made = FORMS[form]
    for value in [*HOSTILE, "plain", "2z%aA", "jos\u00e9"]:
        segment = quote(made(value), safe="")
        if segment in {"", ".", ".."}:
            with pytest.raises(ResolveError, match=r"^/url: "):
                _url(source, value)
            continue
        parts = urlsplit(_url(source, value))
        assert f"{parts.scheme}://{parts.netloc}".lower() == ENDPOINT
        before, _, after = parts.path.removeprefix("/").partition("/")
        between, _, after = after.partition("/")
        assert (before.lower(), between, after.lower()) == ("v1", segment, "traits")
        assert parts.query == parts.fragment == ""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [".", "..", "", "\ud800", "a\udfffb"], ids=ascii)
def test_what_is_no_segment(form: str, value: str) -> None:
    """A segment that is another path, none or no text is refused, whatever directive made it."""
    source, made = FORMS[form]
    text = made(value)
    is_text = not any("\ud800" <= one <= "\udfff" for one in text)
    if text not in {"", ".", ".."} and is_text:
        assert quote(text, safe="") in _url(source, value)
        return
    with pytest.raises(ResolveError):
        _url(source, value)


@given(
    form=st.sampled_from(sorted(FORMS)),
    value=st.text() | st.text(alphabet="./\\%2eEfF?#@:&=;+ \0\r\nz") | st.integers() | st.floats(),
)
def test_no_value_changes_where_it_goes(form: str, value: object) -> None:
    """Scheme, host, port, the number of segments and the query are the definition's."""
    source, _ = FORMS[form]
    try:
        parts = urlsplit(_url(source, value))
    except ResolveError:
        return
    assert (parts.scheme, parts.hostname, parts.port) == ("https", "api.example.com", 8443)
    assert parts.username is None
    segments = parts.path.split("/")
    assert len(segments) == 4
    assert not {".", "..", "%2e", "%2e%2e"} & {one.lower() for one in segments}
    assert all(segments[1:])
    assert (parts.query, parts.fragment) == ("", "")


OF_A_VALUE = {
    "path": {"@path": "$.payload.id"},
    "path of another mapping": {"@path": {"@template": "$.settings.{{payload.id}}"}},
    "path of the settings": {"@path": {"@path": "$.settings.endpoint"}},
    "array path": {"@arrayPath": ["$.payload.id"]},
    "template of the event": {"@template": {"@path": "$.payload.id"}},
    "liquid": {"@liquid": "{{ payload.id }}"},
    "liquid of all": {
        "@liquid": "{% capture all %}{{settings.endpoint}}/{{payload.id}}{% endcapture %}{{ all }}"
    },
    "liquid with a filter of both": {
        "@liquid": "{{ settings.endpoint | append: payload.id | append: '/' }}"
    },
    "liquid that assigns to settings": {
        "@liquid": "{% assign settings = payload %}{{ settings.id }}/"
    },
    "liquid with a computed name": {"@liquid": "{{ settings[payload.id] }}/"},
    "liquid with cycle": {"@liquid": "{{settings.endpoint}}/{% cycle payload.id, 'a' %}"},
    "json": {"@json": {"mode": "decode", "value": {"@path": "$.payload.id"}}},
    "merge": {"@merge": {"direction": "left", "objects": [{"@path": "$.payload"}]}},
    "flatten": {"@flatten": {"separator": ".", "value": {"@path": "$.payload"}}},
    "transform": {
        "@transform": {"apply": {"to": {"@path": "$.payload.id"}}, "mapping": {"@path": "$.to"}}
    },
    "transform of a directive": {
        "@transform": {"apply": {"@path": "$.payload"}, "mapping": {"@path": "$.id"}}
    },
    "transform without a name": {
        "@transform": {
            "apply": {"": {"@path": "$.payload.id"}},
            "mapping": {"@liquid": "{{ [''] }}/"},
        }
    },
    "transform of a transform": {
        "@transform": {
            "apply": {"settings": {"@path": "$.payload"}},
            "mapping": {
                "@transform": {
                    "apply": {"to": {"@path": "$.settings.id"}},
                    "mapping": {"@path": "$.to"},
                }
            },
        }
    },
    "case": {"@case": {"operator": "lower", "value": {"@path": "$.payload.id"}}},
    "replace": {"@replace": {"pattern": "x", "value": {"@path": "$.payload.id"}}},
    "choice": {"@if": {**CONDITION, "then": {"@path": "$.event.userId"}}},
    "host of a template": _template("https://{{payload.id}}/v1"),
    "port of a template": _template("{{settings.endpoint}}{{payload.id}}/v1"),
    "half of an escape": _template("{{settings.endpoint}}/v1/%2{{payload.id}}/"),
}


@pytest.mark.parametrize("form", OF_A_VALUE)
def test_no_value_is_a_host(form: str) -> None:
    """Where a value would choose the host, or it cannot be told whether it does, it is refused."""
    others = ("endpoint", "e", '"https://a/"', "$.payload", "@evil", "0")
    for value in ("https://evil.example/", *others):
        with pytest.raises(ResolveError) as caught:
            _url(OF_A_VALUE[form], value)
        assert caught.value.path == "/url", value


SETTINGS_ALONE = {
    "case": (
        {"@case": {"operator": "lower", "value": _template("{{settings.endpoint}}/V1")}},
        "/v1",
    ),
    "replace across a piece": (
        {"@replace": {"pattern": "3/v", "replacement": "3/w", "value": PLAIN}},
        "/w1/a%2Fb/traits",
    ),
    "liquid": ({"@liquid": "{{ settings.endpoint | append: '/x' }}"}, "/x"),
    "array path": ({"@arrayPath": ["$.settings.endpoint"]}, ""),
    "transform": (
        {
            "@transform": {
                "apply": {"to": {"@path": "$.settings.endpoint"}},
                "mapping": {"@path": "$.to"},
            }
        },
        "",
    ),
}


@pytest.mark.parametrize("form", SETTINGS_ALONE)
def test_what_the_settings_say_stays(form: str) -> None:
    """What the operator chose is no value of an event, whatever directive it goes through."""
    source, path = SETTINGS_ALONE[form]
    assert _url(source, "a/b") == ENDPOINT + path


@pytest.mark.parametrize("form", ["case", "liquid", "transform", "replace with a dot"])
def test_a_definition_is_taken_with_a_warning(
    deliver: Any, way: Any, partner: Any, form: str
) -> None:
    """A run and a server deliver by such a URL, and say that it should be another."""
    events = [_identify(number, user) for number, user in enumerate(["a/../b", ".."])]
    text = json.dumps(FORMS[form][0])
    folder = deliver.write_definition(**_documents({}, url=json.loads(text)))
    done = deliver(way, folder, events)
    assert partner.targets == ["/v1/a%2F..%2Fb/traits"]
    assert done.outcomes == {"i0": "delivered", "i1": "invalid"}
    assert "another path" in done.reasons["i1"]
    assert "must not hold a value of the event" in done.shown
