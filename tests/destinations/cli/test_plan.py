"""What a new configuration would change, from the command line."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.postgres import open_at
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.plan_changes import KINDS
from destinations.server import read_config
from destinations.server.binding import bind
from destinations.server.running import CONFIGURATION, configuration_note
from destinations.store import KeptConnection, SqliteStore, Tenants, TenantStore

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
        with open_at(config.store.address) as store:
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


def test_many_destinations(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are looked at, first those that differ, and it says how many are left out."""
    monkeypatch.setattr("destinations.server.config_changes.MOST_DESTINATIONS", 3)
    names = [f"d{one:02}" for one in range(40)]
    former = plans.config("former.json", *[_kana(CALLS, name=name) for name in names])
    new = [_kana(SEATS if name == "d39" else CALLS, name=name) for name in names]
    done = plans(plans.config("new.json", *new), "--against", former)
    found = done.json
    assert [one["name"] for one in found["destinations"]] == ["d00", "d01", "d39"]
    assert (found["left_out"], found["left_out_differing"], done.code) == (37, 0, 1)
    (note,) = found["notes"]
    assert note.startswith("only 3 of 40 destinations were looked at, first those that differ")
    assert "The other 37 are not shown or counted; none of them differs. Name one as" in note
    new = [_kana(CALLS, SEATS, name=name) for name in names]
    path = plans.config("new.json", *new)
    shown = plans.command("plan", "--config", path, "--events", plans.events, "--against", former)
    assert "Only 3 of 40 destinations were looked at" in shown.out
    assert "37 of them differ. Name one with --destination to look at it." in shown.out
    assert "Nothing is lost in what was looked at." in shown.out
    assert shown.code == 1  # what was not looked at may be lost
    done = plans(path, "--against", former, "--destination", "d10")
    assert (len(done.json["destinations"]), done.json["left_out"], done.code) == (1, 0, 0)
    done = plans(path, "--against", former, "--destination", "d40")
    assert done.err.count("d0") == 3


def test_destinations_that_do_not_differ(plans: Plans) -> None:
    """All of them have one line; what differs is shown beside it."""
    names = [f"d{one:02}" for one in range(9)]
    former = plans.config("former.json", *[_kana(CALLS, name=name) for name in names])
    new = [_kana(*([CALLS, SEATS] if name == "d08" else [CALLS]), name=name) for name in names]
    path = plans.config("new.json", *new)
    done = plans.command("plan", "--config", path, "--events", plans.events, "--against", former)
    assert done.out.count("nothing differs") == 1
    assert "8 destinations: nothing differs: d00, d01, d02, d03, d04 and 3 more" in done.out
    assert "  deliveries: 16 as now" in done.out
    assert "d08: " in done.out


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
    assert "as for a customer without rules and without a connection of its own" in text


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


def test_warnings(plans: Plans) -> None:
    """A subscription that can match nothing is told, as when a server starts."""
    plans.serve(_kana(CALLS))
    done = plans(plans.config("new.json", _kana(CALLS, {**SEATS, "subscribe": 'type = "trakc"'})))
    assert done.code == 0
    assert "warning: kana: " in done.err
    assert "did you mean track?" in done.err


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


def _keeping(plans: Plans) -> Path:
    path = plans.serve(_kana(CALLS))
    with SqliteStore(path.parent / "s.sqlite3") as store:
        store.note({"keepRecent": {"events": 5, "bytes": 70_000, "hours": 1.0}})
    return path


def _in_empty_store(plans: Plans) -> Any:
    config = plans.config("new.json", _kana(CALLS))
    SqliteStore(config.parent / "s.sqlite3").close()
    return plans(config)


def _keep(plans: Plans, *events: dict[str, Any], **destinations: str) -> None:
    """Keep events in the store as delivered for destinations, each with a tenant or none."""
    identity = AccountIdentity("kana", "https://x.y", "", "key")
    with SqliteStore(plans.events.parent / "s.sqlite3") as store:
        scopes = [
            store.accounts().of_tenant(name, tenant, identity)
            if tenant
            else store.accounts().served(name, identity)
            for name, tenant in destinations.items()
        ]
        with store.database.transaction() as connection:
            connection.executemany(
                "INSERT INTO tenants (scope, noted_at, after_event) VALUES (?, 0, 0)",
                [(one.id,) for one in scopes if one.tenant],
            )
            for at, event in enumerate(events):
                connection.execute(
                    "INSERT INTO recent_events (message_id, fingerprint, user, at, total, raw)"
                    " VALUES (?, ?, 'u', ?, 0, ?)",
                    (event["messageId"], at, at * 1_000, json.dumps(event).encode()),
                )
                connection.executemany(
                    "INSERT INTO recent_scopes SELECT max(id), ? FROM recent_events",
                    [(scope.id,) for scope in scopes],
                )


def _recent(plans: Plans, config: Path, *options: Any) -> Any:
    return plans.command("plan", "--config", config, "--json", *options)


@pytest.mark.parametrize(
    ("options", "changed"), [((), 2), (("--last", "1"), 0), (("--last", "4"), 1)]
)
def test_events_that_were_delivered_lately(
    plans: Plans, options: tuple[str, ...], changed: int
) -> None:
    """The latest ones are taken, and how many there were is told."""
    plans.serve(_kana(CALLS))
    _keep(plans, *EVENTS, kana="")
    done = _recent(plans, plans.config("new.json", _kana(MAPPED)), *options)
    assert done.code == 0, done.err
    asked = int(options[1]) if options else 1_000
    assert (done.json["last"], done.json["events"]) == (asked, min(asked, 5))
    assert _counts(done).get("payload_changed", 0) == changed
    if changed:
        (kana,) = done.json["destinations"]
        assert kana["examples"][-1]["place"] == "delivered at 1970-01-01T00:00:01Z"
    text = plans.command("plan", "--config", plans.config("new.json", _kana(MAPPED)), *options)
    assert f"the latest {min(asked, 5)} event" in text.out
    assert ("were asked for" in text.out) is (asked > 5)


def test_only_the_destinations_that_had_an_event(plans: Plans) -> None:
    """An event counts for those that it was delivered for; of a new one there is none."""
    plans.serve(_kana(CALLS, account="one"), _kana(CALLS, name="two", account="one"))
    _keep(plans, EVENTS[0], kana="")
    _keep(plans, EVENTS[1] | {"messageId": "m9"}, kana="", two="")
    new = (_kana(CALLS), _kana(CALLS, name="three"))
    done = _recent(plans, plans.config("new.json", *new))
    assert done.code == 1
    assert _counts(done) == {"delivered_before": 2, "delivered_after": 2, "unchanged": 2}
    assert _counts(done, "three") == {}
    assert _counts(done, "two") == {"delivered_before": 1, "lost": 1, "no_longer_matched": 1}
    text = plans.command("plan", "--config", plans.config("new.json", *new))
    assert "three: new\n  no event of it is kept; --events FILE shows what" in text.out
    only = _recent(plans, plans.config("new.json", *new), "--destination", "two")
    assert only.json["events"] == 1


@pytest.mark.parametrize(
    ("own", "changes", "counts", "reason"),
    [
        (None, {}, {"no_longer_matched": 1}, "no subscription takes this event"),
        ({"filters": []}, {}, {"no_longer_matched": 1}, "no subscription takes this event"),
        ({"subscriptions": [CALLS]}, {}, {"unchanged": 1}, ""),
        (
            {"subscriptions": [CALLS]},
            {"filters": [{"drop": 'event = "Called"'}]},
            {"no_longer_matched": 1},
            "dropped by the filter",
        ),
        (
            {"subscriptions": [CALLS], "filters": []},
            {"filters": [{"sample": 0}]},
            {"unchanged": 1},
            "",
        ),
        (
            {"subscriptions": [{**CALLS, "partnerAction": "identify"}]},
            {},
            {},
            "",
        ),
    ],
)
def test_customers_with_a_connection_of_their_own(
    plans: Plans,
    own: dict[str, Any] | None,
    changes: dict[str, Any],
    counts: dict[str, int],
    reason: str,
) -> None:
    """It goes over that of the configuration, before and after."""
    receiver = {"tenants": {"key": "apiKey"}}
    sealing = {"sealing": {"key": {"env": "SEALING"}}}
    one = {"name": "kana", "destination": "kana", "receiver": receiver, "subscriptions": [CALLS]}
    served = plans.config("old.json", one, **sealing)
    _keep(plans, EVENTS[0], kana="tenant-a")
    if own is not None:
        with SqliteStore(plans.events.parent / "s.sqlite3") as store:
            (tenant,) = Tenants(store.database).all()
            Tenants(store.database).connect(tenant, KeptConnection(own, "version", 0.0))
    new = plans.config("new.json", {**one, "subscriptions": [SEATS], **changes}, **sealing)
    done = _recent(plans, new, "--against", served)
    found = {key: count for key, count in _counts(done).items() if key in {*KINDS, "unchanged"}}
    assert found == counts, done.out
    (kana,) = done.json["destinations"]
    assert reason in (kana["examples"][0]["reason"] if kana["examples"] else "")


