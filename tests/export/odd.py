"""A definition whose names and texts are hard to say in TypeScript."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Final

from tests.destinations.kit.exporter.folders import Definition

__all__ = ["odd_definition", "refused_definition"]

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
