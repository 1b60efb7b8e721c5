"""Random bytes are read as exactly one JSON value or refused, and so are events."""

# ruff: noqa: PT017 - random input may be refused or not; what is refused must be so in good words
from __future__ import annotations

import json
import math
from typing import Any

import jiter
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from destinations.errors import EventError
from destinations.segment.event import (
    MAX_EVENT_BYTES,
    check_event,
    integrations_allow,
    missing_fields,
    read_json,
)

pytestmark = pytest.mark.fuzz

PIECES = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b'"a"', b'"type":"track"', b'"\\ud800"', b"1", b"-0",
    b"1e400", b"NaN", b"Infinity", b"true", b"null", b"\\", b"\xff", b"\x00", b" ", b"\xef\xbb\xbf",
    b'{"a":1,"a":2}', b"9" * 4400, b"01", b"[" * 201,
]  # fmt: skip


def _is_clean(value: Any) -> bool:
    """Whether a value can be written as JSON in UTF-8, as everything that is sent must be."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return not (isinstance(value, float) and math.isinf(value))


@settings(settings.get_profile("fuzz"))
@given(
    raw=st.one_of(
        st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
    )
)
@example(b'{"a":' * 300 + b"1" + b"}" * 300)
@example(b"[" * (MAX_EVENT_BYTES + 1))
def test_random_bytes(raw: bytes) -> None:
    """Bytes are refused with a code and a reason, or read to what can be sent on."""
    try:
        value = read_json(raw)
    except EventError as error:
        assert error.code in {"NOT_JSON", "TOO_LARGE"}
        assert error.message
        assert "\n" not in error.message
    else:
        assert _is_clean(value)
        assert value == json.loads(raw)


@settings(settings.get_profile("fuzz"))
@given(data=st.data(), compact=st.booleans())
def test_random_values(data: st.DataObject, strategies: Any, compact: bool) -> None:
    """A value is read as the strict reader of JSON reads it, or refused as by that."""
    value = data.draw(strategies.json)
    separators = (",", ":") if compact else (", ", ": ")
    raw = json.dumps(value, ensure_ascii=not compact, separators=separators)
    written = raw.encode("utf-8", "surrogatepass")
    try:
        expected = repr(jiter.from_json(written, allow_inf_nan=False, catch_duplicate_keys=True))
    except ValueError as error:
        expected = f"is not JSON: {error}".replace(" at line 1 column ", " at column ")
    try:
        found = repr(read_json(written))
    except EventError as error:
        found = error.message
    assert found == expected


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_events(data: st.DataObject, strategies: Any) -> None:
    """Any JSON is refused with a code and a reason, or is an event with sound parts."""
    common = {
        "type": st.one_of(
            st.sampled_from(["track", "identify", "alias", "group"]), strategies.json
        ),
        "userId": st.one_of(st.text(max_size=3), strategies.json),
        "event": st.one_of(st.text(max_size=3), strategies.json),
        "properties": strategies.json,
        "integrations": strategies.json,
        "messageId": st.one_of(st.text(min_size=90, max_size=110), strategies.json),
    }
    event = data.draw(st.one_of(strategies.json, st.fixed_dictionaries({}, optional=common)))
    try:
        checked = check_event(event)
    except EventError as error:
        assert error.code
        assert error.message
        assert len(error.message) < 200
        return
    assert checked is event
    assert isinstance(checked.get("properties"), dict | None)
    assert integrations_allow(checked, "Kana") in {True, False}
    assert missing_fields(checked, ["type"]) == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": 1, "a": 2}', "uplicate"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": 1e400}', "too large to be represented"),
        (b'"\\ud800"', "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[" * 300, "recursion limit"),
        (b"9" * 5000, "out of range"),
    ],
)
def test_reasons(raw: bytes, reason: str) -> None:
    """What is not strict JSON is refused, and the reason says what it is."""
    with pytest.raises(EventError) as caught:
        read_json(raw)
    assert reason in caught.value.message
