"""What all commands have in common: options that are repeated, help, completion in a shell."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from destinations.cli.commands import Command, Group
from destinations.cli.group import cli

# A command line; then what is refused. Whatever else is wrong with it is not looked at.
REPEATED = {
    "kana rules add Calls --event A --event B --feature calls": "--event is given twice",
    "kana rules add Calls --feature a --feature b --feature c": "--feature is given 3 times",
    "run kana --events a --account b --account=c": "--account is given twice",
    "run kana --check --no-check --events a": "--check/--no-check is given twice",
    "run kana --outage 1 --outage 1": "--outage is given twice",
    "deliveries list --since 2h --since 3h": "--since is given twice",
    "sandbox kana --port 1 --port 2": "--port is given twice",
    "status --store a --store b": "--store is given twice",
}


@pytest.mark.parametrize(("line", "message"), REPEATED.items())
def test_an_option_that_is_repeated(command: Any, line: str, message: str) -> None:
    """Only one of both would count, so it is refused in one sentence before anything is done."""
    done = command(*shlex.split(line))
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"Error: {message}: expected it once"


# Options that may be repeated, or say the same each time; then what is said of the rest.
TAKEN = {
    "kana rules add Calls --where a=b --where c=d": "expected NAME, --feature",
    "deliveries list --outcome dead --outcome held --json --json": "'held' is not one of",
    "run kana --help --outage 3 --outage 4": "",
}


@pytest.mark.parametrize(("line", "message"), TAKEN.items())
def test_an_option_that_may_be_repeated(command: Any, line: str, message: str) -> None:
    """It is not what is wrong."""
    done = command(*shlex.split(line))
    assert message in done.err
    assert "given twice" not in done.err


def _all(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in {
        **dict.fromkeys(group.list_commands(context)),
        **({} if names else {"kana": None}),
    }:
        found = group.get_command(context, name)
        assert found is not None
        yield (*names, name), found
        if isinstance(found, click.Group):
            yield from _all(found, *names, name)


def test_every_command_refuses_what_is_repeated() -> None:
    """Those that are added, too: all are of the class that does."""
    found = dict(_all(cli))
    assert len(found) > 40
    others = [path for path, one in found.items() if not isinstance(one, Command | Group)]
    assert others == []


def test_first_sentences_are_whole(command: Any) -> None:
    """No group cuts the sentence of a command."""
    groups = [path for path, one in _all(cli) if isinstance(one, click.Group)]
    assert ("kana",) in groups
    for path in [(), *groups]:
        listed = command(*path, "--help").out.partition("Commands:")[2]
        assert listed
        assert "..." not in listed
    group = next(one for path, one in _all(cli) if path == ("deliveries",))
    assert isinstance(group, click.Group)
    shown = " ".join(command("deliveries", "--help").out.split())
    for one in group.commands.values():
        sentence = " ".join((one.help or "").split()).partition(". ")[0]
        assert sentence
        assert sentence in shown


def test_the_version(command: Any) -> None:
    """In a long and in a short form."""
    done = command("-V")
    assert done.code == 0
    assert done.out.startswith("destinations, version ")
    assert done == command("--version")


# The words of a command line; then what the last of them may become.
COMPLETED: dict[tuple[str, ...], list[str]] = {
    ("re",): ["record", "refused", "report", "resume"],
    ("ka",): ["kana"],
    ("--v",): ["--version"],
    ("deliveries", "re"): ["replay", "resolve"],
    ("kana", "rules", "ad"): ["add"],
    ("run", "ka"): ["kana"],
    ("run", "./no-name"): ["./no-name"],
    ("run", "kana", "--sa"): ["--sandbox", "--same-account"],
    ("run", "kana", "--format", ""): ["ndjson", "json"],
}


@pytest.mark.parametrize("words", COMPLETED, ids=" ".join)
def test_what_a_shell_completes(words: tuple[str, ...]) -> None:
    """Commands, also those of destinations, options, their values and destinations."""
    completion = ShellComplete(cli, {}, "destinations", "_DESTINATIONS_COMPLETE")
    found = completion.get_completions(list(words[:-1]), words[-1])
    assert [one.value for one in found] == COMPLETED[words]


DRIVER = """
PATH="{folder}:$PATH"
eval "$(_DESTINATIONS_COMPLETE=bash_source destinations)"
COMP_WORDS=(destinations deliveries re) COMP_CWORD=2
_destinations_completion destinations
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_in_bash(tmp_path: Path) -> None:
    """The line that the documentation names, in a real shell."""
    script = tmp_path / "destinations"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m destinations "$@"\n')
    script.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", DRIVER.format(folder=tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("replay resolve\n", "")
