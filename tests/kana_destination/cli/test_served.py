"""The commands of Kana on events that a server has accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.operations import Periods, note_server, serving_lock
from destinations.store import Store

Make = Callable[..., dict[str, Any]]

UNMAPPED = {
    "destination": "kana",
    "action": "track",
    "state": "done",
    "outcome": "unmapped",
    "reason": "The event names no feature.",
    "settled_at": 2_000.0,
}


@pytest.fixture
def accepted(cli: Any, add_delivery: Callable[..., int]) -> Callable[..., None]:
    """Puts events into the ledger, unmapped unless told otherwise."""

    def put(*events: dict[str, Any], **columns: Any) -> None:
        store = Store(cli.store)
        try:
            for event in events:
                add_delivery(store, event, **{**UNMAPPED, **columns})
        finally:
            store.close()

    return put


@pytest.fixture
def outcomes(cli: Any, command: Callable[..., Any]) -> Callable[[], list[str]]:
    """The outcome, or else the state, of every delivery."""

    def read() -> list[str]:
        found = command("deliveries", "list", "--all", "--store", cli.store, "--json").json
        return [one["outcome"] or one["state"] for one in found["deliveries"]]

    return read


def test_unmapped_counts_both(cli: Any, track: Make, accepted: Callable[..., None]):
    """What a run has kept and what a server has accepted are one number."""
    cli.run(track("Seat Added", plan="pro"))
    accepted(track("Seat Added", plan="pro"), track("API Called"))
    accepted(track("Seat Added"), outcome="dead")
    accepted(track("Other"), destination="kana-eu")
    found = cli.local("unmapped", "--json").json
    assert found["events"] == 3
    assert found["by_event"][0] == {"event": "Seat Added", "events": 2}
    assert found["by_property"] == [{"path": "plan", "value": "pro", "events": 2}]
    names = ("--destination", "kana", "--destination", "kana-eu", "--destination", "kana")
    assert cli.local("unmapped", *names, "--json").json["events"] == 4


@pytest.mark.parametrize("online", [True, False])
def test_a_rule_hands_them_back(
    cli: Any,
    track: Make,
    accepted: Callable[..., None],
    outcomes: Callable[[], list[str]],
    online: bool,
):
    """What the rule maps waits for its turn, with settings or without; the others stay."""
    accepted(track("Seat Added"), track("API Called"))
    accepted(track("Seat Added"), destination="kana-eu")
    call = cli if online else cli.local
    done = call("rules", "add", "Seats", "--event", "Seat Added", "--feature", "seats")
    assert done.code == 0
    assert "Accepted by the server: 1 event waits for delivery again." in done.out
    hint = (
        "1 unmapped event waits in the server's destination 'kana-eu'; if that is Kana, say so "
        "with --destination kana-eu.\n"
    )
    assert hint in done.err
    assert "for the next run" not in done.err  # a run has kept nothing
    assert cli.local("unmapped").err == hint
    assert outcomes() == ["ready", "unmapped", "unmapped"]
    assert cli.usage.get("ann", {}).get("seats", 0) == 0
    name = ("--destination", "kana-eu")
    done = call("rules", "add", "Seats", "--event", "Seat Added", "--feature", "seats", *name)
    assert "is there already" in done.out
    assert "kana-eu" not in done.err
    assert outcomes() == ["ready", "unmapped", "ready"]


def test_what_is_mapped_and_does_not_fit(
    cli: Any, track: Make, accepted: Callable[..., None], outcomes: Callable[[], list[str]]
):
    """It is invalid at once, and the command says so."""
    accepted(track("Seat Added", delta="many"))
    done = cli.local("rules", "add", "Seats", "--event", "Seat Added", "--feature", "seats")
    assert "Accepted by the server: 1 mapped, but cannot be sent" in done.err
    assert outcomes() == ["invalid"]


def test_unknown_points_to_what_is_held(cli: Any, track: Make, accepted: Callable[..., None]):
    """What a server holds is decided on elsewhere, and this says where."""
    assert cli.local("unknown", "list").err == ""
    accepted(track(), state="held", outcome=None, settled_at=None)
    done = cli.local("unknown", "list")
    assert "A server holds 1 more: destinations deliveries list --state held" in done.err
    assert cli.local("unknown", "list", "--json").json == []


def test_a_rule_for_a_name_that_nobody_serves(cli: Any, track: Make, accepted: Callable[..., None]):
    """What it maps waits in vain until the server has a destination of that name again."""
    accepted(track("Seat Added"))
    with serving_lock(cli.store):
        store = Store(cli.store)
        note_server(store, ["kana-eu"], Periods())
        store.close()
        done = cli.local("rules", "add", "Seats", "--event", "Seat Added", "--feature", "seats")
    assert "Accepted by the server: 1 event waits for delivery again." in done.out
    assert "The server has no destination 'kana': what waits for it stays" in done.err
