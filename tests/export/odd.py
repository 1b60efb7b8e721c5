"""A definition whose names and texts are hard to say in TypeScript."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Final

from tests.destinations.kit.exporter.folders import Definition

__all__ = [
    "events_definition",
    "oauth2_definition",
    "odd_definition",
    "refused_definition",
    "strict_definition",
    "windowed_definition",
]

HARD: Final = "*/ ends \"it\" 'here' \\ ${settings.apiKey} `x` // By hand: begin\nand goes on: v1"

ACTIONS: Final = (
    *("send", "check", "checks", "http", "index", "requests", "action", "Settings"),
    *("Buffer", "delete", "class", "await", "arguments", "defaultValues", "a-b", "a_b", "aB"),
    *("Request", "text", "schemas", "metadata", "con", "node_modules", "Record", "exports"),
)
REQUESTS: Final = (
    *("request", "payload", "settings", "context", "send", "text", "resolve", "segment", "below"),
    *("action", "fits", "convert", "urls", "delete", "bundle", "parameters", "data"),
)
"""Names of requests, each that of an action's request."""


def _name(of: str = "name") -> dict[str, str]:
    return {"@path": f"$.payload.{of}"}


def _converted(value: object, *words: str) -> dict[str, Any]:
    return {"@convert": {"value": value, "to": words[0] if len(words) == 1 else list(words)}}


def odd_definition() -> Definition:
    """Return it; with cases in which conversions are made in many places."""
    one = Definition()
    for at, slug in enumerate(ACTIONS):
        one.add_action(slug, REQUESTS[at] if at < len(REQUESTS) else None)
    one.destination["name"] = 'Odd "it\'s" */ ${x}'
    for text in (one.request, one.action, one.field, one.destination["errorRules"][0]):
        text["description"] = HARD
    one.destination["onDelete"] = {"request": "deleteUser"}
    one.destination["requests"]["deleteUser"] = {
        "description": HARD,
        "idempotent": True,
        "rest": {"method": "DELETE", "path": ["users", {"@path": "$.payload.userId"}]},
    }
    # Actions with the names of requests that the file of the destination imports.
    one.add_action("deleteUser")
    one.add_action("ping")
    one.request["idempotent"] = False
    key = {"from": _converted(_name("id"), "sha256"), "header": "X-Key", "for": "24h"}
    one.request["idempotencyKey"] = key
    one.rest["path"] = ["events", "a v1.0", _converted(_converted(_name(), "lower"), "trim")]
    one.rest["headers"] = {"X-v1": "it's v1", "X-Name": _converted(_name(), "upper")}
    one.destination["transport"]["headers"] = {
        "X-Setting": _converted({"@path": "$.settings.apiKey"}, "upper")
    }
    one.rest["json"] = {
        "name": _converted(_converted(_name(), "trim"), "lower", "sha256"),
        # Conversions of what is not there fail nobody's event.
        "number": {
            "@if": {
                "exists": _name("amount"),
                "then": _converted(_name("amount"), "number"),
                "else": "it's v1 of ${name}",
            }
        },
    }
    _add_values(one)
    one.action["fields"]["properties"]["amount"] = {
        "title": HARD,
        "description": HARD,
        "type": "string",
        "default": {"@path": "$.properties.amount"},
    }
    case = one.cases.pop("sent")
    case["interactions"][0] |= {
        "request": {
            "method": "POST",
            "url": "https://api.example.com/v1/events/a%20v1.0/order%20completed",
            "json": {
                "name": hashlib.sha256(b"order completed").hexdigest(),
                "number": "it's v1 of ${name}",
                "sku": "NONE-0",
            },
        }
    }
    one.cases["converted"] = case
    _add_cases(one)
    return one


