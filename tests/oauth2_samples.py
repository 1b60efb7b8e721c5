"""A destination whose requests need access tokens (OAuth2), for tests of all kinds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["SETTINGS", "oauth2_files", "write_oauth2"]

SETTINGS: Final = {
    "clientId": "client-0042",
    "clientSecret": "placeholder-clientSecret",
    "refreshToken": "placeholder-refreshToken",
}

_SECRET: Final = {"type": "string", "format": "password", "minLength": 8}

_DESTINATION: Final[dict[str, Any]] = {
    "name": "Ledgerly",
    "slug": "ledgerly",
    "version": "1.0.0",
    "description": "Ledgerly counts usage, and takes requests with access tokens only.",
    "settings": {
        "type": "object",
        "required": ["clientId", "clientSecret"],
        "additionalProperties": False,
        "properties": {
            "clientId": {"title": "Client ID", "description": "The id.", "type": "string"},
            "clientSecret": {"title": "Secret", "description": "The secret.", **_SECRET},
            "endpoint": {
                "title": "Endpoint",
                "description": "The URL.",
                "type": "string",
                "format": "uri",
                "default": "https://api.ledgerly.example",
            },
        },
    },
    "authentication": {
        "scheme": "oauth2",
        "fields": ["clientId", "clientSecret"],
        "test": "whoami",
        "oauth2": {
            "grant": "clientCredentials",
            "tokenUrl": {"@template": "{{settings.endpoint}}/oauth/token"},
            "clientId": "clientId",
            "clientSecret": "clientSecret",
            "scopes": ["usage:write"],
        },
    },
    "transport": {
        "baseUrl": {"@path": "$.settings.endpoint"},
        "timeout": {"connect": 2, "read": 5, "total": 8},
        "concurrency": 2,
        "retry": {"backoff": {"base": 0.05, "cap": 1}, "maxRetryAfter": 20},
    },
    "requests": {
        "whoami": {
            "description": "Say who it is.",
            "idempotent": True,
            "rest": {"method": "GET", "path": ["me"]},
            "example": {"id": "acct_1"},
        },
        "record": {
            "description": "Record usage.",
            "idempotent": False,
            "rest": {
                "method": "POST",
                "path": ["usage"],
                "json": {"user": {"@path": "$.payload.user"}, "name": {"@path": "$.payload.name"}},
            },
        },
    },
    "presets": [{"name": "All", "partnerAction": "record", "subscribe": 'type = "track"'}],
}

_ACTION: Final[dict[str, Any]] = {
    "slug": "record",
    "title": "Record",
    "description": "Record usage.",
    "method": "track",
    "defaultSubscription": 'type = "track"',
    "fields": {
        "type": "object",
        "required": ["user", "name"],
        "additionalProperties": False,
        "properties": {
            "user": {
                "title": "User",
                "description": "The user.",
                "type": "string",
                "default": {"@path": "$.userId"},
            },
            "name": {
                "title": "Name",
                "description": "The name.",
                "type": "string",
                "default": {"@path": "$.event"},
            },
        },
    },
    "perform": {"request": "record"},
}


def oauth2_files(grant: str = "clientCredentials", **changes: Any) -> dict[str, Any]:
    """Return ``destination.yaml``; ``changes`` are keys of ``oauth2``, None leaves one out."""
    data = copy.deepcopy(_DESTINATION)
    oauth2 = data["authentication"]["oauth2"]
    if grant == "refreshToken":
        data["settings"]["properties"]["refreshToken"] = {
            "title": "Refresh token",
            "description": "What the customer has authorized.",
            **_SECRET,
        }
        data["settings"]["required"].append("refreshToken")
        data["authentication"]["fields"].append("refreshToken")
        oauth2 |= {"grant": "refreshToken", "refreshToken": "refreshToken"}
    oauth2 |= changes
    for key in [key for key, value in oauth2.items() if value is None]:
        del oauth2[key]
    return data


def write_oauth2(folder: Path, grant: str = "clientCredentials", **changes: Any) -> Path:
    """Write the definition into a folder, and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"destination": oauth2_files(grant, **changes), "record": _ACTION}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder
