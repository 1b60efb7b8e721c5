from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import PendingDefinition, load_definition
from destinations.errors import DefinitionError, UsageError
from destinations.kit.importer import Imported, import_segment

Importing = Callable[[Callable[[Any], None]], Imported]


@pytest.fixture
def sample(fixtures: Path, tmp_path: Path) -> Imported:
    """The sample of the Public API, imported."""
    return import_segment(fixtures / "metadata.json", out=tmp_path / "sample")


def test_facts_of_the_public_api(sample: Imported) -> None:
    """What the catalog says of a destination stands where a definition has it."""
    definition = load_definition(sample.folder)
    assert (definition.name, definition.slug) == ("Sample Partner", "sample")
    assert definition.integrations_key == "Sample Partner"
    assert definition.catalog == {
        "id": "64a0f0c2b1d2e3f405162738",
        "website": "https://example.com",
        "maintainer": {"name": "Integrations", "email": "integrations@example.com"},
        "categories": ["Analytics", "CRM"],
        "connectionModes": {"browser": "cloud", "mobile": "none", "server": "cloud"},
    }
    assert definition.secret_settings == ("apiKey", "pin")
    assert definition.settings["required"] == ["apiKey"]
    assert list(definition.settings["properties"]) == [
        "apiKey",
        "region",
        "batchSize",
        "debug",
        "pin",
    ]
    assert definition.transport.base_url is None


def test_fields_of_the_public_api(sample: Imported) -> None:
    """Types are read in upper case; fields stand in Segment's order, with label and description."""
    action = load_definition(sample.folder).actions["trackEvent"]
    properties = action.fields["properties"]
    assert list(properties) == ["user", "name", "properties", "amount", "tags", "at", "list"]
    assert {key: spec["type"] for key, spec in properties.items()} == {
        "user": "string",
        "name": "string",
        "properties": "object",
        "amount": ["number", "null"],
        "tags": "array",
        "at": ["string", "number"],
        "list": "string",
    }
    assert properties["name"]["description"] == "The name.\nIn two lines."
    assert properties["tags"]["items"]["enum"] == ["a", "b"]
    assert "enum" not in properties["list"]  # its choices are asked of the partner
    assert action.fields["required"] == ["user", "name"]
    assert (action.method, action.default_subscription) == ("track", 'type = "track"')
    assert action.default_mapping["user"] == {"@path": "$.userId"}


def test_presets_of_the_public_api(sample: Imported) -> None:
    """A preset names its action by id; one with the defaults of its fields is not written out."""
    presets = load_definition(sample.folder).presets
    assert [(preset.name, preset.partner_action) for preset in presets] == [
        ("Track Calls", "trackEvent"),
        ("Identify Calls", "save_user"),
    ]
    assert presets[1].mapping == {"id": {"@path": "$.traits.number"}}
    assert (sample.folder / "destination.yaml").read_text("utf-8").count("mapping:") == 1


def test_requests_are_left_to_be_written(sample: Imported) -> None:
    """Each action has a request that is pending, not idempotent, and without any address."""
    definition = load_definition(sample.folder)
    assert sample.pending == ("trackEvent", "saveUser") == definition.pending_requests
    for request in definition.requests.values():
        assert isinstance(request.call, PendingDefinition)
        assert not request.idempotent
    assert "http" not in (sample.folder / "destination.yaml").read_text("utf-8").replace(
        "website: https://example.com", ""
    )


def test_notes(sample: Imported) -> None:
    """What is not taken over is said, with its place in the file."""
    assert [note.path.removeprefix("/data/destinationMetadata") for note in sample.notes] == [
        "/actions/0/fields/6/choices",
        "/actions/1/hidden",
        "/actions/2",
        "/actions/0/fields/list/dynamic",
        "/presets/2",
        "/options/4/defaultValue",
        "/options/5",
    ]


def test_what_people_read(sample: Imported) -> None:
    """Each file names its schema, which is beside it; what JSON Schema cannot say is a comment."""
    for path in sample.files:
        assert path.is_file()
        if path.suffix == ".yaml":
            (line,) = [text for text in path.read_text("utf-8").splitlines() if "$schema:" in text]
            assert (sample.folder / line.partition(": ")[2]).is_file()
    track = (sample.folder / "trackEvent.yaml").read_text("utf-8")
    assert "      x-placeholder: user_123\n" in track
    assert "        enum: [a, b]\n        x-labels: [First, Second]\n" in track
    assert "      x-choices:\n        pending: " in track
    save = (sample.folder / "save_user.yaml").read_text("utf-8")
    assert save.startswith("# Segment does not show this action")


