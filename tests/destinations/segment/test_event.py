"""Events are read strictly, and checked like the ingest API checks them."""

from __future__ import annotations

import json
import math
from typing import Any

import jiter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import EventError
from destinations.segment.event import (
    MAX_EVENT_BYTES,
    check_event,
    integrations_allow,
    missing_fields,
    read_event,
    read_json,
    with_spec_names,
)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, -2.5, "x", null, true, {}]}', {"a": [1, -2.5, "x", None, True, {}]}),
        (b' \t\r\n"text" ', "text"),
        (b"1e308", 1e308),
        (b'"1e999"', "1e999"),
        (b'{"a": "1e999", "b": 1e22}', {"a": "1e999", "b": 1e22}),
        (b"1" * 310, int("1" * 310)),
        (b'"\\ud83d\\ude00"', "😀"),
        ('"žluť"'.encode(), "žluť"),
        (b"[" * 150 + b"]" * 150, None),
    ],
)
def test_json_is_read(data: bytes, value: object) -> None:
    """What is exactly one JSON value is that value."""
    found = read_json(data)
    assert value is None or found == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[1 2]",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1E+400",
        b'{"a": [{"b": 1e400}]}',
        b"1" * 330 + b".5",
        b'{"a": 1, "a": 2}',
        b'{"x": {"a": 1, "\\u0061": 2}}',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"a\nb"',
        b"\xef\xbb\xbf{}",
        b"[" * 250 + b"]" * 250,
        b"1" * 5000,
    ],
)
def test_what_is_not_exactly_one_json_value_is_refused(data: bytes) -> None:
    """Nothing is read that a strict reader elsewhere would refuse, or read differently."""
    with pytest.raises(EventError, match="is not JSON") as caught:
        read_json(data)
    assert caught.value.code == "NOT_JSON"
    assert " at line 1 " not in str(caught.value)  # it may stand in any line of a file


@pytest.mark.parametrize(
    ("length", "fits"), [(MAX_EVENT_BYTES, True), (MAX_EVENT_BYTES + 1, False)]
)
def test_the_size_of_an_event_is_limited(length: int, fits: bool) -> None:
    """32 KiB are an event, one byte more is none."""
    data = b'"' + b"x" * (length - 2) + b'"'
    if fits:
        assert len(read_json(data)) == length - 2
    else:
        with pytest.raises(EventError, match="32,769 bytes, more than 32,768") as caught:
            read_json(data)
        assert caught.value.code == "TOO_LARGE"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates are the one thing that Python's JSON can write and no event may hold.
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=5)
    ),
)


@given(value=JSON, ascii_only=st.booleans())
def test_json_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:
    """Any JSON value comes back, however its texts are escaped."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert read_json(data, limit=len(data)) == value


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes in, the reader answers with a value or with its own error."""
    try:
        value = read_json(data)
    except EventError:
        return
    assert value == json.loads(data)


def _has_infinity(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_infinity, value.values()))
    if isinstance(value, list):
        return any(map(_has_infinity, value))
    return isinstance(value, float) and math.isinf(value)


_WORDS = {
    "expected ident": "expected true, false or null, or a text in quotation marks",
    "EOF while parsing": "it ends within",
}


def _strictly(data: bytes) -> tuple[str, str]:
    """What a reader that knows no shortcut says: a value with its types, or an error."""
    try:
        value = jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        said = str(error).replace(" at line 1 column ", " at column ")
        for jargon, words in _WORDS.items():
            said = said.replace(jargon, words)
        return "error", f"is not JSON: {said}"
    if _has_infinity(value):
        return "error", "is not JSON: a number is too large to be represented"
    return "value", repr(value)


def _read(data: bytes) -> tuple[str, str]:
    try:
        return "value", repr(read_json(data, limit=len(data)))
    except EventError as error:
        return "error", error.message


