"""The commands of Kana on events that a server has accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.operations import Periods, lock_server, note_server
from destinations.outcome import Outcome, State
from destinations.store import SqliteStore

Make = Callable[..., dict[str, Any]]

UNMAPPED: dict[str, Any] = {
    "destination": "kana",
    "slug": "kana",
    "subscription": "Record usage",
    "action": "track",
    "status": Outcome.UNMAPPED,
    "reason": "The event names no feature.",
}


@pytest.fixture
def accepted(cli: Any, add_delivery: Callable[..., int]) -> Callable[..., None]:
    """Puts events into the ledger, unmapped unless told otherwise."""

    def put(*events: dict[str, Any], **columns: Any) -> None:
        with SqliteStore(cli.store) as store:
            for event in events:
                add_delivery(store, event, user=event["userId"], **{**UNMAPPED, **columns})

    return put


@pytest.fixture
def outcomes(cli: Any, command: Callable[..., Any]) -> Callable[[], list[str]]:
    """The outcome, or else the state, of every delivery."""

    def read() -> list[str]:
        found = command("deliveries", "list", "--all", "--store", cli.store, "--json").json
        return [one["outcome"] or one["state"] for one in found["deliveries"]]

    return read


SEATS = ("Seats", "--event", "Seat Added", "--feature", "seats")


def test_features_are_checked_with_the_configuration(
    cli: Any, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the settings of the server; where they cannot be had, that is said."""
    monkeypatch.setenv("RECEIVER_KEY", "0123456789abcdef-of-a-key")
    monkeypatch.setenv("KANA_API_KEY", cli.sandbox.api_key)
    kana = {
        "name": "kana",
        "destination": "kana",
        "settings": {"apiKey": {"env": "KANA_API_KEY"}, "endpoint": cli.sandbox.url},
        "receiver": {"keys": [{"env": "RECEIVER_KEY"}]},
    }
    document = {"store": {"path": str(cli.store)}, "destinations": [kana]}
    config = cli.write("serve.json", document)
    SqliteStore(cli.store).close()
    add = ("kana", "rules", "add", "--config", config)
    done = command(*add, *SEATS)
    assert (done.code, "not checked" in done.err) == (0, False)
    wrong = command(*add, "Wrong", "--event", "E", "--feature", "nosuch")
    assert wrong.code == 2
    assert "rule 'Wrong': Kana has no feature 'nosuch'; it has: calls, seats, sso" in wrong.err
    assert "users have it or not" in command(*add, "Sso", "--event", "S", "--feature", "sso").err
    assert "Wrong" not in command("kana", "rules", "list", "--config", config).out
    monkeypatch.delenv("KANA_API_KEY")
    done = command(*add, "Later", "--event", "L", "--feature", "nosuch")
    assert done.code == 0
    assert "not checked at Kana: the settings of the server cannot be had here: " in done.err
    assert "KANA_API_KEY is not set" in done.err
    assert "that needs --settings" in cli.local("rules", "add", "X", *CALLS).err


CALLS = ("--event", "API Called", "--feature", "calls")


def test_unmapped_counts_both(cli: Any, track: Make, accepted: Callable[..., None]) -> None:
    """What a run has kept and what servers have accepted are one number, whatever they call Kana.

    Events of other destinations, and those with another outcome, are none of it.
    """
    cli.run(track("Seat Added", plan="pro"))
    accepted(track("Seat Added", plan="pro"), track("API Called"))
    accepted(track("Seat Added"), destination="kana-eu")
    accepted(track("Seat Added"), status=Outcome.DEAD)
    accepted(track("Other"), destination="other", slug="other")
    found = cli.local("unmapped", "--json").json
    assert found["events"] == 4
    assert found["by_event"][0] == {"event": "Seat Added", "events": 3}
    assert found["by_property"] == [{"path": "plan", "value": "pro", "events": 2}]


