"""What a new configuration would change, from the command line."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.server import read_config
from destinations.server.binding import bind
from destinations.server.running import CONFIGURATION, configuration_note
from destinations.store import SqliteStore

Write = Callable[[str, Any], Path]
Command = Callable[..., Any]

KEY = "prv_live_0123456789abcdef"
CALLS = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "Called"',
    "mapping": {"featureId": "calls"},
}
SEATS = {**CALLS, "name": "Seats", "subscribe": 'event = "Seat"', "mapping": {"featureId": "s"}}
MAPPED = {**CALLS, "mapping": {"featureId": "other"}}


def _event(message_id: str, name: str = "Called", **changes: Any) -> dict[str, Any]:
    event = {
        "type": "track",
        "event": name,
        "userId": "u1",
        "messageId": message_id,
        "timestamp": "2026-01-01T00:00:00Z",
        "properties": {"delta": 1},
    }
    return {**event, **changes}


EVENTS: list[Any] = [
    _event("m1", userId="u0"),
    _event("m2"),
    _event("m3", "Seat"),
    _event("m4", "Other"),
    _event("m5", properties={"delta": 1.5}),
]


def _kana(*subscriptions: Any, name: str = "kana", **more: Any) -> dict[str, Any]:
    settings = {"apiKey": {"env": "KANA_KEY"}}
    one = {"name": name, "destination": "kana", "settings": settings, **more}
    return {**one, "subscriptions": list(subscriptions)} if subscriptions else one


class Plans:
    """Runs ``destinations plan`` on configurations of one folder."""

    def __init__(self, command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        self.command = command
        self.write = write
        self.monkeypatch = monkeypatch
        self.events = write("events.ndjson", EVENTS)

    def config(self, name: str, *destinations: Any, **more: Any) -> Path:
        """Write a configuration."""
        document = {"store": {"path": "s.sqlite3"}, "destinations": destinations, **more}
        return self.write(name, document)

    def serve(self, *destinations: Any, **more: Any) -> Path:
        """Note a configuration in the store, as a server with it does; returns its path."""
        path = self.config("serve.json", *destinations, **more)
        environment = {"KANA_KEY": KEY, "SEALING": "0" * 64}
        config = read_config(path, environment)
        with SqliteStore(config.store.path) as store:
            note = configuration_note(config, bind(config, store), 1_700_000_000.0)
            store.note({CONFIGURATION: note})
        return path

    def __call__(self, config: Path, *options: Any) -> Any:
        """Plan with the events, and print JSON."""
        return self.command("plan", "--config", config, "--events", self.events, "--json", *options)


@pytest.fixture
def plans(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> Plans:
    """Plans, for which no connection is opened."""

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("a plan has opened a connection")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    return Plans(command, write, monkeypatch)


def _counts(done: Any, name: str = "kana") -> Mapping[str, int]:
    """Return what a plan counted for a destination, but for what is 0."""
    (found,) = (one for one in done.json["destinations"] if one["name"] == name)
    counts = {key: count for key, count in found.items() if type(count) is int and count}
    counts.pop("events", None)
    return counts


# The new configuration's destination, what is counted, and the exit code.
CASES: dict[str, tuple[dict[str, Any], dict[str, int], int]] = {
    "the same": (
        _kana(CALLS),
        {"delivered_before": 2, "delivered_after": 2, "unchanged": 2},
        0,
    ),
    "more is taken": (
        _kana(CALLS, SEATS),
        {"delivered_before": 2, "delivered_after": 3, "unchanged": 2, "newly_matched": 1},
        0,
    ),
    "another payload": (
        _kana(MAPPED),
        {"delivered_before": 2, "delivered_after": 2, "payload_changed": 2},
        0,
    ),
    "less is taken": (
        _kana(SEATS),
        {"delivered_before": 2, "delivered_after": 1, "lost": 2, "no_longer_matched": 2}
        | {"newly_matched": 1},
        1,
    ),
    "less is taken because of a filter": (
        _kana(CALLS, filters=[{"drop": 'userId = "u0"'}]),
        {"delivered_before": 2, "delivered_after": 1, "lost": 1, "no_longer_matched": 1}
        | {"unchanged": 1},
        1,
    ),
    "invalid": (
        _kana({**CALLS, "mapping": {"featureId": "calls", "delta": {"@path": "$.event"}}}),
        {"delivered_before": 2, "lost": 2, "invalid_now": 2},
        1,
    ),
}


@pytest.mark.parametrize(("new", "counts", "code"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("is_named", [False, True], ids=["running", "against"])
def test_what_changes(
    plans: Plans, new: dict[str, Any], counts: dict[str, int], code: int, is_named: bool
) -> None:
    """The same, whether the server noted its configuration, or its file is named."""
    served = plans.serve(_kana(CALLS))
    done = plans(plans.config("new.json", new), *(("--against", served) if is_named else ()))
    assert _counts(done) == counts, done.out
    assert done.code == code
    assert done.json["lost"] == counts.get("lost", 0)
    assert done.json["events"] == len(EVENTS)


def test_the_file_that_the_server_read_was_overwritten(plans: Plans) -> None:
    """What it runs with counts, and nothing but the new file has to be named."""
    path = plans.serve(_kana(CALLS))
    plans.config("serve.json", _kana(MAPPED))
    done = plans(path)
    assert _counts(done)["payload_changed"] == 2
    assert done.json["against"].startswith(f"{path} as the server of ")
    assert "2023-11-14T22:13:20Z" in done.json["against"]


def test_examples(plans: Plans) -> None:
    """Each has the place and messageId of its event, and the fields that change."""
    plans.serve(_kana(CALLS))
    done = plans(plans.config("new.json", _kana(MAPPED)))
    (kana,) = done.json["destinations"]
    assert kana["differs"] == ["subscriptions"]
    assert kana["changed_fields"] == {"/featureId": 2}
    assert kana["examples"][1] == {
        "kind": "payload_changed",
        "place": "line 2",
        "message_id": "m2",
        "subscription": "Calls",
        "action": "track",
        "reason": "",
        "fields": [{"field": "/featureId", "before": "calls", "after": "other"}],
    }


def test_for_people(plans: Plans) -> None:
    """The same in words, and what it comes to."""
    plans.serve(_kana(CALLS, account="one"), _kana(name="second", account="one"))
    new = plans.config("new.json", _kana(MAPPED, SEATS, account="one"), _kana(SEATS, name="third"))
    done = plans.command("plan", "--config", new, "--events", plans.events)
    assert done.code == 0, done.err
    for text in (
        "kana: subscriptions\n",
        "deliveries: 2 today, 3 then; 0 as now",
        "payload changed           2",
        "payload changed  line 1, messageId m1, Calls (track)",
        '  /featureId: "calls" becomes "other"',
        "newly matched  line 3, messageId m3, Seats (track): today: ",
        "third: new",
        "second: gone",
        "Whatever is delivered today would still be. Nothing was sent or changed.",
    ):
        assert text in done.out, done.out


def test_new_and_gone(plans: Plans) -> None:
    """A destination that is gone loses what it delivers; a new one gets it."""
    plans.serve(_kana(CALLS))
    done = plans(plans.config("new.json", _kana(CALLS, name="other")))
    assert done.code == 1
    states = {one["name"]: one["state"] for one in done.json["destinations"]}
    assert states == {"other": "new", "kana": "gone"}
    assert _counts(done) == {"delivered_before": 2, "lost": 2, "no_longer_matched": 2}
    assert _counts(done, "other") == {"delivered_after": 2, "newly_matched": 2, "invalid_now": 1}
    (gone,) = (one for one in done.json["destinations"] if one["state"] == "gone")
    assert gone["examples"][0]["reason"] == "the destination is gone"


def test_only_one_destination(plans: Plans) -> None:
    """Others are left out, also what they would lose."""
    plans.serve(_kana(CALLS, account="one"), _kana(CALLS, name="other", account="one"))
    new = plans.config("new.json", _kana(CALLS, account="one"))
    assert plans(new).code == 1
    done = plans(new, "--destination", "kana")
    assert done.code == 0
    assert [one["name"] for one in done.json["destinations"]] == ["kana"]


def test_broken_lines(plans: Plans) -> None:
    """They are told with their lines, and the others go on."""
    plans.serve(_kana(CALLS))
    lines = [json.dumps(EVENTS[0]), "nonsense", "", '{"type": "walk"}', json.dumps(EVENTS[1])]
    plans.events = plans.write("events.ndjson", "\n".join(lines))
    new = plans.config("new.json", _kana(MAPPED))
    done = plans(new)
    assert (done.json["events"], done.json["unreadable"]) == (2, 2)
    assert [one["place"] for one in done.json["faults"]] == ["line 2", "line 4"]
    assert _counts(done)["payload_changed"] == 2
    text = plans.command("plan", "--config", new, "--events", plans.events).out
    assert "2 entries of the input are no events:\n  line 2: " in text


def test_customers_with_keys_of_their_own(plans: Plans) -> None:
    """They all have the subscriptions of the configuration, which are compared."""
    receiver = {"tenants": {"key": "apiKey"}}
    sealing = {"sealing": {"key": {"env": "SEALING"}}}
    old, new = (
        {"name": "kana", "destination": "kana", "receiver": receiver, "subscriptions": [one]}
        for one in (CALLS, MAPPED)
    )
    served = plans.config("old.json", old, **sealing)
    config = plans.config("new.json", new, **sealing)
    done = plans(config, "--against", served)
    assert done.code == 0, done.err
    assert done.json["destinations"][0]["tenants"] is True
    assert _counts(done)["payload_changed"] == 2
    text = plans.command(
        "plan", "--config", config, "--against", served, "--events", plans.events
    ).out
    assert "All of its customers have these subscriptions and filters." in text


def test_another_store(plans: Plans) -> None:
    """It is told that nothing would be recognised there."""
    served = plans.serve(_kana(CALLS))
    other = {"path": "other.sqlite3"}
    config = plans.config("new.json", _kana(CALLS), store=other)
    for options in (("--against", served), ("--store", served.parent / "s.sqlite3")):
        done = plans(config, *options)
        assert done.code == 0
        assert "has another store" in done.err
    same = plans(plans.config("new.json", _kana(CALLS)))
    assert "another store" not in same.err


def test_nothing_is_written(plans: Plans, tmp_path: Path) -> None:
    """Neither in the store nor beside it."""
    plans.serve(_kana(CALLS))
    config = plans.config("new.json", _kana(MAPPED))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert plans(config).code == 0
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_secrets_are_masked(plans: Plans) -> None:
    """Also one that stands in an event, and one that only this environment has."""
    plans.serve(_kana(CALLS))
    plans.monkeypatch.setenv("KANA_KEY", KEY)
    plans.events = plans.write("events.ndjson", [_event(f"m {KEY}")])
    config = plans.config("new.json", _kana({**CALLS, "mapping": {"featureId": f"f-{KEY}"}}))
    for options in ((), ("--json",)):
        done = plans.command("plan", "--config", config, "--events", plans.events, *options)
        assert done.code == 0
        assert "payload" in done.out
        assert KEY not in done.out + done.err


def _served(plans: Plans) -> Path:
    return plans.serve(_kana(CALLS))


def _in_empty_store(plans: Plans) -> Any:
    config = plans.config("new.json", _kana(CALLS))
    SqliteStore(config.parent / "s.sqlite3").close()
    return plans(config)


WRONG: dict[str, tuple[Callable[[Plans], Any], str]] = {
    "no store": (
        lambda plans: plans(plans.config("new.json", _kana(CALLS))),
        "name the former configuration with --against FILE, or the store of the server",
    ),
    "a store of which no server knows": (
        _in_empty_store,
        "no server has noted its configuration in",
    ),
    "an unknown destination": (
        lambda plans: plans(_served(plans), "--destination", "kena"),
        "neither configuration has a destination 'kena'; they have: kana; did you mean kana?",
    ),
    "a configuration with a fault": (
        lambda plans: plans(
            plans.config("new.json", _kana({**CALLS, "partnerAction": "trak"})),
            *("--against", plans.config("old.json", _kana(CALLS))),
        ),
        "/destinations/0/subscriptions/0/partnerAction",
    ),
    "a former configuration with a fault": (
        lambda plans: plans(
            plans.config("new.json", _kana(CALLS)),
            *("--against", plans.config("old.json", _kana({**CALLS, "partnerAction": "trak"}))),
        ),
        "old.json:",
    ),
    "no file of events": (
        lambda plans: plans.command("plan", "--config", _served(plans), "--events", "missing"),
        "cannot read the events file missing",
    ),
    "no configuration": (
        lambda plans: plans(Path("missing.yaml")),
        "missing.yaml",
    ),
}


@pytest.mark.parametrize(("run", "message"), WRONG.values(), ids=WRONG)
def test_wrong_usage(plans: Plans, run: Callable[[Plans], Any], message: str) -> None:
    """It is told, with what to do, and nothing is printed that looks like a result."""
    done = run(plans)
    assert done.code == 2
    assert message in done.err, done.err
    assert done.out == ""
