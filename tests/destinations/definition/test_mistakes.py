"""What can never work is said when a definition is loaded, and what is right is not."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, check_folder
from destinations.definition.mapping_places import EVENT
from destinations.definition.plain_text import sent_as_it_is
from destinations.definition.reads import unreadable
from destinations.errors import DefinitionError

Change = Callable[[Any], None]
Write = Callable[..., Path]

PUBLIC = Path(__file__).parents[2] / "conformance" / "definitions.json.gz"
SETTINGS = "destination.settings.properties"
SAVE = "destination.requests.save.rest"
STATUS = "destination.errorRules.0.when"
THING = "count.fields.properties.thing"
BY = "count.fields.properties.by"


def _set(path: str, value: object) -> Change:
    """Sets what a dotted path leads to."""

    def change(documents: Any) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        place = documents
        for key in parents:
            place = place[key]
        place[last] = value

    return change


def _auth(**auth: object) -> Change:
    """Sends credentials by ``transport.auth``, and by no header."""

    def change(documents: Any) -> None:
        documents["destination"]["transport"] |= {"headers": {}, "auth": auth}

    return change


SIGN = {
    "header": "X-Sign",
    "algorithm": "sha256",
    "secret": {"@path": "$.settings.apiKey"},
}
REGION = {"title": "Region", "description": "Where it is.", "type": "string", "default": "us"}
CLOSED = "save.fields.additionalProperties"


def _all(*changes: Change) -> Change:
    def change(documents: Any) -> None:
        for one in changes:
            one(documents)

    return change


def _without_code(documents: Any) -> None:
    """Removes the actions that need a plugin, with what names them."""
    made_by_code = {
        name for name, one in documents.items() if "generator" in one.get("perform", {})
    }
    for name in made_by_code:
        del documents[name]
    destination = documents["destination"]
    destination["presets"] = [
        one for one in destination["presets"] if one["partnerAction"] not in made_by_code
    ]


CUSTOM = {"scheme": "custom", "fields": ["apiKey", "limit"], "test": "find"}


def _setting(**spec: Any) -> Change:
    return _set(f"{SETTINGS}.more", {"title": "More", "description": "More.", **spec})


def _field(**spec: Any) -> Change:
    return _set("count.fields.properties.more", {"title": "More", "description": "More.", **spec})


BAD: dict[str, tuple[Change, str, str]] = {
    # name: (change, place, end or part of the message)
    "a format of a setting": (
        _set(f"{SETTINGS}.apiKey.format", "pasword"),
        "/settings/properties/apiKey/format",
        "unknown format 'pasword'; did you mean password? known: date-like, date, ",
    ),
    "a format of a secret": (
        _set(f"{SETTINGS}.apiKey.format", "secret"),
        "/settings/properties/apiKey/format",
        "unknown format 'secret'; did you mean password?",
    ),
    "a format of a field": (
        _set(f"{THING}.format", "emial"),
        "/fields/properties/thing/format",
        "unknown format 'emial'; did you mean email?",
    ),
    "a format of an answer": (
        _set("destination.requests.count.expect", {"type": "string", "format": "datetime"}),
        "/requests/count/expect/format",
        "did you mean date-time?",
    ),
    "a keyword of a field": (
        _set(f"{THING}.maxLenght", 3),
        "/fields/properties/thing/maxLenght",
        "did you mean maxLength?",
    ),
    "a key of the file": (_set("destination.nmae", "x"), "/nmae", "did you mean name?"),
    "a method": (
        _set(f"{SAVE}.method", "post"),
        "/requests/save/rest/method",
        "not 'post'; did you mean POST?",
    ),
    "a directive": (
        _set(f"{THING}.default", {"@pth": "$.event"}),
        "/fields/properties/thing/default",
        "did you mean @path?",
    ),
    "a setting to require": (
        _set("destination.settings.required", ["apikey"]),
        "/settings/required/0",
        "did you mean apiKey?",
    ),
    "a setting of the credentials": (
        _set("destination.authentication.fields", ["apikey"]),
        "/authentication/fields/0",
        "did you mean apiKey?",
    ),
    "a request of the credentials": (
        _set("destination.authentication.test", "fnd"),
        "/authentication/test",
        "did you mean find?",
    ),
    "a request of an action": (
        _set("count.perform.request", "cuont"),
        "/perform/request",
        "did you mean count?",
    ),
    "an action of a preset": (
        _set("destination.presets.0.partnerAction", "Count"),
        "/presets/0/partnerAction",
        "did you mean count?",
    ),
    "a field to require": (
        _set("count.fields.required", ["thinng"]),
        "/fields/required/0",
        "did you mean thing?",
    ),
    "a field that may be missing": (
        _set("count.unmapped.missing", "thinng"),
        "/unmapped/missing",
        "did you mean thing?",
    ),
    "a field that is touched": (
        _set("count.touches", [{"@path": "$.payload.thinng"}]),
        "/touches/0/@path",
        "did you mean thing?",
    ),
    "a root of what is touched": (
        _set("count.touches", [{"@template": "{{event.userId}}"}]),
        "/touches/0/@template",
        "unknown root 'event'; known: payload",
    ),
    "a root of a request": (
        _set(f"{SAVE}.json", {"a": [{"@template": "{{ setting.apiKey }}"}]}),
        "/requests/save/rest/json/a/0/@template",
        "unknown root 'setting'; known: event, payload, settings; did you mean settings?",
    ),
    "a root of the event in a request": (
        _set(f"{SAVE}.json", {"@path": "$.properties.plan"}),
        "/requests/save/rest/json/@path",
        "unknown root 'properties': write $.event.properties",
    ),
    "a setting of a request": (
        _set(f"{SAVE}.headers", {"A": {"@template": "{{settings.apikey}}"}}),
        "/requests/save/rest/headers/A/@template",
        "unknown setting 'apikey'; known: apiKey, endpoint, limit; did you mean apiKey?",
    ),
    "a setting in Liquid": (
        _set(f"{SAVE}.json", {"@liquid": "{% if settings.apikey %}x{% endif %}"}),
        "/requests/save/rest/json/@liquid",
        "did you mean apiKey?",
    ),
    "a field of a request": (
        _all(
            _set(CLOSED, False),  # noqa: FBT003 - a value of JSON
            _set(f"{SAVE}.json", {"@if": {"exists": {"@path": "$.payload.pgae"}, "then": 1}}),
        ),
        "/requests/save/rest/json/@if/exists/@path",
        "unknown field 'pgae'; known: page; did you mean page?",
    ),
    "a field of GraphQL": (
        _set("destination.requests.count.graphql.variables", {"by": {"@path": "payload['bye']"}}),
        "/requests/count/graphql/variables/by/@path",
        "unknown field 'bye'; known: by, thing; did you mean by?",
    ),
    "a key of a closed object": (
        _all(
            _set(CLOSED, False),  # noqa: FBT003 - a value of JSON
            _set(
                "save.fields.properties.page",
                {
                    "title": "Page",
                    "description": "The page.",
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"title": {"type": "string"}},
                },
            ),
            _set(f"{SAVE}.path", [{"@path": "$.payload.page.titel"}]),
        ),
        "/requests/save/rest/path/0/@path",
        "unknown key 'titel'; known: title; did you mean title?",
    ),
    "a field that the request for a balance reads": (
        _all(
            _set(
                "destination.requests.count.reconcile",
                {
                    "ask": "find",
                    "key": {"@path": "$.payload.thing"},
                    "amount": {"@path": "$.payload.by"},
                    "shown": {"@path": "$.answer.shown"},
                },
            ),
            _set("sync.perform", {"request": "create"}),
            _set(
                "destination.requests.find.graphql.variables",
                {"id": {"@path": "$.payload.thingg"}},
            ),
        ),
        "/requests/find/graphql/variables/id/@path",
        "unknown field 'thingg'; known: by, thing; did you mean thing?",
    ),
    "what a balance is read from": (
        _set(
            "destination.requests.count.reconcile",
            {
                "ask": "find",
                "key": {"@path": "$.event.userId"},
                "amount": {"@path": "$.payload.by"},
                "shown": {"@path": "$.answer.shown"},
            },
        ),
        "/requests/count/reconcile/key/@path",
        "unknown root 'event'; known: payload",
    ),
    "a root of an answer": (
        _set("destination.requests.count.refusals.0.message", {"@template": "{{anwser.why}}"}),
        "/requests/count/refusals/0/message/@template",
        "unknown root 'anwser'; known: answer; did you mean answer?",
    ),
    "a root of a batch's body": (
        _set(
            "destination.requests.save.batch",
            {"size": 2, "json": {"all": {"@path": "$.item"}}},
        ),
        "/requests/save/batch/json/all/@path",
        "unknown root 'item'; known: items, settings; did you mean items?",
    ),
    "a root of the headers of all": (
        _set("destination.transport.headers", {"A": {"@path": "$.anwser"}}),
        "/transport/headers/A/@path",
        "unknown root 'anwser'",
    ),
    "the payload in a field": (
        _set(f"{THING}.default", {"@path": "$.payload.by"}),
        "/fields/properties/thing/default/@path",
        "must not read payload: a field's mapping reads only the event",
    ),
    "the settings in a subscription": (
        _set("destination.presets.0.mapping", {"thing": {"@template": "{{settings.apiKey}}"}}),
        "/presets/0/mapping/thing/@template",
        "must not read settings: a field's mapping reads",
    ),
    "a key of the event": (
        _set(f"{THING}.default", {"@path": "$.propertis.thing"}),
        "/fields/properties/thing/default/@path",
        "unknown key of events 'propertis'; did you mean properties?",
    ),
    "a key of the event in Liquid": (
        _set(f"{THING}.default", {"@liquid": "{{ trait.name | upcase }}"}),
        "/fields/properties/thing/default/@liquid",
        "did you mean traits?",
    ),
    "a key of the event below its name": (
        _set(f"{THING}.default", {"@path": "$.event.properties.thing"}),
        "/fields/properties/thing/default/@path",
        "write $.properties, without event",
    ),
    "a key that a transform does not make": (
        _set(
            f"{THING}.default",
            {
                "@transform": {
                    "apply": {"name": {"@path": "$.event"}},
                    "mapping": {"a": {"@path": "$.event"}},
                }
            },
        ),
        "/fields/properties/thing/default/@transform/mapping/a/@path",
        "unknown key of apply 'event'; known: name",
    ),
    "an open placeholder": (
        _set(f"{THING}.default", {"@template": "{{userId}} {{event}"}),
        "/fields/properties/thing/default/@template",
        "has {{ without }}, which is printed as it is",
    ),
    "a placeholder that is not opened": (
        _set(f"{THING}.default", {"@template": "userId}}"}),
        "/fields/properties/thing/default/@template",
        "has }} without {{",
    ),
    "a placeholder that begins at the root": (
        _set(f"{THING}.default", {"@template": "{{ $.userId }}"}),
        "/fields/properties/thing/default/@template",
        "{{$.userId}} is always empty: write {{userId}}, without $.",
    ),
    "a Liquid filter in a template": (
        _set(f"{THING}.default", {"@template": "{{ userId | upcase }}"}),
        "/fields/properties/thing/default/@template",
        "has the Liquid filter '| upcase', but @template only fills in paths",
    ),
    "a Liquid tag in a template": (
        _set(
            f"{THING}.default",
            {"@template": {"@if": {"exists": 1, "then": "{% if userId %}x{% endif %}"}}},
        ),
        "/fields/properties/thing/default/@template/@if/then",
        "has the Liquid tag {% if userId %}, which @template prints as it is; use @liquid",
    ),
    "a path that a computed one may be": (
        _set(
            f"{THING}.default",
            {"@path": {"@if": {"exists": 1, "then": "$.event", "else": "$.payload.a"}}},
        ),
        "/fields/properties/thing/default/@path/@if/else",
        "must not read payload",
    ),
    "a Liquid filter that does not exist": (
        _set(f"{THING}.default", {"@liquid": "{{ traits.email | md5 }}"}),
        "/fields/properties/thing/default/@liquid",
        "unknown filter 'md5', which would leave the value as it is",
    ),
    "a mistyped Liquid filter": (
        _set(f"{THING}.default", {"@liquid": "{% assign a = event | upcas %}{{ a }}"}),
        "/fields/properties/thing/default/@liquid",
        "did you mean upcase?",
    ),
    "a Liquid filter that is disabled": (
        _set(f"{THING}.default", {"@liquid": "{{ traits.tags | sort }}"}),
        "/fields/properties/thing/default/@liquid",
        "the filter sort is disabled: every event that reaches it fails",
    ),
    "a field of FQL": (
        _set("destination.presets.0.subscribe", 'property.plan = "pro"'),
        "/presets/0/subscribe",
        "got property.plan; did you mean properties?",
    ),
    "a field of FQL in a function": (
        _set("destination.presets.0.subscribe", 'contains(trait.plan, "pro")'),
        "/presets/0/subscribe",
        "did you mean traits?",
    ),
    "a type in a subscription": (
        _set("destination.presets.0.subscribe", 'type = "trak"'),
        "/presets/0/subscribe",
        "group, identify, page, screen, track; did you mean track?",
    ),
    "two types in a subscription": (
        _set("destination.presets.0.subscribe", 'type = "track" and type = "identify"'),
        "/presets/0/subscribe",
        "never holds: no event has such a type",
    ),
    "two names in a subscription": (
        _set(
            "destination.presets.0.subscribe",
            'type = "track" and event = "A" and event = "B"',
        ),
        "/presets/0/subscribe",
        'at character 36: never holds: event = "A" and event = "B" exclude each other; join ',
    ),
    "the case of a key of the event": (
        _set(f"{THING}.default", {"@path": "$.userid"}),
        "/fields/properties/thing/default/@path",
        "unknown key of events 'userid'; did you mean userId?",
    ),
    "the case of the first letter of a key": (
        _set(f"{THING}.default", {"@template": "{{Properties.plan}}"}),
        "/fields/properties/thing/default/@template",
        "unknown key of events 'Properties'; did you mean properties?",
    ),
    "the case of a key of the event in a request": (
        _set(f"{SAVE}.json", {"@path": "$.event.messageid"}),
        "/requests/save/rest/json/@path",
        "unknown key of events 'messageid'; did you mean messageId?",
    ),
    "a key of a text": (
        _set("destination.requests.count.graphql.variables", {"by": {"@path": "payload.thing.id"}}),
        "/requests/count/graphql/variables/by/@path",
        "reads 'id' of a string, which has no keys",
    ),
    "a key of a number that may be null": (
        _all(
            _set("count.fields.properties.by.type", ["integer", "null"]),
            _set("destination.requests.count.graphql.variables", {"by": {"@path": "payload.by.x"}}),
        ),
        "/requests/count/graphql/variables/by/@path",
        "reads 'x' of an integer, which has no keys",
    ),
    "a key of a setting": (
        _set(f"{SAVE}.headers", {"A": {"@template": "{{settings.apiKey.value}}"}}),
        "/requests/save/rest/headers/A/@template",
        "reads 'value' of a string, which has no keys",
    ),
    "a setting in single braces": (
        _set(f"{SAVE}.headers", {"A": {"@template": "Bearer {settings.apiKey}"}}),
        "/requests/save/rest/headers/A/@template",
        "has {settings.apiKey}, which is printed as it is; did you mean {{settings.apiKey}}?",
    ),
    "a property in single braces": (
        _set(f"{THING}.default", {"@template": "{{userId}} { $.properties.plan }"}),
        "/fields/properties/thing/default/@template",
        "has {$.properties.plan}, which is printed as it is; did you mean {{properties.plan}}?",
    ),
    "a key of events in single braces": (
        _set(f"{THING}.default", {"@template": "{userId}"}),
        "/fields/properties/thing/default/@template",
        "did you mean {{userId}}?",
    ),
    "single braces in Liquid": (
        _set(f"{THING}.default", {"@liquid": "{{ event | upcase }} {traits.name}"}),
        "/fields/properties/thing/default/@liquid",
        "did you mean {{traits.name}}?",
    ),
    "two constants beside the choices of a field": (
        _field(
            type="string",
            enum=["eu", "us"],
            default={"@if": {"exists": {"@path": "$.userId"}, "then": "uk", "else": "fr"}},
        ),
        "/fields/properties/more/default/@if/else",
        'does not fit its own field: must be one of "eu", "us", got "fr"',
    ),
    "the only constant of a condition": (
        _field(type="integer", default={"@if": {"blank": {"@path": "$.event"}, "then": "many"}}),
        "/fields/properties/more/default/@if/then",
        "does not fit its own field: must be an integer",
    ),
    "constants in another case": (
        _field(
            type="string",
            enum=["eu"],
            default={
                "@case": {
                    "operator": "upper",
                    "value": {"@if": {"exists": {"@path": "$.userId"}, "then": "eu"}},
                }
            },
        ),
        "/fields/properties/more/default/@case/value/@if/then",
        'must be one of "eu", got "EU"',
    ),
    "a case that is a list": (
        _field(type="string", enum=["a"], default={"@case": {"operator": ["upper"], "value": "a"}}),
        "/fields/properties/more/default/@case/operator",
        "should be a string but is an array",
    ),
    "constants of a subscription": (
        _set(
            "destination.presets.0.mapping",
            {
                "by": {
                    "@if": {"exists": {"@path": "$.a"}, "then": "x", "else": {"@literal": "few"}}
                },
                "thing": "x",
            },
        ),
        "/presets/0/mapping/by/@if/else/@literal",
        "does not fit its own field: must be an integer",
    ),
    "a status as text": (
        _set(STATUS, {"status": "401"}),
        "/errorRules/0/when/status",
        "not '401'; write 401 without quotes",
    ),
    "a status as text in a list": (
        _set(STATUS, {"status": [404, "401"]}),
        "/errorRules/0/when/status/1",
        "not '401'; write 401 without quotes",
    ),
    "a class of statuses": (
        _set(STATUS, {"status": "5xxx"}),
        "/errorRules/0/when/status",
        "must be a class of statuses, such as 4xx or 5xx, not '5xxx'",
    ),
    "a status that no answer has": (
        _set(STATUS, {"status": [700]}),
        "/errorRules/0/when/status/0",
        "must be a number from 100 to 599, not 700",
    ),
    "a number as text": (
        _set("destination.transport.concurrency", "4"),
        "/transport/concurrency",
        "must be an integer, not '4'; write 4 without quotes",
    ),
    "true as text": (
        _set("destination.requests.find.idempotent", "true"),
        "/requests/find/idempotent",
        "must be true or false, not 'true'; write true without quotes",
    ),
    "a setting's default of another type": (
        _setting(type="integer", default="many"),
        "/settings/properties/more/default",
        "does not fit its own setting: must be an integer",
    ),
    "a setting's default beside its choices": (
        _setting(type="string", enum=["eu", "us"], default="uk"),
        "/settings/properties/more/default",
        "does not fit its own setting: must be one of",
    ),
    "a setting's default beside its pattern": (
        _setting(type="string", pattern="^https://", default="http://a.example"),
        "/settings/properties/more/default",
        "does not fit its own setting: must match ^https://",
    ),
    "a setting's default that is refused": (
        _setting(
            type="string", default="pub_1", **{"x-refuse": [{"pattern": "^pub", "message": "no"}]}
        ),
        "/settings/properties/more/default",
        "does not fit its own setting: no",
    ),
    "a field's default of another type": (
        _field(type="integer", default="many"),
        "/fields/properties/more/default",
        "does not fit its own field: must be an integer",
    ),
    "a field's default that is always the same": (
        _field(type="integer", default={"@template": "many"}),
        "/fields/properties/more/default",
        "does not fit its own field: must be an integer",
    ),
    "a field's default within": (
        _field(
            type="object",
            properties={"a": {"type": "array", "items": {"type": "integer"}}},
            default={"a": [1, "b"]},
        ),
        "/fields/properties/more/default/a/1",
        "does not fit its own field: must be an integer",
    ),
    "a constant of a subscription": (
        _set("destination.presets.0.mapping", {"by": "many", "thing": {"@path": "$.event"}}),
        "/presets/0/mapping/by",
        "does not fit its own field: must be an integer",
    ),
    "a URL that is a path": (
        _set(f"{SAVE}.url", "/pages"),
        "/requests/save/rest/url",
        "must be an absolute URL that begins with https:// or http://",
    ),
    "a URL without a scheme": (
        _set("destination.transport.baseUrl", "api.example.com/v1"),
        "/transport/baseUrl",
        "must be an absolute URL",
    ),
    "a URL of another scheme": (
        _set(f"{SAVE}.url", {"@template": "ftp://{{settings.endpoint}}"}),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "a URL without a host": (
        _set(f"{SAVE}.url", "https:///v1"),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "a URL that is a number": (
        _set(f"{SAVE}.url", 8080),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "one of two URLs": (
        _set(
            f"{SAVE}.url",
            {
                "@if": {
                    "exists": {"@path": "$.settings.limit"},
                    "then": "https://a.example",
                    "else": "b.example",
                }
            },
        ),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "a URL of a setting's default": (
        _all(
            _setting(type="string", default="eu1"),
            _set(f"{SAVE}.url", {"@template": "{{settings.more}}.example.com"}),
        ),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "GET with JSON": (
        _set(f"{SAVE}.method", "GET"),
        "/requests/save/rest/json",
        "must not be set: a GET request has no body",
    ),
    "GET with a form": (
        _set(SAVE, {"method": "GET", "url": "http://a.example", "form": {"a": "b"}}),
        "/requests/save/rest/form",
        "must not be set: a GET request has no body",
    ),
}

REST = "/requests/save/rest"
PLAIN: dict[str, tuple[Change, str, str]] = {
    "a template as a segment": (
        _set(f"{SAVE}.path", ["v1", "{{payload.page}}"]),
        f"{REST}/path/1",
        (
            "'{{payload.page}}' is plain text and sent as it is; did you mean"
            " {'@template': '{{payload.page}}'}? If the text is meant, write {'@literal': ...}"
        ),
    ),
    "a path as a body": (
        _set(f"{SAVE}.json", "$.payload.page"),
        f"{REST}/json",
        "did you mean {'@path': '$.payload.page'}?",
    ),
    "a path in a body": (
        _set(f"{SAVE}.json", {"a": [{"b": "$.event['user id'].c[0]"}]}),
        f"{REST}/json/a/0/b",
        "did you mean {'@path': \"$.event['user id'].c[0]\"}?",
    ),
    "a template as a header": (
        _set(f"{SAVE}.headers", {"X-Key": "Key {{ settings.apiKey }}"}),
        f"{REST}/headers/X-Key",
        "did you mean {'@template': 'Key {{ settings.apiKey }}'}?",
    ),
    "a template as a header of all": (
        _set("destination.transport.headers.X-Key", "{{settings.apiKey}}"),
        "/transport/headers/X-Key",
        "did you mean {'@template': '{{settings.apiKey}}'}?",
    ),
    "a template as a URL": (
        _set(f"{SAVE}.url", "https://a.example/{{$.settings.apiKey}}"),
        f"{REST}/url",
        "did you mean {'@template': 'https://a.example/{{$.settings.apiKey}}'}?",
    ),
    "a template as the URL of all": (
        _set("destination.transport.baseUrl", "https://{{settings.apiKey}}.a.example"),
        "/transport/baseUrl",
        "did you mean {'@template': 'https://{{settings.apiKey}}.a.example'}?",
    ),
    "a template in single braces": (
        _set(f"{SAVE}.url", "https://a.example/{settings.apiKey}/{payload.page}"),
        f"{REST}/url",
        "did you mean {'@template': 'https://a.example/{{settings.apiKey}}/{{payload.page}}'}?",
    ),
    "a path in a query": (
        _set(f"{SAVE}.query", {"id": "$.payload.page"}),
        f"{REST}/query/id",
        "did you mean {'@path': '$.payload.page'}?",
    ),
    "a path as a secret": (
        _set(
            f"{SAVE}.sign",
            {"header": "X-Sign", "algorithm": "sha256", "secret": "$.settings.apiKey"},
        ),
        f"{REST}/sign/secret",
        "did you mean {'@path': '$.settings.apiKey'}?",
    ),
    "a path as a variable": (
        _set("destination.requests.count.graphql.variables", {"by": "$.payload.by"}),
        "/requests/count/graphql/variables/by",
        "did you mean {'@path': '$.payload.by'}?",
    ),
    "a path of an answer": (
        _set("destination.requests.count.refusals.0.message", "not counted: {{answer.why}}"),
        "/requests/count/refusals/0/message",
        "did you mean {'@template': 'not counted: {{answer.why}}'}?",
    ),
    "a path as a default": (
        _set(f"{THING}.default", "$.properties.plan"),
        "/fields/properties/thing/default",
        "did you mean {'@path': '$.properties.plan'}?",
    ),
    "a template with the root": (
        _set(f"{THING}.default", "{{$.properties.plan}} of {{$.userId}}"),
        "/fields/properties/thing/default",
        "did you mean {'@template': '{{properties.plan}} of {{userId}}'}?",
    ),
    "Liquid": (
        _set(f"{THING}.default", "{{ properties.plan | upcase }}"),
        "/fields/properties/thing/default",
        "did you mean {'@liquid': '{{ properties.plan | upcase }}'}?",
    ),
    "a path within a directive": (
        _set(f"{THING}.default", {"@if": {"exists": {"@path": "$.a"}, "then": "$.traits.b"}}),
        "/fields/properties/thing/default/@if/then",
        "did you mean {'@path': '$.traits.b'}?",
    ),
    "long text": (
        _set(f"{THING}.default", "x" * 100 + "{{userId}}"),
        "/fields/properties/thing/default",
        (
            f"'{'x' * 60}...' is plain text and sent as it is; did you mean"
            f" {{'@template': '{'x' * 60}...'}}?"
        ),
    ),
}
"""Text that looks like a mapping: it would be sent, and nobody would know."""

WARNED: dict[str, tuple[Change, str, str]] = {
    # A definition with one of these is loaded: it does at Segment what it does here.
    "a type in a part of a subscription": (
        _set("destination.presets.0.subscribe", 'type = "page" or type = "trak"'),
        "/presets/0/subscribe",
        'at character 18: type = "trak" never holds, as the types of events are alias, group',
    ),
    "a type in an action": (
        _set("count.defaultSubscription", 'event = "A" and type = "Track"'),
        "/defaultSubscription",
        "never holds: no event has such a type; an event has one of alias, group, identify, page",
    ),
    "mixed and and or": (
        _set("destination.presets.0.subscribe", 'type = "track" and event = "A" or event = "B"'),
        "/presets/0/subscribe",
        "at character 32: and and or are mixed at one level, where the last one counts for all",
    ),
    "parentheses that end early": (
        _set(
            "count.defaultSubscription",
            'type = "track" and (contains(event, "A") or event = "B")',
        ),
        "/defaultSubscription",
        "parentheses around a function end at the function's own )",
    ),
    "no event has not that type": (
        _set("count.defaultSubscription", 'type != "delet"'),
        "/defaultSubscription",
        'type != "delet" always holds',
    ),
    "a path as plain text of a subscription": (
        _set("destination.presets.0.mapping", {"thing": "$.properties.plan"}),
        "/presets/0/mapping/thing",
        "did you mean {'@path': '$.properties.plan'}?",
    ),
    "HTTP Basic beside a header": (
        _set("destination.authentication.scheme", "basic"),
        "/authentication/scheme",
        (
            "basic has no effect: the header Authorization of transport is sent, and none is made"
            " of fields; remove that header, or say scheme: custom"
        ),
    ),
    "a credential that is not sent": (
        _all(_without_code, _set("destination.transport.headers", {})),
        "/authentication/fields/0",
        (
            "apiKey is in no request: put it into transport.auth, such as {bearer: apiKey}, or into"
            " transport.headers"
        ),
    ),
    "one of two credentials that is not sent": (
        _all(
            _without_code,
            _set("destination.authentication", CUSTOM),
            _set("destination.transport.headers", {"X-Key": {"@path": "$.settings.apiKey"}}),
        ),
        "/authentication/fields/1",
        "limit is in no request",
    ),
}

GOOD: dict[str, Change] = {
    "a format": _set(f"{SETTINGS}.apiKey.format", "uri"),
    "a class of statuses": _set(STATUS, {"status": [404, "5xx"]}),
    "a setting's default as text": _setting(type="integer", default="5"),
    "a setting's default of its choices": _setting(type="string", enum=["eu"], default="eu"),
    "a setting's default that is empty": _setting(type="string", default=""),
    "a field's default that is coerced": _set(f"{THING}.default", 5),
    "a field's default that is empty": _field(type="string", default=""),
    "a field's default of the event": _field(type="integer", default={"@path": "$.event"}),
    "a constant of a subscription": _set(
        "destination.presets.0.mapping", {"by": "7", "thing": "x", "other": {}}
    ),
    "a constant that fits beside one that does not": _field(
        type="string",
        enum=["eu", "us"],
        default={"@if": {"exists": {"@path": "$.userId"}, "then": "uk", "else": "eu"}},
    ),
    "a value of the event beside a constant": _field(
        type="integer",
        default={"@if": {"exists": {"@path": "$.a"}, "then": "x", "else": {"@path": "$.b"}}},
    ),
    "an else that gives nothing": _field(
        type="integer", default={"@if": {"exists": {"@path": "$.a"}, "then": 1, "else": ""}}
    ),
    "a constant in its case": _field(
        type="string", enum=["EU"], default={"@case": {"operator": "upper", "value": "eu"}}
    ),
    "what a text has": _set(
        "destination.requests.count.graphql.variables",
        {"by": {"@template": "{{payload.thing.length}}{{payload.thing.0}}"}},
    ),
    "a URL": _set(f"{SAVE}.url", "HTTPS://a.example"),
    "a URL with a host of a setting": _set(
        f"{SAVE}.url", {"@template": "https://{{settings.apiKey}}"}
    ),
    "a URL with a scheme of a setting": _set(
        f"{SAVE}.url", {"@template": "{{settings.apiKey}}://a.example"}
    ),
    "a URL of a setting": _set("destination.transport.baseUrl", {"@path": "$.settings.apiKey"}),
    "a URL of a setting's default": _set(
        f"{SAVE}.url", {"@template": "{{settings.endpoint}}/pages"}
    ),
    "GET": _set(SAVE, {"method": "GET", "url": "http://a.example", "query": {"a": "b"}}),
    "DELETE with JSON": _set(f"{SAVE}.method", "DELETE"),
    "roots of a request": _set(
        f"{SAVE}.json",
        {
            "@merge": {
                "objects": [
                    {"@path": "$.payload"},
                    {"@path": "$.event"},
                    {"@path": "event['properties'].any.thing"},
                    {"@path": "$.event.ownKey"},
                    {"@path": "$.settings.limit"},
                    {"@path": "$."},
                ],
                "direction": "right",
            }
        },
    ),
    "a request that code makes": _set(
        "destination.requests.find.graphql.variables", {"id": {"@path": "$.payload.whatever"}}
    ),
    "a key of a payload that keeps all keys": _set(f"{SAVE}.json", {"@path": "$.payload.pgae"}),
    "keys of an open object": _all(
        _set(CLOSED, False),  # noqa: FBT003 - a value of JSON
        _set("save.fields.properties.page.type", "object"),
        _set(f"{SAVE}.path", [{"@path": "$.payload.page.any.thing"}]),
    ),
    "keys of events and their own": _set(
        "destination.presets.0.mapping",
        {
            "by": {"@path": "$.user.count"},
            "thing": {"@template": "{{email}} {{context.any}} {{ traits['first name'] }}"},
            "other": {"@path": {"@path": "$.properties.path"}},
        },
    ),
    "paths of items": _set(
        f"{THING}.default",
        {"@arrayPath": ["$.properties.products", {"id": {"@path": "$.payload.settings"}}]},
    ),
    "what a transform makes": _set(
        f"{THING}.default",
        {
            "@transform": {
                "apply": {"payload": {"@path": "$.traits"}},
                "mapping": {"@template": "{{payload.first}} {{{payload.last}}}"},
            }
        },
    ),
    "what a directive makes for a transform": _set(
        f"{THING}.default",
        {"@transform": {"apply": {"@path": "$.traits"}, "mapping": {"a": {"@path": "$.any"}}}},
    ),
    "braces of JSON": _set(f"{THING}.default", {"@template": '{"a": {"b": "{{userId}}"}}'}),
    "braces of JSON after a number": _set(
        f"{THING}.default", {"@template": '{"a":{"b":{{properties.count}}}}'}
    ),
    "single braces of the partner": _set(
        f"{THING}.default", {"@template": "{name} {event} {user.id} {settings} {{userId}}"}
    ),
    "single braces of the partner in Liquid": _set(
        f"{THING}.default", {"@liquid": "{name} {{ '{traits.a}' }} {% raw %}{x}{% endraw %}"}
    ),
    "one of two values": _set(
        "destination.presets.0.subscribe",
        'type = "track" and (event = "A" or event = "B") and properties.a = "1" and'
        ' properties.b = "2" and properties.c != "3" and properties.c != "4"',
    ),
    "a percent sign": _set(f"{THING}.default", {"@template": "{100%} of {{event}} | {{userId}}"}),
    "Liquid": _set(
        f"{THING}.default",
        {
            "@liquid": "{% assign who = traits.name | default: userId %}"
            "{% if who contains 'a' %}{{ who | upcase | append: properties['x y'] }}{% endif %}"
        },
    ),
    "a URL whose template begins at the root": _set(
        f"{SAVE}.url", {"@template": "{{$.settings.endpoint}}/pages"}
    ),
    "text that is meant": _set(
        f"{SAVE}.json",
        {"a": {"@literal": "{{payload.page}}"}, "b": {"@literal": {"c": ["$.payload.page"]}}},
    ),
    "plain text": _set(
        f"{SAVE}.json",
        ["$", "$5", "$.50", "$ .a", "{}", "{{}}", "{{${name}}}", "{id}", "{user.id} {payload}"],
    ),
    "code in directives": _set(
        f"{THING}.default",
        {
            "@if": {
                "exists": {"@arrayPath": ["$.properties.products", {"id": {"@path": "$.id"}}]},
                "then": {"@path": {"@template": "$.properties.{{userId}}"}},
                "else": {"@liquid": "{{userId}}"},
            }
        },
    ),
    "a credential in an address": _all(
        _without_code,
        _set("destination.transport.headers", {}),
        _set(f"{SAVE}.query", {"key": {"@path": "$.settings.apiKey"}}),
    ),
    "a credential in a signature": _all(
        _without_code,
        _set("destination.transport.headers", {}),
        _set(
            f"{SAVE}.sign",
            {
                "header": "X-Sign",
                "algorithm": "sha256",
                "secret": {"@path": "$.settings.apiKey"},
            },
        ),
    ),
    "a credential among all settings": _all(
        _without_code,
        _set("destination.transport.headers", {}),
        _set(f"{SAVE}.json", {"@path": "$.settings"}),
    ),
    "credentials that code may send": _set("destination.transport.headers", {}),
    "HTTP Basic": _all(
        _without_code,
        _set("destination.authentication", {**CUSTOM, "scheme": "basic"}),
        _set("destination.transport.headers", {}),
    ),
    "credentials of a request to be written": _all(
        _without_code,
        _set("destination.transport.headers", {}),
        _set(
            "destination.requests.save",
            {"description": "Save.", "idempotent": True, "pending": "What it takes."},
        ),
    ),
    "types": _set(
        "count.defaultSubscription",
        'type = "identify" or type = "track" or type = "page" or type = "screen"'
        ' or type = "group" or type = "alias" or event = "trak"',
    ),
}


_OBJECT = {"title": "P", "description": "P.", "type": "object"}
BAD["a root that is a field as well"] = (
    _all(
        _set("count.fields.properties.properties", _OBJECT),
        _set(
            "destination.requests.count.graphql.variables", {"by": {"@path": "$.properties.plan"}}
        ),
    ),
    "/requests/count/graphql/variables/by/@path",
    (
        "unknown root 'properties': write $.payload.properties for the field of the action, or"
        " $.event.properties for what the event has"
    ),
)
BAD |= {f"plain text: {name}": one for name, one in PLAIN.items()}


@pytest.mark.parametrize(("change", "place", "message"), BAD.values(), ids=BAD)
def test_what_can_never_work(
    write_definition: Write, change: Change, place: str, message: str
) -> None:
    """It is an issue with file, line and place, which says what would be right."""
    issues = check_folder(write_definition(change))
    found = [issue for issue in issues if issue.path == place and message in issue.message]
    assert found, list(map(str, issues))
    assert found[0].file is not None
    assert found[0].line is not None


@pytest.mark.parametrize("text", ['type = "trak"', 'type = "track" and type = "identify"'])
def test_a_subscription_that_fits_no_event(
    load: Callable[..., DestinationDefinition], text: str
) -> None:
    """It is refused wherever a definition is loaded, as by ``run``: nothing would be delivered."""
    with pytest.raises(DefinitionError, match=r"/presets/0/subscribe: .*never holds"):
        load(_set("destination.presets.0.subscribe", text))


@pytest.mark.parametrize(("change", "place", "message"), WARNED.values(), ids=WARNED)
def test_what_does_no_harm(
    load: Callable[..., DestinationDefinition], change: Change, place: str, message: str
) -> None:
    """A mistake that changes no delivery is a warning of the definition, which is loaded."""
    (warning,) = load(change).warnings
    assert warning.path == place
    assert message in warning.message
    assert warning.line is not None


def test_the_mappings_of_public_destinations() -> None:
    """None of the mappings that Segment publishes is taken for a mistake."""
    with gzip.open(PUBLIC, "rt", encoding="utf-8") as file:
        definitions = json.load(file)
    fields = [
        (f"{name}/{slug}/{key}", field["default"])
        for name, definition in definitions.items()
        for slug, action in definition["actions"].items()
        for key, field in action["fields"].items()
        if "default" in field
    ]
    presets = [
        (f"{name}/{preset['partnerAction']}", preset["mapping"])
        for name, definition in definitions.items()
        for preset in definition["presets"]
        if "mapping" in preset
    ]
    assert len(fields) > 1_000
    assert [
        (place, found)
        for place, mapping in (*fields, *presets)
        for found in (*unreadable(mapping, "", EVENT), *sent_as_it_is(mapping, "", EVENT))
    ] == []


DOCUMENTED: dict[str, Change] = {
    # by the first column of the table in docs/reference/definition/checks.md
    "An unknown key": _set("destination.nmae", "Sample"),
    "A number in quotes": _set(STATUS, {"status": "401"}),
    "A format that does not exist": _set(f"{SETTINGS}.apiKey.format", "pasword"),
    "A default that breaks its own schema": _field(type="integer", default="many"),
    "Constants that all break their schema": _field(
        type="integer",
        default={"@if": {"exists": {"@path": "$.a"}, "then": "many", "else": "few"}},
    ),
    "A type that does not exist": _field(type="strng"),
    "A relative URL": _set(f"{SAVE}.url", "/pages"),
    "A region without an address": _all(
        _set(f"{SETTINGS}.region", {**REGION, "enum": ["us", "eu"]}),
        _set(
            "destination.transport.baseUrl",
            {"setting": "region", "urls": {"us": "https://api.example.com"}},
        ),
    ),
    "Two bodies": _set(SAVE, {"method": "POST", "json": {"a": 1}, "text": "b"}),
    "Compression without a body": _set(SAVE, {"method": "DELETE", "gzip": True}),
    "A body of `GET`": _set(f"{SAVE}.method", "GET"),
    "An unknown root": _set(f"{SAVE}.json", {"@path": "$.setting.apiKey"}),
    "The event's keys in a request": _set(f"{SAVE}.json", {"@path": "$.properties.plan"}),
    "An unknown setting": _set(f"{SAVE}.json", {"@template": "{{settings.apikey}}"}),
    "An unknown field, if `additionalProperties` is false": _set(
        "destination.requests.count.graphql.variables", {"by": {"@path": "$.payload.thinng"}}
    ),
    "The payload in a field's mapping": _set(f"{THING}.default", {"@path": "$.payload.by"}),
    "A mistyped key of events": _set(f"{THING}.default", {"@path": "$.propertis.plan"}),
    "A key of events in another case": _set(f"{THING}.default", {"@path": "$.userid"}),
    "A key of text or of a number": _set(
        "destination.requests.count.graphql.variables", {"by": {"@path": "$.payload.thing.id"}}
    ),
    "A placeholder in single braces": _set(
        f"{SAVE}.headers", {"A": {"@template": "Bearer {settings.apiKey}"}}
    ),
    "An unbalanced placeholder": _set(f"{THING}.default", {"@template": "{{userId}"}),
    "Liquid in `@template`": _set(f"{THING}.default", {"@template": "{{userId | upcase}}"}),
    "A Liquid filter that does not exist": _set(
        f"{THING}.default", {"@liquid": "{{traits.email | md5}}"}
    ),
    "A template without `@template`": _set(f"{SAVE}.path", ["pages", "{{payload.page}}"]),
    "A path without `@path`": _set(f"{SAVE}.json", "$.payload.page"),
    "A path without `@path` in a subscription (a warning: it is loaded)": _set(
        "destination.presets.0.mapping", {"thing": "$.properties.plan"}
    ),
    "HTTP Basic beside a header `Authorization` (a warning: it is loaded)": _set(
        "destination.authentication.scheme", "basic"
    ),
    "A credential that no request has (a warning: it is loaded)": _all(
        _without_code, _set("destination.transport.headers", {})
    ),
    "A field that no request reads (a warning: it is loaded)": _field(type="string"),
    "A time of the event as a number (a warning: it is loaded)": _field(
        type="integer", default={"@path": "$.timestamp"}
    ),
    "A key that would be shown": _auth(bearer="endpoint"),
    "A header that is made twice": _all(
        _auth(bearer="apiKey"), _set("destination.transport.headers", {"Authorization": "x"})
    ),
    "A time that is signed and not sent": _set(
        f"{SAVE}.sign", {**SIGN, "message": "{{timestamp}}.{{body}}"}
    ),
    "A key of signatures that would be shown (a warning: it is loaded)": _set(
        f"{SAVE}.sign", {**SIGN, "secret": {"@path": "$.settings.endpoint"}}
    ),
    "An unknown directive": _set(f"{THING}.default", {"@paht": "$.event"}),
    "An unknown field of FQL": _set("destination.presets.0.subscribe", 'property.plan = "pro"'),
    "A subscription that fits no event": _set("destination.presets.0.subscribe", 'type = "trak"'),
    "Two conditions that exclude each other": _set(
        "destination.presets.0.subscribe", 'event = "A" and event = "B"'
    ),
    "Mixed `and` and `or` (a warning: it is loaded)": _set(
        "destination.presets.0.subscribe", 'type = "track" and event = "A" or event = "B"'
    ),
    "An unknown type of events in a part (a warning: it is loaded)": _set(
        "destination.presets.0.subscribe", 'type = "page" or type = "trak"'
    ),
}


def _documented() -> dict[str, str]:
    """The messages of the table by the mistakes."""
    path = PUBLIC.parents[2] / "docs" / "reference" / "definition" / "checks.md"
    page = path.read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| `.*` \| `(.+)` \|$", page, re.MULTILINE)
    return {mistake: message.replace("\\|", "|") for mistake, message in rows}


def test_the_table_of_mistakes_is_whole() -> None:
    """Each mistake of the page has a definition that makes it below."""
    assert list(_documented()) == list(DOCUMENTED)


@pytest.mark.parametrize(("mistake", "change"), DOCUMENTED.items(), ids=DOCUMENTED)
def test_the_table_of_mistakes_is_true(
    write_definition: Write, mistake: str, change: Change
) -> None:
    """The definition that makes a mistake of the page is told what the page says."""
    messages = [issue.message for issue in check_folder(write_definition(change))]
    assert any(_documented()[mistake] in message for message in messages), messages


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_what_works(write_definition: Write, change: Change) -> None:
    """What is near a mistake and none is no issue, nor a warning."""
    found = list(map(str, check_folder(write_definition(change))))
    # Nothing sends the field that some of them add.
    assert [one for one in found if not one.endswith("reads $.payload.more")] == []


PENDING = {"description": "Count.", "idempotent": True, "pending": "What it takes."}
UNREAD: dict[str, tuple[Change, bool]] = {
    "a field": (_field(type="string"), True),
    "a field of which another word is a part": (
        _all(_field(type="string"), _set(f"{SAVE}.json", {"x": {"@path": "$.payload.moreover"}})),
        True,
    ),
    "its path in a request": (
        _all(_field(type="string"), _set(f"{SAVE}.json", {"x": {"@path": "$.payload.more"}})),
        True,  # of another action
    ),
    "its path in the action's own request": (
        _all(
            _field(type="string"),
            _set(
                "destination.requests.count.graphql.variables",
                {"x": {"@template": "{{payload.more}}"}},
            ),
        ),
        False,
    ),
    "the whole payload": (
        _all(
            _field(type="string"),
            _set("destination.requests.count.graphql.variables", {"x": {"@path": "$.payload"}}),
        ),
        False,
    ),
    "a header of all requests": (
        _all(
            _field(type="string"),
            _set("destination.transport.headers", {"X": {"@path": "$.payload.more"}}),
        ),
        False,
    ),
    "an account that is touched": (
        _all(_field(type="string"), _set("count.touches", [{"@path": "$.payload.more"}])),
        False,
    ),
    "an identifier, which is checked": (_field(**{"type": "string", "x-identifier": True}), False),
    "a field of batches": (
        _set(
            "count.fields.properties.batch_size",
            {"type": "integer", "title": "Size", "description": "The size."},
        ),
        False,
    ),
    "a request that is to be written": (
        _all(_field(type="string"), _set("destination.requests.count", PENDING)),
        False,
    ),
}


@pytest.mark.parametrize(("change", "is_told"), UNREAD.values(), ids=UNREAD)
def test_a_field_that_no_request_reads(
    write_definition: Write, change: Change, *, is_told: bool
) -> None:
    """A warning names it, where nothing may read it; the definition can be loaded."""
    found = [str(one) for one in check_folder(write_definition(change))]
    assert any("is never sent: no request reads $.payload.more" in one for one in found) == is_told
    assert is_told or not any("never sent" in one for one in found)


@pytest.mark.parametrize(
    ("spec", "is_told"),
    [
        ({"type": "integer", "default": {"@path": "$.timestamp"}}, True),
        ({"type": ["number", "null"], "default": {"@path": "receivedAt"}}, True),
        ({"type": ["number", "string"], "default": {"@path": "$.timestamp"}}, False),
        ({"type": "integer", "default": {"@path": "$.properties.timestamp"}}, False),
        (
            {
                "type": "integer",
                "default": {"@convert": {"value": {"@path": "$.timestamp"}, "to": "seconds"}},
            },
            False,
        ),
    ],
)
def test_a_time_as_a_number(
    write_definition: Write, spec: dict[str, Any], *, is_told: bool
) -> None:
    """Times of events are text: a field of numbers that takes one is named, with the cure."""
    found = [str(one) for one in check_folder(write_definition(_field(**spec)))]
    cure = "to: seconds}}"
    assert any("gives text such as" in one and one.endswith(cure) for one in found) == is_told
