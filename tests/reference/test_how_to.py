"""The commands of the how-to guides are commands: each line is read by the command itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from destinations.cli.group import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*(ROOT / "docs" / "how-to").glob("*.md"), *(ROOT / "docs" / "explanations").glob("*.md")]
)


def _lines() -> Iterator[tuple[str, str]]:
    """Yield each command of a block for a shell, or in code of a table, with its place."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        shown = [line.strip() for block in blocks for line in block.splitlines()]
        shown += re.findall(r"^ *\|.*`(destinations [^`]+)`", text, re.MULTILINE)
        for line in shown:
            found = re.match(r"(?:\S*/)?(destinations .*)", line)
            if found is not None:
                yield f"{page.stem}: {line}", found[1]


LINES = dict(_lines())


def test_commands_are_found() -> None:
    """Most pages show commands."""
    assert len(LINES) > 25
    assert len({place.partition(":")[0] for place in LINES}) > 7


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_command_is_read(line: str) -> None:
    """A command of a guide has the arguments and options that the command takes."""
    line = re.sub(r" > \S+$", "", line)
    name, *arguments = shlex.split(line)
    context = click.Context(cli, info_name=name)
    command: click.Command = cli
    while isinstance(command, click.Group) and not arguments[0].startswith("-"):
        word = arguments.pop(0)
        found = command.get_command(context, word)
        assert found is not None, f"no command {word}"
        command, context = found, click.Context(found, parent=context, info_name=word)
    if arguments != ["--version"]:
        command.make_parser(context).parse_args(arguments)
