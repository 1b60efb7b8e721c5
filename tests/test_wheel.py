from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

import destinations
from destinations._version import __version__

ROOT = Path(__file__).resolve().parents[1]
REMOVED: Final = "destinations/removed.py"
MOST_BYTES: Final = 35 * 2**20
"""What the package takes up without an extra: its libraries and itself, without compiled Python."""


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
    # As in a checkout that was built before a module was removed.
    stale = source / "build" / "lib" / REMOVED
    stale.parent.mkdir(parents=True)
    stale.touch()
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


def test_no_test_finds_the_tree() -> None:
    """Where the wheel is under test, no module of the tests has put the tree on the path.

    pytest would take the tree for one more distribution with plugins, and some test might import
    from it what the wheel lacks.
    """
    if Path(destinations.__file__).is_relative_to(ROOT):
        pytest.skip("the tree itself is installed")
    assert str(ROOT) not in map(os.path.realpath, sys.path)


def test_the_wheel_has_nothing_of_an_earlier_build(wheel: Path) -> None:
    """What was removed since the checkout was built is not installed again."""
    assert REMOVED not in zipfile.ZipFile(wheel).namelist()


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


def test_the_wheel_holds_the_reference(wheel: Path) -> None:
    """`destinations help` has every page of the reference, however deep its folder is."""
    folder = ROOT / "docs" / "reference"
    pages = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    package = "destinations/reference/pages/"
    names = {one for one in zipfile.ZipFile(wheel).namelist() if one.endswith(".md")}
    assert {one.removeprefix(package) for one in names if one.startswith(package)} == pages


def test_the_wheel_holds_the_guides(wheel: Path) -> None:
    """It has the pages of the site as well, and nothing of what makes them."""
    folder = ROOT / "docs"
    pages = [folder.glob(f"{part}*.md") for part in ("", "explanations/", "how-to/", "tutorials/")]
    expected = {path.relative_to(folder).as_posix() for found in pages for path in found}
    package = "destinations/reference/guides/"
    names = [one for one in zipfile.ZipFile(wheel).namelist() if one.startswith(package)]
    assert {one.removeprefix(package) for one in names} == {*expected, "__init__.py"}


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


def _libraries(requirements: list[str], found: set[str]) -> set[str]:
    """Add the names of what these need, without extras, and of what that needs in turn."""
    for line in requirements:
        one = Requirement(line)
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found.add(name)
            _libraries(importlib.metadata.requires(name) or [], found)
    return found


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment of the wheel and what it requires, without extras and a network.

    The libraries are those of this environment, copied file by file.
    """
    place = tmp_path_factory.mktemp("base") / "venv"
    # A copy of Python may miss its libraries; a link does not.
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(place)
    (packages,) = place.glob("lib/python*/site-packages")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    command += ["--no-compile", "--disable-pip-version-check", "--target", str(packages)]
    subprocess.run([*command, str(wheel)], check=True)
    (metadata,) = packages.glob("kana_destination-*.dist-info")
    needed = importlib.metadata.PathDistribution(metadata).requires or []
    for name in _libraries(needed, set()):
        for file in importlib.metadata.files(name) or []:
            # Commands, such as `bin/uvicorn`, lie elsewhere, and are not needed.
            if ".." not in file.parts and Path(str(file.locate())).is_file():
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file.locate(), target)  # with its time, for what is compiled of it
    return place


def _destinations(
    base: Path, folder: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in that environment alone."""
    return _run(base, folder, "-m", "destinations", *arguments, **variables)


