"""What a partner says of a secret, from its answer to whatever shows it."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.case_tables import each_value

KEY = 'kQ7/vX2+mZ9_Tr4wLb8"äHd6Nc1Fy5Jg3Ps0Ue=Ao'
PUBLIC = "of the request is not valid: "

DESTINATION: Mapping[str, Any] = {
    "name": "Told",
    "slug": "told",
    "description": "Is told of secrets.",
    "requests": {
        "tell": {
            "description": "Tells.",
            "idempotent": False,
            "rest": {"method": "POST", "path": ["tell"], "json": {"@path": "$.payload"}},
        },
        "ask": {
            "description": "Asks.",
            "idempotent": False,
            "graphql": {
                "document": "mutation ($id: String!) { tell(id: $id) { id } }",
                "variables": {"id": {"@path": "$.payload.id"}},
            },
        },
    },
    "errorRules": [
        {
            "description": "Anything else.",
            "when": {"message": "."},
            "class": "invalid",
            "retryable": False,
            "nothingApplied": True,
        }
    ],
    "presets": [
        {"name": "Tell", "partnerAction": "tell", "subscribe": 'type = "track"'},
        {"name": "Ask", "partnerAction": "ask", "subscribe": 'type = "page"'},
    ],
}


def _action(name: str) -> dict[str, Any]:
    field = {
        "title": "ID",
        "description": "The id.",
        "type": "string",
        "default": {"@path": "$.messageId"},
    }
    return {
        "slug": name,
        "title": name,
        "description": "Tells.",
        "fields": {"type": "object", "properties": {"id": field}},
        "perform": {"request": name},
    }


@pytest.fixture
def folder(deliver: Any) -> Any:
    """A definition with a REST call and a GraphQL one."""
    return deliver.write_definition(
        destination=DESTINATION, tell=_action("tell"), ask=_action("ask")
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SAID: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "in upper case": str.upper,
    "in lower case": str.lower,
    "its first half": lambda key: key[: len(key) // 2],
    "its last half": lambda key: key[len(key) // 2 :],
    "8 characters of it": lambda key: key[11:19],
    "8 characters of it in lower case": lambda key: key[11:19].lower(),
    "cut, with dots": lambda key: f"{key[:-4]}...",
    "percent-encoded": quote,
    "percent-encoded whole, in lower case": lambda key: quote(key, safe="").lower(),
    "half of it, percent-encoded": lambda key: quote(key, safe="")[:25],
    "as JSON": json.dumps,
    "as JSON with escaped slashes": lambda key: json.dumps(key).replace("/", "\\/"),
    "half of it as JSON": lambda key: json.dumps(key)[20:45],
    "in Base64": _base64,
    "in Base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "of HTTP Basic, as the user": lambda key: _base64(f"{key}:"),
    "of HTTP Basic, as the password": lambda key: _base64(f"me:{key}"),
    "half of it in Base64": lambda key: _base64(key)[:30],
    "as HTML": lambda key: key.replace("&", "&amp;").replace('"', "&quot;"),
    "in hex": lambda key: key.encode().hex(),
}
PADS = [0, 250, 440]
"""Characters before the secret: among them such that what is kept of a message ends within it."""


def _shows(text: str) -> set[str]:
    """Return the parts of the key that a text shows, in any of its encodings."""
    forms = [
        *(KEY, quote(KEY), quote(KEY, safe=""), json.dumps(KEY), KEY.encode().hex()),
        *(_base64(KEY), _base64(f"me:{KEY}"), base64.urlsafe_b64encode(KEY.encode()).decode()),
    ]
    lower = text.lower()
    parts = {form.lower()[at : at + 8] for form in forms for at in range(4, len(form) - 12)}
    return {part for part in parts if part in lower}


@each_value
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("kind", ["track", "page"])
@pytest.mark.parametrize("pad", PADS)
def test_no_part_of_a_secret_is_kept(
    deliver: Any, partner: Any, folder: Any, said: str, kind: str, pad: int
) -> None:
    """Wherever a message is cut: it is masked before."""
    echoed = SAID[said](KEY)
    message = f"{PUBLIC}{'x' * pad} {echoed} is no key."
    errors = {"errors": [{"message": message}]}
    partner.answer = lambda _: (400, {"message": message}) if kind == "track" else (200, errors)
    event = {"type": kind, "event": "E", "name": "N", "userId": "u", "messageId": "m"}
    done = deliver("run", folder, [event], apiKey=KEY)
    assert done.outcomes == {"m": "rejected"}
    (reason,) = done.reasons.values()
    assert PUBLIC in reason
    assert _shows(reason) == set()
    assert _shows(done.shown) == set()
    assert len(reason) <= 500


@each_value
@pytest.mark.parametrize("said", ["as it is", "cut, with dots", "in lower case"])
@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("status", [400, 401, 403, 500, 503])
def test_none_in_a_store_or_a_log(
    deliver: Any, partner: Any, folder: Any, said: str, pad: int, status: int
) -> None:
    """A server that fails for good, and one that tries again, show none of it anywhere."""
    body = f"{PUBLIC}{'x' * pad} {SAID[said](KEY)}".encode()
    partner.answer = lambda _: (status, body)
    event = {"type": "track", "event": "E", "userId": "u", "messageId": "m"}
    done = deliver("serve", folder, [event], apiKey=KEY)
    assert _shows(done.shown) == set()
    store = deliver.folder / "store.sqlite3"
    with sqlite3.connect(store) as connection:
        kept = "\n".join(connection.iterdump())
    connection.close()
    assert PUBLIC.strip() in kept
    assert _shows(kept) == set()


@pytest.mark.parametrize(
    "text", ["the id is not valid", "kQ7/vX2", "mZ9 Tr4w", "https://a.example"]
)
def test_what_says_nothing_of_it_is_kept(
    deliver: Any, way: Any, partner: Any, folder: Any, text: str
) -> None:
    """Fewer than 8 characters of it, and everything else, are the partner's message."""
    partner.answer = lambda _: (400, {"message": text})
    event = {"type": "track", "event": "E", "userId": "u", "messageId": "m"}
    done = deliver(way, folder, [event], apiKey=KEY)
    assert done.reasons == {"m": f"HTTP 400: {text}"}
