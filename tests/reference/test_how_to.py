"""The commands of the how-to guides are commands, and two guides do what they say."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from destinations import RunningSandbox, open_sandbox
from destinations.cli.group import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*(ROOT / "docs" / "how-to").glob("*.md"), *(ROOT / "docs" / "explanations").glob("*.md")]
)


def _lines() -> Iterator[tuple[str, str]]:
    """Yield each command of a block for a shell, with its place."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        shown = [line.strip() for block in blocks for line in block.splitlines()]
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
    name, *arguments = shlex.split(line, comments=True)
    context = click.Context(cli, info_name=name)
    command: click.Command = cli
    while isinstance(command, click.Group) and not arguments[0].startswith("-"):
        word = arguments.pop(0)
        found = command.get_command(context, word)
        assert found is not None, f"no command {word}"
        command, context = found, click.Context(found, parent=context, info_name=word)
    if arguments != ["--version"]:
        command.make_parser(context).parse_args(arguments)


def _event(message_id: str, delta: object) -> dict[str, object]:
    properties = {"featureId": "api-calls", "delta": delta}
    return {
        "type": "track",
        "messageId": message_id,
        "userId": "user_0001",
        "event": "API Called",
        "properties": properties,
    }


@pytest.fixture
def sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str, Any], Path]
) -> Iterator[RunningSandbox]:
    """A sandbox for the commands of a guide, with its settings in kana.yaml and a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with open_sandbox("kana") as running:
        write("kana.yaml", dict(running.settings))
        yield running


RUN = "run kana --events {} --settings kana.yaml"


def test_run_a_file_twice(
    sandbox: RunningSandbox, command: Callable[..., Any], write: Callable[[str, Any], Path]
) -> None:
    """The second run of a file sends nothing, and `--again` sends all of it, as the guide says."""
    before = _used(sandbox)
    write("events.ndjson", [_event("m1", 2), _event("m2", 3)])
    run = RUN.format("events.ndjson").split()
    assert command(*run).code == 0
    assert _used(sandbox) == before + 5
    again = command(*run)
    assert (again.code, again.out.count("delivered by an earlier run")) == (0, 1)
    assert _used(sandbox) == before + 5
    assert command(*run, "--dry-run").code == 0
    assert command(*run, "--again", "--yes").code == 0
    assert _used(sandbox) == before + 10


def test_feed_back(
    sandbox: RunningSandbox, command: Callable[..., Any], write: Callable[[str, Any], Path]
) -> None:
    """An exported event that is corrected and run again counts once, and replaces the wrong one."""
    before = _used(sandbox)
    write("events.ndjson", [_event("m1", 2), _event("m2", "two")])
    assert command(*RUN.format("events.ndjson").split()).code == 1
    assert "PAYLOAD_VALIDATION_FAILED" in command("deliveries", "list", "--outcome", "invalid").out
    export = "deliveries export --outcome invalid --output invalid.ndjson"
    assert command(*export.split()).code == 0
    lines = Path("invalid.ndjson").read_text(encoding="utf-8")
    write("invalid.ndjson", lines.replace('"two"', "3"))
    for _ in range(2):
        assert command(*RUN.format("invalid.ndjson").split()).code == 0
        assert _used(sandbox) == before + 5
    classes = json.loads(command("deliveries", "list", "--all", "--json").out)["classes"]
    counts = {(one["class"], one["code"]): one["deliveries"] for one in classes}
    assert counts == {("delivered", None): 2, ("filtered", "REPLACED"): 1}


def _used(sandbox: RunningSandbox) -> int:
    """Return what the user has used at the partner."""
    usage: int = sandbox.snapshot()["usage"].get("user_0001", {}).get("api-calls", 0)
    return usage
