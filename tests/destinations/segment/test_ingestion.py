"""Events are completed as Segment's HTTP API completes them, and stay one event when sent again."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.pipeline.dedupe import fingerprint
from destinations.segment.event import ID_FIELDS, read_event
from destinations.segment.ingestion import Sending, completed, sent_event

CAME = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
CAME_TEXT = "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize(
    ("event", "beside", "expected"),
    [
        pytest.param({"a": 1}, {}, {"a": 1}, id="nothing beside"),
        pytest.param(
            {"context": {"ip": "own"}},
            {"context": {"ip": "shared", "locale": "de"}},
            {"context": {"ip": "own", "locale": "de"}},
            id="the event's own keys win",
        ),
        pytest.param(
            {"context": {"library": {"name": "own"}}},
            {"context": {"library": {"name": "shared", "version": "1"}}},
            {"context": {"library": {"name": "own"}}},
            id="a key wins as a whole",
        ),
        pytest.param(
            {}, {"context": {"ip": "shared"}}, {"context": {"ip": "shared"}}, id="none of its own"
        ),
        pytest.param(
            {"context": None},
            {"context": {"ip": "shared"}},
            {"context": {"ip": "shared"}},
            id="null is none",
        ),
        pytest.param(
            {"integrations": {"Kana": False}},
            {"integrations": {"All": True, "Kana": True}},
            {"integrations": {"All": True, "Kana": False}},
            id="integrations",
        ),
        pytest.param(
            {"context": "text"}, {"context": {"ip": "x"}}, {"context": "text"}, id="no object"
        ),
        pytest.param({"sentAt": "own"}, {"sentAt": "shared"}, {"sentAt": "own"}, id="sent at"),
        pytest.param({}, {"sentAt": "shared"}, {"sentAt": "shared"}, id="sent at, shared"),
        pytest.param({"writeKey": "k", "a": 1}, {}, {"a": 1}, id="without the write key"),
        pytest.param([1], {"context": {"ip": "x"}}, [1], id="no event"),
        pytest.param(
            {"_metadata": {"nodeVersion": "20", "retryCount": 2}},
            {},
            {"_metadata": {"nodeVersion": "20"}},
            id="without the number of attempts",
        ),
        pytest.param({"_metadata": {"retryCount": 2}}, {}, {}, id="nothing but attempts"),
        pytest.param({"_metadata": "x"}, {}, {"_metadata": "x"}, id="other metadata"),
    ],
)
def test_what_stands_beside_a_batch(event: Any, beside: dict[str, Any], expected: Any) -> None:
    """It holds for each event, but for what an event says itself; nothing given is changed."""
    before = deepcopy((event, beside))
    assert sent_event(event, Sending(CAME, beside=beside)) == expected
    assert (event, beside) == before


@pytest.mark.parametrize(
    ("given", "path", "expected"),
    [(None, "track", "track"), ("page", "track", "track"), ("page", None, "page")],
)
def test_the_type(given: str | None, path: str | None, expected: str) -> None:
    """It comes from the path, where that says it."""
    event = {} if given is None else {"type": given}
    assert sent_event(event, Sending(CAME, path)) == {"type": expected}


@pytest.mark.parametrize(
    ("event", "traits"),
    [
        ({"type": "identify", "context": {"traits": {"a": 1}}}, {"a": 1}),
        ({"type": "identify", "context": {"traits": {"a": 1}}, "traits": {"a": 2}}, {"a": 2}),
        ({"type": "identify", "context": {"traits": {"a": 1}}, "traits": None}, {"a": 1}),
        ({"type": "track", "context": {"traits": {"a": 1}}}, None),
        ({"type": "identify", "context": {}}, None),
        ({"type": "identify", "context": {"traits": [1]}, "traits": {"b": 1}}, {"b": 1}),
        ({"type": "identify", "context": {"traits": {"a": 1}}, "traits": "x"}, "x"),
    ],
)
def test_traits_in_the_context(event: dict[str, Any], traits: object) -> None:
    """Of identify calls they are the user's where the source says so, and own traits win."""
    found = sent_event(event, Sending(CAME, context_traits=True))
    assert isinstance(found, dict)
    assert found.get("traits") == traits
    assert sent_event(event, Sending(CAME)) == event


