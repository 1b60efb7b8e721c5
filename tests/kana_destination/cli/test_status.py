from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome, State, Status
from destinations.store import SqliteStore, default_path

Make = Callable[..., dict[str, Any]]


def test_an_empty_store(cli: Any) -> None:
    """It says where the store is, also when it has just been made, and that it holds nothing."""
    done = cli.local("status")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"Store: {cli.store}",
        "Mapping rules: 0",
        "The store holds nothing of an account at Kana.",
    ]
    assert cli.local("status", "--json").json == {
        "store": str(cli.store),
        "rules": 0,
        "accounts": [],
    }


def test_what_a_run_leaves(open_cli: Callable[..., Any], track: Make, identify: Make) -> None:
    """Deliveries by outcome, users to change, rules and what was found out, of each account."""
    cli = open_cli(api="documented")
    cli.local("rules", "add", "R", "--event", "Seat Added", "--feature", "seats")
    cli.run(track(), track(), track("Seat Added"), identify("ann", email="new@example.com"))
    shown = f"{cli.sandbox.url} (test environment), unnamed-1"
    found = cli.local("status", "--json").json
    assert found["rules"] == 1
    (account,) = found["accounts"]
    assert account["account"] == shown
    assert account["deliveries"] == {"delivered": 2, "unmapped": 2}
    assert account["users_to_change"] == 1
    assert list(account["answers"]) == ["describeUpdateUser"]
    assert {"name": "email"} not in account["answers"]["describeUpdateUser"]["inputFields"]
    text = cli.local("status").out
    assert shown in text
    for line in ("2  events delivered", "2  events unmapped", "1  users to change"):
        assert line in text
    assert "1  answer to describeUpdateUser" in text


# What may have become of an event, and what the operator is told to do about it.
MEANINGS: dict[Status, str] = {
    Outcome.UNMAPPED: "no rule maps them: destinations kana unmapped",
    Outcome.INVALID: "they do not fit the fields: destinations deliveries list",
    Outcome.REJECTED: "Kana refused them: destinations deliveries list",
    Outcome.DEAD: "given up: destinations deliveries list",
    State.READY: "not sent yet: destinations run kana sends them, or the server",
    State.UNKNOWN: "their answers were lost; Kana is asked",
    State.HELD: "decide on them: destinations deliveries list --state held",
}


@pytest.mark.parametrize("served", [True, False], ids=["server", "run"])
def test_what_every_status_means(cli: Any, add_delivery: Callable[..., int], served: bool) -> None:
    """Each is counted under its account, whether a server or a run left it, with what to do."""
    with SqliteStore(cli.store) as store:
        for number, status in enumerate(MEANINGS, start=1):
            for _ in range(number):
                add_delivery(store, destination="kana", served=served, status=status)
        add_delivery(store, destination="kana", served=served, sending=True)
        add_delivery(store, destination="other", served=served)
    (account,) = cli.local("status", "--json").json["accounts"]
    expected = {status.value: number for number, status in enumerate(MEANINGS, start=1)}
    assert account["deliveries"] == {**expected, "sending": 1}
    text = cli.local("status").out
    for number, (status, meaning) in enumerate(MEANINGS.items(), start=1):
        assert f"{number}  events {status.value} " in text
        assert meaning in text


def test_accounts_are_apart(open_cli: Callable[..., Any], track: Make) -> None:
    """What was kept for one endpoint is shown as its own."""
    one, two = open_cli(), open_cli()
    one.run(track())
    two.run(track(), track())
    found = one.local("status", "--json").json["accounts"]
    assert {item["account"]: item["deliveries"] for item in found} == {
        f"{one.sandbox.url} (test environment), unnamed-1": {"unmapped": 1},
        f"{two.sandbox.url} (test environment), unnamed-2": {"unmapped": 2},
    }


def test_an_account_is_shown_by_its_name(cli: Any, track: Make) -> None:
    """The name that the settings give it is what an operator knows it by."""
    values = {"apiKey": cli.sandbox.api_key, "endpoint": cli.sandbox.url, "account": "main"}
    cli.settings = cli.write("named.json", values)
    cli.run(track())
    (account,) = cli.local("status", "--json").json["accounts"]
    assert account["account"] == "main"


def test_a_run_says_what_the_store_keeps(cli: Any, track: Make) -> None:
    """After a run the operator knows where the events that were not delivered are."""
    done = cli.run(track(), track(featureId="calls"))
    assert "Kept for you to decide: 1 unmapped. See: destinations deliveries list" in done.err
    assert f"--store {cli.store}" in done.err
    assert "Kept" not in cli.run(track(featureId="calls")).out


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (("--settings", "{settings}"), ["home/store.sqlite3"]),
        (("--sandbox",), []),
        (("--sandbox", "--store", "{folder}/other.sqlite3"), ["other.sqlite3"]),
    ],
    ids=["by default", "not for a sandbox that ends", "not beside --store"],
)
def test_the_store_of_a_run(
    cli: Any, home: Path, tmp_path: Path, track: Make, arguments: tuple[str, ...], made: list[str]
) -> None:
    """By default a file in the user's data directory, but not for a sandbox that ends as well."""
    events = cli.write("e.ndjson", [track()])
    given = [part.format(settings=cli.settings, folder=tmp_path) for part in arguments]
    assert cli.command("run", "kana", "--events", events, *given).code == 0
    found = [path.name for path in tmp_path.rglob("*.sqlite3")]
    assert found + [f"home/{path.name}" for path in home.rglob("*.sqlite3")] == made


def test_the_default_store(cli: Any, home: Path, track: Make) -> None:
    """Every command finds what a run has left there."""
    events = cli.write("e.ndjson", [track()])
    cli.command("run", "kana", "--events", events, "--settings", cli.settings)
    found = cli.command("kana", "status", "--json").json
    assert Path(found["store"]).is_relative_to(home)
    assert found["accounts"][0]["deliveries"] == {"unmapped": 1}
    assert cli.command("kana", "unmapped", "--json").json["events"] == 1


def test_a_file_that_is_no_store(cli: Any, write: Callable[[str, Any], Path]) -> None:
    """Any other file is refused by name, and stays as it is."""
    other = write("notes.txt", "these are notes, not a database " * 100)
    done = cli.command("kana", "status", "--store", other)
    assert done.code == 2
    assert f"cannot use the store {other}" in done.err
    assert other.read_text(encoding="utf-8").startswith("these are notes")


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("unmapped",),
        ("rules", "list"),
        ("rules", "remove", "Calls"),
    ],
    ids=" ".join,
)
def test_no_store_is_made_for_a_slip(
    command: Any, tmp_path: Path, home: Path, arguments: tuple[str, ...]
) -> None:
    """Commands that have nothing to put there name the file that they do not find."""
    done = command("kana", *arguments)
    assert done.code == 2
    assert f"there is no store {default_path()} yet: the first run makes it" in done.err
    assert not home.exists()
    done = command("kana", *arguments, "--store", tmp_path / "nosuch.sqlite3")
    assert done.code == 2
    assert "nosuch.sqlite3: check the path" in done.err
    done = command("kana", *arguments, "--store", ":memory:")
    assert done.code == 2
    assert "cannot use :memory: as a store: expected the path of a file" in done.err
    assert list(tmp_path.iterdir()) == []
