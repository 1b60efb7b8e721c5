"""The commands `publish check` and `publish pack`, as a partner sees them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKS = ROOT / "examples" / "publishing"
SEED = PACKS / "kana.seed.yaml"


@pytest.fixture
def mixpanel(tmp_path: Path) -> Path:
    """A copy of Mixpanel's definition, which lacks only what Mixpanel itself has."""
    folder = tmp_path / "mixpanel"
    shutil.copytree(ROOT / "definitions" / "mixpanel", folder)
    return folder


def test_findings_as_text(command: Callable[..., Any], mixpanel: Path) -> None:
    """Each rule is told once, with its places, why, fix and source; errors come first."""
    done = command("publish", "check", str(mixpanel))
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[:3] == [
        "error: support",
        f"  {mixpanel}/destination.yaml:1: /publishing/support: there is no support address",
        "    Segment's support forwards what customers ask.",
    ]
    assert [one for one in lines if not one.startswith(" ")] == [
        *("error: support", "error: test-account", "error: logo-missing", "error: mark-missing"),
        *("warning: batch-results", "warning: failing-cases", "warning: authentication-test"),
        "4 errors, 3 warnings in Mixpanel.",
    ]


def test_findings_as_json(command: Callable[..., Any], mixpanel: Path) -> None:
    """One object has the counts, and each finding with all of its texts."""
    done = command("publish", "check", str(mixpanel), "--json")
    assert done.code == 1
    shown = json.loads(done.out)
    assert (shown["destination"], shown["kind"]) == ("mixpanel", "actions")
    assert (shown["errors"], shown["warnings"], len(shown["findings"])) == (4, 3, 7)
    batch = next(one for one in shown["findings"] if one["rule"] == "batch-results")
    assert batch.keys() == {
        *("rule", "level", "file", "line", "path", "message", "why", "fix", "source")
    }
    assert batch["path"] == "/requests/setProfiles/batch"
    line = (mixpanel / "destination.yaml").read_text("utf-8").splitlines()[batch["line"] - 1]
    assert line.strip().startswith("batch:")


def test_no_error(command: Callable[..., Any], mixpanel: Path) -> None:
    """Warnings alone do not fail."""
    text = (
        "\npublishing:\n  support: support@example.com\n  testAccount:\n"
        "    request: Write to support@example.com.\n"
        "    fields: {projectToken: In the settings of the project.}\n"
    )
    with (mixpanel / "destination.yaml").open("a", encoding="utf-8") as file:
        file.write(text)
    (mixpanel / "publishing").mkdir()
    for name, box in (("logo", "0 0 90 30"), ("mark", "0 0 9 9")):
        image = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"><path d="M0 0h9"/></svg>'
        (mixpanel / "publishing" / f"{name}.svg").write_text(image, "utf-8")
    done = command("publish", "check", str(mixpanel))
    assert (done.code, done.out.splitlines()[-1]) == (
        0,
        "0 errors, 3 warnings in Mixpanel.",
    )


def test_the_list_of_rules(command: Callable[..., Any]) -> None:
    """It names rules, their kinds and sources, and the categories, without a definition."""
    done = command("publish", "check", "--list")
    assert done.code == 0
    assert "presets (error; actions)" in done.out
    assert "endpoint (error; direct)" in done.out
    assert "Heatmaps & Recordings" in " ".join(done.out.split())


@pytest.mark.parametrize(("name", "options"), [("mixpanel", []), ("kana", ["--seed", str(SEED)])])
def test_the_packs_of_this_repository(
    command: Callable[..., Any], name: str, options: list[str]
) -> None:
    """They are those of the current definitions."""
    folder = PACKS / name
    done = command("publish", "pack", name, "--into", str(folder), *options, "--check")
    assert (done.out, done.code) == (f"{folder} is up to date.\n", 0)


def test_a_pack(command: Callable[..., Any], mixpanel: Path, tmp_path: Path) -> None:
    """It is checked, written, found up to date, and out of date once the definition changes."""
    into = tmp_path / "pack"
    arguments = ("publish", "pack", str(mixpanel), "--into", str(into))
    missing = command(*arguments, "--check")
    assert missing.code == 1
    assert f"{into / 'CHECKLIST.md'} is not up to date" in missing.out
    assert not into.exists()
    written = command(*arguments)
    assert written.code == 0
    assert written.out.splitlines() == [
        f"Wrote 23 files to {into}, 23 of them changed.",
        "Still missing, as CHECKLIST.md says: support, test-account, logo-missing, mark-missing.",
        f"Next: {into / 'CHECKLIST.md'}",
    ]
    assert command(*arguments, "--check").out == f"{into} is up to date.\n"
    path = mixpanel / "destination.yaml"
    path.write_text(path.read_text("utf-8").replace("[Analytics]", "[CRM]"), "utf-8")
    changed = command(*arguments, "--check")
    assert changed.out.splitlines() == [
        f"{into / 'mail.md'} is not up to date",
        "Next: the same command without --check",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "nobody"), "unknown destination 'nobody'"),
        (("check", "mixpanel", "--published", "none.json"), "cannot read none.json"),
        (("check", "kana", "--published", "none.json"), "leave out --published"),
        (("pack", "mixpanel"), "Missing option '--into'"),
        (("pack", "mixpanel", "--into", "p", "--key", "secret"), "expected env:NAME or file:PATH"),
        (("pack", "hubspot", "--into", "p"), "steps have no counterpart"),
        (("pack", "kana", "--into", "p", "--seed", "none.yaml"), "none.yaml"),
    ],
)
def test_wrong_usage(command: Callable[..., Any], arguments: tuple[str, ...], message: str) -> None:
    """What is wrong is said, with exit code 2, and nothing is written."""
    done = command("publish", *arguments)
    assert done.code == 2
    assert message in done.err
    assert "secret" not in done.err
    assert not Path("p").exists()


def test_a_direct_destination(command: Callable[..., Any], tmp_path: Path) -> None:
    """Without a seed, Kana's sandbox takes every key, and the checklist says so."""
    into = tmp_path / "pack"
    done = command("publish", "pack", "kana", "--into", str(into))
    assert done.code == 0
    check = (into / "portal-check.md").read_text("utf-8")
    assert "- `wrong-key`: It was accepted, so events of anybody are." in check
    checklist = (into / "CHECKLIST.md").read_text("utf-8")
    assert "Correct what `portal-check.md` says of 1 fault." in checklist
    portal = (into / "portal.md").read_text("utf-8")
    assert "| Supported calls | identify, track |" in portal
    assert "| API Key | `apiKey` (the API key) | yes |" in portal
    assert "endpoint" not in portal.partition("## Settings")[2]