def _action(metadata: Any) -> Any:
    return metadata["actions"][0]


def _field(metadata: Any) -> Any:
    return metadata["actions"][0]["fields"][0]


def _preset(metadata: Any) -> Any:
    return metadata["presets"][0]


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (lambda m: m.pop("name"), "", "lacks 'name'"),
        (lambda m: m.update(name=1), "/name", "should be text but is a number"),
        (lambda m: m.update(categories=[1]), "/categories", "should be a list of texts"),
        (lambda m: m.update(actions=[1]), "/actions/0", "should be an object but is a number"),
        (lambda m: m.update(actions=[]), "/actions", "holds no action"),
        (lambda m: m.update(presets={}), "/presets", "should be a list but is an object"),
        (lambda m: m.update(options=[{}]), "/options/0", "lacks 'name'"),
        (lambda m: _action(m).pop("slug"), "/actions/0", "lacks 'slug'"),
        (lambda m: _action(m).update(slug="1 a"), "/actions/0", "invalid slug '1 a'"),
        (lambda m: _action(m).update(slug="destination"), "/actions/0", "another file called"),
        (lambda m: _action(m).update(slug="SAVE_USER"), "/actions/1", "another file called"),
        (lambda m: _action(m).update(fields=3), "/actions/0/fields", "should be a list"),
        (lambda m: _action(m).update(hidden="no"), "/actions/0/hidden", "true or false"),
        (lambda m: _field(m).pop("fieldKey"), "/actions/0/fields/0", "lacks 'fieldKey'"),
        (lambda m: _field(m).update(fieldKey="user"), "/fieldKey", "is another field 'user'"),
        (lambda m: _field(m).update(type="MAP"), "/fields/properties/type", "should be one of"),
        (lambda m: _field(m).update(choices="x"), "/properties/choices", "a list of values"),
        (
            lambda m: _field(m).update(defaultValue={"@path": 1}),
            "/fields/properties/default/@path",
            "",
        ),
        (lambda m: _preset(m).pop("actionId"), "/presets/0", "lacks the action"),
        (lambda m: _preset(m).pop("trigger"), "/presets/0", "lacks 'subscribe' (or 'trigger')"),
        (lambda m: _preset(m).update(trigger=1), "/presets/0/trigger", "should be text"),
        (lambda m: _preset(m).update(fields=[]), "/presets/0/fields", "should be an object"),
        (
            lambda m: _preset(m)["fields"].update(user={"@nothing": 1}),
            "/presets/0/fields/user",
            "@nothing",
        ),
    ],
)
def test_issues(
    change: Callable[[Any], None], path: str, message: str, importing: Importing, tmp_path: Path
) -> None:
    """An issue says where it is and what would be right; nothing is written."""
    with pytest.raises(DefinitionError) as raised:
        importing(change)
    assert any(
        issue.path.endswith(path) and message in issue.message for issue in raised.value.issues
    ), str(raised.value)
    assert not (tmp_path / "sample").exists()


def test_all_issues_at_once(importing: Importing) -> None:
    """Issues in every part are found in one go."""

    def change(metadata: Any) -> None:
        metadata["name"] = ""
        metadata["actions"][0]["fields"][0]["type"] = "MAP"
        metadata["presets"][1]["fields"] = {"x": {"@path": 1}}
        metadata["options"][0]["required"] = "yes"

    with pytest.raises(DefinitionError) as raised:
        importing(change)
    assert len(raised.value.issues) == 4


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (lambda m: m.update(website="see example"), "/website", "is not an http or https URL"),
        (lambda m: _field(m).update(type="HIDDEN"), "/fields/0/type", "taken as text"),
        (
            lambda m: _field(m).update(defaultValue={"@case": {"value": "x"}}),
            "/fields/properties/default/@case",
            "left to you",
        ),
        (lambda m: _preset(m).update(trigger="nonsense"), "/presets/0/trigger", "write it"),
        (
            lambda m: _preset(m)["fields"].update(user={"@case": {"value": "x"}}),
            "/presets/0/fields/user/@case",
            "left to you",
        ),
        (lambda m: _field(m).pop("label"), "", "1 of 9 fields have no label"),
        (
            lambda m: _action(m).update(defaultTrigger='type = "track" AND event = "A"'),
            "/actions/0/defaultSubscription",
            'imported as type = "track" and event = "A"',
        ),
    ],
)
def test_what_is_not_taken_over(
    change: Callable[[Any], None], path: str, message: str, importing: Importing
) -> None:
    """A note says so, and the definition loads without it."""
    imported = importing(change)
    assert any(note.path.endswith(path) and message in note.message for note in imported.notes), (
        imported.notes
    )
    load_definition(imported.folder)


