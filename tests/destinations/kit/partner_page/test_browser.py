from __future__ import annotations

from typing import Any

import pytest

from destinations.kit.partner_page.browser import Browser
from destinations.kit.partner_page.calls import SampleError, read_calls
from destinations.segment.event import check_event

ANONYMOUS = "00000000-0000-4000-8000-000000000000"


def _events(text: str) -> list[dict[str, Any]]:
    browser = Browser()
    return [browser.send(call) for call in read_calls(text)]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "analytics.identify('u', {a: 1})",
            {"type": "identify", "userId": "u", "traits": {"a": 1}},
        ),
        ("analytics.identify({a: 1})", {"type": "identify", "userId": None, "traits": {"a": 1}}),
        ("analytics.identify(42)", {"userId": "42", "traits": {}}),
        ("analytics.identify()", {"userId": None, "traits": {}}),
        ("analytics.track('A')", {"type": "track", "event": "A", "properties": {}}),
        ("analytics.track('A', {b: 1})", {"event": "A", "properties": {"b": 1}}),
        ("analytics.track('A', null)", {"event": "A", "properties": {}}),
        (
            "analytics.track('A', {}, {integrations: {All: false}})",
            {"integrations": {"All": False}},
        ),
        ("analytics.page()", {"type": "page", "name": None, "category": None, "properties": {}}),
        ("analytics.page('Home')", {"name": "Home", "category": None}),
        ("analytics.page('Docs', 'Home', {b: 1})", {"name": "Home", "category": "Docs"}),
        ("analytics.screen('Home', {b: 1})", {"type": "screen", "properties": {"b": 1}}),
        ("analytics.group('g', {plan: 'pro'})", {"groupId": "g", "traits": {"plan": "pro"}}),
        ("analytics.alias('u')", {"type": "alias", "userId": "u", "previousId": ANONYMOUS}),
        ("analytics.alias('u', 'v')", {"userId": "u", "previousId": "v"}),
    ],
)
def test_a_call_becomes_an_event(text: str, fields: dict[str, Any]) -> None:
    """The event has what the call says, and what every event of a browser has."""
    (event,) = _events(text)
    assert {key: event.get(key) for key in fields} == fields
    assert event["anonymousId"] == ANONYMOUS
    assert event["context"]["library"]["name"] == "analytics.js"
    assert check_event(event) is event
    assert None not in event.values()


def test_options_reach_the_context() -> None:
    """Options other than the known ones are context, beside what the browser says."""
    (event,) = _events("analytics.track('A', {}, {context: {ip: '0.0.0.0'}, traits: {b: 1}})")
    assert event["context"]["ip"] == "0.0.0.0"  # noqa: S104 - an address in data
    assert event["context"]["traits"] == {"b": 1}
    assert event["context"]["library"]


def test_a_user_is_remembered() -> None:
    """Calls after an Identify call carry its id, and traits of the same user add up."""
    events = _events(
        "analytics.track('A'); analytics.identify('u', {a: 1}); analytics.identify('u', {b: 2});"
        "analytics.track('B'); analytics.identify('v', {c: 3}); analytics.identify({d: 4});"
    )
    assert [event.get("userId") for event in events] == [None, "u", "u", "u", "v", "v"]
    traits = [event["traits"] for event in events if event["type"] == "identify"]
    assert traits == [{"a": 1}, {"a": 1, "b": 2}, {"c": 3}, {"c": 3, "d": 4}]
    assert len({event["messageId"] for event in events}) == len(events)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("analytics.track()", "needs the name of an event"),
        ("analytics.track({a: 1})", "needs the name of an event"),
        ("analytics.track('A', 'b')", "takes an object of values and one of options"),
        ("analytics.identify('u', {}, {}, {})", "takes an object of values and one of options"),
        ("analytics.group({plan: 'pro'})", "needs the id of the group"),
        ("analytics.alias()", "needs the new id"),
    ],
)
def test_a_call_that_is_none(text: str, message: str) -> None:
    """What analytics.js would not take is an error that says what it takes."""
    with pytest.raises(SampleError, match=message):
        _events(text)
