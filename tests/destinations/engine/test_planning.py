"""A raw event comes to the deliveries that it needs, or to a clear refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.engine import plan
from destinations.outcome import Outcome
from destinations.runtime.destination import Destination
from destinations.segment.event import EventError

TRACK = {"type": "track", "event": "E", "userId": "u1", "messageId": "m1"}
GOOD = {**TRACK, "properties": {"by": 2, "thing": "t"}}


def _raw(event: Any) -> bytes:
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("event", "action", "outcome"),
    [
        (GOOD, "count", None),
        ({**TRACK, "properties": {"by": "many", "thing": "t"}}, "count", Outcome.INVALID),
        ({**TRACK, "properties": {"by": 2}}, "count", Outcome.UNMAPPED),
        ({"type": "group", "groupId": "g", "userId": "u1"}, "", Outcome.FILTERED),
        ({**GOOD, "integrations": {"All": False}}, "", Outcome.FILTERED),
    ],
)
def test_deliveries(
    bind: Callable[..., Destination], event: dict[str, Any], action: str, outcome: Outcome | None
) -> None:
    """One for each subscription; what ends at once has its result."""
    raw = _raw(event)
    incoming = plan(bind(), raw)
    assert (incoming.raw, incoming.type, incoming.user) == (raw, event["type"], "u1")
    (planned,) = incoming.deliveries
    assert planned.action == action
    assert (planned.result and planned.result.outcome) == outcome


def test_several_subscriptions(bind: Callable[..., Destination]) -> None:
    """An event that two subscriptions take has two deliveries, told apart by their keys."""

    def change(documents: dict[str, Any]) -> None:
        also = {"name": "Also", "partnerAction": "count", "subscribe": 'type = "track"'}
        documents["destination"]["presets"].append(also)

    incoming = plan(bind(change), _raw(GOOD))
    assert [one.action for one in incoming.deliveries] == ["count: Counts", "count: Also"]


def test_an_event_without_a_message_id(bind: Callable[..., Destination]) -> None:
    """It gets one of its own, each time another."""
    raw = _raw({key: value for key, value in GOOD.items() if key != "messageId"})
    ids = {plan(bind(), raw).message_id for _ in range(3)}
    assert len(ids) == 3
    assert plan(bind(), _raw(GOOD)).message_id == "m1"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff", "UTF-8|JSON"),
        (b"[]", "object"),
        (b"{}", "type"),
        (_raw({**GOOD, "userId": None, "anonymousId": "a"}), "Sample needs"),
        (_raw({"type": "track", "userId": "u1"}), "event"),
    ],
)
def test_what_is_refused(bind: Callable[..., Destination], raw: bytes, message: str) -> None:
    """What is no event, and one that is anonymous where users are needed, raises an error."""
    with pytest.raises(EventError, match=message):
        plan(bind(), raw)
