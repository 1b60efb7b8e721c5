from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations._version import __version__
from destinations.kit.testing import made_faults
from destinations.kit.testing.made_faults import FaultCase, FaultReport, play_fault
from destinations.runtime.installed import installed
from tests.shipped import DEFINITIONS, SHIPPED


@pytest.fixture
def partner(command: Callable[..., Any], tmp_path: Path) -> Path:
    """A destination that lives outside of this repository."""
    command("init", "partner", "--path", tmp_path)
    return tmp_path / "partner"


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_destination_that_passes(command: Callable[..., Any], partner: Path) -> None:
    """A table of its cases, and one of the faults that were made."""
    done = command("test", partner)
    assert (done.code, done.err) == (0, "")
    first, second = done.out.split("partner: 17 simulated faults")
    assert first.split() == [
        *("partner:", "1", "case", "case", "events", "requests", "result"),
        *("track", "2", "1", "passed"),
    ]
    assert "trackEvent  500, once " in second
    assert "FAILED" not in done.out


def test_the_same_for_machines(command: Callable[..., Any], partner: Path) -> None:
    """One object, with every case and every fault."""
    done = command("test", partner, "--json")
    assert done.code == 0
    assert done.json["passed"]
    (found,) = done.json["destinations"]
    assert found["cases"] == [
        {"case": "track", "events": 2, "requests": 1, "passed": True, "differences": []}
    ]
    (once,) = [fault for fault in found["faults"] if fault["fault"] == "500, once"]
    assert once == {
        "action": "trackEvent",
        "request": "sendEvent",
        "fault": "500, once",
        "outcomes": ["delivered"],
        "sent": 2,
        "passed": True,
        "differences": [],
    }


def _shown(table: str) -> dict[tuple[str, str], set[str]]:
    """Return the outcomes that a table shows of each action and fault."""
    rows = [re.split(r" {2,}", line) for line in table.strip().splitlines()[1:]]
    return {(action, fault): set(outcomes.split(", ")) for action, fault, _, outcomes, _ in rows}


def test_what_is_shipped_is_installed() -> None:
    """Every folder of definitions is a destination that commands know by its name."""
    assert list(installed().destinations) == SHIPPED


@pytest.mark.parametrize("destination", SHIPPED)
def test_every_destination_that_is_shipped(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, destination: str
) -> None:
    """Its recorded cases replay, and every made fault ends as it must.

    The table shows all outcomes of a fault, also of what waits and what is unknown.
    """
    played: list[FaultReport] = []

    def play_now(case: FaultCase) -> FaultReport:
        played.append(play_fault(case))
        return played[-1]

    monkeypatch.setattr(made_faults, "play_fault", play_now)
    done = command("test", destination, "--json")
    (found,) = done.json["destinations"]
    failed = [one for one in (*found["cases"], *found["faults"]) if not one["passed"]]
    assert (done.code, failed, done.json["passed"]) == (0, [], True)
    assert len(found["cases"]) >= (10 if destination == "kana" else 1)
    assert found["faults"]
    if destination == "kana":  # what only an operator asks for has no event that could fail
        assert {fault["action"] for fault in found["faults"]} == {"identify", "track"}
        return
    before = iter(played)

    def played_before(case: FaultCase) -> FaultReport:
        report = next(before)
        assert report.case.name == case.name
        return report

    # They end as they did, whatever way that is shown.
    monkeypatch.setattr(made_faults, "play_fault", played_before)
    expected: dict[tuple[str, str], set[str]] = {}
    for fault in found["faults"]:
        is_asked = fault.get("about") == "usage"
        name = f"usage: {fault['fault']}" if is_asked else fault["fault"]
        ends = [fault["ending"]] if is_asked else fault["outcomes"]
        expected.setdefault((fault["action"], name), set()).update(ends)
    shown = _shown(command("test", destination).out.partition("simulated faults")[2])
    rules = {key for key in shown if key[1] == "an error that a rule reads"}
    assert {key: shown[key] for key in shown.keys() - rules} == {
        key: outcomes for key, outcomes in expected.items() if key in shown
    }
    assert {"ready", "delivered"} <= set().union(*shown.values())
    assert next(before, None) is None