def windowed_definition() -> Definition:
    """Return one whose window is that of an account; with an event in time and two that are late.

    One account says nothing of it, so its default counts.
    """
    one = Definition()
    one.destination["settings"]["properties"]["grace"] = {
        "title": "Grace",
        "description": "How old an event may be.",
        "type": "string",
        "default": "12h",
    }
    one.action["fields"]["properties"]["at"] = {
        "title": "Time",
        "description": "The time of the event.",
        "type": "string",
        "default": {"@path": "$.timestamp"},
    }
    one.action["window"] = {
        "from": {"@path": "$.payload.at"},
        "grace": {"@path": "$.settings.grace"},
        "then": "reject",
    }
    case = one.cases.pop("sent")
    at = case["events"][0]["timestamp"] = "2026-01-14T12:00:00.000Z"  # a day before the clock
    case["expected"][0]["payload"]["at"] = at
    for name, grace in (("in-time", "2d"), ("late", "23h"), ("late-by-default", None)):
        settings = case["settings"] if grace is None else {**case["settings"], "grace": grace}
        one.cases[name] = {**case, "settings": settings}
        if name != "in-time":
            late = {"event": 1, "action": "track", "outcome": "rejected"}
            one.cases[name] |= {"interactions": [], "expected": [late]}
    return one


def events_definition() -> Definition:
    """Return one that requires more of every event than its action; the body is the payload."""
    one = Definition()
    # Segment's framework keeps the schema of an action by the names of destination and action.
    one.destination["name"] = "Acme of events"
    one.destination["events"] = {
        "requires": ["userId", "messageId"],
        "placeholders": ["null", "undefined"],
    }
    user = {"exists": {"@path": "$.userId"}, "then": {"@path": "$.userId"}}
    one.action["fields"]["properties"] |= {
        "user": {
            "title": "User",
            "description": "The user.",
            "type": "string",
            "default": {"@if": {**user, "else": {"@path": "$.anonymousId"}}},
        },
        # The name that the exported field would have.
        "event_userId": {"title": "Other", "description": "Another user.", "type": "string"},
    }
    one.rest["json"] = {"@path": "$.payload"}
    one.request["batch"] = {"size": 10}
    one.destination["presets"].append(
        {
            **one.destination["presets"][0],
            "name": "Screens",
            "subscribe": 'type = "screen"',
            "mapping": {"name": "screen", "user": {"@path": "$.anonymousId"}},
        }
    )
    one.delete_users({"@path": "$.payload.userId"})
    sent = one.cases["sent"]
    sent["interactions"][0]["request"]["json"] = [
        {"name": "Order Completed", "id": "m-1", "user": "user_0001"}
    ]
    sent["expected"][0].pop("payload")
    known = sent["events"][0]
    anonymous = {**known, "anonymousId": "a-1"}
    del anonymous["userId"]
    unnamed = {key: value for key, value in known.items() if key != "messageId"}
    events = [
        *(anonymous, {**known, "userId": "null"}, {**known, "userId": " user_1"}, unnamed),
        *({**anonymous, "type": "screen"}, {**known, "type": "page"}),
        {**known, "type": "delete", "userId": "undefined"},
        {**known, "type": "delete"},
    ]
    outcomes = [*["invalid"] * 5, "filtered", "invalid", "delivered"]
    delete = {"method": "DELETE", "url": "https://api.example.com/v1/users/user_0001"}
    one.cases["unsent"] = {
        **sent,
        "events": events,
        "interactions": [{"request": delete, "response": {"status": 204}}],
        "expected": [
            {"event": at, "outcome": outcome, "action": "onDelete" if at == len(events) else None}
            for at, outcome in enumerate(outcomes, 1)
        ],
    }
    return one