def _run(
    base: Path, folder: Path, *arguments: str, given: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in that environment alone."""
    inherited = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
    return subprocess.run(
        [str(base / "bin" / "python"), "-P", *arguments],
        cwd=folder,
        env={**inherited, "HOME": str(folder), **variables},
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


_SEVERAL: Final = """
import json, os, sys, tempfile
from destinations.cli import main

def run(folder, arguments):
    os.chdir(folder)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = main(arguments)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, one in enumerate(kept, start=1):
                os.dup2(one, number)
                os.close(one)
        for one in (out, err):
            one.seek(0)
        return [code, out.read().decode(), err.read().decode()]

print(json.dumps([run(*one) for one in json.load(sys.stdin)]))
"""


def _several(
    base: Path, folder: Path, commands: Sequence[tuple[Path, Sequence[str]]], **variables: str
) -> list[tuple[int, str, str]]:
    """Run commands in folders in that environment, in one process: each takes long to start.

    Returns the exit code of each, what it printed, and what it said besides.
    """
    given = json.dumps([[str(place), list(arguments)] for place, arguments in commands])
    done = _run(base, folder, "-c", _SEVERAL, given=given, **variables)
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def test_the_base_is_small(base: Path) -> None:
    """Without extras, all files of the package and its libraries have less than 35 MiB."""
    (packages,) = base.glob("lib/python*/site-packages")
    sizes: dict[str, int] = {}
    for path in _files(packages):
        top = path.relative_to(packages).parts[0]
        sizes[top] = sizes.get(top, 0) + path.stat().st_size
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:10]
    assert sum(sizes.values()) < MOST_BYTES, largest
    # It is measured where everything is: the package, and its largest library.
    assert {"destinations", "kana_destination", "jsonschema_rs", "yaml"} <= sizes.keys()
    assert not {"responses", "spellchecker", "pygments", "rich", "jinja2"} & sizes.keys()


@pytest.fixture(scope="module")
def delivered(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder with the store of a run that delivers the example, and how that ended."""
    folder = tmp_path_factory.mktemp("delivered")
    events = str(ROOT / "examples" / "events.ndjson")
    given = ("run", "kana", "--events", events, "--sandbox", "--json", "--store", "store.sqlite3")
    return folder, _destinations(base, folder, *given)


def test_the_main_job_runs_from_the_wheel(
    base: Path, delivered: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    """Installed elsewhere and started outside the checkout, it delivers the example."""
    folder, done = delivered
    script = "import destinations, kana_destination as k; print(destinations.__file__, k.__file__)"
    where = _run(base, folder, "-c", script)
    assert where.stdout.count(str(base)) == 2, where.stderr
    assert done.returncode == 0, done.stderr
    path = ROOT / "tests" / "fixtures" / "examples" / "events.ledger.json"
    ledger = json.loads(path.read_text(encoding="utf-8"))
    outcomes = {key: count for key, count in json.loads(done.stdout)["outcomes"].items() if count}
    assert outcomes == ledger["outcomes"]


def test_commands_of_the_base(
    base: Path, tmp_path: Path, delivered: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    """Without extras, events are delivered, explained and found again, and definitions checked."""
    folder, _ = delivered
    lines = (ROOT / "examples" / "events.ndjson").read_text("utf-8").splitlines(keepends=True)
    event = tmp_path / "event.json"
    event.write_text(lines[0])
    store = ("--store", str(folder / "store.sqlite3"))
    commands = (
        ("list",),
        ("validate", "kana"),
        ("explain", "kana", str(event)),
        ("status", *store),
        ("deliveries", "list", "--all", *store),
        ("store", "check", *store),
        ("kana", "rules", "list", *store),
        ("init", "my-partner"),
        ("validate", "my-partner"),
        ("diff", "my-partner", "my-partner"),
        *((name, "--help") for name in ("check", "conformance", "import", "resume", "sandbox")),
        ("serve", "--help"),
    )
    results = _several(base, tmp_path, [(tmp_path, command) for command in commands])
    for command, (code, _, err) in zip(commands, results, strict=True):
        assert code == 0, (command, err)


WITHOUT: Final = [
    ("kit", "test kana"),
    ("kit", "record kana --events events.ndjson --case new"),
    ("kit", "docs build kana"),
    ("kit", "docs lint page.md"),
    ("kit", "docs preview kana"),
    ("otel", "serve --config serve.yaml --check"),
    ("otel", "serve --config serve.yaml"),
    ("sealing", "serve --config sealed.yaml --check"),
    ("sealing", "serve --config sealed.yaml"),
    ("postgres", "status --store postgresql://a@127.0.0.1/x"),
    ("postgres", "store migrate --config database.yaml"),
    ("liquid", "validate with-liquid"),
]


def _write_files(base: Path, folder: Path, extra: str) -> None:
    """Write what a command that lacks an extra gets."""
    files = {
        "page.md": "# A page\n\nIt has a word.\n",
        "key": "prv_test_0123456789\n",
        "serve.yaml": (
            "store: {path: store.sqlite3}\n"
            "destinations:\n"
            "  - {name: kana, destination: kana, settings: {apiKey: {file: key}},\n"
            "     receiver: {keys: [{file: key}]}}\n"
        ),
        "sealing-key": f"{'b' * 42}Y=\n",
    }
    files["database.yaml"] = files["serve.yaml"].replace(
        "path: store.sqlite3", "postgres: {dsn: 'postgresql://a@127.0.0.1/x'}"
    )
    files["sealed.yaml"] = files["serve.yaml"] + "sealing: {key: {file: sealing-key}}\n"
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)
    if extra == "liquid":
        _destinations(base, folder, "init", "with-liquid")
        action = folder / "with-liquid" / "trackEvent.yaml"
        text = action.read_text("utf-8")
        text = re.sub(r"\{'@path': .*?\}", "{'@liquid': '{{ x }}'}", text, count=1)
        action.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def refused(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str]]:
    """How each command without its extra ended."""
    commands = []
    for extra, command in WITHOUT:
        folder = tmp_path_factory.mktemp("without")
        _write_files(base, folder, extra)
        commands.append((folder, command.split()))
    folder = tmp_path_factory.mktemp("home")
    return _several(base, folder, commands, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")


@pytest.mark.parametrize(("extra", "command"), WITHOUT)
def test_without_an_extra(
    base: Path, wheel: Path, refused: list[tuple[int, str, str]], extra: str, command: str
) -> None:
    """A command that lacks a library says in one line which, and what installs it; exit code 2."""
    code, out, err = refused[WITHOUT.index((extra, command))]
    assert code == 2, err
    # A check of a configuration tells all that it lacks, each in a line.
    lines = [line for line in (out + err).splitlines() if "pip install" in line]
    line = next((one for one in lines if f"[{extra}]" in one), "")
    assert len(lines) == 1 or "--check" in command, lines
    told, _, install = line.partition(f"install the extra {extra}: ")
    assert "needs the library" in told
    python = str(base / "bin" / "python")
    assert shlex.split(install) == [python, "-m", "pip", "install", f"{wheel}[{extra}]"]
