"""An idempotency key that several events share would lose all but the first: it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import DestinationDefinition, check_folder
from destinations.definition.connection import connect, read_connection
from destinations.definition.key_sources import shared_key
from destinations.errors import DefinitionError
from tests.destinations.pipeline.metering import metered

Write = Callable[..., Path]
Load = Callable[..., DestinationDefinition]
Change = Callable[[dict[str, Any]], None]

ID = {"@path": "$.event.messageId"}
USER = {"@path": "$.event.userId"}

OWN = [
    ID,
    {"@path": "$.event.properties.order"},
    {"@path": "$.event.context.requestId"},
    {"@path": "$.event.ownKey"},
    {"@path": "$.payload.thing"},
    {"@template": "{{event.userId}}-{{event.messageId}}"},
    {"@template": "{{event.userId}}-{{event.timestamp}}"},
    {"@convert": {"value": ID, "to": "sha256"}},
    {"@json": {"mode": "encode", "value": [USER, ID]}},
    {"@if": {"exists": {"@path": "$.event.properties.order"}, "then": ID, "else": ID}},
    {"@if": {"exists": ID, "then": ID}},
    {"@replace": {"pattern": "a", "replacement": "", "value": ID}},
    {"@case": {"operator": "lower", "value": ID}},
]
CONSTANT = [
    "key-1",
    7,
    {"@literal": "key-1"},
    {"@template": "key-1"},
    # What chooses between constants does not make them an event's own.
    {"@if": {"exists": ID, "then": "a", "else": "b"}},
    {"@if": {"exists": {"@path": "$.event.properties.order"}, "then": ID, "else": "none"}},
    {"@case": {"operator": "lower", "value": "KEY"}},
    {"@convert": {"value": "key", "to": "uuid"}},
]
SHARED = [
    USER,
    {"@path": "$.event.anonymousId"},
    {"@path": "$.event.groupId"},
    {"@path": "$.event.type"},
    {"@path": "$.event.event"},
    {"@path": "$.event.traits.email"},
    {"@path": "$.event.context.ip"},
    {"@path": "$.event['userId']"},
    # Two users at one time; all events of one request of an SDK.
    {"@path": "$.event.timestamp"},
    {"@template": "{{event.userId}}-{{event.sentAt}}"},
    {"@template": "{{event.userId}}-{{event.event}}"},
    {"@template": "{{ event.userId }}"},
    {"@convert": {"value": USER, "to": "uuid"}},
    {"@if": {"exists": ID, "then": USER, "else": ID}},
]


@pytest.mark.parametrize("source", OWN, ids=str)
def test_a_key_of_its_own(source: object) -> None:
    """It reads what tells events apart."""
    assert shared_key(source, None) is None


@pytest.mark.parametrize("source", CONSTANT, ids=str)
def test_a_constant(source: object) -> None:
    """The partner would take one event in all."""
    assert (shared_key(source, None) or "").startswith("is the same for all events: ")


@pytest.mark.parametrize("source", SHARED, ids=str)
def test_a_shared_key(source: object) -> None:
    """The partner would take one event of each user, kind or moment."""
    message = shared_key(source, None) or ""
    assert message.startswith("reads only event."), message
    assert "which several events share" in message


FIELDS: list[tuple[object, bool]] = [
    ({"@path": "$.messageId"}, True),
    ({"@path": "$.properties.order"}, True),
    ({"@template": "{{userId}}/{{timestamp}}"}, True),
    (None, True),  # an event without a key is invalid
    ({"@path": "$.userId"}, False),
    ("all", False),
    (
        {"@if": {"exists": {"@path": "$.messageId"}, "then": "a", "else": {"@path": "$.userId"}}},
        False,
    ),
]


@pytest.mark.parametrize(("mapping", "is_own"), FIELDS, ids=str)
@pytest.mark.parametrize("source", [{"@path": "$.payload.id"}, {"@template": "k-{{payload.id}}"}])
def test_a_key_of_a_field(source: object, mapping: object, is_own: bool) -> None:
    """What a field is mapped to decides."""
    assert (shared_key(source, {"id": mapping}) is None) is is_own


def _metered(source: object, **fields: object) -> Change:
    def change(documents: dict[str, Any]) -> None:
        metered(source=source, batch=1, header="X-Key")(documents)
        properties = documents["count"]["fields"]["properties"]
        for name, default in fields.items():
            properties[name] = {
                "title": name,
                "description": "A field.",
                "type": "string",
                "default": default,
            }

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_metered("one"), "is the same for all events"),
        (_metered(USER), "reads only event.userId, which several events share"),
        (
            _metered({"@path": "$.payload.id"}, id={"@path": "$.userId"}),
            "reads only payload.id (userId) in count, which several events share",
        ),
        (_metered({"@path": "$.payload.id"}, id="x"), "payload.id (a constant) in count"),
    ],
)
def test_it_is_refused(write_definition: Write, change: Change, message: str) -> None:
    """With its file, its line, and what would be right."""
    found = check_folder(write_definition(change))
    (issue,) = [one for one in found if one.path == "/requests/count/idempotencyKey/from"]
    assert message in issue.message
    assert "messageId" in issue.message
    assert issue.line is not None
    assert issue.file is not None
    assert issue.file.endswith("destination.yaml")


def _preset(mapping: object) -> Change:
    def change(documents: dict[str, Any]) -> None:
        _metered({"@path": "$.payload.id"}, id={"@path": "$.messageId"})(documents)
        preset = next(
            one for one in documents["destination"]["presets"] if one["partnerAction"] == "count"
        )
        preset["mapping"] = {"by": 1, "thing": "t", "id": mapping}

    return change


def test_a_preset(write_definition: Write) -> None:
    """Its mapping takes the place of the default."""
    (issue,) = check_folder(write_definition(_preset({"@path": "$.userId"})))
    assert issue.path.endswith("/mapping/id")
    assert issue.message.startswith("the idempotency key of count reads only payload.id (userId)")
    assert not check_folder(write_definition(_preset({"@path": "$.properties.order"})))


def _twice(**second: object) -> Change:
    def change(documents: dict[str, Any]) -> None:
        _metered({"@path": "$.payload.id"}, id={"@path": "$.messageId"})(documents)
        presets = documents["destination"]["presets"]
        first = next(one for one in presets if one["partnerAction"] == "count")
        mapping = {"by": 1, "thing": "t", "id": {"@path": "$.messageId"}}
        presets.append({**first, "name": "Twice", "mapping": mapping, **second})

    return change


def test_presets_that_overlap(write_definition: Write) -> None:
    """Of two requests with one key the partner drops the second."""
    (issue,) = check_folder(write_definition(_twice()))
    assert issue.path.endswith("/subscribe")
    assert "both give an event the same idempotency key of count" in issue.message
    other = {"by": 1, "thing": "t", "id": {"@template": "{{messageId}}-second"}}
    assert not check_folder(write_definition(_twice(mapping=other)))


SECOND = {"@template": "{{messageId}}-second"}

CONNECTIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, "overlaps with 'S0', and both give an event the same idempotency key of count"),
    ({"thing": "a"}, {"thing": "b"}, "overlaps with 'S0'"),
    ({"id": {"@template": "{{messageId}}"}}, {}, "overlaps with 'S0'"),  # the same by other words
    ({"id": {"@case": {"operator": "lower", "value": {"@path": "$.messageId"}}}}, {}, ""),
    ({}, {"id": SECOND}, ""),
    ({}, {"id": {"@path": "$.properties.order"}}, ""),
    ({"id": {"@path": "$.userId"}}, {"id": SECOND}, "reads only payload.id (userId)"),
    ({"id": "mine"}, {"id": SECOND}, "reads only payload.id (a constant)"),
]


@pytest.mark.parametrize(("first", "second", "message"), CONNECTIONS, ids=str)
def test_a_connection_that_allows_overlaps(
    load: Load, tmp_path: Path, first: Any, second: Any, message: str
) -> None:
    """Who wants an event twice needs two keys; a customer's mapping may not share one either."""
    definition = load(_metered({"@path": "$.payload.id"}, id={"@path": "$.messageId"}))
    given = [
        {
            "name": f"S{at}",
            "partnerAction": "count",
            "subscribe": 'type = "track"',
            "mapping": {"by": 1, **mapping},
        }
        for at, mapping in enumerate((first, second))
    ]
    path = tmp_path / "connection.yaml"
    path.write_text(yaml.safe_dump({"subscriptions": given, "allowOverlap": True}), "utf-8")
    if not message:
        assert connect(definition, read_connection(path)).presets
        return
    with pytest.raises(DefinitionError) as caught:
        connect(definition, read_connection(path))
    (issue,) = caught.value.issues
    assert message in issue.message
    assert issue.line is not None
    assert "/subscriptions/" in issue.path


def test_a_key_that_no_mapping_changes(load: Load, tmp_path: Path) -> None:
    """Where a request reads the event, only narrower subscriptions help."""
    definition = load(_metered(ID))
    path = tmp_path / "connection.yaml"

    def connected(*subscribes: str) -> DestinationDefinition:
        given = [
            {"name": f"S{at}", "partnerAction": "count", "subscribe": text}
            for at, text in enumerate(subscribes)
        ]
        path.write_text(yaml.safe_dump({"subscriptions": given, "allowOverlap": True}), "utf-8")
        return connect(definition, read_connection(path))

    assert connected('event = "A"', 'event = "B"').presets
    with pytest.raises(DefinitionError, match="would drop the second request as a repeat"):
        connected('type = "track"', 'event = "B"')
