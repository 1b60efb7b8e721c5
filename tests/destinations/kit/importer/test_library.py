"""Destinations in the shape of the action library: what forms know, and what code does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.errors import DefinitionError
from destinations.kit.importer import Imported, import_connection, import_segment
from destinations.segment.validation import compile_schema
from tests.segment_accounting import Account, Accountant

SYNC = "__segment_internal_sync_mode"

RAW: dict[str, Any] = {
    "slug": "actions-ours",
    "name": "Ours",
    "mode": "cloud",
    "description": "Counts what users do.",
    "authentication": {
        "scheme": "oauth2",
        "refreshAccessToken": True,
        "fields": {
            "region": {
                "label": "Region",
                "description": "Where the data is.",
                "type": "string",
                "required": False,
                "choices": [{"label": "Europe", "value": "eu"}, {"label": "us", "value": "us"}],
                "default": "eu",
            },
            "host": {
                "label": "Host",
                "description": "The host.",
                "type": "string",
                "format": "hostname",
                "minimum": 4,
                "placeholder": "api.example.com",
                "required": {
                    "conditions": [{"fieldKey": "region", "operator": "is_not", "value": "eu"}]
                },
                "depends_on": {
                    "conditions": [{"fieldKey": "lists", "operator": "is", "value": "x"}]
                },
            },
            "lists": {"label": "L", "description": "L", "type": "string", "multiple": True},
        },
    },
    "audienceConfig": {"mode": {"type": "synced", "full_audience_sync": True}},
    "onDelete": True,
    "somethingNew": {"a": 1},
    "actions": {
        "send": {
            "title": "Send",
            "description": "Sends a record.",
            "platform": "cloud",
            "defaultSubscription": 'type = "track"',
            "hidden": False,
            "performBatch": True,
            "performPoll": True,
            "syncMode": {
                "default": "upsert",
                "label": "How to sync",
                "description": "What happens to records.",
                "choices": [
                    {"label": "Insert", "value": "add"},
                    {"label": "Upsert", "value": "upsert"},
                ],
            },
            "hooks": {"onMappingSave": {"label": "Make a list", "description": "Makes it."}},
            "dynamicFields": {"extra": ["__keys__", "__values__"], "list": True},
            "fields": {
                "kind": {
                    "label": "Kind",
                    "description": "What it is.",
                    "type": "string",
                    "choices": [{"label": "A", "value": "a"}, {"label": "b", "value": "b"}],
                    "placeholder": "a",
                    "category": "config",
                    "displayMode": "collapsed",
                    "default": "a",
                },
                "id": {
                    "label": "ID",
                    "description": "The id.",
                    "type": "string",
                    "required": {
                        "match": "any",
                        "conditions": [
                            {"fieldKey": "kind", "operator": "is", "value": "b"},
                            {"type": "syncMode", "operator": "is", "value": "upsert"},
                        ],
                    },
                    "depends_on": {
                        "match": "all",
                        "conditions": [
                            {"type": "syncMode", "operator": "is_not", "value": "add"},
                            {"fieldKey": "kind", "operator": "is", "value": ["a", "b"]},
                        ],
                    },
                    "disabledInputMethods": ["literal", "freeform"],
                },
                "list": {
                    "label": "List",
                    "description": "A list.",
                    "type": "string",
                    "dynamic": True,
                    "readOnly": True,
                    "default": {"@path": "$.properties.list"},
                },
                "size": {
                    "label": "Size",
                    "description": "The size of a batch.",
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 100,
                    "unsafe_hidden": True,
                    "default": 100,
                },
                "extra": {
                    "label": "Extra",
                    "description": "More.",
                    "type": "object",
                    "defaultObjectUI": "keyvalue",
                    "allowNull": True,
                    "properties": {
                        "email": {
                            "label": "Email",
                            "description": "Theirs.",
                            "type": "string",
                            "required": {
                                "conditions": [{"fieldKey": "kind", "operator": "is", "value": "b"}]
                            },
                        },
                        "name": {
                            "label": "Name",
                            "description": "Theirs.",
                            "type": "string",
                            "required": True,
                            "depends_on": {
                                "conditions": [
                                    {"fieldKey": "email", "operator": "is_not"},
                                    {"fieldKey": "ghost", "operator": "is"},
                                ]
                            },
                        },
                    },
                },
                "at": {
                    "label": "At",
                    "description": "When.",
                    "type": "datetime",
                    "format": "date-time",
                    "someday": "x",
                    "defaultObjectUI": "table",
                },
            },
        },
        "page": {
            "title": "Page",
            "description": "Counts a page.",
            "platform": "web",
            "defaultSubscription": 'type = "page"',
            "fields": {},
        },
    },
    "presets": [
        {
            "name": "Send",
            "type": "automatic",
            "partnerAction": "send",
            "subscribe": 'type = "track"',
            "mapping": {"kind": "b", "id": {"@path": "$.userId"}, SYNC: "add"},
        },
        {
            "name": "Broken",
            "type": "automatic",
            "partnerAction": "send",
            "subscribe": 'type = "track"',
            "mapping": {"kind": "c"},
        },
    ],
}
Write = Callable[[str, Any], Path]


@pytest.fixture
def imported(write: Write, tmp_path: Path) -> Imported:
    """The destination, imported."""
    return import_segment(write("ours.json", RAW), out=tmp_path / "ours")


def test_nothing_is_lost_without_a_word(imported: Imported) -> None:
    """Each key is carried, named in a note, or on the list of those without meaning."""
    account = Account()
    Accountant(account, imported, RAW).count()
    assert account.lost == []
    assert set(account.meaningless) <= {"action.perform"}


def test_what_forms_show(imported: Imported) -> None:
    """Each word of Segment's has a keyword of a field."""
    fields = imported.definition.actions["send"].fields["properties"]
    assert list(fields) == ["kind", "id", "list", "size", "extra", "at", SYNC]
    kind, of_id = fields["kind"], fields["id"]
    assert (kind["enum"], kind["x-labels"]) == (["a", "b"], ["A", None])
    assert (kind["x-placeholder"], kind["x-category"]) == ("a", "config")
    assert kind["x-display"] == "collapsed"
    assert of_id["x-disabledInputs"] == ["literal", "freeform"]
    assert of_id["x-dependsOn"] == {
        "match": "all",
        "conditions": [
            {"field": SYNC, "operator": "is_not", "value": "add"},
            {"field": "kind", "operator": "is", "value": ["a", "b"]},
        ],
    }
    assert fields["list"]["readOnly"] is True
    assert "pending" in fields["list"]["x-choices"]
    assert fields["size"]["x-hidden"] is True
    assert fields["extra"]["x-objectUI"] == "keyvalue"
    settings = imported.definition.settings["properties"]
    assert settings["region"]["x-labels"] == ["Europe", "us"]
    assert settings["host"] == {
        "title": "Host",
        "description": "The host.",
        "type": "string",
        "format": "hostname",
        "minLength": 4,
        "x-placeholder": "api.example.com",
        "x-requiredWhen": {
            "conditions": [{"field": "region", "operator": "is_not", "value": "eu"}]
        },
    }


