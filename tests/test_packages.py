"""A package of a third party: made by init, built without a network, installed as a wheel."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forked import run_forked

Run = Callable[..., subprocess.CompletedProcess[str]]

IMAGES = {
    "api-keys.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 800, 400),
    "adding-a-rule.gif": b"GIF89a" + struct.pack("<HH", 800, 400),
}
TEXT = "".join(f"![What {name} shows](images/{name})\n\n" for name in IMAGES)
SCHEMAS = {f"{kind}.schema.json" for kind in ("action", "case", "destination")}

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
    # Once it is installed, a command imports only what is of its package anew.
    run = run_forked if path and arguments[:2] != ("-m", "pytest") else subprocess.run
    return run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (inherited, path)))},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the package is made, built and installed."""
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    """Runs Python where the wheel of a new package is installed, and nothing else of it.

    Its page has images, and a template that shows them.
    """
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
        if "init" in command:
            (definition,) = place.glob("3-partner/*/definitions/3-partner")
            _add_images(definition / "page")
    (place / "3-partner").rename(place / "sources")

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "-c":
            program = place / "program.py"
            program.write_text(arguments[1], encoding="utf-8")
            arguments = (str(program),)
        return _python(*arguments, folder=place, path=str(target))

    return start


def _add_images(page: Path) -> None:
    (page / "images").mkdir(parents=True)
    for name, image in IMAGES.items():
        (page / "images" / name).write_bytes(image)
    (page / "after-setup.md.j2").write_text(TEXT, encoding="utf-8")


@pytest.mark.usefixtures("run")
def test_images_and_schemas_are_in_the_wheel(place: Path) -> None:
    """Beside the definition, as in the sources: whoever installs it can build the page and edit."""
    (wheel,) = (place / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (folder,) = {name.rpartition("/")[0] for name in names if name.endswith("destination.yaml")}
        found = {
            name.removeprefix(f"{folder}/"): archive.read(name)
            for name in names
            if name.startswith((f"{folder}/page/", f"{folder}/schemas/"))
        }
    assert {name: found.pop(f"page/images/{name}", None) for name in IMAGES} == IMAGES
    assert found.pop("page/after-setup.md.j2").decode() == TEXT
    assert set(found) == {f"schemas/{name}" for name in SCHEMAS}


def test_its_page_is_built_with_its_images(run: Run, place: Path) -> None:
    """From what is installed: both flavours show the images, which lie next to them."""
    done = run("-m", "destinations", "docs", "build", "3-partner", "--out", "docs")
    assert (done.returncode, done.stderr) == (0, "")
    pages = place / "docs" / "3-partner"
    for name, image in IMAGES.items():
        assert (pages / "images" / name).read_bytes() == image
        for page in ("3-partner.md", "3-partner-submission.md"):
            assert f"](images/{name})" in (pages / page).read_text(encoding="utf-8")


def test_its_schemas_are_the_shipped_ones(run: Run, place: Path) -> None:
    """The installed definition names copies that are there, and validate finds none out of date."""
    (definition,) = (place / "installed").glob("*/definitions/3-partner")
    for file in (*definition.glob("*.yaml"), *definition.glob("cases/*.yaml")):
        (line,) = [
            line for line in file.read_text("utf-8").splitlines() if line.startswith("$schema:")
        ]
        assert (file.parent / line.removeprefix("$schema:").strip()).is_file(), file
    done = run("-m", "destinations", "validate", str(definition))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


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


def test_it_delivers_the_events_of_the_examples(run: Run) -> None:
    """Each has its row, those that lack what the partner requires too; nothing fails on the way."""
    events = Path(__file__).parents[1] / "examples" / "events.ndjson"
    done = run("-m", "destinations", "run", "3-partner", "--events", str(events), "--sandbox")
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    (total,) = [row for row in rows if row[:1] == ["total"]]
    assert ["events", "0", total[1]] in rows
    assert "1,000 lines read: 1,000 rows, one for each." in done.stdout
    assert "3 Partner needs messageId" in done.stdout


def test_its_sandbox_refuses_an_event_without_an_id(run: Run) -> None:
    """A request that the definition would not make has an answer all the same."""
    program = (
        "import json, urllib.request, urllib.error\n"
        "from destinations import open_sandbox\n"
        "with open_sandbox('3-partner') as sandbox:\n"
        "    for body in ('{}', '[]', '{\"id\": \"m\"}'):\n"
        "        try:\n"
        "            print(urllib.request.urlopen(sandbox.url, body.encode()).status)\n"
        "        except urllib.error.HTTPError as error:\n"
        "            print(error.code, json.load(error)['error'])\n"
    )
    done = run("-c", program)
    refused = "400 an event must be an object with an id"
    assert (done.stdout.splitlines(), done.stderr) == ([refused, refused, "200"], "")


def test_its_command_uses_the_library(run: Run) -> None:
    """A command of its own asks the partner through the destination that it opens."""
    done = run("-c", WHOAMI)
    assert (done.stdout, done.stderr, done.returncode) == ("the sandbox\n", "", 0)


def test_its_own_tests_pass(run: Run) -> None:
    """Pytest finds the inherited tests that init writes, and they pass."""
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "sources/tests")
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