def test_a_case_that_differs(command: Callable[..., Any], partner: Path) -> None:
    """Exit code 1, and the difference on standard error."""
    _change(partner / "trackEvent.yaml", "default: {'@path': $.event}", "default: Something")
    done = command("test", partner)
    assert done.code == 1
    assert "FAILED" in done.out
    assert done.err.splitlines() == [
        "case track:",
        '  request 1 json /name: expected "Report Opened", got "Something"',
        "Help: destinations help case, destinations help guide testing",
    ]
    (case,) = command("test", partner, "--json").json["destinations"][0]["cases"]
    assert case["differences"] == [
        {"place": "request 1 json /name", "expected": "Report Opened", "got": "Something"}
    ]


def test_no_cases(command: Callable[..., Any], partner: Path) -> None:
    """That is not passed, and it says what to do."""
    (partner / "cases" / "track.yaml").unlink()
    done = command("test", partner)
    assert (done.code, done.err) == (
        1,
        "partner has no cases: record one with destinations record\n",
    )


def test_a_case_of_a_newer_version(command: Callable[..., Any], partner: Path) -> None:
    """It is named with both versions and not replayed; the others are, and the exit code is 2."""
    text = (partner / "cases" / "track.yaml").read_text(encoding="utf-8")
    newer = partner / "cases" / "newer.yaml"
    newer.write_text(text + "recorded: {against: live, version: 99.0.0}\n", encoding="utf-8")
    done = command("test", partner)
    assert done.code == 2
    assert "track  " in done.out
    (line,) = done.err.splitlines()
    assert line.startswith(f"not replayed: {newer}:")
    assert f"recorded by version 99.0.0, but {__version__} is installed: update" in line
    (found,) = command("test", partner, "--json").json["destinations"]
    assert (found["passed"], [case["case"] for case in found["cases"]]) == (False, ["track"])
    assert [issue["path"] for issue in found["newer"]] == ["/recorded/version"]
    validated = command("validate", partner)
    assert (validated.code, "99.0.0" in validated.out) == (2, True)


def test_cases_elsewhere(command: Callable[..., Any], partner: Path, tmp_path: Path) -> None:
    """--cases names their folder."""
    (partner / "cases").rename(tmp_path / "elsewhere")
    assert command("test", partner, "--cases", tmp_path / "elsewhere").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "unknown destination 'nobody'"),
        (["--cases", "."], "--cases is for one destination"),
        (["--update", "--json"], "--update shows differences as text"),
        (["--yes"], "--yes skips the prompt of --update"),
    ],
)
def test_wrong_usage(command: Callable[..., Any], arguments: list[str], message: str) -> None:
    """Exit code 2."""
    done = command("test", *arguments)
    assert (done.code, message in done.err) == (2, True)


def test_files_that_are_wrong(command: Callable[..., Any], partner: Path) -> None:
    """Exit code 2, with file, line and path of what is wrong."""
    _change(partner / "cases" / "track.yaml", "outcome: invalid", "outcome: none")
    done = command("test", partner)
    assert done.code == 2
    assert "track.yaml:" in done.err
    assert "/expected/1/outcome: must be one of delivered" in done.err