@pytest.mark.parametrize(
    ("payload", "missing"),
    [
        ({"kind": "a"}, []),
        ({"kind": "a", SYNC: "upsert"}, ["/id"]),
        ({"kind": "a", SYNC: "add"}, []),
        ({"kind": "b", "extra": {"email": "a@example.com"}}, ["/id"]),
        ({"kind": "b", "id": "1", "extra": {}}, ["/extra/email"]),
        ({"kind": "a", "id": "1", "extra": {}}, []),
    ],
)
def test_what_is_required(imported: Imported, payload: Any, missing: list[str]) -> None:
    """Conditions decide as in Segment's runtime, also on the sync mode and in objects."""
    fields = imported.definition.actions["send"].fields
    assert "allOf" not in fields
    checked = compile_schema(dict(fields)).check(payload)
    assert [error.path for error in checked.errors] == missing


def test_what_cannot_be_run_is_named(imported: Imported) -> None:
    """A note at the place of each says what code of Segment's does; two are comments as well."""
    notes = {note.path: note.message for note in imported.notes}
    named = {
        "/onDelete": "write onDelete",
        "/audienceConfig": "audiences",
        "/somethingNew": "has no place in a definition",
        "/authentication/scheme": "scheme oauth2",
        "/authentication/refreshAccessToken": "renews tokens",
        "/authentication/fields/lists": "of the type list",
        "/authentication/fields/host/depends_on": "'lists', which is no setting here",
        "/actions/page": "runs in the browser",
        "/actions/send/performBatch": "give its request a batch",
        "/actions/send/performPoll": "polls the result of a job",
        "/actions/send/hooks/onMappingSave": "onMappingSave (Make a list)",
        "/actions/send/dynamicFields/extra": "the keys and values of extra",
        "/actions/send/fields/list/dynamic": "write x-choices",
        "/actions/send/fields/size/minimum": "does not enforce 1",
        "/actions/send/fields/extra/allowNull": "no effect",
        "/actions/send/fields/extra/properties/name/required": "not required here either",
        "/actions/send/fields/extra/properties/name/depends_on": "'ghost'",
        "/actions/send/fields/at/format": "date-like",
        "/actions/send/fields/at/someday": "no place in a definition",
        "/actions/send/fields/at/defaultObjectUI": "is none of",
        "/presets/1/mapping/kind": "must be one of",
        "/presets/1": "does not fit its own field",
    }
    assert {path: said for path, said in named.items() if said not in notes.get(path, "")} == {}
    text = (imported.folder / "send.yaml").read_text("utf-8")
    assert "# Code of Segment's runs onMappingSave (Make a list) when a mapping is saved" in text
    main = (imported.folder / "destination.yaml").read_text("utf-8")
    assert "# The scheme of authentication is oauth2." in main


