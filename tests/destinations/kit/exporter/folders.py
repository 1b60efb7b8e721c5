"""Small definitions that tests change: one request, one action, one recorded case."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["Change", "Definition"]

_DESTINATION: Final[Mapping[str, Any]] = {
    "name": "Acme",
    "slug": "acme",
    "version": "1.0.0",
    "description": "This destination sends events to Acme.",
    "categories": ["Raw Data"],
    "connectionModes": {"browser": "cloud", "mobile": "cloud", "server": "cloud"},
    "settings": {
        "type": "object",
        "required": ["apiKey"],
        "additionalProperties": False,
        "properties": {
            "apiKey": {
                "title": "API key",
                "description": "The key.",
                "type": "string",
                "format": "password",
            }
        },
    },
    "transport": {
        "baseUrl": "https://api.example.com/v1",
        "auth": {"bearer": "apiKey"},
        "timeout": {"connect": 5, "read": 5, "total": 10},
        "concurrency": 1,
        "retry": {"backoff": {"base": 0.5, "cap": 120}, "maxRetryAfter": 3600},
    },
    "authentication": {"scheme": "custom", "fields": ["apiKey"], "test": "ping"},
    "requests": {
        "sendEvent": {
            "description": "Sends one event.",
            "idempotent": True,
            "rest": {
                "method": "POST",
                "path": ["events"],
                "json": {"name": {"@path": "$.payload.name"}, "id": {"@path": "$.payload.id"}},
            },
        },
        "ping": {
            "description": "Asks for nothing.",
            "idempotent": True,
            "rest": {"method": "GET", "path": ["ping"]},
        },
    },
    "errorRules": [
        {
            "description": "The key is wrong.",
            "when": {"status": 401},
            "class": "authentication",
            "retryable": False,
            "nothingApplied": True,
        }
    ],
    "presets": [
        {"name": "Send events", "partnerAction": "track", "subscribe": 'type = "track"'},
    ],
}

_ACTION: Final[Mapping[str, Any]] = {
    "slug": "track",
    "title": "Track",
    "description": "Send an event.",
    "defaultSubscription": 'type = "track"',
    "fields": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "title": "Name",
                "description": "The name of the event.",
                "type": "string",
                "default": {"@path": "$.event"},
            },
            "id": {
                "title": "ID",
                "description": "The ID of the event.",
                "type": "string",
                "default": {"@path": "$.messageId"},
            },
        },
    },
    "perform": {"request": "sendEvent"},
}

_CASE: Final[Mapping[str, Any]] = {
    "description": "An event is sent.",
    "settings": {"apiKey": "placeholder-apiKey"},
    "clock": "2026-01-15T12:00:00Z",
    "events": [
        {
            "type": "track",
            "event": "Order Completed",
            "userId": "user_0001",
            "messageId": "m-1",
            "timestamp": "2026-01-15T12:00:00.000Z",
        }
    ],
    "interactions": [
        {
            "request": {
                "method": "POST",
                "url": "https://api.example.com/v1/events",
                "json": {"name": "Order Completed", "id": "m-1"},
            },
            "response": {"status": 200, "json": {}},
        }
    ],
    "expected": [
        {
            "event": 1,
            "action": "track",
            "outcome": "delivered",
            "payload": {"name": "Order Completed", "id": "m-1"},
        }
    ],
}


class Definition:
    """A definition as data, which is written as YAML."""

    def __init__(self) -> None:
        self.destination: dict[str, Any] = copy.deepcopy(dict(_DESTINATION))
        self.actions: dict[str, dict[str, Any]] = {"track": copy.deepcopy(dict(_ACTION))}
        self.cases: dict[str, dict[str, Any]] = {"sent": copy.deepcopy(dict(_CASE))}

    @property
    def request(self) -> dict[str, Any]:
        """Return the request of the action."""
        found: dict[str, Any] = self.destination["requests"]["sendEvent"]
        return found

    @property
    def rest(self) -> dict[str, Any]:
        """Return the call of the action's request."""
        found: dict[str, Any] = self.request["rest"]
        return found

    @property
    def action(self) -> dict[str, Any]:
        """Return the action."""
        return self.actions["track"]

    @property
    def field(self) -> dict[str, Any]:
        """Return the field of the action."""
        found: dict[str, Any] = self.action["fields"]["properties"]["name"]
        return found

    def add_action(self, slug: str, request: str | None = None) -> None:
        """Add an action like the first; with ``request``, with one of its own by that name."""
        action = copy.deepcopy(dict(_ACTION)) | {"slug": slug, "title": f"Title of {slug}"}
        if request is not None:
            action["perform"] = {"request": request}
            self.destination["requests"][request] = copy.deepcopy(self.request)
        self.actions[slug] = action

    def delete_users(self, user: object) -> None:
        """Let the request deleteUser delete the ``user``, a mapping."""
        self.destination["onDelete"] = {"request": "deleteUser"}
        self.destination["requests"]["deleteUser"] = {
            "description": "Deletes a user.",
            "idempotent": True,
            "rest": {"method": "DELETE", "path": ["users", user]},
        }

    def write(self, folder: Path) -> Path:
        """Write all files, and return the folder."""
        (folder / "cases").mkdir(parents=True, exist_ok=True)
        files = {"destination": self.destination, **self.actions}
        files |= {f"cases/{name}": case for name, case in self.cases.items()}
        for name, content in files.items():
            plain = json.loads(json.dumps(content))  # without parts that are the same object
            text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder


Change = Callable[[Definition], object]
"""What a test changes of a definition."""
