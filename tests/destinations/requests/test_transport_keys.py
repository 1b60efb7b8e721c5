"""A region, signed lines and a key in the query: over the wire, and in what is shown."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import hmac
import json
import re
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import check_folder
from destinations.pipeline.ledger import Selection
from destinations.store import SqliteStore

KEY = "sk_live/0123 456789+abcdef"
"""A key that is written in another way in a query (RFC 3986, 2.1)."""

SIGNING_KEY = base64.b64encode(b"the key of all signatures").decode()

SHOWN = (
    SIGNING_KEY[:12],
    "key of all",
    "sk_live/0123",
    "sk_live%2F0123",
    "0123+456789",
    "0123 456789",
    "0123%20456789",
)

DESTINATION: Mapping[str, Any] = {
    "name": "Lines",
    "slug": "lines",
    "description": "Takes lines.",
    "settings": {
        "type": "object",
        "required": ["apiKey", "signingKey", "region"],
        "additionalProperties": False,
        "properties": {
            "apiKey": {
                "title": "API Key",
                "description": "The key.",
                "type": "string",
                "format": "password",
            },
            "signingKey": {
                "title": "Signing Key",
                "description": "The key of signatures.",
                "type": "string",
                "format": "password",
                "examples": ["ZXhhbXBsZQ=="],
            },
            "endpoint": {
                "title": "Endpoint",
                "description": "The URL of a test environment.",
                "type": "string",
                "default": "https://test.example.com",
            },
            "region": {
                "title": "Region",
                "description": "Where the account is.",
                "type": "string",
                "enum": ["test", "eu"],
            },
        },
    },
    "transport": {
        "baseUrl": {
            "setting": "region",
            "urls": {
                "test": {"@path": "$.settings.endpoint"},
                "eu": "https://api.eu.example.com",
            },
        },
        "auth": {"apiKey": {"setting": "apiKey", "query": "api_key"}},
        "timeout": {"connect": 5, "read": 10, "total": 30},
    },
    "requests": {
        "index": {
            "description": "Indexes events.",
            "idempotent": True,
            "rest": {
                "method": "POST",
                "path": ["bulk"],
                "query": {"v": 2},
                "ndjson": [
                    {"create": {"_id": {"@path": "$.event.messageId"}}},
                    {"@path": "$.payload"},
                ],
                "gzip": True,
                "sign": {
                    "header": "X-Sign",
                    "algorithm": "sha256",
                    "secret": {"@path": "$.settings.signingKey"},
                    "secretEncoding": "base64",
                    "message": "{{timestamp}}.{{body}}",
                    "value": "t={{timestamp}},v1={{signature}}",
                },
            },
            "batch": {"size": 10},
        }
    },
    "errorRules": [
        {
            "description": "Bad lines.",
            "when": {"status": 400},
            "class": "invalid",
            "retryable": False,
            "nothingApplied": True,
        }
    ],
    "presets": [{"name": "Index", "partnerAction": "index", "subscribe": 'type = "track"'}],
}
ACTION = {
    "slug": "index",
    "title": "Index",
    "description": "Index an event.",
    "fields": {
        "type": "object",
        "properties": {
            "name": {
                "title": "Name",
                "description": "What happened.",
                "type": "string",
                "default": {"@path": "$.event"},
            }
        },
    },
    "perform": {"request": "index"},
}
EVENTS = [
    {"type": "track", "event": f"E{number}", "userId": f"u{number}", "messageId": f"m{number}"}
    for number in range(3)
]


@pytest.fixture
def folder(deliver: Any) -> Path:
    """The definition of a partner that takes lines."""
    made: Path = deliver.write_definition(destination=DESTINATION, index=ACTION)
    assert list(check_folder(made)) == []
    return made


def _lines(received: Any) -> list[Any]:
    assert received.headers["content-encoding"] == "gzip"
    assert received.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in gzip.decompress(received.body).splitlines()]


def test_what_is_sent(deliver: Any, way: Any, partner: Any, folder: Path) -> None:
    """All lines of all events arrive, compressed, at the address of the region with the key."""
    done = deliver(way, folder, EVENTS, apiKey=KEY, signingKey=SIGNING_KEY, region="test")
    assert done.outcomes == {"m0": "delivered", "m1": "delivered", "m2": "delivered"}
    assert set(partner.targets) == {"/bulk?api_key=sk_live%2F0123+456789%2Babcdef&v=2"}
    lines = [line for one in partner.received for line in _lines(one)]
    for one in partner.received:
        found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", one.headers["x-sign"])
        assert found is not None
        signed = f"{found[1]}.".encode() + gzip.decompress(one.body)
        key = base64.b64decode(SIGNING_KEY)
        assert hmac.new(key, signed, hashlib.sha256).hexdigest() == found[2]
    by_id = {lines[at]["create"]["_id"]: lines[at + 1] for at in range(0, len(lines), 2)}
    assert by_id == {f"m{number}": {"name": f"E{number}"} for number in range(3)}


def _parts_of_key(text: str) -> set[str]:
    return {part for part in SHOWN if part in text}


@pytest.mark.parametrize("status", [400, 401, 503])
def test_the_key_is_shown_nowhere(
    deliver: Any,
    way: Any,
    *,
    partner: Any,
    folder: Path,
    command: Callable[..., Any],
    write: Callable[..., Path],
    status: int,
) -> None:
    """Neither in output and logs nor in a store, kept attempts, commands and explanations."""
    partner.answer = lambda came: (status, {"message": f"no: {partner.url}{came.target}"})
    done = deliver(way, folder, EVENTS[:1], apiKey=KEY, signingKey=SIGNING_KEY, region="test")
    assert partner.received
    store = deliver.folder / "store.sqlite3"
    texts = [done.shown, *done.reasons.values(), *_kept(store)]
    with contextlib.closing(SqliteStore(store)) as opened:
        (row,) = opened.ledger().find(Selection())
    shown = command("deliveries", "show", row.id, "--store", store, "--attempts")
    asked = command("deliveries", "show", row.id, "--store", store, "--curl")
    texts += [shown.out, shown.err, asked.err]
    assert "api_key=***&v=2" in shown.out
    assert "Content-Encoding: gzip" in shown.out
    assert '{"create":{"_id":"m0"}}' in shown.out
    assert 'api_key=\'"$(urlencode "$API_KEY")"\'&v=2\'' in asked.out
    assert "| gzip -c | curl" in asked.out
    texts.append(asked.out)
    given = {"apiKey": KEY, "signingKey": SIGNING_KEY, "region": "test", "endpoint": partner.url}
    settings = write("settings.json", given)
    event = write("event.json", EVENTS[0])
    for form in ([], ["--json"]):
        explained = command("explain", folder, event, "--settings", settings, *form)
        assert "api_key=***&v=2" in explained.out
        assert form or '      {"create":{"_id":"m0"}}\n' in explained.out
        texts += [explained.out, explained.err]
    assert [_parts_of_key(text) for text in texts] == [set()] * len(texts)


def _kept(store: Path) -> list[str]:
    """All that a store has, with what it keeps compressed."""
    connection = sqlite3.connect(store)
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    cells = [
        cell
        for table in tables
        for row in connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own names
        for cell in row
    ]
    connection.close()
    assert any(isinstance(cell, bytes) for cell in cells)
    return [_text(cell) for cell in cells]


def _text(cell: object) -> str:
    if isinstance(cell, bytes):
        with contextlib.suppress(zlib.error):
            cell = zlib.decompress(cell)
        return cell.decode("utf-8", "replace")
    return str(cell)


def test_a_recorded_case(
    folder: Path, command: Callable[..., Any], write: Callable[..., Path]
) -> None:
    """The sandbox takes what is sent; a case has the lines as text, and replays."""
    events = write("events.ndjson", EVENTS[:2])
    done = command("record", folder, "--events", events, "--case", "lines")
    assert done.code == 0, done.err
    text = (folder / "cases" / "lines.yaml").read_text("utf-8")
    assert "https://test.example.com/bulk?api_key=placeholder-apiKey&v=2" in text
    assert '{"create":{"_id":"m0"}}' in text
    assert text.count("outcome: delivered") == 2
    tested = command("test", folder)
    assert tested.code == 0, tested.out + tested.err
