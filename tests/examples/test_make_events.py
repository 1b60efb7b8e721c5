from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "make_events.py"

Run = Callable[..., subprocess.CompletedProcess[str]]
Json = dict[str, Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Starts the script, as a user does, in an empty directory."""

    def start(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", SCRIPT, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return start


def test_the_kept_files_are_what_the_script_makes(run: Run) -> None:
    """The events and the ledgers in the repository are the script's own, byte for byte."""
    done = run("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_kept_files_are_written_and_checked(tmp_path: Path) -> None:
    """In a tree without them the check names each file; written, they are those of this tree."""
    examples = tmp_path / "examples"
    examples.mkdir()
    (tmp_path / "tests" / "fixtures" / "examples").mkdir(parents=True)
    for path in SCRIPT.parent.glob("*.py"):
        (examples / path.name).write_bytes(path.read_bytes())

    def start(option: str) -> tuple[int, list[str]]:
        command = [sys.executable, "-B", str(examples / SCRIPT.name), option]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, [line.split(" ")[0] for line in done.stderr.splitlines()]

    fixtures = "tests/fixtures/examples"
    kept = [
        "examples/events.ndjson",
        f"{fixtures}/events.ledger.json",
        "examples/faulty.ndjson",
        f"{fixtures}/faulty.ledger.json",
        f"{fixtures}/every-case.ndjson",
        f"{fixtures}/every-case.ledger.json",
    ]
    assert start("--check") == (1, kept)
    assert start("--kept") == (0, [])
    assert start("--check") == (0, [])
    assert all((tmp_path / name).read_bytes() == (ROOT / name).read_bytes() for name in kept)
    (tmp_path / kept[2]).write_bytes(b"{}\n")
    assert start("--check") == (1, [kept[2]])


def test_another_seed_makes_other_events_with_the_same_cases(
    run: Run, tmp_path: Path, events_file: Path, ledger: Json
) -> None:
    """The seed decides about the order and the values, never about which cases there are."""
    assert run("--out", "e.ndjson", "--ledger", "l.json", "--seed", "7").returncode == 0
    other = json.loads((tmp_path / "l.json").read_text())
    assert (tmp_path / "e.ndjson").read_bytes() != events_file.read_bytes()
    assert other["rows"] == ledger["rows"]
    assert other["reasons"] == ledger["reasons"]


def test_the_number_of_events_can_be_chosen(run: Run, tmp_path: Path, ledger: Json) -> None:
    """``--events`` is the number of rows; more of them only add everyday ones."""
    assert run("--out", "e.ndjson", "--ledger", "l.json", "--events", "1500").returncode == 0
    other = json.loads((tmp_path / "l.json").read_text())
    assert other["rows"] == 1_500
    assert (tmp_path / "e.ndjson").read_bytes().count(b"\n") == other["lines"]
    for reason in ("payload", "not_json", "duplicate", "integrations"):
        assert other["reasons"][reason] == ledger["reasons"][reason]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--events", "20"), "20 rows leave no room for all cases"),
        (("--kind", "everyday", "--events", "20"), "20 rows leave no room for usage"),
        (("--kind", "faulty", "--events", "20"), "as many faulty events as there are cases"),
        (("--events", "0"), "invalid '0': expected a whole number above 0"),
        (("--events", "ten"), "invalid 'ten': expected a whole number above 0"),
        (("--plain-track", "-1"), "invalid '-1': expected a whole number above 0"),
    ],
)
def test_wrong_numbers_are_refused(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Wrong usage says what is wrong, ends with 2, and leaves no file behind."""
    done = run("--out", "e.ndjson", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_least_number_of_events_that_is_named_is_enough(run: Run) -> None:
    """The number in the message about too few events works when it is used."""
    message = run("--out", "e.ndjson", "--events", "20").stderr
    least = message.rsplit("cases, ", 1)[1].split(" ", 1)[0]
    assert run("--out", "e.ndjson", "--events", least).returncode == 0


def test_plain_tracks(run: Run, tmp_path: Path) -> None:
    """Plain tracks are all to be delivered, and the ledger has the sums of each user."""
    arguments = ("--plain-track", "500", "--users", "40", "--ledger", "l.json")
    assert run("--out", "p.ndjson", *arguments).returncode == 0
    events = [json.loads(line) for line in (tmp_path / "p.ndjson").read_bytes().splitlines()]
    usage: dict[str, Counter[str]] = {}
    for event in events:
        assert event["type"] == "track"
        properties = event["properties"]
        used = usage.setdefault(event["userId"], Counter())
        used[properties["featureId"]] += properties["delta"]
    made = json.loads((tmp_path / "l.json").read_text())
    assert made["lines"] == made["rows"] == len(events) == 500
    assert made["outcomes"] == {"delivered": 500}
    assert made["usage"] == usage
    assert usage.keys() == {f"user_{number:04d}" for number in range(1, 41)}
    assert "by_line" not in made
    assert len({event["messageId"] for event in events}) == 500
