from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_from_nothing_to_a_tested_destination(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any
) -> None:
    """In an empty folder: init, validate, test, explain and list what there is."""
    monkeypatch.chdir(tmp_path)
    made = command("init", "my-partner")
    assert made.code == 0
    assert "my-partner/destination.yaml\n" in made.out
    assert made.out.endswith("then destinations test my-partner\n")
    assert command("validate", "my-partner").code == 0
    tested = command("test", "my-partner")
    assert (tested.code, tested.err) == (0, "")
    event = write("event.json", {"type": "track", "event": "E", "userId": "u", "messageId": "m"})
    explained = command("explain", "my-partner", event, "--json")
    (subscription,) = explained.json["subscriptions"]
    assert subscription["requests"][0]["request"]["body"]["name"] == "E"


def test_a_name_that_is_installed(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next command means what was made, which its name alone would not."""
    monkeypatch.chdir(tmp_path)
    made = command("init", "kana")
    assert made.out.endswith(f"then destinations test .{os.sep}kana\n")
    tested = command("test", f".{os.sep}kana", "--json")
    assert tested.json["passed"]
    made = command("init", "kana", "--plugin", "--path", "package")
    folder = Path("package/kana/destination_kana/definitions/kana")
    assert made.out.endswith(f"then destinations test {folder}\n")
    assert folder.is_dir()


def test_events_and_settings_may_lie_beside_the_actions(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hints of the scaffold ask for works within its folder, and validate tells why."""
    command("init", "my-partner", "--path", tmp_path)
    monkeypatch.chdir(tmp_path / "my-partner")
    event = {"type": "track", "event": "E", "userId": "u", "messageId": "m"}
    Path("event.json").write_text(json.dumps(event), "utf-8")
    Path("settings.yaml").write_text("apiKey: ${MY_KEY}\n", "utf-8")
    done = command("validate", ".")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1:] == [
        "Skipped: event.json: it lacks the key perform of an action.",
        "Skipped: settings.yaml: it lacks the key perform of an action.",
    ]
    assert command("validate", ".", "--json").json == []
    assert command("test", ".").code == 0
    assert command("explain", ".", "event.json").code == 0


def test_validate_names_descriptions_without_a_subject(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    """An action's description is an imperative; another form is a note, not an issue."""
    command("init", "my-partner", "--path", tmp_path)
    folder = tmp_path / "my-partner"
    assert "Reword:" not in command("validate", folder).out
    (action,) = [file for file in folder.glob("*.yaml") if "perform:" in file.read_text("utf-8")]
    text = re.sub(
        "(?m)^description: .*$",
        "description: Uploads an event of a user.",
        action.read_text("utf-8"),
    )
    action.write_text(text, "utf-8")
    done = command("validate", folder)
    assert done.code == 0
    assert (
        f"Reword: the description of the action {action.stem} begins with 'Uploads'; describe an "
        "action in the imperative\n" in done.out
    )


def test_cases_are_checked_by_validate(command: Callable[..., Any], tmp_path: Path) -> None:
    """A mistake in a case is told with its place, without a replay."""
    command("init", "my-partner", "--path", tmp_path)
    folder = tmp_path / "my-partner"
    case = folder / "cases" / "track.yaml"
    text = case.read_text("utf-8")
    case.write_text(text + "  - {event: 9, outcome: delivered}\n", "utf-8")
    done = command("validate", folder)
    assert done.code == 2
    assert "cases/track.yaml:" in done.out
    assert "unknown event 9; the case has 2" in done.out
    case.write_text(text.replace("description: ", "description: NO  # ", 1), "utf-8")
    done = command("validate", folder)
    assert done.code == 2
    assert f"{case}:" in done.out
    assert "/description: " in done.out


def test_schemas_that_are_out_of_date(command: Callable[..., Any], tmp_path: Path) -> None:
    """Copies that differ are named, and replaced on request."""
    command("init", "my-partner", "--path", tmp_path)
    folder = tmp_path / "my-partner"
    schema = folder / "schemas" / "action.schema.json"
    current = schema.read_text("utf-8")
    schema.write_text("{}", "utf-8")
    (folder / "schemas" / "case.schema.json").unlink()
    (folder / "schemas" / "destination.schema.json").unlink()
    done = command("validate", folder)
    assert done.code == 0
    cure = f"run destinations validate {folder} --update-schemas"
    assert done.out.splitlines()[1:] == [
        f"Out of date: schemas/action.schema.json, by which editors complete and check; {cure}",
        "Missing: schemas/destination.schema.json, which $schema of destination.yaml names; "
        + cure,
        f"Missing: schemas/case.schema.json, which $schema of cases/track.yaml names; {cure}",
    ]
    done = command("validate", folder, "--update-schemas")
    kinds = ("action", "destination", "case")
    updated = [f"Updated: schemas/{kind}.schema.json." for kind in kinds]
    assert (done.code, done.out.splitlines()[1:]) == (0, updated)
    assert schema.read_text("utf-8") == current
    assert command("validate", folder).out.count("\n") == 1


def test_schemas_that_nothing_names(command: Callable[..., Any], tmp_path: Path) -> None:
    """A definition without copies is complete: files may name a schema elsewhere, or none."""
    command("init", "my-partner", "--path", tmp_path)
    folder = tmp_path / "my-partner"
    shutil.rmtree(folder / "schemas")
    assert command("validate", folder).out.count("Missing: ") == 3
    for file in (*folder.glob("*.yaml"), *folder.glob("cases/*.yaml")):
        text = file.read_text("utf-8")
        file.write_text(text.replace("$schema: ", "$schema: https://example.com/"), "utf-8")
    done = command("validate", folder)
    assert (done.code, done.out.count("\n")) == (0, 1)


def test_another_place(command: Callable[..., Any], tmp_path: Path) -> None:
    """--path says where the folder goes; it is made where it is missing."""
    assert command("init", "partner", "--path", tmp_path / "a" / "b").code == 0
    assert command("test", tmp_path / "a" / "b" / "partner", "--json").json["passed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["My Partner"], "invalid name"), ([], "Missing argument 'NAME'")],
)
def test_wrong_usage(command: Callable[..., Any], arguments: list[str], message: str) -> None:
    """Exit code 2 and one clear line."""
    done = command("init", *arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_what_exists_is_kept(command: Callable[..., Any], tmp_path: Path) -> None:
    """A second time is refused."""
    assert command("init", "partner", "--path", tmp_path).code == 0
    again = command("init", "partner", "--path", tmp_path)
    assert (again.code, "exists and is not empty" in again.err) == (2, True)
    assert json.loads((tmp_path / "partner/schemas/case.schema.json").read_text("utf-8"))