def oauth2_definition(grant: str, **oauth2: Any) -> Definition:
    """Return one with access tokens; with settings that Segment's form has not, and fixed headers.

    A member of ``oauth2`` that is None is left out.
    """
    one = Definition()
    properties = one.destination["settings"]["properties"]
    for key in ("secret", "token"):
        properties[key] = {**properties["apiKey"], "title": key}
    properties["host"] = {
        "title": "Host",
        "description": "The host.",
        "type": "string",
        "default": "https://api.example.com",
        "x-catalog": False,
    }
    properties["region"] = {
        **properties["host"],
        "title": "Region",
        "enum": ["us", "eu"],
        "default": "us",
    }
    is_refresh = grant == "refreshToken"
    given = {
        "grant": grant,
        "tokenUrl": {"@template": "{{settings.host}}/{{settings.region}}/token"},
        "clientId": "apiKey",
        "clientSecret": "secret",
        **({"refreshToken": "token"} if is_refresh else {}),
        **oauth2,
    }
    one.destination["authentication"] = {
        "scheme": "oauth2",
        "fields": ["apiKey", "secret", "token"],
        "test": "ping",
        "oauth2": {key: value for key, value in given.items() if value is not None},
    }
    one.destination["transport"].pop("auth")
    one.destination["transport"] |= {
        "baseUrl": {"@template": "{{settings.host}}/v1"},
        "headers": {"X-Region": {"@path": "$.settings.region"}, "Accept": "text/plain"},
    }
    one.rest["query"] = {"host": {"@path": "$.settings.host"}}
    one.field["x-choices"] = {
        "request": "ping",
        "items": {"@path": "$.answer.items"},
        "value": {"@path": "$.id"},
    }
    (case,) = one.cases.values()
    # With characters that are not written the same everywhere.
    case["settings"] = {"apiKey": "the ~*\u00e9 client", "secret": "s:*~ecret+", "token": "t/1 ~"}
    case["interactions"][0]["request"]["url"] += "?host=https%3A%2F%2Fapi.example.com"
    return one


def _field(kind: str, key: str, **more: Any) -> dict[str, Any]:
    default = {"@path": f"$.properties.{key}"}
    return {"title": key, "description": "D.", "type": kind, "default": default, **more}


def _add_values(one: Definition) -> None:
    """Add what is looked at in values of events, and of answers."""
    one.action["fields"]["required"].append("sku")
    one.action["fields"]["properties"] |= {
        "sku": _field("string", "sku", pattern=r"^[A-Z]+\-\d+\z", **{"x-otherwise": "NONE-0"}),
        "count": _field("integer", "count", **{"x-wholeNumber": True}),
        "flag": _field("boolean", "flag", enum=[True]),
        "markup": _field("string", "markup", **{"x-escape": {"&": "&amp;"}}),
        "note": _field("string", "note", **{"x-refuse": [{"pattern": "(?s)a.b", "message": "M"}]}),
    }
    for key in ("sku", "count", "flag", "markup"):
        one.rest["json"][key] = _name(key)
    one.destination["transport"]["headers"]["X-Common"] = "common"
    one.rest["headers"] |= {"X-Common": _name("note"), "X-Note": _name("note")}
    rule: dict[str, Any] = {"when": {"message": r"(?i)RATE\-limit\: \b."}, "class": "rate_limit"}
    rule |= {"retryable": True, "nothingApplied": True}
    one.destination["errorRules"].append(rule)


_VALUES: Final[tuple[tuple[dict[str, Any], dict[str, Any] | None], ...]] = (
    ({"sku": "ABC-1", "count": "5", "flag": True}, {"sku": "ABC-1", "count": 5, "flag": True}),
    ({"markup": "a & b"}, {"sku": "NONE-0", "markup": "a &amp; b"}),
    ({"markup": 0}, {"sku": "NONE-0", "markup": "0"}),
    ({"sku": "ABC-1\n"}, None),
    ({"count": True}, None),
    ({"count": None}, None),
    ({"count": ""}, None),
    ({"count": "5.0"}, None),
    ({"count": [5]}, None),
    ({"flag": False}, None),
    ({"note": "a\nb"}, None),
)
"""Properties of events, with what of them is sent; None where the event is refused."""


def _add_cases(one: Definition) -> None:
    like = one.cases["converted"]
    sent = like["interactions"][0]["request"]
    for at, (properties, values) in enumerate(_VALUES):
        case = copy.deepcopy(like)
        case["events"][0]["properties"] = properties
        found = case["expected"][0]
        if values is None:
            case["interactions"] = []
            case["expected"] = [{"event": 1, "action": "track", "outcome": "invalid"}]
        else:
            body = {key: one for key, one in sent["json"].items() if key != "sku"} | values
            case["interactions"][0]["request"]["json"] = body
            found["payload"] = {**found.get("payload", {}), **values}
        one.cases[f"value-{at}"] = case
    limited = copy.deepcopy(like)
    limited["interactions"][0]["response"] = {"status": 400, "json": {"message": "Rate-Limit: é"}}
    limited["expected"] = [{"event": 1, "action": "track", "outcome": "ready"}]
    one.cases["limited"] = limited


