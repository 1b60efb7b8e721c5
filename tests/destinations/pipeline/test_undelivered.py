"""What was not delivered is written so that it can be fed back."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import EventError
from destinations.outcome import Outcome, Result, State, Status
from destinations.pipeline.reading import MAX_ENTRY_BYTES, Entry, read_lines
from destinations.pipeline.report import SHOWN, Row
from destinations.pipeline.undelivered import Undelivered, unwrap
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker
from destinations.segment.event import read_json


def _written(*rows: tuple[Row, bytes], secret: str = "") -> bytes:
    stream = BytesIO()
    Undelivered(stream, Masker([secret])).record(rows)
    return stream.getvalue()


KEY = SubscriptionKey("Counts", "count")


def _dead(line: int = 1, key: SubscriptionKey | None = KEY, **more: Any) -> Row:
    return Row(line, key, Result(Outcome.DEAD, "given up", **more))


@pytest.mark.parametrize(
    ("result", "note"),
    [
        (
            Result(Outcome.UNMAPPED, "no thing"),
            {
                "outcome": "unmapped",
                "line": 3,
                "subscription": "Counts",
                "action": "count",
                "reason": "no thing",
            },
        ),
        (
            Result.invalid("a; b", "BAD_REQUEST", ("a", "b")),
            {
                "outcome": "invalid",
                "line": 3,
                "subscription": "Counts",
                "action": "count",
                "reason": "a; b",
                "errors": ["a", "b"],
                "code": "BAD_REQUEST",
                "status": 400,
            },
        ),
        (
            Result(Outcome.DEAD, "key 12345678", "SELF_TIMEOUT", 408, attempts=3),
            {
                "outcome": "dead",
                "line": 3,
                "subscription": "Counts",
                "action": "count",
                "reason": "key ***",
                "code": "SELF_TIMEOUT",
                "status": 408,
                "attempts": 3,
            },
        ),
        (
            Result.invalid("x", "C", ("holds 12345678",)),
            {
                "outcome": "invalid",
                "line": 3,
                "subscription": "Counts",
                "action": "count",
                "reason": "x",
                "errors": ["holds ***"],
                "code": "C",
                "status": 400,
            },
        ),
    ],
)
def test_a_line_says_why(result: Result, note: dict[str, Any]) -> None:
    """Outcome, line, subscription and reasons stand before what was read; secrets are masked."""
    line = _written((Row(3, KEY, result), b'{"a": 1}'), secret="12345678")
    assert json.loads(line) == {"undelivered": note, "rawEvent": {"a": 1}}
    assert line.endswith(b"\n")


@pytest.mark.parametrize("outcome", SHOWN)
def test_what_is_written(outcome: Status) -> None:
    """Everything but what was delivered or is not meant to be."""
    lines = _written((Row(1, None, Result(outcome)), b"{}"))
    assert bool(lines) is (outcome not in {Outcome.DELIVERED, Outcome.FILTERED})


def test_lines_are_counted_and_flushed() -> None:
    """A crash after a record loses none of its lines."""

    class Stream(BytesIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed = len(self.getvalue())

    stream = Stream()
    undelivered = Undelivered(stream, Masker())
    undelivered.record([(_dead(), b"{}"), (Row(2, None, Result(Outcome.DELIVERED)), b"{}")])
    undelivered.record([(_dead(), b"[")])
    assert undelivered.count == 2
    assert stream.flushed == len(stream.getvalue()) > 0


@pytest.mark.parametrize(
    ("data", "key", "value"),
    [
        (b'{"a":\n 1,\r\n"b": 1e2}', "rawEvent", {"a": 1, "b": 100.0}),
        (b'{"a": 1,', "rawText", '{"a": 1,'),
        (b'{"a": 1, "a": 2}', "rawText", '{"a": 1, "a": 2}'),
        (b"1e999", "rawText", "1e999"),
        ('"ž'.encode(), "rawText", '"ž'),
        (b'"\xff"', "rawBase64", "Iv8i"),
    ],
)
def test_the_form_of_what_was_read(data: bytes, key: str, value: object) -> None:
    """JSON stands as itself on one line, other text as text, and other bytes as Base64."""
    line = _written((_dead(), data))
    assert line.count(b"\n") == 1
    assert json.loads(line)[key] == value


def test_huge_entries_are_cut() -> None:
    """A line stays short enough to be fed back whole, and says that something is missing."""
    for data in (b"\0" * 500_000, b"\xff" * 500_000, b'"' * 500_000):
        (entry,) = read_lines(BytesIO(_written((_dead(), data))))
        assert not entry.truncated
        assert len(entry.data) < MAX_ENTRY_BYTES
        assert json.loads(entry.data)["truncated"] is True
        wrapped = unwrap(entry)
        assert wrapped is not None
        assert data.startswith(wrapped.data)
        assert len(wrapped.data) >= 100_000


EVENTS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=9),
    max_size=4,
)


@given(
    data=st.binary(max_size=60)
    | st.tuples(EVENTS, st.sampled_from([None, 1]), st.booleans()).map(
        lambda one: json.dumps(one[0], indent=one[1], ensure_ascii=one[2]).encode()
    ),
    key=st.none() | st.sampled_from([KEY, SubscriptionKey("a: b", "save")]),
    outcome=st.sampled_from([Outcome.DEAD, State.UNKNOWN, Outcome.INVALID, State.READY]),
)
def test_round_trip(data: bytes, key: SubscriptionKey | None, outcome: Status) -> None:
    """Whatever was read comes back byte by byte, with its subscription and outcome.

    Only a line break between the values of JSON has become a space.
    """
    lines = _written((Row(1, key, Result(outcome)), data))
    (entry,) = read_lines(BytesIO(lines))
    wrapped = unwrap(entry)
    assert wrapped is not None
    assert (wrapped.key, wrapped.outcome) == (key, outcome.value)
    assert wrapped.may_be_applied is (outcome is State.UNKNOWN)
    try:
        read_json(data)
    except EventError:
        assert wrapped.data == data
    else:
        assert wrapped.data == data.replace(b"\n", b" ").replace(b"\r", b" ").strip()


@pytest.mark.parametrize(
    ("data", "noted"),
    [
        (b'{"type": "track", "messageId": "m1"}', False),
        (b'{"type": "track", "messageId": "m2"}', True),
        (b'{"type": "track"}', True),
        (b"[1]", True),
        (b"junk", True),
        (b"\xff" * 200_000, True),
    ],
)
def test_what_an_event_is_recognised_by(data: bytes, noted: bool) -> None:
    """It is noted where the event does not say so itself, with the line where it was read."""
    row = Row(17, KEY, Result(Outcome.DEAD), "m1")
    line = _written((row, data))
    assert (json.loads(line)["undelivered"].get("messageId") == "m1") is noted
    wrapped = unwrap(Entry(1, line.strip()))
    assert wrapped is not None
    assert (wrapped.line, wrapped.message_id) == (17, "m1" if noted else "")


def test_a_line_that_somebody_has_rearranged() -> None:
    """Another program may write it anew, or add to it: the event is what it holds."""
    event = {"a": [1, 2]}
    for line in (
        b'{"undelivered":{"outcome":"dead"}, "rawEvent": {"a": [1, 2]}}',
        b'{"undelivered": {"outcome": "dead"}, "rawEvent": {"a": [1, 2]}}',
        b'{"undelivered":{"outcome":"dead","line":"one"},"rawEvent":{"a":[1,2]},"x":1}',
    ):
        wrapped = unwrap(Entry(1, line))
        assert wrapped is not None
        assert json.loads(wrapped.data) == event
        assert wrapped.line == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "track", "undelivered": {}}',
        b'{"undelivered":',
        b'{"undelivered":1,"rawEvent":{}}',
        b'{"undelivered":[],"rawEvent":{}}',
        b'{"undelivered":{"outcome":"dead"}}',
        b'{"undelivered":{"action":7},"rawEvent":{}}',
        b'{"undelivered":{"messageId":7},"rawEvent":{}}',
        b'{"undelivered":{},"rawText":7}',
        b'{"undelivered":{},"rawBase64":"?"}',
        b'{"undelivered":{},"rawBase64":"\xc5\xbe"}',
        b"{}",
        b"",
    ],
)
def test_what_is_no_line_of_such_a_file(line: bytes) -> None:
    """It is an entry like any other: what is wrong with it will be said."""
    assert unwrap(Entry(1, line)) is None


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("count", SubscriptionKey("", "count")),
        ("count: Counts", SubscriptionKey("Counts", "count")),
        ("count: a: b", SubscriptionKey("a: b", "count")),
        (None, None),
    ],
)
def test_a_file_of_an_earlier_version(action: str | None, key: SubscriptionKey | None) -> None:
    """It names the action, and the subscription only where there were several."""
    note = json.dumps({"outcome": "dead", "line": 1, "action": action, "reason": "x"})
    wrapped = unwrap(Entry(1, b'{"undelivered":' + note.encode() + b',"rawEvent":{}}'))
    assert wrapped is not None
    assert wrapped.key == key
