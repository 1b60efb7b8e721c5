"""The command: its one line of output, its ways of stopping, its exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import kana_destination.sandbox
from kana_destination.sandbox.__main__ import main
from tests.forked import ForkedPopen

Start = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(kana_destination.sandbox.__file__).parents[2]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command with arguments; what still runs is killed at the end."""
    running: list[subprocess.Popen[str]] = []

    def run(
        *arguments: str, popen: type[subprocess.Popen[str]] = ForkedPopen
    ) -> subprocess.Popen[str]:
        process = popen(
            [sys.executable, "-P", "-W", "error", "-m", "kana_destination.sandbox", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The line that the command prints."""
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def ask(line: dict[str, Any], query: str) -> Any:
    """The answer of the sandbox that printed the line."""
    headers = {"Authorization": line["apiKey"]}
    return requests.post(line["url"], json={"query": query}, headers=headers, timeout=10).json()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "end of input"])
def test_it_serves_until_it_is_stopped(start: Start, how: str) -> None:
    """One JSON line when it is ready, nothing else, and exit code 0."""
    # The first one is started anew, with all that it imports.
    popen = subprocess.Popen if how == "SIGTERM" else ForkedPopen
    process = start(*(["--until-eof"] if how == "end of input" else []), popen=popen)
    line = ready(process)
    assert set(line) == {"url", "apiKey"}
    assert len(ask(line, "{ users { id } }")["data"]["users"]) == 13
    if how == "end of input":
        out, err = process.communicate(timeout=20)
    else:
        process.send_signal(getattr(signal, how))
        process.wait(20)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "", "")


def test_options_reach_the_sandbox(start: Start, tmp_path: Path) -> None:
    """``--seed``, ``--db`` and ``--api``; what was answered outlives a kill."""
    seed, db = tmp_path / "seed.yaml", tmp_path / "account.db"
    seed.write_text("apiKeys: [prv_mine]\nusers: [{id: ann}]\n")
    options = ["--seed", str(seed), "--db", str(db), "--api", "documented"]
    process = start(*options)
    line = ready(process)
    assert line["apiKey"] == "prv_mine"
    assert ask(line, 'mutation { createUser(input: {id: "bob"}) { id } }') == {
        "data": {"createUser": {"id": "bob"}}
    }
    refused = ask(line, 'mutation { updateUser(id: "bob", input: {id: "bob", email: "b"}) {id} }')
    assert refused["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    process.kill()
    process.wait(20)
    again = ready(start(*options))
    assert ask(again, "{ users { id } }") == {"data": {"users": [{"id": "ann"}, {"id": "bob"}]}}


def test_a_seed_with_accounts_is_served(start: Start, tmp_path: Path) -> None:
    """The line has the first key, and each key its own account."""
    seed = tmp_path / "seed.yaml"
    seed.write_text(
        "accounts:\n- {apiKey: prv_a, users: [{id: ann}]}\n- {apiKey: prv_b, users: [{id: bob}]}\n"
    )
    line = ready(start("--seed", str(seed)))
    assert line["apiKey"] == "prv_a"
    for key, user in (("prv_a", "ann"), ("prv_b", "bob")):
        assert ask({**line, "apiKey": key}, "{ users { id } }") == {
            "data": {"users": [{"id": user}]}
        }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "none.yaml"], "none.yaml: cannot be read"),
        (["--port", "70000"], "cannot use the port 70000"),
    ],
)
def test_wrong_options_are_reported(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Exit code 2 and the reason on standard error; no line on standard output."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` ends with exit code 0."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "example: python -m kana_destination.sandbox" in capsys.readouterr().out
