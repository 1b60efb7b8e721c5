from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
Change = Callable[[dict[str, Any]], None]


def _edit(folder: Path, file: str, change: Change) -> None:
    path = folder / file
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def _required(data: dict[str, Any]) -> None:
    data["fields"]["properties"]["note"] = {
        "title": "Note",
        "description": "Note",
        "type": "string",
    }
    data["fields"]["required"].append("note")


def _optional(data: dict[str, Any]) -> None:
    data["fields"]["properties"]["note"] = {
        "title": "Note",
        "description": "Note",
        "type": "string",
    }


def _type(data: dict[str, Any]) -> None:
    field = data["fields"]["properties"]["delta"]
    field["type"] = "number"
    del field["x-wholeNumber"]  # which is for integers alone


def _default(data: dict[str, Any]) -> None:
    data["fields"]["properties"]["delta"]["default"] = {"@path": "$.properties.amount"}


def _limit(data: dict[str, Any]) -> None:
    del data["fields"]["properties"]["delta"]["maximum"]


def _setting(data: dict[str, Any]) -> None:
    data["settings"]["properties"]["region"] = {
        "title": "R",
        "description": "R",
        "type": "string",
    }
    data["settings"]["required"].append("region")


_RULE = {"conditions": [{"field": "delta", "operator": "is_not"}]}


def _form(data: dict[str, Any]) -> None:
    data["fields"]["properties"]["delta"] |= {"x-placeholder": "5", "x-category": "amounts"}


def _conditional(data: dict[str, Any]) -> None:
    _optional(data)
    data["fields"]["properties"]["note"]["x-requiredWhen"] = _RULE


def _more_conditional(data: dict[str, Any]) -> None:
    data["fields"]["properties"]["delta"]["x-requiredWhen"] = {
        "conditions": [{"field": "userId", "operator": "is", "value": "x"}]
    }


def _without_preset(data: dict[str, Any]) -> None:
    data["presets"].pop()


def _words(data: dict[str, Any]) -> None:
    data["description"] = "Other words."


# The file that changes, how, the bump that it needs, and words that must be shown.
CASES: dict[str, tuple[str, Change, str, str]] = {
    "a new required field": ("track.yaml", _required, "major", "'note' is new and required"),
    "a new optional field": ("track.yaml", _optional, "minor", "'note' is new and optional"),
    "another type": ("track.yaml", _type, "major", "type was 'integer' and is 'number'"),
    "another default": ("track.yaml", _default, "major", "default mapping has changed"),
    "a limit less": ("track.yaml", _limit, "minor", "maximum no longer restricts"),
    "words of forms": ("track.yaml", _form, "patch", "forms show the field in another way"),
    "a new field with conditions": ("track.yaml", _conditional, "minor", "new and optional"),
    "conditions of a field": ("track.yaml", _more_conditional, "major", "in other cases now"),
    "a new required setting": ("destination.yaml", _setting, "major", "'region' is new"),
    "a preset less": ("destination.yaml", _without_preset, "major", "'Record usage' is gone"),
    "other words": ("destination.yaml", _words, "patch", "its wording has changed"),
}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of Kana's definition."""
    both = tmp_path / "old" / "kana", tmp_path / "new" / "kana"
    for folder in both:
        shutil.copytree(ROOT / "definitions" / "kana", folder)
    return both


@pytest.mark.parametrize(("file", "change", "bump", "shown"), CASES.values(), ids=CASES)
def test_the_bump_that_a_change_needs(
    command: Callable[..., Any],
    folders: tuple[Path, Path],
    file: str,
    change: Change,
    bump: str,
    shown: str,
) -> None:
    """Each change is told with the part of the version that it has to raise, and its meaning."""
    old, new = folders
    _edit(new, file, change)
    report = command("diff", old, new, "--json").json
    assert report["needed"] == bump
    assert any(shown in item["message"] for item in report["differences"])
    text = command("diff", old, new)
    assert text.code == 1
    suggested = {"major": "2.0.0", "minor": "1.1.0", "patch": "1.0.1"}[bump]
    assert f"make it {suggested}" in text.out


def test_an_action_less(command: Callable[..., Any], folders: tuple[Path, Path]) -> None:
    """A removed action breaks the subscriptions that use it, and the preset goes with it."""
    old, new = folders
    (new / "track.yaml").unlink()
    _edit(new, "destination.yaml", _without_preset)
    messages = [item["message"] for item in command("diff", old, new, "--json").json["differences"]]
    assert any("the action 'track' is gone" in message for message in messages)


def test_a_version_that_is_high_enough(
    command: Callable[..., Any], folders: tuple[Path, Path]
) -> None:
    """The command passes if the right part was raised, and if nothing has changed."""
    old, new = folders
    assert command("diff", old, new).code == 0
    _edit(new, "track.yaml", _required)
    _edit(new, "destination.yaml", lambda data: data.update(version="2.0.0"))
    done = command("diff", old, new)
    assert done.code == 0
    assert "enough for a major change" in done.out
