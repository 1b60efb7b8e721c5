from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from destinations._version import __version__

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources without build isolation, so without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    for name in filter(None, files.split("\0")):
        path = ROOT / name
        if path.is_file() and not name.startswith("tests/"):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-build-isolation",
            "--no-deps",
            "--quiet",
            "--disable-pip-version-check",
            "--wheel-dir",
            str(folder),
            str(source),
        ],
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_definitions_and_their_schemas(wheel: Path) -> None:
    """Everything that is data is in it, under the plugin and the framework."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "kana_destination/definitions/kana/destination.yaml",
        "kana_destination/definitions/kana/identify.yaml",
        "kana_destination/definitions/kana/track.yaml",
        "kana_destination/sandbox/schema.graphql",
        "destinations/definition/schemas/destination.schema.json",
        "destinations/definition/schemas/action.schema.json",
        "destinations/__init__.pyi",
        "destinations/py.typed",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "examples/"))]


def test_the_metadata_of_the_wheel(wheel: Path) -> None:
    """It says who made it, for which Pythons, and what it is found by."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert metadata["Author"] in licence
    assert metadata["Version"] == __version__
    assert "segment" in metadata["Keywords"].split(",")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_main_job_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Installed elsewhere and started outside the checkout, it delivers the example."""
    target = tmp_path / "installed"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--no-index",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            str(target),
            str(wheel),
        ],
        check=True,
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    script = "import destinations, kana_destination as k; print(destinations.__file__, k.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert where.stdout.count(str(target)) == 2
    events = ROOT / "examples" / "events.ndjson"
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "destinations",
            "run",
            "kana",
            "--events",
            str(events),
            "--sandbox",
            "--json",
        ],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    path = ROOT / "tests" / "fixtures" / "examples" / "events.ledger.json"
    ledger = json.loads(path.read_text(encoding="utf-8"))
    outcomes = {key: count for key, count in json.loads(done.stdout)["outcomes"].items() if count}
    assert outcomes == ledger["outcomes"]
