"""What a dry run shows: counts, reasons and samples, without a partner, a store or secrets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, Any], Path]
Command = Callable[..., Any]

KEY = "prv_live_0123456789abcdef"
CALLS = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "API Called"',
    "mapping": {"featureId": "api-calls"},
}
SEATS = {**CALLS, "name": "Seats", "subscribe": 'event = "Seat Added"'}
USERS = {"name": "Users", "partnerAction": "identify", "subscribe": 'type = "identify"'}


def _track(message_id: str, event: str = "API Called", **changes: Any) -> dict[str, Any]:
    event_ = {
        "type": "track",
        "event": event,
        "userId": "u1",
        "messageId": message_id,
        "timestamp": "2026-01-01T00:00:00Z",
        "properties": {"delta": 2},
    }
    return {**event_, **changes}


EVENTS: list[Any] = [
    _track("m1"),
    _track("m1"),
    _track("m2", properties={"delta": 1.5}),
    _track("m3", "Seat Added"),
    _track("m4", "Seat Added"),
    _track("m5", "Other"),
    {"type": "identify", "userId": "u1", "messageId": "m6", "traits": {"name": "N"}},
    _track("m7", integrations={"All": False}),
]


@pytest.fixture
def dry(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Do a dry run of `EVENTS` and a line that is not JSON; no connection is opened for it."""

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("a dry run has opened a connection")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    events = write("events.ndjson", EVENTS)
    with events.open("a") as stream:
        stream.write("nonsense\n")
    connection = write("connection.json", {"subscriptions": [CALLS, SEATS, USERS]})

    def run(*options: Any) -> Any:
        given = ("run", "kana", "--events", events, "--connection", connection, "--dry-run")
        return command(*given, *options)

    return run


def test_all_of_it_as_json(dry: Command) -> None:
    """Each event is counted by outcome and subscription, and each subscription has a sample."""
    done = dry("--no-store", "--json")
    found = done.json
    assert done.code == 1
    assert found["dry_run"] is True
    assert found["requests"] == 0
    assert found["rows"] == found["lines"] == 9
    assert {key: count for key, count in found["outcomes"].items() if count} == {
        "ready": 4,
        "filtered": 3,
        "invalid": 2,
    }
    assert found["by_subscription"] == [
        {
            "subscription": "Calls",
            "action": "track",
            "outcomes": {"filtered": 1, "invalid": 1, "ready": 1},
        },
        {"subscription": "Seats", "action": "track", "outcomes": {"ready": 2}},
        {"subscription": "Users", "action": "identify", "outcomes": {"ready": 1}},
    ]
    assert [(one["outcome"], one["rows"], one["line"]) for one in found["reasons"]] == [
        ("filtered", 1, 2),
        ("filtered", 1, 6),
        ("filtered", 1, 8),
        ("invalid", 1, 9),
        ("invalid", 1, 3),
        ("ready", 4, 1),
    ]
    assert found["reasons"][0]["reason"].startswith("a duplicate: ")
    assert not found["reasons"][3]["reason"].startswith("line 9")
    assert [(one["subscription"], one["line"]) for one in found["samples"]] == [
        ("Calls", 1),
        ("Seats", 4),
        ("Users", 7),
    ]
    first = found["samples"][0]
    assert first["event"] == EVENTS[0]
    assert first["payload"]["featureId"] == "api-calls"
    assert first["request"]["method"] == "POST"
    assert first["request"]["headers"]["Authorization"] == "<apiKey>"
    assert first["request"]["body"]["variables"]["input_0"]["delta"] == 2
    assert first["later_requests"] == []
    assert "createUser" in found["samples"][2]["later_requests"]


def test_all_of_it_for_people(dry: Command) -> None:
    """The same is readable."""
    done = dry("--no-store")
    for text in (
        "Calls         track            1        1      1     3",
        "filtered     1           2  a duplicate: its messageId was read before in this run",
        "Sample of Seats (track): line 4",
        "Sample of Users (identify): line 7",
        "POST https://api.usekana.com/graphql",
        "Authorization: <apiKey>",
        "what follows depends on its answer",
    ):
        assert text in done.out, done.out