NUMBERS = [
    *("0", "-0", "-0.0", "0.0", "1", "1.0", "1.50", "1e5", "1E5", "1e+5", "1e-400", "1e400"),
    *("-1e400", "1e308", "1.7976931348623157e308", "1.7976931348623159e308", "5e-324", "1e-324"),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615"),
    *("18446744073709551616", "-9223372036854775808", "-9223372036854775809", "1" * 40, "1" * 5000),
    *("1" * 309 + ".0", "1" * 330 + ".5", "0.1", "0.30000000000000004", "100000000000000000000.0"),
    *("123456789012345680.0", "1e16", "1e22", "1e23", "01", "-", "+1", ".5", "1.", "1e", "0x1"),
    *("NaN", "Infinity", "-Infinity", "nan", "inf", "1_0", "1e1000000"),
]
TEXTS = [
    *('""', '"a"', '"\\u0061"', '"\\n"', '"\n"', '"\\/"', '"/"', '"\\u2028"', '"\u2028"', '"\x7f"'),
    *(
        '"\\ud83d\\ude00"',
        '"\U0001f600"',
        '"\\ud800"',
        '"\\udc00"',
        '"\\ud800\\ud800"',
        '"\\ud800a"',
    ),
    *('"\\udc00\\ud800"', '"\\ud800', '"\\u12"', '"\\x41"', '"null"', '"inf"', "'a'", '"\\u0000"'),
    '"ž"',
]
SCALARS = st.sampled_from(["null", "true", "false", "nul", "True", *NUMBERS, *TEXTS]) | st.builds(
    json.dumps, st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
SPACES = st.sampled_from(["", "", "", "", " ", "\n", "\t", "\r", "\x0b", "\ufeff"])


def _list(items: list[str], space: str, end: str) -> str:
    return "[" + f",{space}".join(items) + end + "]"


def _object(items: list[tuple[str, str]], space: str, end: str) -> str:
    return "{" + f",{space}".join(f"{key}:{space}{value}" for key, value in items) + end + "}"


ENDS = st.sampled_from(["", "", "", "", "", ",", "}", "]"])
# Few keys, so that many are there twice; one of them is written in two ways.
KEYS = st.sampled_from(['"a"', '"b"', '"\\u0061"', '""', '"\\ud800"', "a", "1"])
NEARLY_JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(_list, st.lists(inner, max_size=4), SPACES, ENDS)
        | st.builds(_object, st.lists(st.tuples(KEYS, inner), max_size=4), SPACES, ENDS)
    ),
    max_leaves=10,
)


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@st.composite
def _cut_up(draw: st.DrawFn) -> bytes:
    """JSON in which a byte or two were changed."""
    data = bytearray(json.dumps(draw(JSON), ensure_ascii=draw(st.booleans())).encode())
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 1))] = draw(st.binary(max_size=2))
    return bytes(data)


@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.builds(str.encode, NEARLY_JSON),
        st.builds(lambda text, space: (space + text + space).encode(), NEARLY_JSON, SPACES),
        st.builds(_compact, JSON),
        _cut_up(),
    )
)
def test_the_quick_reader_is_the_strict_one(data: bytes) -> None:
    """Whichever is taken, a value has the same types and order, and an error the same words."""
    assert _read(data) == _strictly(data)


@pytest.mark.parametrize("around", ["%s", "[%s]", '{"a":%s}', '{"a": %s}', '[[],%s,null,"inf"]'])
def test_numbers_and_texts_are_read_strictly(around: str) -> None:
    """Each of those that readers differ on is read as the strict one reads it."""
    for text in [*NUMBERS, *TEXTS]:
        data = (around % text).encode("utf-8", "surrogatepass")
        assert _read(data) == _strictly(data), text


@pytest.mark.parametrize(
    "data",
    [
        *(b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'[{"b":{"a":1,"a":1}}]', b'{"a":1,"\\u0061":1}'),
        *(b'{"":1,"":1}', b'{"a":[],"b":1,"a":[]}', b'{"a":{"a":1},"a":{"a":1}}'),
    ],
)
def test_a_repeated_key_is_refused(data: bytes) -> None:
    """Of two equal keys one would win in silence, also where their values are equal."""
    kind, message = _read(data)
    assert kind == "error"
    assert "uplicate key" in message


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"":'])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize(
    "levels", [1, 99, 100, 101, 150, 198, 199, 200, 201, 202, 400, 999, 20_000]
)
def test_nesting(opening: bytes, levels: int, closed: bool) -> None:
    """It is read as deeply as the strict reader does, and refused with the same words."""
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"":': b"}]"}[opening]
    data = opening * levels + b"1" + closing * (levels if closed else 0)
    assert _read(data) == _strictly(data)


def test_many_that_are_not_deep() -> None:
    """More than 200 objects side by side are read."""
    data = b"[" + b",".join([b'{"a":[]}'] * 500) + b"]"
    assert read_json(data) == [{"a": []}] * 500


TRACK = {"type": "track", "event": "Used", "userId": "u1"}


