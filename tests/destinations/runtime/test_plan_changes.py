"""What a new version of a destination changes for one event."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.connection import Connection, connect
from destinations.definition.document import Document
from destinations.definition.settings import named_settings
from destinations.runtime.destination import Code, Destination
from destinations.runtime.plan_changes import PlanChanges, compare_plans
from destinations.runtime.plugins import find_plugin, plugin_code

ROOT = Path(__file__).resolve().parents[3]

_EVENT = {
    "type": "track",
    "event": "Called",
    "userId": "u1",
    "messageId": "m1",
    "timestamp": "2026-01-01T00:00:00Z",
    "properties": {"delta": 2, "featureId": "calls", "email": "a@b.c"},
}
_TAKEN = {"name": "Calls", "partnerAction": "track", "subscribe": 'event = "Called"'}
_MAPPED = {**_TAKEN, "mapping": {"featureId": "mapped"}}
_SENT = {"name": "All", "partnerAction": "send", "subscribe": 'type = "track"'}
_OTHER = {**_TAKEN, "subscribe": 'event = "Other"'}


def _destination(slug: str, connection: dict[str, Any] | None) -> Destination | None:
    """Return a shipped destination with a connection; None for None."""
    if connection is None:
        return None
    definition: DestinationDefinition = load_definition(ROOT / "definitions" / slug)
    document = Document("connection", connection, {})
    definition = connect(definition, Connection.of(document, connection))
    code = plugin_code(find_plugin(slug), None)
    return Destination(definition, named_settings(definition), code)


def _kinds(
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    slug: str = "kana",
    **changes: Any,
) -> PlanChanges:
    compared = compare_plans(
        _destination(slug, before),
        _destination(slug, after),
        json.dumps({**_EVENT, **changes}).encode(),
        0.0,
    )
    found = PlanChanges()
    found.add(compared, "line 1")
    return found


def _subscribed(*subscriptions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"subscriptions": list(subscriptions), **more}


# Before, after, changes of the event; then the kinds of changes, and how many deliveries are lost.
CASES: dict[str, tuple[Any, Any, dict[str, Any], dict[str, int], int]] = {
    "the same": (_subscribed(_TAKEN), _subscribed(_TAKEN), {}, {}, 0),
    "another name": (_subscribed(_TAKEN), _subscribed({**_TAKEN, "name": "New"}), {}, {}, 0),
    "another mapping": (
        _subscribed(_TAKEN),
        _subscribed(_MAPPED),
        {},
        {"payload_changed": 1},
        0,
    ),
    "another name and mapping": (
        _subscribed(_TAKEN),
        _subscribed({**_MAPPED, "name": "New"}),
        {},
        {"payload_changed": 1},
        0,
    ),
    "not taken any more": (
        _subscribed(_TAKEN),
        _subscribed(_OTHER),
        {},
        {"no_longer_matched": 1},
        1,
    ),
    "taken now": (_subscribed(_OTHER), _subscribed(_TAKEN), {}, {"newly_matched": 1}, 0),
    "one of two not taken any more": (
        _subscribed(_TAKEN, {**_TAKEN, "name": "Twice"}, allowOverlap=True),
        _subscribed(_TAKEN),
        {},
        {"no_longer_matched": 1},
        1,
    ),
    "two instead of one": (
        _subscribed(_TAKEN),
        _subscribed(_TAKEN, {**_TAKEN, "name": "Twice"}, allowOverlap=True),
        {},
        {"newly_matched": 1},
        0,
    ),
    "dropped by a filter": (
        _subscribed(_TAKEN),
        _subscribed(_TAKEN, filters=[{"drop": 'event = "Called"'}]),
        {},
        {"no_longer_matched": 1},
        1,
    ),
    "no longer dropped by a filter": (
        _subscribed(_TAKEN, filters=[{"drop": 'event = "Called"'}]),
        _subscribed(_TAKEN),
        {},
        {"newly_matched": 1},
        0,
    ),
    "a blocked property": (
        _subscribed(_TAKEN),
        _subscribed(_TAKEN, filters=[{"blockProperties": ["delta"]}]),
        {},
        {"payload_changed": 1},
        0,
    ),
    "a blocked property that nothing reads": (
        _subscribed(_TAKEN),
        _subscribed(_TAKEN, filters=[{"blockProperties": ["email"]}]),
        {},
        {},
        0,
    ),
    "unmapped without what a filter takes out": (
        _subscribed(_TAKEN),
        _subscribed(_TAKEN, filters=[{"blockProperties": ["featureId"]}]),
        {},
        {"unmapped_now": 1},
        1,
    ),
    "mapped now": (
        _subscribed(_TAKEN),
        _subscribed(_MAPPED),
        {"properties": {}},
        {"newly_matched": 1},
        0,
    ),
    "an invalid payload now": (
        _subscribed(_TAKEN),
        _subscribed({**_TAKEN, "mapping": {"delta": {"@path": "$.properties.email"}}}),
        {},
        {"invalid_now": 1},
        1,
    ),
    "not taken before, and invalid now": (
        _subscribed(_OTHER),
        _subscribed(_TAKEN),
        {"properties": {"featureId": "f", "delta": 1.5}},
        {"invalid_now": 1},
        0,
    ),
    "invalid before and now": (
        _subscribed(_TAKEN),
        _subscribed(_MAPPED),
        {"properties": {"featureId": "f", "delta": 1.5}},
        {},
        0,
    ),
    "invalid as a whole, before and now": (
        _subscribed(_TAKEN),
        _subscribed(_OTHER),
        {"userId": None, "anonymousId": "a"},
        {},
        0,
    ),
    "no subscription takes it, before and now": (
        _subscribed(_TAKEN),
        _subscribed(_OTHER),
        {"event": "Third"},
        {},
        0,
    ),
    "excluded by the event itself": (
        _subscribed(_TAKEN),
        _subscribed(_OTHER),
        {"integrations": {"All": False}},
        {},
        0,
    ),
    "a new destination": (None, _subscribed(_TAKEN), {}, {"newly_matched": 1}, 0),
    "a new destination that does not take it": (None, _subscribed(_OTHER), {}, {}, 0),
    "a destination that is gone": (_subscribed(_TAKEN), None, {}, {"no_longer_matched": 1}, 1),
    "a destination that is gone and did not take it": (_subscribed(_OTHER), None, {}, {}, 0),
}


@pytest.mark.parametrize(("before", "after", "changes", "kinds", "lost"), CASES.values(), ids=CASES)
def test_what_becomes_of_an_event(
    before: Any, after: Any, changes: dict[str, Any], kinds: dict[str, int], lost: int
) -> None:
    """Each delivery is the same, changed, added, lost or at fault now; what is sent adds up."""
    found = _kinds(before, after, **changes)
    assert dict(found.kinds) == kinds
    assert found.lost == lost
    changed, added = found.kinds["payload_changed"], found.kinds["newly_matched"]
    assert found.before == found.unchanged + changed + found.lost
    assert found.after == found.unchanged + changed + added


def test_the_fields_that_change() -> None:
    """Each is named with its values."""
    after = {**_TAKEN, "mapping": {"featureId": "other", "delta": {"@path": "$.properties.no"}}}
    found = _kinds(_subscribed(_TAKEN), _subscribed(after))
    ((_, example),) = found.examples
    assert {one.path: dict(one.values) for one in example.fields} == {
        "/featureId": {"before": "calls", "after": "other"},
        "/delta": {"before": 2, "after": 1},
    }
    assert dict(found.fields) == {"/featureId": 1, "/delta": 1}


@pytest.mark.parametrize(
    ("filters", "paths"),
    [
        ([], set()),
        ([{"blockProperties": ["secret"]}], {"event/properties/secret"}),
        ([{"blockProperties": ["nothing"]}], set()),
    ],
)
def test_requests_that_carry_the_event(
    bind: Callable[..., Destination], filters: list[Any], paths: set[str]
) -> None:
    """What filters take out of them is told, although no payload has it."""
    before = bind()
    document = {"filters": filters}
    connection = Connection.of(Document("connection", document, {}), document)
    sync = before.actions["sync"].generator
    assert sync is not None
    definition = connect(before.definition, connection)
    after = Destination(definition, before.settings, Code({"sync": sync}))
    event = {"type": "page", "userId": "u1", "messageId": "m1", "name": "Home"}
    raw = json.dumps({**event, "properties": {"secret": "x"}}).encode()
    found = PlanChanges()
    found.add(compare_plans(before, after, raw, 0.0), "line 1")
    assert set(found.fields) == paths
    assert found.kinds["payload_changed"] == bool(paths)


def test_the_first_examples_are_kept() -> None:
    """Three of each kind, with their places; all are counted."""
    before, after = (_destination("kana", _subscribed(one)) for one in (_TAKEN, _MAPPED))
    found = PlanChanges()
    for at in range(5):
        raw = json.dumps({**_EVENT, "messageId": f"m{at}"}).encode()
        found.add(compare_plans(before, after, raw, 0.0), f"line {at}")
    gone = compare_plans(before, None, json.dumps(_EVENT).encode(), 0.0)
    found.add(gone, "line 5")
    assert [(place, one.message_id) for place, one in found.examples] == [
        ("line 0", "m0"),
        ("line 1", "m1"),
        ("line 2", "m2"),
        ("line 5", "m1"),
    ]
    assert dict(found.kinds) == {"payload_changed": 5, "no_longer_matched": 1}
    assert (found.events, found.before, found.after, found.lost) == (6, 6, 5, 1)


@pytest.mark.parametrize(
    ("first", "second", "paths"),
    [
        ({"a": [True]}, {"a": [1]}, {"/event/properties/a"}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, {"/event/properties/a/b/c"}),
        ({"a": 1}, {"b": 1}, {"/event/properties/a", "/event/properties/b"}),
        ({"a": "1"}, {"a": 1}, {"/event/properties/a"}),
        ({"a": {}}, {"a": []}, {"/event/properties/a"}),
        ({"a~/": 1}, {"a~/": None}, {"/event/properties/a~0~1"}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, set()),
    ],
)
def test_which_fields_differ(first: Any, second: Any, paths: set[str]) -> None:
    """The innermost members of objects; lists as a whole, and true is not 1."""
    one, two = (
        {**_SENT, "mapping": {"event": {"properties": {"@literal": value}}}}
        for value in (first, second)
    )
    assert set(_kinds(_subscribed(one), _subscribed(two), "webhook").fields) == paths
