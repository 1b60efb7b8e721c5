"""Signals that come while a command is loaded end it as those that come later do."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Signals this process, by name, when a module of that name is looked for: at a point of the way
# that does not depend on time. Those in `ignored` were ignored before it was started.
SCRIPT = """
import importlib.abc, os, signal, sys

class At(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        for number in at.pop(name, ()):
            os.kill(os.getpid(), number)

at = {at!r}
for number in {ignored!r}:
    signal.signal(number, signal.SIG_IGN)
sys.meta_path.insert(0, At())
from destinations.cli import main
code = main({arguments!r})
assert not at, "no signal was sent"
sys.exit(code)
"""

RUN = ("run", "kana", "--events", "-", "--sandbox")
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


def _start(
    at: dict[str, list[int]], arguments: tuple[str, ...], *, ignored: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(at=at, ignored=list(map(int, ignored)), arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-P", "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("click", TERM),  # the first of all
        ("click", INT),
        ("destinations.cli.run_command", HUP),
        ("destinations.http.transport", INT),
        ("requests", TERM),
        ("kana_destination.plugin", TERM),  # when the command has begun
        ("kana_destination.plugin", INT),
    ],
)
def test_a_run_that_is_interrupted(module: str, number: signal.Signals) -> None:
    """It ends with 130 and says so, wherever it is."""
    done = _start({module: [int(number)]}, RUN)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.split() == ["Interrupted."]


@pytest.mark.parametrize(
    ("module", "number"),
    [("click", INT), ("destinations.server.service", TERM), ("httptools", INT)],
)
def test_a_server_that_is_stopped(module: str, number: signal.Signals) -> None:
    """It ends with 0, as one that has started; a supervisor must not take that for a failure."""
    done = _start({module: [int(number)]}, ("serve", "--config", "missing.yaml"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Stopped before it began.\n")


def test_a_server_that_reads_its_configuration_again() -> None:
    """It will read it in any case."""
    done = _start({"destinations.server": [int(HUP)]}, ("serve", "--config", "missing.yaml"))
    assert done.returncode == 2
    assert "missing.yaml" in done.stderr


def test_a_check_that_is_interrupted() -> None:
    """It is no server."""
    done = _start(
        {"destinations.server": [int(TERM)]}, ("serve", "--config", "missing.yaml", "--check")
    )
    assert (done.returncode, done.stderr.split()) == (130, ["Interrupted."])


def test_a_signal_that_is_ignored() -> None:
    """As under nohup: it stays so."""
    done = _start({"click": [int(HUP)]}, ("status", "--store", "missing"), ignored=(HUP,))
    assert done.returncode == 2
    assert "there is no store missing" in done.stderr


def test_handlers_are_put_back(command: object, tmp_path: Path) -> None:
    """Who calls the command line from Python keeps their own."""
    before = [signal.getsignal(number) for number in (TERM, INT, HUP)]
    assert callable(command)
    assert command("status", "--store", tmp_path / "missing").code == 2
    assert [signal.getsignal(number) for number in (TERM, INT, HUP)] == before


def test_what_only_reads_a_store_loads_no_destinations() -> None:
    """An operator's command starts without what maps, checks, sends and receives events."""
    commands = [
        ("status",),
        ("store", "check"),
        ("deliveries", "list"),
        ("deliveries", "drop", "--yes", "--reason", "x"),
        ("refused", "list"),
        ("forget", "user_17", "--everywhere"),
        ("resume", "kana"),
    ]
    # In one process: what none of them loads is not loaded at its end.
    script = (
        "import sys\nfrom destinations.cli import main\n"
        "heavy = ['graphql', 'uvicorn', 'jsonschema', 'destinations.segment.mapping.compiled']\n"
        f"for arguments in {commands}:\n"
        "    code = main([*arguments, '--store', 'missing.sqlite3'])\n"
        "    print(code, [name for name in heavy if name in sys.modules], *arguments)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [" ".join(["2 []", *arguments]) for arguments in commands]
