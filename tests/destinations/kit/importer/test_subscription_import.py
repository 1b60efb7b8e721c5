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


def test_what_runs_in_a_browser(folder: Path, write: Callable[[str, Any], Path]) -> None:
    """It is left out by its name; the rest is added."""
    other = ONE | {"name": "Pixel", "partnerAction": "trackEventWeb"}
    switched_off = {"name": "Off", "actionSlug": "pageWeb", "trigger": "x", "enabled": False}
    imported = import_subscriptions(write("s.json", [other, ONE, switched_off]), folder)
    notes = [(note.path, note.message) for note in imported.notes]
    left_out = "which is not imported, as those that run in a browser or an app: left out"
    assert notes == [
        ("/0", f"'Pixel' is for the action 'trackEventWeb', {left_out}"),
        ("/2", f"'Off' is for the action 'pageWeb', {left_out}"),
    ]
    assert [preset.name for preset in load_definition(folder).presets[2:]] == ["New"]


def test_subscriptions_of_another_destination(
    folder: Path, write: Callable[[str, Any], Path]
) -> None:
    """If none of them is for an action that is there, each is told, and nothing is written."""
    others = [ONE | {"partnerAction": "trackEvnt"}, ONE | {"partnerAction": "page"}]
    with pytest.raises(DefinitionError) as raised:
        import_subscriptions(write("s.json", others), folder)
    assert [issue.path for issue in raised.value.issues] == ["/0", "/1"]
    assert "did you mean trackEvent?" in raised.value.issues[0].message


HOOKED = {"@path": "$.hookOutputs.onMappingSave.id"}


@pytest.mark.parametrize(
    ("mapping", "places"),
    [
        ({"user": HOOKED}, ["/user/@path"]),
        ({"user": {"@path": "hookOutputs['onMappingSave'].id"}}, ["/user/@path"]),
        ({"user": {"@template": "a-{{ hookOutputs.onMappingSave.id }}"}}, ["/user/@template"]),
        ({"user": {"@if": {"exists": HOOKED, "then": HOOKED, "else": "x"}}},
         ["/user/@if/exists/@path", "/user/@if/then/@path"]),
        ({"name": {"@arrayPath": ["$.properties.items", {"id": HOOKED}]}},
         ["/name/@arrayPath/1/id/@path"]),
        ({"user": {"@path": "$.properties.hookOutputs"}}, []),
        ({"user": {"@literal": HOOKED}}, ["/user/@literal/@path"]),
        ({"user": "hookOutputs"}, []),
    ],
)  # fmt: skip
def test_what_hooks_gave(
    mapping: Any, places: list[str], folder: Path, write: Callable[[str, Any], Path]
) -> None:
    """Each value that reads it is named at its place, and kept."""
    imported = import_subscriptions(write("s.json", ONE | {"mapping": mapping}), folder)
    found = [note.path for note in imported.notes if "hookOutputs" in note.message]
    assert found == [f"/mapping{place}" for place in places]
    assert load_definition(folder).presets[-1].mapping == mapping


def test_keys_for_segment_alone(folder: Path, write: Callable[[str, Any], Path]) -> None:
    """What hooks gave and what is for Segment's sending is left out, each with a note."""
    keys = ("onMappingSave", "retlOnMappingSave", "__segment_internal_x", "batch_size")
    given = {"user": "x", **{key: {"outputs": {"id": "1"}} for key in keys}}
    imported = import_subscriptions(write("s.json", ONE | {"mapping": given}), folder)
    assert [note.path for note in imported.notes] == [f"/mapping/{key}" for key in keys]
    assert load_definition(folder).presets[-1].mapping == {"user": "x"}