@pytest.mark.parametrize(
    "event",
    [
        TRACK,
        {"type": "track", "event": "Used", "anonymousId": "a1"},
        {"type": "identify", "userId": "u1", "traits": {}},
        {"type": "page", "anonymousId": "a1"},
        {"type": "screen", "anonymousId": "a1", "name": None},
        {"type": "group", "userId": "u1", "groupId": "g1"},
        {"type": "alias", "userId": "u1", "previousId": "p1"},
        {**TRACK, "messageId": "m" * 100},
        {**TRACK, "traits": None, "properties": None, "context": None, "anonymousId": None},
        {**TRACK, "version": 2, "anything": [1]},
    ],
)
def test_events_are_accepted(event: dict[str, Any]) -> None:
    """An event comes back as it was."""
    assert check_event(event) is event


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ([TRACK], "NOT_OBJECT", "not an array"),
        ("track", "NOT_OBJECT", "not text"),
        (None, "NOT_OBJECT", "not null"),
        (True, "NOT_OBJECT", "not true or false"),
        (1.5, "NOT_OBJECT", "not a number"),
        ({}, "TYPE_INVALID", "type must be one of alias, group"),
        (
            {"type": "delete", "anonymousId": "a"},
            "NO_USER_ANON_ID",
            "a delete call needs a userId",
        ),
        ({**TRACK, "type": "Track"}, "TYPE_INVALID", "not 'Track'"),
        ({**TRACK, "type": ["track"]}, "TYPE_INVALID", "not "),
        ({**TRACK, "type": "t" * 1000}, "TYPE_INVALID", "not "),
        ({**TRACK, "userId": 7}, "ID_NOT_STRING", "userId must be text, not a number"),
        ({**TRACK, "anonymousId": {}}, "ID_NOT_STRING", "anonymousId must be text, not an object"),
        ({**TRACK, "messageId": False}, "ID_NOT_STRING", "messageId must be text"),
        ({**TRACK, "groupId": []}, "ID_NOT_STRING", "groupId must be text, not an array"),
        ({**TRACK, "previousId": 1}, "ID_NOT_STRING", "previousId must be text"),
        ({**TRACK, "properties": []}, "PROPERTIES_NOT_OBJECT", "not an array"),
        ({**TRACK, "traits": "x"}, "TRAITS_NOT_OBJECT", "traits must be an object, not text"),
        ({**TRACK, "context": 1}, "CONTEXT_NOT_OBJECT", "context must be an object"),
        ({**TRACK, "integrations": True}, "INTEGRATIONS_NOT_OBJECT", "not true or false"),
        ({"type": "track", "event": "Used"}, "NO_USER_ANON_ID", "neither"),
        ({**TRACK, "userId": ""}, "NO_USER_ANON_ID", "neither"),
        ({**TRACK, "messageId": "m" * 101}, "MESSAGE_ID_TOO_LONG", "longer than 100"),
        ({"type": "track", "userId": "u1"}, "EVENT_NOT_DEFINED", "needs an event name"),
        ({**TRACK, "event": ""}, "EVENT_NOT_DEFINED", "needs an event name"),
        ({**TRACK, "event": 0}, "EVENT_NOT_STRING", "event must be text, not a number"),
        ({"type": "group", "userId": "u1"}, "GROUP_ID_NOT_DEFINED", "needs a groupId"),
        ({"type": "alias", "userId": "u1"}, "ALIAS_IDS_NOT_DEFINED", "a previousId"),
        (
            {"type": "alias", "anonymousId": "a1", "previousId": "p1"},
            "ALIAS_IDS_NOT_DEFINED",
            "a userId",
        ),
    ],
)
def test_what_is_no_event_is_refused(value: object, code: str, message: str) -> None:
    """The first rule that is broken is named, by its reject code and in words."""
    with pytest.raises(EventError, match=message) as caught:
        check_event(value)
    assert caught.value.code == code
    assert len(str(caught.value)) < 200


@given(value=JSON)
def test_any_value_is_an_event_or_is_refused(value: Any) -> None:
    """No JSON value makes the check fail in any other way."""
    try:
        event = check_event(value)
    except EventError:
        return
    assert event is value


@pytest.mark.parametrize(
    ("event", "missing"),
    [
        ({"userId": "u"}, ["anonymousId"]),
        ({"userId": "", "anonymousId": "a"}, ["userId"]),
        ({"userId": None}, ["userId", "anonymousId"]),
        ({"userId": "u", "anonymousId": "a"}, []),
    ],
)
def test_missing_fields(event: dict[str, Any], missing: list[str]) -> None:
    """Null and empty text count as absent; the order is that of what is required."""
    assert missing_fields(event, ["userId", "anonymousId"]) == missing


@pytest.mark.parametrize(
    ("integrations", "allowed"),
    [
        (None, True),
        ({}, True),
        ({"All": True}, True),
        ({"All": False}, False),
        ({"All": {}}, True),
        ({"Sample": False}, False),
        ({"Sample": True}, True),
        ({"Sample": {"option": 1}}, True),
        ({"Sample": {}}, True),
        ({"All": False, "Sample": True}, True),
        ({"All": False, "Sample": {"option": 1}}, True),
        ({"All": True, "Sample": False}, False),
        ({"All": False, "Sample": None}, False),
        ({"sample": False}, True),
        ({"all": False}, True),
        ({"Other": False}, True),
    ],
)
def test_integrations(integrations: object, allowed: bool) -> None:
    """The destination's own key, in its own case, beats ``All``; options count as true."""
    assert integrations_allow({"integrations": integrations}, "Sample") is allowed