def test_a_sync_mode_is_honoured(imported: Imported) -> None:
    """It is a field of its own: requests read it, and another mode than the action's is invalid."""
    definition = imported.definition
    (preset,) = definition.presets
    assert preset.mapping[SYNC] == "add"
    schema = compile_schema(dict(definition.actions["send"].fields))
    assert schema.check({SYNC: "add", "id": "1"}).payload[SYNC] == "add"
    (error,) = schema.check({SYNC: "mirror", "id": "1"}).errors
    assert error.path == f"/{SYNC}"
    assert error.message == 'must be one of "add", "upsert", got "mirror"'


def _subscription(**mapping: Any) -> dict[str, Any]:
    return {
        "name": "Mine",
        "actionSlug": "send",
        "trigger": 'type = "track"',
        "enabled": True,
        "settings": {"kind": "a", **mapping},
    }


def test_a_sync_mode_of_a_subscription(imported: Imported, write: Write) -> None:
    """A connection keeps it; one that the action does not know is refused with its place."""
    file = write("mine.json", [_subscription(**{SYNC: "add"})])
    assert f"{SYNC}: add" in import_connection(imported.definition, file).text
    file = write("other.json", [_subscription(**{SYNC: "mirror"})])
    with pytest.raises(DefinitionError, match='must be one of "add", "upsert", got "mirror"'):
        import_connection(imported.definition, file)


def test_a_sync_mode_that_the_action_does_not_have(write: Write, tmp_path: Path) -> None:
    """A connection refuses it by name, and a preset with it is set aside."""
    raw = copy.deepcopy(RAW)
    del raw["actions"]["send"]["syncMode"], raw["actions"]["send"]["fields"]["id"]
    imported = import_segment(write("ours.json", raw), out=tmp_path / "ours")
    assert imported.definition.presets == ()
    said = f"the sync mode 'add' cannot be honoured: send has no field {SYNC}"
    assert any(note.path == "/presets/0" and said in note.message for note in imported.notes)
    file = write("mine.json", [_subscription(**{SYNC: "add", "onMappingSave": {"outputs": {}}})])
    with pytest.raises(DefinitionError) as caught:
        import_connection(imported.definition, file)
    (issue,) = caught.value.issues
    assert (issue.path, said in issue.message) == (f"/0/settings/{SYNC}", True)


def test_what_a_hook_gave_is_named(imported: Imported, write: Write) -> None:
    """A subscription may hold it; nothing here reads it."""
    given = {"onMappingSave": {"outputs": {"id": 1}}, "__segment_internal_matching_key": "id"}
    found = import_connection(imported.definition, write("mine.json", [_subscription(**given)]))
    notes = {note.path: note.message for note in found.notes}
    assert "code of Segment's gave" in notes["/0/settings/onMappingSave"]
    assert "Segment's own sending" in notes["/0/settings/__segment_internal_matching_key"]
    assert "MappingSave" not in found.text


@pytest.mark.parametrize("mode", ["cloud", "device"])
def test_what_runs_in_browsers_is_left_out(mode: str, write: Write, tmp_path: Path) -> None:
    """A destination of only such actions is refused, whether they or it say where they run."""
    raw = copy.deepcopy(RAW)
    raw["mode"] = mode
    del raw["actions"]["send"]
    if mode == "device":
        del raw["actions"]["page"]["platform"]
    with pytest.raises(DefinitionError, match="holds no action that runs on servers"):
        import_segment(write("ours.json", raw), out=tmp_path / "ours")


@pytest.mark.parametrize(
    ("key", "value", "path", "message"),
    [
        ("syncMode", [], "", ""),
        ("syncMode", "add", "/actions/send/syncMode", "should be an object but is text"),
        ("hooks", ["a"], "/actions/send/hooks", "should be an object but is a list"),
        ("dynamicFields", 5, "/actions/send/dynamicFields", "should be an object but is a number"),
    ],
)
def test_what_is_no_object(
    key: str, value: Any, path: str, message: str, write: Write, tmp_path: Path
) -> None:
    """It is said at its place, as an issue or as a note."""
    raw = copy.deepcopy(RAW)
    raw["presets"] = []
    raw["actions"]["send"][key] = value
    raw["actions"]["send"]["fields"].pop("id")
    try:
        found = import_segment(write("ours.json", raw), out=tmp_path / "ours").notes
    except DefinitionError as error:
        found = error.issues
    said = {one.path: one.message for one in found}
    assert message in said.get(path, "")
    load = tmp_path / "ours"
    assert not load.exists() or load_definition(load).actions
