"""A connection of a customer, from the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

Write = Callable[[str, Any], Path]

EVENTS = [
    {
        "type": "track",
        "event": event,
        "userId": "user_0001",
        "messageId": f"m{nth}",
        "timestamp": "2026-01-01T00:00:00Z",
        "properties": {"delta": 2},
    }
    for nth, event in enumerate(("API Called", "Page Seen", "API Called"))
]
CALLS = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "API Called"',
    "mapping": {"featureId": "api-calls"},
}
ALL = {"name": "All", "partnerAction": "track", "subscribe": 'type = "track"'}


def test_a_run(command: Callable[..., Any], write: Write) -> None:
    """Only what the connection takes is delivered, as it maps it; a warning names what never is."""
    never = {**CALLS, "name": "Never", "subscribe": 'type = "trakc"'}
    connection = write("connection.json", {"subscriptions": [CALLS, never]})
    events = write("events.ndjson", EVENTS)
    done = command(
        *("run", "kana", "--events", events, "--sandbox", "--connection", connection, "--json")
    )
    assert done.code == 0, done.err
    assert done.err.startswith("warning: ")
    assert "did you mean track?" in done.err
    assert done.json["outcomes"]["delivered"] == 2
    assert done.json["outcomes"]["filtered"] == 1


@pytest.mark.parametrize(
    ("more", "code"), [({}, 2), ({"allowOverlap": True}, 0), ({"allowOverlap": False}, 2)]
)
def test_an_overlap(
    command: Callable[..., Any],
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
    code: int,
) -> None:
    """One event would be billed twice: neither a run nor a server begins, unless that is meant."""
    monkeypatch.setenv("KEY", "prv_test_0123456789")
    subscriptions = [CALLS, {**ALL, "mapping": {"featureId": "all"}}]
    connection = write("connection.json", {"subscriptions": subscriptions, **more})
    events = write("events.ndjson", EVENTS[:1])
    done = command("run", "kana", "--events", events, "--sandbox", "--connection", connection)
    assert (done.code == 2) is (code == 2), done.err
    served = {
        "store": {"path": "s.sqlite3"},
        "destinations": [
            {
                "name": "kana",
                "destination": "kana",
                "settings": {"apiKey": "${KEY}"},
                "subscriptions": subscriptions,
                **more,
            }
        ],
    }
    config = write("serve.json", served)
    checked = command("serve", "--config", config, "--check")
    monkeypatch.delenv("KEY")  # which no secret can mend
    without = command("serve", "--config", config, "--check")
    assert without.code == (2 if code == 2 else 75)
    for one in (done, checked, without):
        assert ("'All' overlaps with 'Calls'" in one.err) is (code == 2), one.err


def test_without_subscriptions(command: Callable[..., Any], write: Write) -> None:
    """That they may overlap says nothing then, and is refused."""
    one = {"name": "kana", "destination": "kana", "allowOverlap": True}
    config = write("serve.json", {"store": {"path": "s"}, "destinations": [one]})
    done = command("serve", "--config", config, "--check")
    assert done.code == 2
    assert "/destinations/0/allowOverlap: has no effect without subscriptions" in done.err


def test_filters(command: Callable[..., Any], write: Write) -> None:
    """Nothing of what they take out is in a payload, nor in a request that carries the event."""
    filters = [
        {"drop": 'event = "Page Seen"'},
        {"blockProperties": ["email", "context.ip"]},
    ]
    connection = write("connection.json", {"filters": filters})
    private = {"properties": {"email": "secret@example.com", "plan": "pro"}}
    events = [{**one, **private, "context": {"ip": "10.9.8.7"}} for one in EVENTS[:2]]
    settings = write("settings.json", {"url": "https://example.com"})
    done = command(
        *("explain", "webhook", write("events.ndjson", events), "--settings", settings),
        *("--connection", connection, "--json"),
    )
    assert done.code == 0, done.err
    sent, dropped = (json.loads(line) for line in done.out.splitlines())
    assert sent["subscriptions"][0]["requests"]
    assert sent["taken_out"] == ["properties.email", "context.ip"]
    assert '"plan": "pro"' in json.dumps(sent)
    assert not {"secret@example.com", "10.9.8.7"} & set(json.dumps(sent).split('"'))
    assert dropped["result"]["outcome"] == "filtered"
    assert dropped["result"]["reason"] == 'dropped by the filter event = "Page Seen"'


class Endpoint(BaseHTTPRequestHandler):
    """Takes what a webhook sends."""

    taken: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        """Take one event."""
        self.taken.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody wants to know."""


def test_filters_of_whole_events(command: Callable[..., Any], write: Write) -> None:
    """A request that carries the event as it came has not what filters take out."""
    filters = [{"allowProperties": ["plan"]}, {"sample": 1, "by": "userId"}]
    private = {"email": "secret@example.com", "plan": "pro"}
    events = write("events.ndjson", [{**one, "properties": private} for one in EVENTS])
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        settings = write("settings.json", {"url": f"http://127.0.0.1:{server.server_port}"})
        done = command(
            *("run", "webhook", "--events", events, "--settings", settings, "--no-store"),
            *("--connection", write("connection.json", {"filters": filters})),
        )
        server.shutdown()
        thread.join()
    assert done.code == 0, done.err
    assert [one["properties"] for one in Endpoint.taken] == [{"plan": "pro"}] * len(EVENTS)
