"""All commands choose deliveries in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import pytest

from destinations.cli.deliveries_command import command as deliveries
from destinations.operations import FILTERS
from destinations.outcome import Outcome
from tests.stores import few_in_postgres

Put = Callable[..., int]
Run = Callable[..., Any]

CALLS: dict[str, tuple[str, ...]] = {
    "list": ("list",),
    "replay": ("replay", "--definition", "kana"),
    "drop": ("drop", "--reason", "x", "--yes"),
    "resolve": ("resolve", "--applied", "--yes"),
    "export": ("export",),
}


def test_the_same_filters_everywhere() -> None:
    """The filters of one command are those of all."""
    context = click.Context(deliveries)
    commands = {
        name: deliveries.get_command(context, name) for name in deliveries.list_commands(context)
    }
    found = {
        name: {option.name for option in command.params}
        for name, command in commands.items()
        if command is not None
    }
    assert set(found) == {*CALLS, "show"}
    for name in CALLS:
        assert found[name] >= FILTERS.keys(), name


@few_in_postgres("list-", "replay-", "drop-", "resolve-", "export-")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--since", "yesterday"), "invalid time 'yesterday': expected ISO 8601"),
        (("--until", "1x"), "invalid time '1x': expected ISO 8601"),
        (("--state", "lost"), "'lost' is not one of 'ready', 'sending'"),
        (("--state", "done"), "'done' is not one of"),
        (("--outcome", "gone"), "'gone' is not one of"),
        (("--outcome", "unknown"), "'unknown' is not one of"),
        (
            ("--state", "ready", "--outcome", "dead"),
            "--state ready cannot be used with --outcome dead",
        ),
        (("--since", "1d", "--until", "2d"), "must be before --until"),
        (
            ("--since", "2026-05-04", "--until", "2026-05-04"),
            "must be before --until 2026-05-04T00",
        ),
    ],
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wrong_options(
    deliveries: Run, dead: Put, *, call: tuple[str, ...], options: tuple[str, ...], message: str
) -> None:
    """Each is refused with what would be right, before anything is done."""
    dead()
    done = deliveries(*call, *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert deliveries("show", 1_000, "--json").json["outcome"] == "dead"


@few_in_postgres("call1", "call3")
@pytest.mark.parametrize("call", [call for name, call in CALLS.items() if name != "list"])
def test_too_many_at_once(
    deliveries: Run, dead: Put, monkeypatch: pytest.MonkeyPatch, call: tuple[str, ...]
) -> None:
    """What is changed in one commit is bounded: the message says how to do it in parts."""
    monkeypatch.setattr("destinations.operations.selecting.MOST_CHANGED", 2)
    for _ in range(3):
        dead()
    done = deliveries(*call, "--user", "u1")
    if call[0] == "export":  # it changes nothing, and holds nothing
        assert (done.code, done.err) == (0, "Exported: 3.\n")
        return
    assert done.code == 2
    assert "more than 2 deliveries are chosen: narrow it down, with --since for example" in done.err


@few_in_postgres("sample", "None")
@pytest.mark.parametrize("name", ["sample", "former", None])
def test_several_destinations(deliveries: Run, put: Put, name: str | None) -> None:
    """A selection is of all of them, or of the one that is named."""
    for destination in ("sample", "former"):
        put(destination=destination, status=Outcome.DEAD)
    options = () if name is None else ("--destination", name)
    done = deliveries("drop", "--outcome", "dead", *options, "--reason", "x", "--dry-run")
    what = "2 deliveries" if name is None else "delivery"
    assert what in done.out
    if name is not None:
        assert ("delivery 1000" in done.out) is (name == "sample")