@pytest.mark.parametrize(
    ("times", "timestamp", "original"),
    [
        pytest.param({}, CAME_TEXT, None, id="none"),
        pytest.param({"sentAt": CAME_TEXT}, CAME_TEXT, None, id="only sentAt"),
        pytest.param(
            {"timestamp": "2026-01-01T00:00:00.000Z"},
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T00:00:00.000Z",
            id="without sentAt it stays",
        ),
        pytest.param(
            {"timestamp": "2026-01-02T03:04:00.000Z", "sentAt": "2026-01-02T03:04:05.678Z"},
            "2026-01-02T03:04:00.000Z",
            "2026-01-02T03:04:00.000Z",
            id="a clock that is right",
        ),
        pytest.param(
            {"timestamp": "2026-01-02T02:04:00.000Z", "sentAt": "2026-01-02T02:04:05.678Z"},
            "2026-01-02T03:04:00.000Z",
            "2026-01-02T02:04:00.000Z",
            id="a clock that is an hour late",
        ),
        pytest.param(
            {"timestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"},
            "2026-01-02T03:03:55.678Z",
            "2031-01-01T00:00:00Z",
            id="a clock that is years early",
        ),
        pytest.param(
            {"originalTimestamp": "2026-01-01T00:00:00Z", "timestamp": "2026-01-01T09:00:00Z"},
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            id="originalTimestamp is the sender's",
        ),
        pytest.param(
            {"timestamp": "2026-01-01T02:00:00+02:00", "sentAt": "2026-01-02T04:04:05.678+01:00"},
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T02:00:00+02:00",
            id="zones",
        ),
        pytest.param(
            {"timestamp": "2026-01-01T00:00:00", "sentAt": "2026-01-02T03:04:05.678"},
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T00:00:00",
            id="without a zone it is UTC",
        ),
        pytest.param(
            {"timestamp": "2026-01-01T00:00:00.123456789Z", "sentAt": "2026-01-02T03:04:05.678Z"},
            "2026-01-01T00:00:00.123Z",
            "2026-01-01T00:00:00.123456789Z",
            id="nanoseconds, as Go has them",
        ),
        pytest.param(
            {"timestamp": "yesterday", "sentAt": "2026-01-02T03:04:05.678Z"},
            "yesterday",
            "yesterday",
            id="no time stays",
        ),
        pytest.param(
            {"timestamp": "2026-01-01T00:00:00Z", "sentAt": "now"},
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            id="sentAt is no time",
        ),
        pytest.param(
            {"timestamp": 1767225600000, "sentAt": "2026-01-02T03:04:05.678Z"},
            1767225600000,
            1767225600000,
            id="a number stays",
        ),
        pytest.param(
            {"timestamp": "9999-12-31T23:59:59Z", "sentAt": "2001-01-01T00:00:00Z"},
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            id="out of range stays",
        ),
    ],
)
def test_times(times: dict[str, Any], timestamp: object, original: object) -> None:
    """Timestamp = originalTimestamp - (sentAt - receivedAt), as far as those can be read."""
    found = completed({"type": "track", **times}, "m1", Sending(CAME))
    assert (found["timestamp"], found.get("originalTimestamp")) == (timestamp, original)
    assert (found["messageId"], found["receivedAt"]) == ("m1", CAME_TEXT)


@given(st.integers(946_684_800_000, 4_102_444_800_000), st.integers(-(10**9), 10**9))
def test_a_wrong_clock_makes_no_difference(at: int, skew: int) -> None:
    """Whatever the sender's clock says, the time between event and sending is what counts."""
    off, age = timedelta(milliseconds=skew), timedelta(seconds=90)
    sent_at = datetime.fromtimestamp(at / 1000, UTC) + off
    times = {"timestamp": (sent_at - age).isoformat(), "sentAt": sent_at.isoformat()}
    found = completed({"type": "track", **times}, "m1", Sending(CAME))
    assert found["timestamp"] == "2026-01-02T03:02:35.678Z"


def test_an_event_that_is_sent_again() -> None:
    """It is the same event, whenever its batch is sent again."""
    event = {"type": "track", "event": "E", "userId": "u", "timestamp": "2026-01-01T00:00:00Z"}
    first = sent_event(event, Sending(CAME, beside={"sentAt": "2026-01-01T00:00:01Z"}))
    again = sent_event(event, Sending(CAME, beside={"sentAt": "2026-01-01T00:01:00Z"}))
    assert isinstance(first, dict)
    assert isinstance(again, dict)
    assert first != again
    assert fingerprint(first) == fingerprint(again)


@pytest.mark.parametrize("key", ID_FIELDS)
def test_ids_that_are_numbers(key: str) -> None:
    """A whole number becomes text, as SDKs send ids of databases; nothing else does."""
    found = sent_event({"type": "identify", key: 42}, Sending(CAME))
    assert found == {"type": "identify", key: "42"}
    for other in (True, 4.5, None, ["42"], "42", 10**5_000):
        assert sent_event({"type": "identify", key: other}, Sending(CAME)) == {
            "type": "identify",
            key: other,
        }


def test_a_number_beside_half_a_character() -> None:
    """A number as an id is no text of which half a character could be missing."""
    raw = rb'{"type": "identify", "userId": 42, "traits": {"name": "\ud83d"}}'
    _, event = read_event(raw, lambda value: sent_event(value, Sending(CAME)))
    assert (event["userId"], event["traits"]["name"]) == ("42", "\ufffd")
