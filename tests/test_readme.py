"""The commands of the README do what it says."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import run_forked

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _command(marker: str) -> list[str]:
    """Return the last command of the marked block, as one that starts what is under test."""
    found = re.search(rf"<!-- {marker} -->\n```sh\n(.+)\n```\n", README)
    assert found, marker
    program, *arguments = found[1].rsplit("&& ", 1)[-1].split()
    assert program == ".venv/bin/destinations"
    return [sys.executable, "-P", "-m", "destinations", *arguments]


Run = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the command that is marked so, in an empty home; the same one only once."""

    @functools.cache
    def done(marker: str) -> subprocess.CompletedProcess[str]:
        return run_forked(
            _command(marker),
            cwd=ROOT,
            env={**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return done


@pytest.mark.parametrize(("marker", "code"), [("main job", 0), ("faulty events", 1)])
def test_the_examples(run: Run, marker: str, code: int) -> None:
    """The command ends as the README says, shows all rows, and what the sandbox held before."""
    done = run(marker)
    assert (done.returncode, done.stderr) == (code, "")
    file = next(word for word in _command(marker) if word.endswith(".ndjson"))
    rows = f"{len((ROOT / file).read_bytes().splitlines()):,}"
    assert f"{rows} lines read: {rows} rows, one for each." in done.stdout
    path = ROOT / "tests" / "fixtures" / "examples" / f"{Path(file).stem}.ledger.json"
    ledger = json.loads(path.read_text(encoding="utf-8"))
    assert ("invalid" in ledger["outcomes"], "invalid" in done.stdout) == (code == 1,) * 2
    tables = done.stdout.partition("Users in the Kana sandbox\n")[2]
    said = {line.split()[0]: line.split() for line in tables.splitlines() if line}
    assert said["users"] == ["users", "before", "by", "events", "after"]
    assert said["all"][1] == "13"
    for feature in ("api-calls", "storage-gb", "seats", "exports"):
        added = sum(amounts.get(feature, 0) for amounts in ledger["usage"].values())
        before, by_events, after = (int(cell.replace(",", "")) for cell in said[feature][-3:])
        assert (by_events, before + by_events) == (added, after)


def test_the_output_that_is_shown(run: Run) -> None:
    """The first command prints the lines and the whole tables of the README, in this order."""
    found = re.search(r"<!-- its output -->\n```\n(.+?)\n```\n", README, re.DOTALL)
    assert found
    printed = "\n".join(line.rstrip() for line in run("main job").stdout.rstrip().splitlines())
    lines = iter(printed.splitlines())
    assert [line for line in found[1].splitlines() if line not in lines] == []
    tables = [one for one in found[1].split("\n\n") if "\n" in one]
    assert [one for one in tables if one not in printed.split("\n\n")] == []


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"^(?:.*\| )?destinations (\S+)", README, re.MULTILINE)))
)
def test_commands_that_are_named(command: Callable[..., Any], name: str) -> None:
    """Each command in the README's blocks exists."""
    assert command(name, "--help").code == 0
