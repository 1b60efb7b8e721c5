"""What filters leave out of events, or of all of them, in Segment's order."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from destinations.segment.filters import EventFilter, EventFilters, property_path

EVENT: dict[str, Any] = {
    "type": "track",
    "event": "E",
    "userId": "u1",
    "messageId": "m1",
    "properties": {"email": "e@example.com", "plan": {"name": "pro", "price": 3}, "n": None},
    "traits": {"email": "t@example.com", "age": 3},
    "context": {"ip": "10.0.0.1", "page": {"url": "u", "title": "t"}},
}

BLOCK = EventFilter("block", paths=("email",))


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("email", [("properties", "email"), ("traits", "email")]),
        ("plan.name", [("properties", "plan", "name"), ("traits", "plan", "name")]),
        ("context.ip", [("context", "ip")]),
        ("traits.email", [("traits", "email")]),
        ("$.email", [("properties", "$", "email"), ("traits", "$", "email")]),
        ("context", []),
        ("properties", []),
        ("", []),
        (".", []),
    ],
)
def test_names_of_properties(text: str, paths: list[tuple[str, ...]]) -> None:
    """One without a root stands for properties and traits; a root alone is no property."""
    assert property_path(text) == paths


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ([], ""),
        ([EventFilter("drop", 'event = "E"')], 'dropped by the filter event = "E"'),
        ([EventFilter("drop", 'event = "F"')], ""),
        (
            [EventFilter("drop", "context.ip = null"), EventFilter("drop", 'type = "track"')],
            "dropped",
        ),
        ([EventFilter("sample", share=0.0)], "not in the sample of 0, by messageId"),
        ([EventFilter("sample", share=1.0)], ""),
        # Who has no value there is told apart by the messageId, as without a path.
        ([EventFilter("sample", share=0.99, by="anonymousId")], ""),
        ([EventFilter("sample", 'type = "page"', share=0.0)], ""),
        (
            [EventFilter("sample", 'type = "track"', share=0.0, by="userId")],
            'not in the sample of 0 of events with type = "track", by userId',
        ),
        # Sampled first, wherever it stands; and dropped before properties are taken out.
        ([EventFilter("drop", 'event = "E"'), EventFilter("sample", share=0.0)], "not in the"),
        (
            [
                EventFilter("block", paths=("email",)),
                EventFilter("drop", "properties.email != null"),
            ],
            "dropped",
        ),
    ],
)
def test_what_is_dropped(filters: list[EventFilter], reason: str) -> None:
    """The reason says which filter it was."""
    found = EventFilters(filters).reason(EVENT)
    assert found.startswith(reason)
    assert bool(found) is bool(reason)


def test_a_sample() -> None:
    """It is a share of the values, always the same ones; what has one value stays together."""
    filters = EventFilters([EventFilter("sample", share=0.3, by="userId")])
    kept = [n for n in range(2_000) if not filters.reason({**EVENT, "userId": f"u{n}"})]
    assert 500 < len(kept) < 700
    again = EventFilters([EventFilter("sample", share=0.3, by="userId")])
    for n in (kept[0], kept[-1]):
        assert not again.reason({**EVENT, "userId": f"u{n}", "messageId": "other"})
    more = EventFilters([EventFilter("sample", share=0.5, by="userId")])
    assert not any(more.reason({**EVENT, "userId": f"u{n}"}) for n in kept)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (
            [EventFilter("block", paths=("email",))],
            {"properties": ["plan", "n"], "traits": ["age"]},
        ),
        ([EventFilter("block", paths=("traits.email",))], {"traits": ["age"]}),
        (
            [EventFilter("block", paths=("n", "absent", "age.deep"))],
            {"properties": ["email", "plan"]},
        ),
        ([EventFilter("allow", paths=("properties.n",))], {"properties": ["n"]}),
        ([EventFilter("allow", paths=("email",))], {"properties": ["email"], "traits": ["email"]}),
        ([EventFilter("allow", paths=("absent",))], {"properties": [], "traits": []}),
        ([EventFilter("allow", 'type = "page"', paths=("absent",))], {}),
        (
            [EventFilter("allow", paths=("email", "n")), BLOCK],
            {"properties": ["n"], "traits": []},
        ),
    ],
)
def test_what_is_taken_out(filters: list[EventFilter], expected: dict[str, list[str]]) -> None:
    """Only that, and the event itself is not changed."""
    before = copy.deepcopy(EVENT)
    found = EventFilters(filters).apply(EVENT)
    assert before == EVENT
    for root in ("properties", "traits", "context"):
        assert sorted(found[root]) == sorted(expected.get(root, EVENT[root]))
    assert found["userId"] == "u1"


def test_parts_of_properties() -> None:
    """A path leads into objects; what is no object stays as it is."""
    blocked = EventFilters([EventFilter("block", paths=("plan.price", "context.page.url"))])
    found = blocked.apply(EVENT)
    assert found["properties"]["plan"] == {"name": "pro"}
    assert found["context"] == {"ip": "10.0.0.1", "page": {"title": "t"}}
    allowed = EventFilters(
        [EventFilter("allow", paths=("plan.name", "email.x", "context.page.url"))]
    )
    found = allowed.apply(EVENT)
    assert found["properties"] == {"plan": {"name": "pro"}, "email": "e@example.com"}
    assert found["context"] == {"page": {"url": "u"}}


@pytest.mark.parametrize("value", [None, "text", 3, [], [{"email": 1}]])
def test_odd_events(value: object) -> None:
    """What is no object, or not there, is left alone."""
    filters = EventFilters(
        [EventFilter("block", paths=("email",)), EventFilter("allow", paths=("context.a.b",))]
    )
    event = {"type": "track", "properties": value, "context": value}
    assert filters.apply(event) == event
    assert filters.apply({"type": "track"}) == {"type": "track"}
