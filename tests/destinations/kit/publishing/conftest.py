"""A definition that breaks no rule of publishing, and what a test changes in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from destinations.kit.lint import Configuration, lint_page
from destinations.kit.publishing import Finding, catalog_rules, check, read_publication

Change = Callable[[dict[str, Any]], object]
"""Changes the files of a definition, by name: documents, and texts of images."""

MARK: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><path d="M0 0h64v64z"/></svg>'
)
LOGO: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 64"><path d="M0 0h9v9z"/></svg>'
)

_LINTED: Final[dict[tuple[str, Path], list[tuple[Configuration, Any]]]] = {}
"""What the linter finds in a page, with each configuration: most tests have the same page."""

_REQUEST: Final = {
    "method": "POST",
    "url": "https://api.example.com/v2/events",
    "json": [
        {
            "id": "m-1",
            "user": "user_1",
            "time": "2026-01-15T11:59:58Z",
            "name": "Order Completed",
        }
    ],
}
_EVENT: Final = {
    "type": "track",
    "event": "Order Completed",
    "userId": "user_1",
    "messageId": "m-1",
    "timestamp": "2026-01-15T11:59:58Z",
}


def _field(title: str, path: str, **more: Any) -> dict[str, Any]:
    return {
        "title": title,
        "description": f"The {title.lower()} of the event.",
        "type": "string",
        "default": {"@path": path},
        **more,
    }


def _case(response: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    return {
        "description": "An event is sent.",
        "settings": {"apiKey": "placeholder-apiKey"},
        "clock": "2026-01-15T12:00:00Z",
        "events": [_EVENT],
        "interactions": [{"request": _REQUEST, "response": response}],
        "expected": [{"event": 1, "action": "trackEvent", "outcome": outcome}],
    }


BASE: Final[Mapping[str, Any]] = {
    "destination.yaml": {
        "name": "Acme",
        "slug": "acme",
        "version": "1.0.0",
        "description": "Acme counts what users do. This destination sends their events to Acme.",
        "website": "https://example.com",
        "maintainer": {"name": "Acme", "email": "integrations@example.com"},
        "categories": ["Analytics"],
        "connectionModes": {"browser": "cloud", "mobile": "cloud", "server": "cloud"},
        "settings": {
            "type": "object",
            "required": ["apiKey"],
            "additionalProperties": False,
            "properties": {
                "apiKey": {
                    "title": "API key",
                    "description": "The key of your account, from the page Settings.",
                    "type": "string",
                    "format": "password",
                    "minLength": 8,
                },
                "region": {
                    "title": "Region",
                    "description": "Where Acme keeps the data of your account.",
                    "type": "string",
                    "enum": ["us", "eu"],
                    "default": "us",
                },
            },
        },
        "authentication": {"scheme": "bearer", "fields": ["apiKey"], "test": "whoAmI"},
        "transport": {
            "baseUrl": "https://api.example.com/v2",
            "auth": {"bearer": "apiKey"},
            "timeout": {"connect": 5, "read": 10, "total": 30},
            "concurrency": 4,
            "retry": {"backoff": {"base": 0.5, "cap": 120}, "maxRetryAfter": 3600},
        },
        "requests": {
            "whoAmI": {
                "description": "Tests the key.",
                "idempotent": True,
                "rest": {"method": "GET", "path": ["me"]},
            },
            "sendEvents": {
                "description": "Records events.",
                "idempotent": True,
                "batch": {
                    "size": 100,
                    "failures": {
                        "status": [200],
                        "items": {"@path": "$.failed"},
                        "index": {"@path": "$.index"},
                        "message": {"@path": "$.message"},
                    },
                },
                "rest": {
                    "method": "POST",
                    "path": ["events"],
                    "json": {
                        "id": {"@path": "$.payload.id"},
                        "user": {"@path": "$.payload.user"},
                        "time": {"@path": "$.payload.time"},
                        "name": {"@path": "$.payload.name"},
                        "plan": {"@path": "$.payload.plan"},
                    },
                },
                "expect": {"type": "object"},
                "example": {"failed": []},
            },
        },
        "errorRules": [
            {
                "when": {"status": 400},
                "class": "invalid",
                "retryable": False,
                "nothingApplied": True,
            }
        ],
        "presets": [
            {
                "name": "Track events",
                "partnerAction": "trackEvent",
                "subscribe": 'type = "track"',
            }
        ],
        "publishing": {
            "testAccount": {
                "request": "Write to partners@example.com.",
                "fields": {"apiKey": "On the page Settings."},
            }
        },
        "documentation": {
            "dashboard": "https://example.com/dashboard",
            "credentials": "https://example.com/settings",
            "reference": "https://example.com/docs",
        },
    },
    "trackEvent.yaml": {
        "slug": "trackEvent",
        "title": "Track event",
        "description": "Record an event of a user.",
        "method": "track",
        "defaultSubscription": 'type = "track"',
        "fields": {
            "type": "object",
            "required": ["id", "user", "name", "time"],
            "additionalProperties": False,
            "properties": {
                "id": _field("Message ID", "$.messageId"),
                "user": _field("User", "$.userId"),
                "name": _field("Name", "$.event"),
                "time": _field("Time", "$.timestamp", format="date-like"),
                "plan": _field("Plan", "$.properties.plan", enum=["free", "pro"]),
            },
        },
        "perform": {"request": "sendEvents"},
    },
    "cases/sent.yaml": _case({"status": 200, "json": {"failed": []}}, "delivered"),
    "cases/refused.yaml": _case({"status": 400, "json": {}}, "rejected"),
    "publishing/logo.svg": LOGO,
    "publishing/mark.svg": MARK,
}


def action_of(files: dict[str, Any], slug: str = "trackEvent") -> Any:
    """Return the document of an action."""
    return files[f"{slug}.yaml"]


def field_of(files: dict[str, Any], key: str) -> Any:
    """Return a field of the action, which a test changes."""
    return action_of(files)["fields"]["properties"][key]


def destination_of(files: dict[str, Any]) -> Any:
    """Return the document of the destination."""
    return files["destination.yaml"]


def _lint_once(text: str, path: Path, configuration: Configuration) -> Any:
    known = _LINTED.setdefault((text, path), [])
    for before, found in known:
        if before == configuration:
            return found
    known.append((configuration, lint_page(text, path, configuration)))
    return known[-1][1]


@pytest.fixture(autouse=True)
def linted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lint each page once, however many rules and tests ask for its findings."""
    monkeypatch.setattr(catalog_rules, "lint_page", _lint_once)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes the definition with a change, and returns its folder."""

    def write(change: Change = lambda _: None, folder: Path | None = None) -> Path:
        files = copy.deepcopy(dict(BASE))
        change(files)
        place = (folder or tmp_path) / "acme"
        for name, content in files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            else:
                path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return place

    return write


@pytest.fixture
def found(written: Callable[..., Path]) -> Callable[[Change], list[Finding]]:
    """Returns what breaks a rule once the definition was changed."""
    return lambda change: check(read_publication(written(change)))


@pytest.fixture
def live(written: Callable[..., Path], tmp_path: Path) -> Path:
    """Returns the metadata.json of the unchanged definition, as it is live."""
    publication = read_publication(written(folder=tmp_path / "live"))
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps(publication.metadata), encoding="utf-8")
    return path
