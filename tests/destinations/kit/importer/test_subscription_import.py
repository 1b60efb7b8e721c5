from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.errors import DefinitionError, UsageError
from destinations.kit.importer import import_segment, import_subscriptions

ONE = {"name": "New", "partnerAction": "trackEvent", "subscribe": 'type = "page"', "mapping": {}}


@pytest.fixture
def folder(fixtures: Path, tmp_path: Path) -> Path:
    """The sample as a definition."""
    return import_segment(fixtures / "metadata.json", out=tmp_path / "sample").folder


def test_subscriptions_are_added(fixtures: Path, folder: Path) -> None:
    """They come after the presets that are there; those that are none here are noted."""
    before = (folder / "destination.yaml").read_text("utf-8")
    imported = import_subscriptions(fixtures / "subscriptions.json", folder)
    presets = load_definition(folder).presets
    assert [preset.name for preset in presets[2:]] == ["Paid orders", "Signed up"]
    assert presets[2].mapping == {"user": {"@path": "$.userId"}, "name": "Paid"}
    assert presets[3].subscribe == 'type = "track" and event = "Signed Up"'
    assert [note.path.rpartition("/subscriptions/")[2] for note in imported.notes] == [
        "1/trigger",
        "2",
        "3",
    ]
    assert (folder / "destination.yaml").read_text("utf-8").startswith(before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("presets:\n", "presets:\n"),
        ("presets:\n", "presets:\n# Before the end.\n"),
        ("  - name: Identify", "  # Of people.\n  - name: Identify"),
    ],
)
def test_layouts_are_kept(
    before: str, after: str, folder: Path, write: Callable[[str, Any], Path]
) -> None:
    """Comments stay where they were; what follows the presets stays behind them."""
    path = folder / "destination.yaml"
    text = path.read_text("utf-8").replace(before, after, 1)
    text += "\n# Facts.\ndocumentation:\n  reference: https://example.com\n"
    path.write_text(text, "utf-8")
    import_subscriptions(write("s.json", [ONE]), folder)
    new = path.read_text("utf-8")
    item = '  - name: New\n    partnerAction: trackEvent\n    subscribe: type = "page"\n'
    assert new == text.replace("\n# Facts.", f"{item}    mapping: {{}}\n\n# Facts.")
    assert [preset.name for preset in load_definition(folder).presets][-1] == "New"


def test_a_definition_without_presets(folder: Path, write: Callable[[str, Any], Path]) -> None:
    """The list is begun at the end of the file."""
    path = folder / "destination.yaml"
    path.write_text(path.read_text("utf-8").partition("\npresets:")[0].rstrip("\n"), "utf-8")
    import_subscriptions(write("s.json", ONE), folder)
    (preset,) = load_definition(folder).presets
    assert (preset.name, preset.mapping) == ("New", {})


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ([ONE, 1], "/1", "should be a subscription, an object, but is a number"),
        ([ONE | {"partnerAction": "none"}], "/0", "unknown action 'none'; known: save_"),
        ([{"actionId": "x", "trigger": "t"}], "/0/actionId", "give 'actionSlug' as well"),
        ([ONE | {"mapping": {"a": {"@path": 1}}}], "/0/mapping/a/@path", ""),
        ([ONE | {"name": "Track Calls"}], "/presets/2/name", "has another subscription called"),
    ],
)
def test_issues(
    value: Any, path: str, message: str, folder: Path, write: Callable[[str, Any], Path]
) -> None:
    """An issue says where it is; nothing is written."""
    before = (folder / "destination.yaml").read_text("utf-8")
    with pytest.raises(DefinitionError) as raised:
        import_subscriptions(write("s.json", value), folder)
    (issue,) = raised.value.issues
    assert issue.path == path
    assert message in issue.message
    assert (folder / "destination.yaml").read_text("utf-8") == before


def test_a_list_on_one_line(folder: Path, write: Callable[[str, Any], Path]) -> None:
    """What has no place for another line is refused with what would be right."""
    path = folder / "destination.yaml"
    path.write_text(path.read_text("utf-8").partition("presets:")[0] + "presets: []\n", "utf-8")
    with pytest.raises(DefinitionError, match="write it as a block"):
        import_subscriptions(write("s.json", ONE), folder)


def test_other_files(fixtures: Path, folder: Path, write: Callable[[str, Any], Path]) -> None:
    """Only subscriptions are added, and only to YAML."""
    with pytest.raises(UsageError, match="holds no subscriptions"):
        import_subscriptions(fixtures / "metadata.json", folder)
    (folder / "destination.yaml").rename(folder / "destination.yml")
    assert import_subscriptions(write("s.json", ONE), folder).files == (folder / "destination.yml",)


def test_nothing_to_add(folder: Path, write: Callable[[str, Any], Path]) -> None:
    """Where all are set aside, the file stays as it is."""
    imported = import_subscriptions(write("s.json", ONE | {"enabled": False}), folder)
    assert imported.files == ()
    assert "switched off" in imported.notes[0].message
