"""A package of a third party: made by init, built without a network, installed as a wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

WHOAMI = """
import sys
from pathlib import Path
from destinations import open_sandbox
from destinations.cli import main
with open_sandbox("3-partner") as sandbox:
    Path("settings.yaml").write_text(
        f"apiKey: {sandbox.settings['apiKey']}\\nendpoint: {sandbox.url}\\n"
    )
    sys.exit(main(["3-partner", "whoami", "--settings", "settings.yaml"]))
"""


def _python(*arguments: str, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    inherited = os.environ.get("PYTHONPATH", "")
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (inherited, path)))},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python where the wheel of a new package is installed, and nothing else of it."""
    place = tmp_path_factory.mktemp("package")
    target = place / "installed"
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    wheel = (*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", "dist")
    install = (*pip, "install", "--no-deps", "--no-index", "--target", str(target))
    for command in (
        ("-m", "destinations", "init", "3-partner", "--plugin"),
        (*wheel, "./3-partner"),
        (*install, "--find-links", "dist", "destination-3-partner"),
    ):
        done = _python(*command, folder=place)
        assert done.returncode == 0, done.stderr
    (place / "3-partner").rename(place / "sources")

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return _python(*arguments, folder=place, path=str(target))

    return start


def test_it_is_listed_with_its_package(run: Run) -> None:
    """Its destination stands beside those that are shipped, with package and version."""
    done = run("-m", "destinations", "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    packages = {
        one["slug"]: (one["package"], one["package_version"]) for one in json.loads(done.stdout)
    }
    assert packages["3-partner"] == ("destination-3-partner", "0.1.0")
    assert packages["kana"][0] == "kana-destination"


def test_its_cases_and_faults_pass(run: Run) -> None:
    """What init makes is valid, and passes the tests that it comes with."""
    for command in ("validate", "test"):
        done = run("-m", "destinations", command, "3-partner")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_it_delivers_to_its_sandbox(run: Run) -> None:
    """Its generator makes the requests, its sandbox takes them and shows what came."""
    event = {"type": "track", "event": "E", "userId": "u", "messageId": "m"}
    program = (
        "import pathlib, sys, json\nfrom destinations.cli import main\n"
        f"pathlib.Path('events.ndjson').write_text({json.dumps(event)!r})\n"
        "sys.exit(main(['run', '3-partner', '--events', 'events.ndjson', '--sandbox']))"
    )
    done = run("-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert ["events", "0", "1"] in [line.split() for line in done.stdout.splitlines()]


def test_its_command_uses_the_library(run: Run) -> None:
    """A command of its own asks the partner through the destination that it opens."""
    done = run("-c", WHOAMI)
    assert (done.stdout, done.stderr, done.returncode) == ("the sandbox\n", "", 0)


def test_its_own_tests_pass(run: Run) -> None:
    """Pytest finds the inherited tests that init writes, and they pass."""
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "sources/tests")
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
