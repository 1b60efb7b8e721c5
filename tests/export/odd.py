"""A definition whose names and texts are hard to say in TypeScript."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from tests.destinations.kit.exporter.folders import Definition

__all__ = ["odd_definition", "refused_definition", "windowed_definition"]

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
            },
        }
    }
    one.cases["converted"] = case
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
