"""``destinations connection``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Write = Callable[[str, Any], Path]

CALLS = {
    "id": "s1",
    "name": "Calls",
    "actionSlug": "track",
    "enabled": True,
    "trigger": 'event = "API Called"',
    "settings": {"featureId": "api-calls"},
}
PAGES = {
    "if": 'type = "page"',
    "title": "No pages",
    "enabled": True,
    "actions": [{"type": "DROP"}],
}


def test_import(command: Callable[..., Any], write: Write, tmp_path: Path) -> None:
    """The file is one that other commands take; what is not in it is told on standard error."""
    out = tmp_path / "connection.yaml"
    given = ("kana", write("s.json", [CALLS]), "--filters", write("f.json", [PAGES]))
    done = command("connection", "import", *given, "-o", out)
    assert (done.code, done.out) == (0, "")
    assert "note: " in done.err
    assert "id is only of use at Segment: left out" in done.err
    event: dict[str, Any] = {"type": "track", "event": "API Called", "userId": "u"}
    event |= {"messageId": "m", "timestamp": "2026-01-01T00:00:00Z", "properties": {"delta": 2}}
    explained = command(
        *("explain", "kana", write("e.json", event), "--connection", out, "--json"),
    )
    assert explained.json["subscriptions"][0]["payload"]["featureId"] == "api-calls"
    again = command("connection", "import", *given, "-o", out)
    assert (again.code, again.out) == (2, "")
    assert "exists: use --force to overwrite it" in again.err
    assert command("connection", "import", *given, "-o", out, "--force").code == 0


def test_standard_input(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program writes is read from it, and the result written to standard output."""
    given = SimpleNamespace(
        buffer=io.BytesIO(json.dumps({"data": {"subscription": CALLS}}).encode())
    )
    monkeypatch.setattr("sys.stdin", given)
    done = command("connection", "import", "kana", "-")
    assert done.code == 0, done.err
    assert done.out.startswith("subscriptions:\n  - name: Calls\n")


def test_export(command: Callable[..., Any], write: Write) -> None:
    """Settings are the whole mapping, as at Segment; what it cannot say is told."""
    connection = {
        "subscriptions": [
            {
                "name": "Calls",
                "partnerAction": "track",
                "subscribe": 'event = "API Called"',
                "mapping": {"featureId": "api-calls"},
            }
        ],
        "filters": [{"blockProperties": ["email", "context.ip"]}],
        "allowOverlap": True,
    }
    done = command("connection", "export", "kana", write("c.json", connection))
    assert done.code == 0
    assert done.err == "note: allowOverlap is left out: at Segment all may overlap\n"
    assert done.json == {
        "subscriptions": [
            {
                "name": "Calls",
                "actionSlug": "track",
                "enabled": True,
                "trigger": 'event = "API Called"',
                "settings": {
                    "userId": {"@path": "$.userId"},
                    "featureId": "api-calls",
                    "delta": {"@path": "$.properties.delta"},
                },
            }
        ],
        "filters": [
            {
                "title": "Block properties",
                "if": "all",
                "enabled": True,
                "actions": [
                    {
                        "type": "DROP_PROPERTIES",
                        "fields": {
                            "properties": ["email"],
                            "traits": ["email"],
                            "context": ["ip"],
                        },
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"actionSlug": "trakc"}, "did you mean track?"),
        ({"trigger": "type = = 1"}, "/0/trigger: at character"),
        ({"settings": 1}, "/0/settings: should be an object, the mapping, but is a number"),
    ],
)
def test_nothing_is_written(
    command: Callable[..., Any], write: Write, tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    """A connection that a run would refuse is not written: exit code 2, with the place."""
    out = tmp_path / "c.yaml"
    done = command("connection", "import", "kana", write("s.json", [CALLS | more]), "-o", out)
    assert done.code == 2
    assert message in done.err
    assert not out.exists()


def test_export_of_what_does_not_fit(command: Callable[..., Any], write: Write) -> None:
    """It is checked as each connection is."""
    one = {"name": "Calls", "partnerAction": "trakc", "subscribe": 'type = "track"'}
    done = command("connection", "export", "kana", write("c.json", {"subscriptions": [one]}))
    assert (done.code, done.out) == (2, "")
    assert "unknown action 'trakc'" in done.err