def _answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_case_is_updated_after_a_yes(
    command: Callable[..., Any], partner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The difference is shown first; afterwards all passes, without --update as well."""
    _change(partner / "trackEvent.yaml", "default: {'@path': $.event}", "default: Something")
    path = partner / "cases" / "track.yaml"
    before = path.read_text(encoding="utf-8")
    _answer(monkeypatch, "n\n")
    refused = command("test", partner, "--update")
    assert refused.code == 1
    assert f"--- {path}\n+++ {path} (updated)\n" in refused.out
    assert "-        name: Report Opened\n+        name: Something\n" in refused.out
    assert f"Rewrite {path}? [y/N]" in refused.err
    assert path.read_text(encoding="utf-8") == before
    _answer(monkeypatch, "y\n")
    done = command("test", partner, "--update")
    assert done.code == 0
    assert re.search(r"track +2 +1 +updated", done.out)
    assert path.read_text(encoding="utf-8") == before.replace(
        "name: Report Opened", "name: Something"
    )
    assert command("test", partner).code == 0


def test_without_an_answer_nothing_is_updated(
    command: Callable[..., Any], partner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script says --yes; otherwise it is told to."""
    _change(partner / "trackEvent.yaml", "default: {'@path': $.event}", "default: Something")
    path = partner / "cases" / "track.yaml"
    before = path.read_text(encoding="utf-8")
    _answer(monkeypatch, "")
    done = command("test", partner, "--update")
    assert (done.code, path.read_text(encoding="utf-8")) == (2, before)
    assert "no answer on stdin; nothing changed. Use --yes" in done.err
    assert command("test", partner, "--update", "--yes").code == 0
    assert path.read_text(encoding="utf-8") != before
    again = command("test", partner, "--update", "--yes")
    assert (again.code, "---" in again.out, "passed" in again.out) == (0, False, True)


def test_a_loss_is_told_before_the_question(command: Callable[..., Any], partner: Path) -> None:
    """An event that was delivered and no longer is stands on standard error."""
    _change(partner / "cases" / "track.yaml", "      status: 200", "      status: 422")
    done = command("test", partner, "--update", "--yes")
    assert done.code == 0
    assert done.err.splitlines()[:2] == [
        "warning: case track: delivered until now, and no longer:",
        '  event 1, trackEvent: rejected (HTTP 422: {"status": "ok"})',
    ]


def test_a_case_that_cannot_be_updated(command: Callable[..., Any], partner: Path) -> None:
    """It says why and still fails; nothing is written."""
    path = partner / "cases" / "track.yaml"
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("interactions:\n")
    path.write_text(f"{head}interactions: []\nexpected:{rest.partition('expected:')[2]}")
    before = path.read_text(encoding="utf-8")
    done = command("test", partner, "--update", "--yes")
    assert (done.code, path.read_text(encoding="utf-8")) == (1, before)
    assert done.err.startswith("the case track cannot be updated, so record it again: ")


@pytest.fixture
def metered(tmp_path: Path) -> Path:
    """A destination whose partner can be asked for usage, with the case that asks."""
    folder = tmp_path / "orb"
    shutil.copytree(DEFINITIONS / "orb", folder)
    for path in (folder / "cases").glob("*.yaml"):
        if path.name != "usage.yaml":
            path.unlink()
    return folder


def test_faults_of_usage(command: Callable[..., Any], metered: Path) -> None:
    """They are rows of their own, and say for machines at which request and step they are."""
    done = command("test", metered)
    assert (done.code, done.err) == (0, "")
    table = done.out.partition("simulated faults")[2]
    rows = {
        row[1]: row[2:] for line in table.splitlines() if len(row := re.split(" {2,}", line)) > 4
    }
    assert rows["usage: HTML"] == ["2", "an error", "passed"]
    assert rows["usage: 500, once"] == ["2", "the amount", "passed"]
    (found,) = command("test", metered, "--json").json["destinations"]
    about = [one for one in found["faults"] if one.get("about") == "usage"]
    assert [one for one in about if one["fault"] == "no list"] == [
        {
            "action": "ingestEvent",
            "request": name,
            "fault": "no list",
            "outcomes": [],
            "step": step,
            "about": "usage",
            "ending": "an error",
            "sent": 4,
            "passed": True,
            "differences": [],
        }
        for name, step in (("findSubscription", "subscription"), ("fetchUsage", "usage"))
    ]


def test_a_case_of_usage(command: Callable[..., Any], metered: Path) -> None:
    """What is kept and what is shown are told with both values, and updated after a yes."""
    path = metered / "cases" / "usage.yaml"
    before = path.read_text("utf-8")
    _change(path, "shown: '2'", "shown: 3  # by hand")
    _change(path, "    amount: '1'\n    at: '2026-01-15T11:00:00Z'", "    amount: 4")
    done = command("test", metered)
    assert done.code == 1
    assert done.err.splitlines()[:3] == [
        "case usage:",
        '  event 1, ingestEvent usage amount: expected 4, got "1"',
        '  usage 1, async_job_run of customer-1 shown: expected "3", got "2"',
    ]
    done = command("test", metered, "--update", "--yes")
    assert done.code == 0
    after = path.read_text("utf-8")
    assert "shown: '2'  # by hand" in after
    assert after.replace("  # by hand", "") == before.replace(
        "    amount: '1'\n    at: '2026-01-15T11:00:00Z'", "    amount: '1'"
    )