def test_no_integrations_allow_everything() -> None:
    """An event without the object goes everywhere."""
    assert integrations_allow({}, "Sample")


@pytest.mark.parametrize(
    ("context", "read"),
    [
        (rb'{"\ud800": 1, "\ud801": 2}', {"\ufffd": 1, "\ufffd\ufffd": 2}),
        (
            rb'{"\ud801": 1, "\ud800": 2, "\udfff": 3}',
            dict(zip(("\ufffd" * n for n in (1, 2, 3)), (1, 2, 3), strict=True)),
        ),
        (rb'{"\ud800": 1, "\ufffd": 2}', {"\ufffd\ufffd": 1, "\ufffd": 2}),
        (b'{"\xed\xa0\x80": 1, "\xed\xa0\x81": 2}', {"\ufffd": 1, "\ufffd\ufffd": 2}),
        (
            rb'{"a\ud800": "b\ud83d", "a\ud801": [1.50, "\ud83d\ude00"]}',
            {"a\ufffd": "b\ufffd", "a\ufffd\ufffd": [1.5, "😀"]},
        ),
        (
            rb'{"x": [{"\ud800": 12345678901234567890, "\ud801": null}]}',
            {"x": [{"\ufffd": 12345678901234567890, "\ufffd\ufffd": None}]},
        ),
        (rb'{"\ud800": 1, "b": 2}', {"\ufffd": 1, "b": 2}),
    ],
    ids=["two", "three", "the mark itself", "bytes", "values", "deep", "one"],
)
def test_keys_that_differ_by_half_a_character(context: bytes, read: Any) -> None:
    """Both stay, in their order, with all that they hold: no event is lost by it."""
    data = b'{"type": "page", "userId": "u", "context": ' + context + b"}"
    mended, event = read_event(data)
    assert event["context"] == read
    assert list(event["context"]) == list(read)
    assert read_json(mended) == event
    assert read_event(mended) == (mended, event)


@pytest.mark.parametrize(
    "rest",
    [
        rb'"a": {"\ud800": 1, "\ud800": 2}',
        rb'"a": {"\ud800": 1, "\ud801": 2}, "b": {"c": 1, "c": 2}',
        rb'"a": {"\ud800": 1, "\ud801": 2}, "b": 1e999',
        rb'"a": {"\ud800": 1, "\ud801": 2}, "b": NaN',
        rb'"a": {"\ud800": 1, "\ud801": 2}, "b": ' + b"[" * 900 + b"]" * 900,
        rb'"a": {"\ud800": 1, "\ud801": 2} "b": 1',
    ],
    ids=["half twice", "another twice", "infinite", "NaN", "deep", "no comma"],
)
def test_what_half_a_character_does_not_hide(rest: bytes) -> None:
    """What is no JSON without it is none with it."""
    with pytest.raises(EventError) as caught:
        read_event(b'{"type": "page", "userId": "u", ' + rest + b"}")
    assert caught.value.code == "NOT_JSON"


def test_an_id_beside_such_keys() -> None:
    """Half a character in it is refused as ever."""
    with pytest.raises(EventError) as caught:
        read_event(rb'{"type": "page", "userId": "u\ud800", "a": {"\ud800": 1, "\ud801": 2}}')
    assert caught.value.code == "ID_NOT_TEXT"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b'{"USERID":"u","messageid":"m"}', b'{"userId":"u","messageId":"m"}'),
        (
            b'{"TYPE":"track","Properties":{"UserID":1}}',
            b'{"type":"track","properties":{"UserID":1}}',
        ),
        (b'{"userid":"a","userId":"b"}', None),
        (b'{"userid":"a","USERID":"b"}', b'{"userId":"a","USERID":"b"}'),
        (b'{"userId":"u","Other":1}', None),
        (b'{"EVENT":1' + b"0" * 40 + b',"n":1.50}', b'{"event":1' + b"0" * 40 + b',"n":1.5}'),
        ('{"USERID":"ž"}'.encode(), '{"userId":"ž"}'.encode()),
        (b"[1]", None),
        (b"no json", None),
        (b'{"USERID":1,"USERID":2}', None),
    ],
)
def test_fields_in_any_case(data: bytes, named: bytes | None) -> None:
    """Fields of the Spec get its names, and nothing else changes."""
    assert with_spec_names(data) == (data if named is None else named)