def test_a_connection_of_a_customer_that_does_not_fit(plans: Plans, kana_folder: Path) -> None:
    """With a new definition its events are lost, and the reason says what is wrong."""
    for path in kana_folder.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("delta", "quantity"), encoding="utf-8")
    receiver = {"tenants": {"key": "apiKey"}}
    sealing = {"sealing": {"key": {"env": "SEALING"}}}
    one = {"name": "kana", "destination": "kana", "receiver": receiver}
    served = plans.config("old.json", one, **sealing)
    _keep(plans, EVENTS[0], kana="tenant-a")
    with SqliteStore(plans.events.parent / "s.sqlite3") as store:
        (tenant,) = Tenants(store.database).all()
        taken = {**CALLS, "mapping": {"featureId": "calls", "delta": 2}}
        own = KeptConnection({"subscriptions": [taken]}, "version", 0.0)
        Tenants(store.database).connect(tenant, own)
    other = {**one, "destination": "./kana"}
    done = _recent(plans, plans.config("new.json", other, **sealing), "--against", served)
    assert done.code == 1, done.err
    (kana,) = done.json["destinations"]
    assert "its own connection does not fit: track has no field 'delta'" in done.out
    assert kana["lost"] == 1


def test_events_of_customers(plans: Plans) -> None:
    """Each is planned with the rules of its customer."""
    receiver = {"tenants": {"key": "apiKey"}}
    sealing = {"sealing": {"key": {"env": "SEALING"}}}
    taken = {**CALLS, "mapping": {"delta": 1}}
    one = {"name": "kana", "destination": "kana", "receiver": receiver, "subscriptions": [taken]}
    served = plans.config("old.json", one, **sealing)
    _keep(plans, EVENTS[0], kana="tenant-a")
    _keep(plans, EVENTS[1] | {"messageId": "m9"}, kana="tenant-b")
    with SqliteStore(plans.events.parent / "s.sqlite3") as store:
        rule = {"name": "r", "event": "Called", "feature": "calls"}
        TenantStore(store, "tenant-a").documents("kana", "rule").add(("r", rule))
    changed = {**one, "filters": [{"drop": 'event = "Called"'}]}
    done = _recent(plans, plans.config("new.json", changed, **sealing), "--against", served)
    assert done.code == 1, done.err
    assert done.json["tenants"] == 2
    assert _counts(done) == {"delivered_before": 1, "lost": 1, "no_longer_matched": 1}
    (kana,) = done.json["destinations"]
    assert kana["examples"][0]["place"].endswith(", tenant tenant-a")


WRONG: dict[str, tuple[Callable[[Plans], Any], str]] = {
    "no events are kept": (
        lambda plans: _recent(plans, _served(plans)),
        "write keepRecent: {} in the configuration of the server",
    ),
    "no event was delivered yet": (
        lambda plans: _recent(plans, _keeping(plans)),
        "since it keeps them",
    ),
    "both": (
        lambda plans: plans(_served(plans), "--last", "5"),
        "--last cannot be used with --events",
    ),
    "a limit without a file": (
        lambda plans: _recent(plans, _served(plans), "--limit", "5"),
        "--limit and --format need --events",
    ),
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
