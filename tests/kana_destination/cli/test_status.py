from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., dict[str, Any]]


def test_an_empty_store(cli: Any):
    """It says where the store is, also when it has just been made, and that it holds nothing."""
    done = cli.local("status")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"Store: {cli.store}",
        "Mapping rules: 0",
        "No account of Kana has left anything in it.",
    ]
    assert cli.local("status", "--json").json == {
        "store": str(cli.store),
        "rules": 0,
        "kept": [],
        "waiting": [],
        "capabilities": [],
    }


def test_what_a_run_leaves(open_cli: Callable[..., Any], track: Make, identify: Make):
    """Kept events by outcome, waiting changes, rules and what was found out, of each account."""
    cli = open_cli(api="documented")
    cli.local("rules", "add", "R", "--event", "Seat Added", "--feature", "seats")
    cli.sandbox.faults.add({"match": {"rootField": "recordUsage"}, "drop": "after"})
    cli.run(track(), track(), track("Seat Added"), identify("ann", email="new@example.com"))
    account = f"kana {cli.sandbox.url} test"
    found = cli.local("status", "--json").json
    assert found["rules"] == 1
    assert found["kept"] == [
        {"account": account, "outcome": "unmapped", "events": 2},
        {"account": account, "outcome": "unknown", "events": 1},
    ]
    assert found["waiting"] == [{"account": account, "users": 1}]
    (known,) = found["capabilities"]
    assert (known["account"], known["request"]) == (account, "describeUpdateUser")
    assert {"name": "email"} not in known["answer"]["inputFields"]
    text = cli.local("status").out
    assert account in text
    for line in ("2  events unmapped", "1  events unknown", "1  users to change"):
        assert line in text


def test_accounts_are_apart(open_cli: Callable[..., Any], track: Make):
    """What was kept for one endpoint is shown as its own, and delivered to no other."""
    one, two = open_cli(), open_cli()
    one.run(track())
    two.run(track(), track())
    kept = one.local("status", "--json").json["kept"]
    assert {item["account"]: item["events"] for item in kept} == {
        f"kana {one.sandbox.url} test": 1,
        f"kana {two.sandbox.url} test": 2,
    }
    two("rules", "add", "R", "--event", "API Called", "--feature", "calls")
    assert (one.usage, two.usage) == ({}, {"ann": {"calls": 2}})


def test_a_run_says_what_the_store_keeps(cli: Any, track: Make):
    """After a run the operator knows where the events that were not delivered are."""
    done = cli.run(track(), track(featureId="calls"))
    assert (
        f"The store {cli.store} keeps events: 1 unmapped. More: destinations kana status"
        in done.err
    )
    assert "keeps" not in cli.run(track(featureId="calls")).out


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
):
    """By default a file in the user's data directory, but not for a sandbox that ends as well."""
    events = cli.write("e.ndjson", [track()])
    given = [part.format(settings=cli.settings, folder=tmp_path) for part in arguments]
    assert cli.command("run", "kana", "--events", events, *given).code == 0
    found = [path.name for path in tmp_path.rglob("*.sqlite3")]
    assert found + [f"home/{path.name}" for path in home.rglob("*.sqlite3")] == made


def test_the_default_store(cli: Any, home: Path, track: Make):
    """Every command finds what a run has left there."""
    events = cli.write("e.ndjson", [track()])
    cli.command("run", "kana", "--events", events, "--settings", cli.settings)
    found = cli.command("kana", "status", "--json").json
    assert Path(found["store"]).is_relative_to(home)
    assert found["kept"][0]["events"] == 1
    assert cli.command("kana", "unmapped", "--json").json["events"] == 1


def test_a_file_that_is_no_store(cli: Any, write: Callable[[str, Any], Path]):
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
        ("unknown", "list"),
        ("unknown", "settle", "1", "--applied"),
        ("rules", "list"),
        ("rules", "remove", "Calls"),
    ],
    ids=" ".join,
)
def test_no_store_is_made_for_a_slip(command: Any, tmp_path: Path, arguments: tuple[str, ...]):
    """Commands that have nothing to put there name the file that they do not find."""
    done = command("kana", *arguments, "--store", tmp_path / "nosuch.sqlite3")
    assert done.code == 2
    assert "nosuch.sqlite3: look for a slip in the path" in done.err
    assert list(tmp_path.iterdir()) == []