def test_what_is_set_aside_can_be_taken_back(importing: Importing) -> None:
    """A preset that is no subscription stands in comments, which are YAML without their signs."""

    def change(metadata: Any) -> None:
        _preset(metadata).update(type="specificEvent", eventSlug="audience_entered")
        _preset(metadata)["fields"]["name"] = "Other"

    imported = importing(change)
    path = imported.folder / "destination.yaml"
    text = path.read_text("utf-8")
    above, found, aside = text.partition("# - Segment starts it by events of its own (audience_e")
    assert found
    lines = [line[2:] for line in aside.splitlines()[1:]]
    back = "\n".join(lines).replace("subscribe: ''", 'subscribe: type = "page"')
    path.write_text(above.replace("# Presets that are", "# Some are") + back + "\n", "utf-8")
    presets = load_definition(imported.folder).presets
    assert [preset.name for preset in presets] == ["Identify Calls", "Track Calls"]
    assert presets[1].mapping["name"] == "Other"


def test_presets_of_one_name_are_numbered(importing: Importing) -> None:
    """Subscriptions of one action are told apart."""
    imported = importing(lambda m: m["presets"].append(dict(m["presets"][0])))
    names = [preset.name for preset in load_definition(imported.folder).presets]
    assert names == ["Track Calls", "Identify Calls", "Track Calls 2"]


def test_the_library_knows_its_settings(write: Callable[[str, Any], Path], tmp_path: Path) -> None:
    """A definition of the action library has them in its authentication."""
    raw = {
        "name": "Ours",
        "slug": "ours",
        "authentication": {
            "scheme": "custom",
            "fields": {
                "apiKey": {"type": "password", "label": "Key", "required": True},
                "size": {"type": "number", "label": "Size", "default": 5},
            },
        },
        "actions": {"send": {"title": "Send", "description": "Sends.", "fields": {}}},
    }
    imported = import_segment(write("ours.json", raw), out=tmp_path / "ours")
    definition = load_definition(imported.folder)
    assert definition.secret_settings == ("apiKey",)
    assert definition.settings["properties"]["size"]["default"] == 5
    assert definition.actions["send"].fields["additionalProperties"] is True


def test_one_of_many(write: Callable[[str, Any], Path], tmp_path: Path) -> None:
    """Where a file holds several, one is picked by its slug; else the slugs are shown."""
    one = {"actions": {"send": {"fields": {"a": {"type": "string"}}}}}
    file = write("many.json", {"first-one": one, "second-one": one})
    with pytest.raises(UsageError, match=r"holds 2 destinations: .*\(first-one, second-one\)"):
        import_segment(file, out=tmp_path / "x")
    with pytest.raises(UsageError, match="no destination 'secnd-one'; known: second-one"):
        import_segment(file, destination="secnd-one", out=tmp_path / "x")
    imported = import_segment(file, destination="second-one", out=tmp_path / "x")
    assert load_definition(imported.folder).name == "Second One"


def test_folders(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the folder is that of the slug; a full one is only used if forced."""
    monkeypatch.chdir(tmp_path)
    file = fixtures / "metadata.json"
    imported = import_segment(file)
    assert imported.folder == Path("actions-sample-partner")
    assert load_definition(imported.folder.resolve()).slug == "actions-sample-partner"
    with pytest.raises(UsageError, match="exists and is not empty"):
        import_segment(file)
    (imported.folder / "notes.txt").write_text("mine", "utf-8")
    assert import_segment(file, force=True).files == imported.files
    assert (imported.folder / "notes.txt").read_text("utf-8") == "mine"
    with pytest.raises(UsageError, match="invalid name"):
        import_segment(file, out=tmp_path / "My Folder")
    with pytest.raises(UsageError, match="is a file"):
        import_segment(file, out=imported.folder / "notes.txt", force=True)


def test_files_of_another_origin(fixtures: Path, tmp_path: Path) -> None:
    """What stays in a folder and does not fit the definition is reported."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old.yaml").write_text("slug: old\nfields: {}\n", "utf-8")
    with pytest.raises(DefinitionError, match=r"old\.yaml"):
        import_segment(fixtures / "metadata.json", out=tmp_path / "x", force=True)


def test_subscriptions_need_a_definition(fixtures: Path) -> None:
    """They alone make no destination."""
    with pytest.raises(UsageError, match="holds subscriptions: say with --into"):
        import_segment(fixtures / "subscriptions.json")