def refused_definition() -> Definition:
    """Return one of which hardly anything can be said: all that is left has to compile."""
    one = Definition()
    answers = [{"name": "gone", "when": {"status": 404}}]
    one.destination["onDelete"] = {"request": "deleteUser"}
    one.destination["requests"]["deleteUser"] = {
        "description": HARD,
        "idempotent": True,
        "answers": answers,
        "rest": {"method": "DELETE", "path": ["users", {"@path": "$.payload.userId"}]},
    }
    one.destination["requests"]["ping"]["answers"] = answers
    one.add_action("identify", "setUser")
    one.destination["requests"]["setUser"]["expect"] = {"minProperties": 1}
    one.action["window"] = {"grace": "1d", "then": "reject"}
    one.request["remember"] = True
    one.add_action("named")
    named = one.actions["named"]["fields"]["properties"]
    named |= dict.fromkeys(["toString", "__proto__", "naïve", "enable_batching"], named["id"])
    one.action["fields"]["properties"]["name"] |= {
        "pattern": "^[a-z]+$",
        "x-escape": {"&": "&amp;"},
        "x-choices": {
            "request": "ping",
            "items": {"@path": "$.answer.items"},
            "value": {"@path": "$.id"},
        },
        "default": {"@convert": {"value": {"@path": "$.event"}, "to": "lower"}},
    }
    return one


def strict_definition() -> Definition:
    """Return one with settings, keys and answers of which some are not there, or of no use."""
    one = Definition()
    # Segment's framework keeps the schema of an action by the names of destination and action.
    one.destination["name"] = "Strict Acme"
    settings = one.destination["settings"]["properties"]
    for key in ("data.region", "plan", "user", "password", "secret"):
        settings[key] = {"title": key, "description": "A setting.", "type": "string"}
    settings["data.region"] |= {"enum": ["us", "eu"], "default": "us"}
    settings["plan"]["default"] = "free"
    settings["password"]["format"] = settings["secret"]["format"] = "password"
    settings["secret"]["examples"] = ["c2VjcmV0"]
    urls = {"us": "https://us.example.com", "eu": "https://eu.example.com"}
    one.destination["transport"] |= {
        "baseUrl": {"setting": "data.region", "urls": urls},
        "auth": {"basic": {"user": "user", "password": "password"}},
        "headers": {"X-Plan": {"@path": "$.settings.plan"}, "X-Key": _setting("apiKey")},
    }
    for action, type_ in (("signed", "identify"), ("keyed", "page")):
        one.add_action(action, action)
        subscribe = f'type = "{type_}"'
        preset = {"name": action, "partnerAction": action, "subscribe": subscribe}
        one.destination["presets"].append(preset)
        one.actions[action]["defaultSubscription"] = subscribe
    for action, of in (("track", "properties"), ("signed", "traits"), ("keyed", "properties")):
        fields = one.actions[action]["fields"]
        del fields["required"]
        for key, type_ in (("value", "string"), ("all", "object")):
            fields["properties"][key] = {
                "title": key,
                "description": "A field.",
                "type": type_,
                "default": {"@path": f"$.{of}" if key == "all" else f"$.{of}.{key}"},
            }
    for name in ("sendEvent", "signed", "keyed"):
        one.destination["requests"][name]["idempotent"] = False
    one.request["batch"] = {
        "size": 10,
        "failures": {
            "status": [200],
            "items": {"@path": "$.errors"},
            "index": {"@path": "$.index"},
            "itemStatus": {"@path": "$.status"},
            "message": _text_of("$.message"),
        },
    }
    one.rest["json"] = {"@path": "$.payload.value"}
    once = {"from": _name("id"), "for": "24h"}
    signed, keyed = (one.destination["requests"][name] for name in ("signed", "keyed"))
    signed["idempotencyKey"] = {"header": "X-Once", **once}
    keyed["idempotencyKey"] = {"field": "once", **once}
    keyed["rest"]["json"] = {"@path": "$.payload.all.body"}
    keyed["expect"] = {"not": {"required": ["error"]}}
    keyed["refusals"] = [{"when": {"type": "object"}, "message": _text_of("$.answer.error")}]
    signed["rest"] |= {
        "sign": {
            "header": "X-Signature",
            "algorithm": "sha256",
            "secret": {"@path": "$.settings.secret"},
            "secretEncoding": "base64",
        },
        "json": {
            "path": {"@path": "$.payload.all.v\\.w"},
            "text": {"@template": "<{{payload.all.v\\.w}}>"},
            "region": {"@path": "$.settings.data\\.region"},
        },
    }
    one.cases = _strict_cases()
    return one


