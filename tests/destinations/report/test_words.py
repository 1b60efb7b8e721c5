from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

import click
import pytest

from destinations.cli.group import cli
from destinations.operations import RunContext
from destinations.outcome import Outcome, State, Status
from destinations.report import adds_up, advice

KEPT = RunContext(
    "kana",
    "Kana",
    "1.0.0",
    "main",
    "events.ndjson",
    continued_by="destinations run kana --events events.ndjson",
    delivering="destinations run kana",
    options=" --store 's 1.sqlite3' --destination kana --account main",
)
STATUSES: Sequence[Status] = [
    one for one in (*Outcome, *State) if one not in {Outcome.DELIVERED, State.DONE}
]


@pytest.mark.parametrize(
    ("lines", "empty", "rows", "text"),
    [
        (0, 0, 0, "0 lines read: 0 rows."),
        (1, 0, 1, "1 line read: 1 row."),
        (1_200, 0, 1_200, "1,200 lines read: 1,200 rows, one for each."),
        (5, 2, 3, "5 lines read, 2 of them empty: 3 rows, one for each."),
        (5, 0, 8, "5 lines read: 8 rows, one for each event and subscription that took it."),
    ],
)
def test_it_adds_up(lines: int, empty: int, rows: int, text: str) -> None:
    """The sentence says that nothing is missing."""
    assert adds_up(lines, empty, rows) == text


@pytest.mark.parametrize("status", STATUSES)
def test_a_command_can_be_copied(status: Status) -> None:
    """Each command that is advised is one that there is, with options that it has."""
    found = advice(status, KEPT, "BAD_REQUEST")
    assert found.text.endswith(".")
    for line in (found.command, found.after):
        if not line:
            continue
        name, *words = shlex.split(line)
        assert name == "destinations"
        command: click.Command | None = cli
        while isinstance(command, click.Group):
            context = click.Context(command)
            command = command.get_command(context, words.pop(0))
        assert command is not None
        command.make_context("x", words)


def test_what_is_advised() -> None:
    """It narrows down to what the run had, and says what comes next."""
    dead = advice(Outcome.DEAD, KEPT, "GONE")
    assert dead.command == (
        "destinations deliveries replay --outcome dead --code GONE --store 's 1.sqlite3' "
        "--destination kana --account main --dry-run"
    )
    assert dead.after == "destinations run kana"
    held = advice(State.HELD, KEPT)
    assert held.command.startswith("destinations deliveries resolve --state held --store")
    assert advice(State.READY, KEPT).command == KEPT.continued_by
    assert advice(Outcome.FILTERED, KEPT).command == ""


@pytest.mark.parametrize("status", STATUSES)
def test_where_nothing_is_kept(status: Status) -> None:
    """No command is advised that would find nothing; a file that has them is named."""
    nothing = RunContext("kana", "Kana", "1.0.0", is_kept=False)
    found = advice(status, nothing)
    assert (found.command, found.after) == ("", "")
    if status not in {Outcome.FILTERED, Outcome.DROPPED}:
        assert "--undelivered FILE" in found.text
        named = advice(status, replace(nothing, undelivered="u.ndjson"))
        assert "They are in u.ndjson" in named.text


@pytest.mark.parametrize("status", STATUSES)
def test_a_dry_run(status: Status) -> None:
    """Nothing was done, so there is nothing to undo."""
    found = advice(status, replace(KEPT, is_dry=True, is_kept=False))
    assert (found.command, found.after) == ("", "")
    assert not re.search("replay|resolve", found.text)