@pytest.mark.parametrize("online", [True, False], ids=["with settings", "without"])
def test_a_rule_lets_events_wait(
    cli: Any,
    *,
    track: Make,
    accepted: Callable[..., None],
    outcomes: Callable[[], list[str]],
    online: bool,
) -> None:
    """What the rule maps waits for the server's turn, with settings or without; the others stay."""
    accepted(track("Seat Added"), track("API Called"))
    accepted(track("Seat Added"), destination="kana-eu")
    call = cli if online else cli.local
    done = call("rules", "add", *SEATS)
    assert done.code == 0
    assert "2 unmapped events wait for delivery now." in done.out
    # No run has kept anything, so there is nothing to deliver here.
    assert "destinations run kana" not in done.err
    assert "Delivered" not in done.out
    assert sorted(outcomes()) == ["ready", "ready", "unmapped"]
    assert cli.usage.get("ann", {}).get("seats", 0) == 0
    again = call("rules", "add", *SEATS)
    assert again.code == 0
    assert "exists already" in again.out
    assert "wait" not in again.out
    assert sorted(outcomes()) == ["ready", "ready", "unmapped"]


def test_a_rule_delivers_what_runs_have_kept_and_leaves_the_rest(
    cli: Any, track: Make, accepted: Callable[..., None], outcomes: Callable[[], list[str]]
) -> None:
    """Of one rule both are mapped; what a server accepted is delivered by the server."""
    cli.run(track("Seat Added"))
    accepted(track("Seat Added"))
    done = cli("rules", "add", *SEATS)
    assert "2 unmapped events wait for delivery now." in done.out
    assert "Of what waited: 1 delivered." in done.out
    assert sorted(outcomes()) == ["delivered", "ready"]
    assert cli.usage == {"ann": {"seats": 1}}


def test_what_is_mapped_and_does_not_fit(
    cli: Any, track: Make, accepted: Callable[..., None], outcomes: Callable[[], list[str]]
) -> None:
    """It is invalid at once, and the command says so."""
    accepted(track("Seat Added", delta="many"))
    done = cli.local("rules", "add", *SEATS)
    assert "1 is mapped, but cannot be sent; see destinations deliveries list." in done.err
    assert "wait" not in done.out
    assert outcomes() == ["invalid"]


@pytest.mark.parametrize("state", [State.HELD, State.UNKNOWN, State.READY])
def test_what_has_no_outcome_is_left_alone(
    cli: Any,
    *,
    track: Make,
    accepted: Callable[..., None],
    outcomes: Callable[[], list[str]],
    state: State,
) -> None:
    """A rule is for what nothing mapped; what waits, or may have been applied, is no such."""
    accepted(track("Seat Added"), status=state, reason="why")
    done = cli.local("rules", "add", *SEATS)
    assert (done.code, "wait" in done.out) == (0, False)
    assert outcomes() == [state.value]


def test_a_rule_for_a_name_that_nobody_serves(
    cli: Any, track: Make, accepted: Callable[..., None]
) -> None:
    """What it maps waits in vain until the server has a destination of that name again."""
    accepted(track("Seat Added"))
    accepted(track("Seat Added"), destination="kana-eu")
    with lock_server(cli.store):
        with SqliteStore(cli.store) as store:
            note_server(store, ["kana-eu"], Periods())
        done = cli.local("rules", "add", *SEATS)
    assert "2 unmapped events wait for delivery now." in done.out
    assert "The server has no destination 'kana': its deliveries wait" in done.err
    assert "'kana-eu'" not in done.err


def test_what_runs_have_kept_is_not_delivered_beside_a_server(
    cli: Any, track: Make, outcomes: Callable[[], list[str]]
) -> None:
    """One process delivers from a store: the rule is kept, and the next run delivers."""
    cli.run(track("Seat Added"))
    with lock_server(cli.store):
        done = cli("rules", "add", *SEATS)
    assert done.code == 75
    assert "a server delivers from the store" in done.err
    assert outcomes() == ["ready"]
    assert [rule["name"] for rule in cli.local("rules", "list", "--json").json] == ["Seats"]
    done = cli.command("run", "kana", "--settings", cli.settings, "--store", cli.store)
    assert done.code == 0
    assert cli.usage == {"ann": {"seats": 1}}
