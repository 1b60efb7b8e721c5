"""What Segment's framework cannot say is refused by name, with its place in the YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from destinations.errors import DefinitionError
from destinations.kit.exporter import export_segment
from destinations.segment.json_pointer import value_at
from tests.destinations.kit.exporter.folders import Change, Definition
from tests.shipped import DEFINITIONS

CONVERT: Final = {"@convert": {"value": {"@path": "$.event"}, "to": "lower"}}
PAYLOAD_CONVERT: Final = {"@convert": {"value": {"@path": "$.payload.name"}, "to": "lower"}}
TIME_CONVERT: Final = {"@convert": {"value": {"@path": "$.payload.name"}, "to": "iso"}}
SETTING_CONVERT: Final = {"@convert": {"value": {"@path": "$.settings.apiKey"}, "to": "trim"}}
SETTING: Final = {"@path": "$.settings.apiKey"}
ITEM_CONVERT: Final = {"@convert": {"value": {"@path": "$.id"}, "to": "text"}}


class Refused(NamedTuple):
    """A change, and what is said of it: file, place and a part of the message."""

    change: Change
    file: str
    place: str
    message: str


def _rest(**more: Any) -> Change:
    return lambda one: one.rest.update(more)


def _request(**more: Any) -> Change:
    return lambda one: one.request.update(more)


def _field(**more: Any) -> Change:
    return lambda one: one.field.update(more)


def _action(**more: Any) -> Change:
    return lambda one: one.action.update(more)


def _rule(**when: Any) -> Change:
    rule = {"when": when, "class": "invalid", "retryable": False, "nothingApplied": True}
    return lambda one: one.destination["errorRules"].append(rule)


def _graphql(one: Definition) -> None:
    one.request.pop("rest")
    one.request["graphql"] = {"document": "query Ask { me { id } }"}


def _pending(one: Definition) -> None:
    one.request.pop("rest")
    one.request["pending"] = "Nobody knows it yet."
    one.cases.clear()


def _key_in_form(one: Definition) -> None:
    one.rest["form"] = one.rest.pop("json")
    one.request["idempotent"] = False
    key = {"field": "key", "from": {"@path": "$.payload.id"}, "for": "24h"}
    one.request["idempotencyKey"] = key
    one.cases.clear()


def _list(one: Definition) -> None:
    one.request["answers"] = [{"name": "gone", "when": {"status": 404}}]
    one.request["list"] = {
        "request": "ping",
        "key": "id",
        "value": {"@path": "$.payload.name"},
        "absent": "gone",
    }


def _computed_url(one: Definition) -> None:
    one.rest.pop("path")
    one.rest["url"] = {
        "@if": {
            "exists": {"@path": "$.settings.apiKey"},
            "then": "https://a.example.com",
            "else": "https://b.example.com",
        }
    }


def _steps(one: Definition) -> None:
    steps = [
        {"name": "asked", "request": "ping"},
        {"name": "sent", "request": "sendEvent"},
    ]
    one.action["perform"] = {"steps": steps}


def _reconcile(one: Definition, key: str = "reconcile") -> None:
    one.request["idempotent"] = False
    one.request[key] = {
        "ask": "ping",
        "key": {"@path": "$.payload.name"},
        "amount": {"@path": "$.payload.amount"},
        "shown": {"@path": "$.answer.balance"},
    }
    one.action["fields"]["properties"]["amount"] = {
        "title": "Amount",
        "description": "The amount.",
        "type": "integer",
        "default": 1,
    }


def _mapped(mapping: Mapping[str, Any]) -> Change:
    return lambda one: one.destination["presets"][0].update(mapping=mapping)


def _transport_headers(headers: Mapping[str, Any], body: object = 1) -> Change:
    """Return a change with a setting that the catalog does not ask for."""

    def change(one: Definition) -> None:
        one.destination["settings"]["properties"]["plan"] = {
            "title": "Plan",
            "description": "The plan.",
            "type": "string",
            "x-catalog": False,
        }
        one.destination["transport"]["headers"] = headers
        one.rest["json"] = {"a": body}

    return change


def _same_titles(one: Definition) -> None:
    one.add_action("other")
    one.actions["other"]["title"] = one.action["title"]


def _oauth2(parameters: Mapping[str, Any] | None = None, **more: Any) -> Change:
    def change(one: Definition) -> None:
        one.destination["settings"]["properties"]["secret"] = {
            "title": "Secret",
            "description": "The secret.",
            "type": "string",
            "format": "password",
        }
        one.destination["settings"]["required"].append("secret")
        one.destination["transport"].pop("auth")
        one.destination["authentication"] = {
            "scheme": "oauth2",
            "fields": ["apiKey", "secret"],
            "test": "ping",
            "oauth2": {
                "grant": "clientCredentials",
                "tokenUrl": "https://api.example.com/token",
                "clientId": "apiKey",
                "clientSecret": "secret",
                **({} if parameters is None else {"parameters": parameters}),
                **more,
            },
        }
        one.cases.clear()

    return change


def _named(name: str, *, inside: str = "", **spec: Any) -> Change:
    """Add a field of a name, or a property of that name of a field; the body has it too."""
    new = {"title": "New", "description": "It is new.", "type": "string"} | spec

    def change(one: Definition) -> None:
        properties = one.action["fields"]["properties"]
        if inside:
            outer = {"title": "Outer", "description": "An object.", "type": "object"}
            properties[inside] = outer | {"properties": {name: new}}
        else:
            properties[name] = new
        one.rest["json"]["new"] = {"@path": f"$.payload.{inside or name}"}

    return change


def _uncatalogued(*changes: Change, **more: Any) -> Change:
    """Return what adds the setting ``host``, which the catalog does not ask for."""

    def change(one: Definition) -> None:
        one.destination["settings"]["properties"]["host"] = {
            "title": "Host",
            "description": "The host.",
            "type": "string",
            "x-catalog": False,
            **more,
        }
        for other in changes:
            other(one)

    return change


def _setting_named(name: str) -> Change:
    new = {"title": "New", "description": "It is new.", "type": "string"}
    return lambda one: one.destination["settings"]["properties"].update({name: new})


def _refresh(one: Definition) -> None:
    _oauth2(grant="refreshToken", refreshToken="token")(one)
    properties = one.destination["settings"]["properties"]
    properties["token"] = {**properties["secret"], "title": "Token"}
    one.destination["authentication"]["fields"].append("token")


def _refreshed(other: Change) -> Change:
    def change(one: Definition) -> None:
        _refresh(one)
        other(one)

    return change


HOST: Final = {"@path": "$.settings.host"}


def _setting(name: str) -> Change:
    setting = {"title": "A", "description": "A setting.", "type": "string", "format": "password"}
    return lambda one: one.destination["settings"]["properties"].update({name: setting})


def _signed(one: Definition) -> None:
    _setting("the.key")(one)
    secret = {"@path": r"$.settings.the\.key"}
    one.rest["sign"] = {"header": "X-S", "algorithm": "sha1", "secret": secret}


def _choices_within(one: Definition) -> None:
    _choices("kind")(one)
    properties = one.action["fields"]["properties"]
    text = {"title": "A", "description": "An object.", "type": "object"}
    inner = {**text, "properties": {"kind": properties.pop("kind")}}
    properties["outer"] = {**text, "properties": {"inner": inner}}


def _field_with_a_dot(one: Definition) -> None:
    choices = {"request": "ping", "items": {"@path": "$.answer"}, "value": {"@path": "$.id"}}
    one.action["fields"]["properties"]["a.b"] = {
        "title": "A",
        "description": "A field.",
        "type": "string",
        "x-choices": choices,
    }


def _failures(**more: Any) -> Change:
    failures = {"status": [200], "items": {"@path": "$.errors"}, "index": {"@path": "$.index"}}
    return _request(batch={"size": 9, "failures": failures | more})


SEND: Final = "/requests/sendEvent"
NAME: Final = "/fields/properties/name"


def _choices(key: str) -> Change:
    """Return a change that adds a field whose choices a request gives page by page."""

    def change(one: Definition) -> None:
        one.destination["requests"]["lists"] = {
            "description": "Lists.",
            "idempotent": True,
            "rest": {"method": "GET", "path": ["lists"], "query": {"page": {"@path": "$.page"}}},
        }
        one.action["fields"]["properties"][key] = {
            "title": key,
            "description": "D.",
            "type": "string",
            "x-choices": {
                "request": "lists",
                "items": {"@path": "$.answer.items"},
                "value": {"@path": "$.id"},
                "next": {"@path": "$.answer.next"},
            },
        }

    return change


def _key_in_query(one: Definition) -> None:
    one.destination["transport"]["auth"] = {"apiKey": {"setting": "apiKey", "query": "key"}}
    one.rest["query"] = {"@merge": {"objects": [{"a": "1"}, {"b": "2"}], "direction": "right"}}
    one.cases.clear()


REFUSED: Final[Mapping[str, Refused]] = {
    "a header beyond Latin-1": Refused(
        _rest(headers={"X-Name": "\u017c"}),
        "destination",
        f"{SEND}/rest/headers/X-Name",
        "one line of Latin-1",
    ),
    "a header that is no name": Refused(
        _rest(headers={"__proto__": "a"}),
        "destination",
        f"{SEND}/rest/headers/__proto__",
        "no header of this name",
    ),
    "a key beside a computed query": Refused(
        _key_in_query, "destination", f"{SEND}/rest/query", "a query that a directive makes"
    ),
    "a name that is a prototype": Refused(
        _rest(json={"a": {"__proto__": 1}}),
        "destination",
        f"{SEND}/rest/json/a/__proto__",
        "loses the name __proto__",
    ),
    "a number that JavaScript has not": Refused(
        _rest(json={"a": [9_007_199_254_740_993]}),
        "destination",
        f"{SEND}/rest/json/a/0",
        "JavaScript reads 9007199254740993 as another number",
    ),
    "a default beyond all numbers": Refused(
        _field(type="integer", default=-(10**300) - 1), "track", f"{NAME}/default", "as another"
    ),
    "a header of all requests with a setting that is none there": Refused(
        _transport_headers({"X-Plan": {"@template": "{{settings.plan}}"}}),
        "destination",
        "/transport/headers/X-Plan/@template",
        "reads the setting plan, which Segment's form has not",
    ),
    "all settings": Refused(
        _transport_headers({}, {"@path": "$.settings"}),
        "destination",
        f"{SEND}/rest/json/a/@path",
        "reads all settings, and Segment has no plan",
    ),
    "a path to a prototype": Refused(
        _rest(json={"a": [{"@path": "$.payload.id.__proto__"}]}),
        "destination",
        f"{SEND}/rest/json/a/0/@path",
        "finds the prototype at __proto__",
    ),
    "a template with a prototype": Refused(
        _field(default={"@template": "{{event}} {{ properties.__proto__.name }}"}),
        "track",
        f"{NAME}/default/@template",
        "finds the prototype at __proto__",
    ),
    "a preset with a prototype": Refused(
        _mapped({"name": {"@path": "$.traits['__proto__']"}}),
        "destination",
        "/presets/0/mapping/name/@path",
        "finds the prototype at __proto__",
    ),
    "a window of a prototype": Refused(
        _action(window={"grace": "1d", "from": {"@path": "$.payload.__proto__"}, "then": "reject"}),
        "track",
        "/window/from/@path",
        "finds the prototype at __proto__",
    ),
    "two actions of one title": Refused(
        _same_titles, "track", "/title", "other has this title, by which Segment's framework"
    ),
    "an action with the title of the settings": Refused(
        _action(title="settings"), "track", "/title", "the schema of settings has this title"
    ),
    "steps": Refused(_steps, "track", "/perform/steps", "steps have no counterpart"),
    "reconcile": Refused(_reconcile, "destination", f"{SEND}/reconcile", "reconcile"),
    "settle": Refused(
        lambda one: _reconcile(one, "settle"), "destination", f"{SEND}/settle", "reconcile"
    ),
    "remember": Refused(
        _request(remember=True), "destination", f"{SEND}/remember", "remembers no answers"
    ),
    "answers": Refused(
        _request(answers=[{"name": "gone", "when": {"status": 404}}]),
        "destination",
        f"{SEND}/answers",
        "read answers by name",
    ),
    "a list": Refused(_list, "destination", f"{SEND}/list", "an answer from a list"),
    "GraphQL": Refused(_graphql, "destination", SEND, "GraphQL"),
    "GraphQL's errors": Refused(
        _rule(exception="Gone"), "destination", "/errorRules/1/when", "GraphQL's errors"
    ),
    "a key in a form": Refused(
        _key_in_form, "destination", f"{SEND}/idempotencyKey/field", "a key in a form"
    ),
    "a conversion in a window": Refused(
        _action(window={"from": TIME_CONVERT, "grace": "1d", "then": "reject"}),
        "track",
        "/window/from",
        "times are read in all of their forms",
    ),
    "a pending request": Refused(_pending, "destination", SEND, "not written yet"),
    "the event in a body": Refused(
        _rest(json={"id": {"@path": "$.event.messageId"}}),
        "destination",
        f"{SEND}/rest/json/id/@path",
        "add a hidden field",
    ),
    "the event in a header": Refused(
        _rest(headers={"X-Id": {"@template": "a-{{event.messageId}}"}}),
        "destination",
        f"{SEND}/rest/headers/X-Id/@template",
        "add a hidden field",
    ),
    "the event in a path": Refused(
        _rest(path=["events", {"@path": "$.event.userId"}]),
        "destination",
        f"{SEND}/rest/path/1/@path",
        "add a hidden field",
    ),
    "the event in a deletion": Refused(
        lambda one: one.delete_users({"@path": "$.event.userId"}),
        "destination",
        "/requests/deleteUser/rest/path/1/@path",
        "read $.payload.userId or $.payload.anonymousId",
    ),
    "the event in all headers": Refused(
        lambda one: one.destination["transport"].update(
            headers={"X-Id": {"@path": "$.event.messageId"}}
        ),
        "destination",
        "/transport/headers/X-Id/@path",
        "add a hidden field",
    ),
    "the event in a window": Refused(
        _action(window={"from": {"@path": "$.event.sentAt"}, "grace": "1d", "then": "reject"}),
        "track",
        "/window/from/@path",
        "read the time from a field",
    ),
    "the event's timestamp in a window": Refused(
        _action(window={"grace": "1d", "then": "reject"}),
        "track",
        "/window",
        "read the time from a field",
    ),
    "a conversion in a default": Refused(
        _field(default=CONVERT), "track", f"{NAME}/default", "@convert has no counterpart"
    ),
    "a conversion within a default": Refused(
        _field(default={"@if": {"exists": {"@path": "$.event"}, "then": CONVERT, "else": "x"}}),
        "track",
        f"{NAME}/default/@if/then",
        "@convert has no counterpart",
    ),
    "a conversion in a preset": Refused(
        lambda one: one.destination["presets"][0].update(mapping={"name": CONVERT}),
        "destination",
        "/presets/0/mapping/name",
        "convert the value in the mapping of the request",
    ),
    "a key with a dot in a default": Refused(
        _field(default={"@path": r"$.properties.a\.b"}),
        "track",
        f"{NAME}/default/@path",
        "map the object that has it",
    ),
    "a key with a dot within a default": Refused(
        _field(
            default={
                "@if": {
                    "exists": {"@template": r"{{properties.a\.b}}"},
                    "then": "one",
                    "else": "two",
                }
            }
        ),
        "track",
        f"{NAME}/default/@if/exists/@template",
        "map the object that has it",
    ),
    "a key with a dot in a computed path": Refused(
        _rest(
            json={
                "a": {
                    "@path": {
                        "@if": {
                            "exists": {"@path": "$.payload.id"},
                            "then": r"payload.a\.b",
                            "else": "payload.id",
                        }
                    }
                }
            }
        ),
        "destination",
        f"{SEND}/rest/json/a/@path/@if/then",
        "read it with @path",
    ),
    "a key with a dot in a preset": Refused(
        lambda one: one.destination["presets"][0].update(
            mapping={"name": {"@path": r"$.properties.a\.b"}}
        ),
        "destination",
        "/presets/0/mapping/name/@path",
        "map the object that has it",
    ),
    "a key with a dot in items": Refused(
        _rest(json={"items": {"@arrayPath": ["$.payload.name", {"id": {"@path": r"$.a\.b"}}]}}),
        "destination",
        f"{SEND}/rest/json/items/@arrayPath/1/id/@path",
        "not within a list",
    ),
    "a key with a dot in an answer": Refused(
        _failures(message={"@path": r"$.a\.b"}),
        "destination",
        f"{SEND}/batch/failures/message/@path",
        "no code reads this mapping",
    ),
    "a key with a dot in a window": Refused(
        _action(window={"from": {"@path": r"$.payload.a\.b"}, "grace": "1d", "then": "reject"}),
        "track",
        "/window/from/@path",
        "no code reads this mapping",
    ),
    "a key with a dot in a signature": Refused(
        _signed, "destination", f"{SEND}/rest/sign/secret/@path", "no code reads this mapping"
    ),
    "a key with a dot in choices": Refused(
        _field(
            **{
                "x-choices": {
                    "request": "ping",
                    "items": {"@path": "$.answer"},
                    "value": {"@path": r"$.a\.b"},
                }
            }
        ),
        "track",
        f"{NAME}/x-choices/value/@path",
        "no code reads this mapping",
    ),
    "choices of a property within a property": Refused(
        _choices_within,
        "track",
        "/fields/properties/outer/properties/inner/properties/kind/x-choices",
        "of properties of their objects alone",
    ),
    "a field with a dot": Refused(
        _field_with_a_dot, "track", "/fields/properties/a.b", "has a name that code cannot have"
    ),
    "a conversion of items": Refused(
        _rest(
            json={
                "items": {
                    "@arrayPath": ["$.payload.name", {"id": ITEM_CONVERT}],
                }
            }
        ),
        "destination",
        f"{SEND}/rest/json/items/@arrayPath/1",
        "items of a list",
    ),
    "a conversion in a signature": Refused(
        _rest(sign={"header": "X-S", "algorithm": "sha1", "secret": SETTING_CONVERT}),
        "destination",
        f"{SEND}/rest/sign/secret",
        "@convert has no counterpart",
    ),
    "a keyword": Refused(
        _field(dependentRequired={"a": ["b"]}),
        "track",
        f"{NAME}/dependentRequired",
        "the keyword dependentRequired",
    ),
    "several types": Refused(
        _field(type=["string", "number"]), "track", f"{NAME}/type", "several types (string, number)"
    ),
    "a format": Refused(
        _field(format="duration"), "track", f"{NAME}/format", "knows no format duration"
    ),
    "conditions on fields": Refused(
        lambda one: one.action["fields"].update(
            allOf=[{"if": {"required": ["name"]}, "then": {"required": ["name"]}}]
        ),
        "track",
        "/fields/allOf",
        "conditions beyond x-requiredWhen",
    ),
    "unmapped events": Refused(
        _action(unmapped={"missing": "name", "reason": "It has no name."}),
        "track",
        "/unmapped",
        "no unmapped events",
    ),
    "a computed URL": Refused(_computed_url, "destination", f"{SEND}/rest/url", "that a directive"),
    "a keyword of a check": Refused(
        _request(expect={"type": "object", "minProperties": 1}),
        "destination",
        f"{SEND}/expect/minProperties",
        "the keyword minProperties",
    ),
    "an expression of Python": Refused(
        _rule(status=400, message="(?P<word>a)++b"),
        "destination",
        "/errorRules/1/when/message",
        "put what is repeated in a group",
    ),
    "a name of all objects": Refused(
        _named("toString"), "track", "/fields/properties/toString", "every object of JavaScript"
    ),
    "the name of the prototype": Refused(
        _named("__proto__"), "track", "/fields/properties/__proto__", "every object of JavaScript"
    ),
    "a property with a name of all objects": Refused(
        _named("valueOf", inside="outer"),
        "track",
        "/fields/properties/outer/properties/valueOf",
        "the property 'valueOf' of the field 'outer' has the name of a member",
    ),
    "a setting with a name of all objects": Refused(
        _setting_named("constructor"),
        "destination",
        "/settings/properties/constructor",
        "the setting 'constructor' has the name of a member",
    ),
    "a name beyond ASCII": Refused(
        _named("naïve"), "track", "/fields/properties/naïve", "use ASCII letters, digits"
    ),
    "a field of Segment's own": Refused(
        _named("enable_batching", type="boolean"),
        "track",
        "/fields/properties/enable_batching",
        "of a field that Segment adds",
    ),
    "other batch keys": Refused(
        _named("batch_keys"), "track", "/fields/properties/batch_keys", "an optional list"
    ),
    "a setting without a default that the catalog does not ask for": Refused(
        _uncatalogued(
            _rest(headers={"X-Host": HOST}),
            lambda one: one.destination["settings"]["required"].append("host"),
            lambda one: one.cases.clear(),
        ),
        "destination",
        f"{SEND}/rest/headers/X-Host/@path",
        "which has no default: give it one",
    ),
    "such a setting in a directive": Refused(
        _uncatalogued(
            _rest(json={"host": {"@liquid": "{{ settings.host | upcase }}"}}), default="eu"
        ),
        "destination",
        f"{SEND}/rest/json/host/@liquid",
        "only in @path and in templates",
    ),
    "such a setting in a path": Refused(
        _uncatalogued(_rest(path=["events", HOST]), default="e:u"),
        "destination",
        f"{SEND}/rest/path/1/@path",
        "only in @path and in templates",
    ),
    "such a setting in a signature": Refused(
        _uncatalogued(
            _rest(
                sign={
                    "header": "X-S",
                    "algorithm": "sha1",
                    "secret": {"@liquid": "{{ settings.host }}"},
                }
            ),
            default="eu",
        ),
        "destination",
        f"{SEND}/rest/sign/secret/@liquid",
        "only in @path and in templates",
    ),
    "such a setting as a credential": Refused(
        lambda one: one.destination["settings"]["properties"]["apiKey"].update(
            {"x-catalog": False}
        ),
        "destination",
        "/settings/properties/apiKey",
        "which has no default: give it one",
    ),
    "a condition on such a setting": Refused(
        _uncatalogued(
            lambda one: one.destination["settings"]["properties"]["apiKey"].update(
                {
                    "x-dependsOn": {
                        "conditions": [{"field": "host", "operator": "is", "value": "eu"}]
                    }
                }
            ),
            default="eu",
        ),
        "destination",
        "/settings/properties/apiKey/x-dependsOn",
        "asks for host, which is no setting at Segment",
    ),
    "what Segment keeps of OAuth2": Refused(
        _refreshed(_rest(headers={"X-Client": SETTING})),
        "destination",
        f"{SEND}/rest/headers/X-Client/@path",
        "which Segment keeps itself and gives to no request",
    ),
    "a computed parameter of a token": Refused(
        _oauth2({"audience": {"@path": "$.settings.apiKey"}}),
        "destination",
        "/authentication/oauth2/parameters/audience",
        "a computed parameter",
    ),
    "a parameter that each token request has": Refused(
        _oauth2({"grant_type": "password"}),
        "destination",
        "/authentication/oauth2/parameters/grant_type",
        "the request has a field grant_type by itself",
    ),
    "a parameter with the secret of the client": Refused(
        _oauth2({"client_secret": "x"}, clientAuthentication="body"),
        "destination",
        "/authentication/oauth2/parameters/client_secret",
        "the request has a field client_secret by itself",
    ),
}


def test_refused_batches_are_told(tmp_path: Path) -> None:
    """A batch that is refused as a whole is halved here, and not there."""
    definition = Definition()
    assert (
        export_segment(definition.write(tmp_path / "one" / "acme"), tmp_path / "out").left_out == ()
    )
    definition.request["batch"] = {"size": 10}
    definition.cases.clear()
    (issue,) = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out").left_out
    assert issue.path == f"{SEND}/batch"
    assert "sends no halves of a batch" in issue.message


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
def test_refused(refused: Refused, tmp_path: Path) -> None:
    """It is named with file, line and place; nothing is written. A partial export has the rest."""
    definition = Definition()
    refused.change(definition)
    folder, into = definition.write(tmp_path / "acme"), tmp_path / "out"
    with pytest.raises(DefinitionError) as caught:
        export_segment(folder, into)
    found = [one for one in caught.value.issues if one.path == refused.place]
    assert found, [str(one) for one in caught.value.issues]
    (issue,) = found
    assert refused.message in issue.message
    path = folder / f"{refused.file}.yaml"
    assert issue.file == str(path)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert value_at(document, refused.place) is not None
    assert issue.line is not None
    line = path.read_text(encoding="utf-8").splitlines()[issue.line - 1]
    last = refused.place.rpartition("/")[2]
    assert last.isdecimal() or last in line
    assert not into.exists()
    exported = export_segment(folder, into, partial=True)
    assert issue in exported.refused
    assert (into / "index.ts").is_file()


PERFORMED: Final[Mapping[str, Callable[[Definition], object]]] = {
    name: one.change
    for name, one in REFUSED.items()
    if one.place.startswith((SEND, "/perform", "/errorRules", "/transport"))
}


@pytest.mark.parametrize("change", PERFORMED.values(), ids=PERFORMED.keys())
def test_partial(change: Change, tmp_path: Path) -> None:
    """What cannot be performed fails with 501 and says why; the constant of the request is gone."""
    definition = Definition()
    change(definition)
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out", partial=True)
    action = exported.files["track/index.ts"]
    assert "throw new IntegrationError(" in action
    assert "'NotImplemented'" in action
    assert "501" in action
    assert "send(" not in action
    assert not [one for one in exported.deliveries if one.action == "track"]


@pytest.mark.parametrize("name", ["toString", "__proto__", "naïve", "batch_size", "batch_bytes"])
@pytest.mark.parametrize("inside", ["", "outer"])
def test_partial_without_a_name(name: str, inside: str, tmp_path: Path) -> None:
    """The field is left out, also of a preset, and its action fails with 501."""
    definition = Definition()
    _named(name, inside=inside)(definition)
    mapping = {inside or name: {} if inside else "x", "name": {"@path": "$.event"}}
    definition.destination["presets"][0]["mapping"] = mapping
    folder = definition.write(tmp_path / "acme")
    if inside and name.startswith("batch_"):
        assert export_segment(folder, tmp_path / "out").refused == ()
        return
    exported = export_segment(folder, tmp_path / "out", partial=True)
    for file in ("track/index.ts", "track/generated-types.ts", "index.ts", "metadata.json"):
        assert name not in exported.files[file]
    assert "Track is not there: a field has a name that" in exported.files["track/index.ts"]
    assert exported.deliveries == ()


def test_partial_without_a_setting(tmp_path: Path) -> None:
    """A setting that code cannot have leaves no request that could be made."""
    definition = Definition()
    properties = definition.destination["settings"]["properties"]
    properties["valueOf"] = properties.pop("apiKey")
    definition.destination["settings"]["required"] = ["valueOf"]
    definition.destination["transport"]["auth"] = {"bearer": "valueOf"}
    definition.destination["authentication"]["fields"] = ["valueOf"]
    definition.cases["sent"]["settings"] = {"valueOf": "placeholder-valueOf"}
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out", partial=True)
    assert not [name for name, text in exported.files.items() if "valueOf" in text]
    assert "a setting has a name that code cannot have" in exported.files["track/index.ts"]
    assert "testAuthentication" not in exported.files["index.ts"]


def test_code_of_a_plugin() -> None:
    """Generators of a plugin are refused where the action names them."""
    with pytest.raises(DefinitionError) as caught:
        export_segment(DEFINITIONS / "kana", Path("missing"), check=True)
    found = {(Path(one.file or "").name, one.path): one for one in caught.value.issues}
    issue = found["identify.yaml", "/perform/generator"]
    assert issue.message == "a generator is code of a plugin, and has no counterpart"
    text = (DEFINITIONS / "kana" / "identify.yaml").read_text(encoding="utf-8")
    assert issue.line is not None
    assert "generator:" in text.splitlines()[issue.line - 1]
    assert ("track.yaml", "/unmapped") in found


def test_pages_of_choices(tmp_path: Path) -> None:
    """A request that gives choices may read the page, which other requests have not."""
    definition = Definition()
    _choices("list")(definition)
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    assert "page: { '@path': '$.page' }" in exported.files["requests.ts"]
    assert "next: { '@path': '$.answer.next' }" in exported.files["track/index.ts"]


def test_whole_numbers_are_seen_before_they_are_converted(tmp_path: Path) -> None:
    """The framework shows the event of a single payload only, so the action sends no batches."""
    definition = Definition()
    definition.request["batch"] = {"size": 10}
    whole = {"title": "Q", "description": "D.", "type": "integer", "x-wholeNumber": True}
    definition.action["fields"]["properties"]["q"] = whole
    definition.cases.clear()
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    (issue,) = exported.left_out
    assert issue.path == "/perform/request"
    assert "each event of this action by itself" in issue.message
    action = exported.files["track/index.ts"]
    assert "wholeNumbers(payload, bundle, WHOLE_NUMBERS)" in action
    assert "performBatch" not in action


def test_all_at_once(tmp_path: Path) -> None:
    """Every fault is named at once, each once, in the order of the files."""
    definition = Definition()
    for name in ("remember", "a format", "a conversion in a preset", "the event in a body"):
        REFUSED[name].change(definition)
    with pytest.raises(DefinitionError) as caught:
        export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    places = sorted((Path(one.file or "").stem, one.path) for one in caught.value.issues)
    assert places == [
        ("destination", "/presets/0/mapping/name"),
        ("destination", f"{SEND}/remember"),
        ("destination", f"{SEND}/rest/json/id/@path"),
        ("track", f"{NAME}/format"),
    ]


LEFT_OUT: Final[Mapping[str, Refused]] = {
    "a rate": Refused(
        lambda one: one.destination["transport"].update(rateLimit={"requests": 1, "per": 1}),
        "destination",
        "/transport/rateLimit",
        "429",
    ),
    "accounts that are touched": Refused(
        _action(touches=[{"@path": "$.payload.name"}]), "track", "/touches", "no order"
    ),
    "a setting that the catalog does not ask for": Refused(
        _uncatalogued(_rest(headers={"X-Host": HOST}), default="eu"),
        "destination",
        "/settings/properties/host",
        "host is no setting at Segment",
    ),
    "what Segment keeps of OAuth2": Refused(
        _refresh, "destination", "/authentication/oauth2", "(apiKey, secret, token)"
    ),
    "a check of a setting": Refused(
        lambda one: one.destination["settings"]["properties"]["apiKey"].update(pattern="^a"),
        "destination",
        "/settings/properties/apiKey",
        "pattern",
    ),
    "a short key": Refused(
        lambda one: (
            one.request.update(
                idempotent=False,
                idempotencyKey={
                    "header": "X-Key",
                    "from": {"@path": "$.payload.id"},
                    "for": "1h",
                },
            ),
        ),
        "destination",
        f"{SEND}/idempotencyKey/for",
        "4 hours",
    ),
}


@pytest.mark.parametrize("left", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_left_out(left: Refused, tmp_path: Path) -> None:
    """What changes nothing of what is sent is told with its place, and all is exported."""
    definition = Definition()
    left.change(definition)
    definition.cases.clear()
    folder = definition.write(tmp_path / "acme")
    exported = export_segment(folder, tmp_path / "out")
    (issue,) = exported.left_out
    assert issue.path == left.place
    assert left.message in issue.message
    path = folder / f"{left.file}.yaml"
    assert issue.file == str(path)
    assert issue.line is not None
    assert left.place.rpartition("/")[2] in path.read_text("utf-8").splitlines()[issue.line - 1]