def _text_of(path: str) -> dict[str, Any]:
    """Return a mapping that fails where it finds anything but text."""
    return {"@template": {"@path": path}}


def _setting(name: str) -> dict[str, str]:
    return {"@path": f"$.settings.{name}"}


def _strict_cases() -> dict[str, Any]:
    three = [_event("track", value=value) for value in ("x", None, "z")]
    credentials = {"user": "me", "password": "p:w", "secret": "c2VjcmV0"}
    body = {"path": "a", "text": "<a>", "region": "us"}
    keys = [_event("identify", id_, **{"v.w": "a"}) for id_ in ("k-1", "é", " k", " ")]
    bodies = [_event("page", body=body) for body in ({"a": 1}, "text", [1])]
    sent, refused = "delivered", "rejected"
    return {
        # Whoever fails to read an answer would send the events again.
        "list": _case({"data.region": "eu"}, three, [sent] * 3, ["x", None, "z"], []),
        "nothing": _case({}, three, [sent] * 3, ["x", None, "z"], None),
        "items-are-lists": _case({}, three, ["held"] * 3, ["x", None, "z"], {"errors": [[1]]}),
        "message": _case(
            *({}, three, [sent, refused, sent], ["x", None, "z"]),
            {"errors": [{"index": 1, "status": 400, "message": 5}]},
        ),
        "keys": _case(credentials, keys, [sent, refused, refused, refused], body),
        "bodies": _case(
            {"plan": "paid"}, bodies, [sent, refused, refused], {"a": 1, "once": "m-1"}
        ),
        "refused": _case({}, bodies[:1], [refused], {"a": 1, "once": "m-1"}, {"error": 5}),
        "secret": _case({"secret": "no Base64"}, keys[:1], [refused]),
        "colon": _case({"user": "a:b"}, keys[:1], [refused]),
        "emptied": _case({"plan": ""}, bodies[:1], [sent], {"a": 1, "once": "m-1"}),
        "without-region": _case({"data.region": ""}, bodies[:1], [refused]),
        "optional": _case({"user": "", "password": "p"}, keys[:1], [sent], body),
    }


def _event(type_: str, id_: str = "m-1", **values: object) -> dict[str, Any]:
    given = {"traits" if type_ == "identify" else "properties": values}
    named = {"event": "Sent"} if type_ == "track" else {}
    times = {"timestamp": "2026-01-15T12:00:00.000Z"}
    return {"type": type_, **named, "userId": "user_0001", "messageId": id_, **times, **given}


def _case(
    settings: dict[str, str],
    events: list[dict[str, Any]],
    outcomes: list[str],
    body: object = ...,
    answer: object = ...,
) -> dict[str, Any]:
    """Return a case with one request, or none without a ``body``."""
    url = f"https://{settings.get('data.region', 'us')}.example.com/events"
    request = {"method": "POST", "url": url, "json": body}
    response = {"status": 200, "json": {} if answer is ... else answer}
    actions = {"track": "track", "identify": "signed", "page": "keyed"}
    return {
        "description": "Events are sent.",
        "settings": {"apiKey": "placeholder-apiKey", **settings},
        "clock": "2026-01-15T12:00:00Z",
        "events": events,
        "interactions": [] if body is ... else [{"request": request, "response": response}],
        "expected": [
            {"event": at, "action": actions[event["type"]], "outcome": outcome}
            for at, (event, outcome) in enumerate(zip(events, outcomes, strict=True), 1)
        ],
    }