@pytest.mark.parametrize(
    ("settings", "shown", "note"),
    [
        (None, "<apiKey>", ""),
        ({}, "<apiKey>", ""),
        (
            {"apiKey": {"env": "NOT_THERE"}},
            "<apiKey>",
            "apiKey is shown as <apiKey>: the environment variable NOT_THERE is not set",
        ),
        ({"apiKey": "${NOT_THERE}"}, "<apiKey>", "NOT_THERE is not set"),
        ({"apiKey": {"file": "not/there"}}, "<apiKey>", "cannot read the file"),
        ({"apiKey": {"env": "THERE"}}, "***", ""),
    ],
)
def test_secrets_that_are_not_there(
    dry: Command,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any] | None,
    shown: str,
    note: str,
) -> None:
    """They have their names in their place, and one that is there is masked."""
    monkeypatch.setenv("THERE", KEY)
    options = [] if settings is None else ["--settings", write("settings.json", settings)]
    done = dry("--no-store", *options, "--json")
    assert done.json["samples"][0]["request"]["headers"]["Authorization"] == shown
    assert note in done.err
    assert KEY not in done.out + done.err


@pytest.mark.parametrize(
    ("settings", "issue"),
    [
        ({"apiKye": {"env": "NOT_THERE"}}, "/apiKye: Kana has no such setting"),
        ({"apiKey": {"env": "NOT_THERE"}, "endpoint": "nowhere"}, "/endpoint"),
    ],
)
def test_settings_that_do_not_fit(
    dry: Command, write: Write, settings: dict[str, Any], issue: str
) -> None:
    """What is wrong with the others is told as ever."""
    done = dry("--no-store", "--settings", write("settings.json", settings))
    assert done.code == 2
    assert issue in done.err


def test_no_store_is_made(dry: Command, tmp_path: Path) -> None:
    """Nothing is written, not even where a store is named."""
    before = sorted(tmp_path.rglob("*"))
    done = dry("--store", tmp_path / "store.sqlite3")
    assert done.code == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_store_knows(runs: Any) -> None:
    """Delivered events are duplicates, also without the key that delivered them; it stays as is."""
    runs(events=runs.file(_track("m1", userId="ann", properties={"featureId": "calls"})))
    before = runs.store.read_bytes()
    events = runs.file(
        _track("m1", userId="ann", properties={"featureId": "calls"}),
        _track("m2", userId="ann", properties={"featureId": "calls"}),
    )
    settings = runs.write("named.json", {"apiKey": "${NOT}", "endpoint": runs.partner.url})
    requests = len(runs.partner.requests)
    done = runs.command(
        *("run", "kana", "--events", events, "--settings", settings, "--store", runs.store),
        *("--dry-run", "--json"),
    )
    assert done.code == 0, done.err
    assert runs.counts(done) == {"filtered": 1, "ready": 1}
    assert [one["line"] for one in done.json["samples"]] == [2]
    assert runs.store.read_bytes() == before
    assert len(runs.partner.requests) == requests


def test_several_files(command: Command, write: Write) -> None:
    """A sample names its file."""
    files = [write("a.ndjson", [EVENTS[5]]), write("b.ndjson", [_track("m9")])]
    connection = write("connection.json", {"subscriptions": [CALLS]})
    named = [each for one in files for each in ("--events", one)]
    done = command(
        *("run", "kana", *named, "--connection", connection, "--dry-run", "--no-store", "--json")
    )
    (sample,) = done.json["samples"]
    assert (sample["file"], sample["line"]) == (str(files[1]), 1)


def test_a_sandbox(command: Command, write: Write) -> None:
    """A sample has only the headers that the partner would get, not those for a sandbox."""
    events = write("events.ndjson", [_track("m1", userId="u1")])
    given = ("run", "braze", "--events", events, "--sandbox", "--dry-run")
    (sample,) = command(*given, "--json").json["samples"]
    assert sorted(sample["request"]["headers"]) == ["Accept", "Authorization", "Content-Type"]
    shown = command(*given).out
    assert "Authorization" in shown
    assert "Sandbox-Origin" not in shown


def test_several_accounts_without_credentials(runs: Any) -> None:
    """Which one is meant cannot be told: it says so, and one that is named is looked into."""
    event = _track("m1", userId="ann", properties={"featureId": "calls"})
    events = runs.file(event)
    runs("--account", "first", events=events, key="prv_test_first")
    runs("--account", "second", "--new-account", events=runs.file(), key="prv_test_second")
    second = runs.file({**event, "messageId": "m2"})
    runs("--account", "second", events=second, key="prv_test_second")
    settings = runs.write("named.json", {"endpoint": runs.partner.url})
    given = ("run", "kana", "--events", events, "--settings", settings, "--dry-run", "--json")
    unnamed = runs.command(*given, "--store", runs.store)
    assert runs.counts(unnamed) == {"ready": 1}
    assert "2 are known at" in unnamed.err
    for name, outcome in (("first", "filtered"), ("second", "ready")):
        done = runs.command(*given, "--store", runs.store, "--account", name)
        assert runs.counts(done) == {outcome: 1}, done.err
        assert "are known at" not in done.err
