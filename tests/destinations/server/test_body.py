"""Events in bodies: found as the bytes that stand there, or a message that says what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import BodyError
from destinations.server import read_body
from destinations.server.body import first_event


@pytest.mark.parametrize(
    ("body", "events", "is_batch"),
    [
        (b'{"type": "track"}', [b'{"type": "track"}'], False),
        (b' \r\n{"a": 1}\n', [b'{"a": 1}'], False),
        (b'\xef\xbb\xbf{"a": 1}', [b'{"a": 1}'], False),
        (b'\xef\xbb\xbf [{"a": 1}]', [b'{"a": 1}'], True),
        (b'\xef\xbb\xbf{"batch": [{"a": 1}]}', [b'{"a": 1}'], True),
        (b"[]", [], True),
        (b"[ ]", [], True),
        (b'[{"a":1}]', [b'{"a":1}'], True),
        (b'[ {"a": [1, {"b": 2}]} ,\n {} ]', [b'{"a": [1, {"b": 2}]}', b"{}"], True),
        (b'["],[", "\\"]", "\\\\"]', [b'"],["', b'"\\"]"', b'"\\\\"'], True),
        ('[{"a": "ä😀"}, 1]'.encode(), ['{"a": "ä😀"}'.encode(), b"1"], True),
        (b'[{"a": "\\ud800"}, {"b" 1}]', [b'{"a": "\\ud800"}', b'{"b" 1}'], True),
        (b'{"batch": [{"a": 1}, {}], "sentAt": "x"}', [b'{"a": 1}', b"{}"], True),
        (b'{"sentAt": 1, "batch" : [ ] }', [], True),
        (b'{"b\\u0061tch": [{}], "k": "batch", "batch_": "\\"batch\\""}', [b"{}"], True),
        (b'{"batch": [{}], "context": {}, "integrations": null}', [b"{}"], True),
        (b'{"type": "track", "batch": [1]}', [b'{"type": "track", "batch": [1]}'], False),
        (b'{"properties": {"batch": [1]}}', [b'{"properties": {"batch": [1]}}'], False),
        (b'{"batch" [1]}', [b'{"batch" [1]}'], False),
        (b"nonsense", [b"nonsense"], False),
        (b'{"a": ', [b'{"a":'], False),
    ],
)
def test_events_are_found_as_they_stand(body: bytes, events: list[bytes], is_batch: bool) -> None:
    """One object, an array or a batch; not a byte of an event is changed."""
    found = read_body(body)
    assert (list(found.events), found.is_batch) == (events, is_batch)


@pytest.mark.parametrize(
    ("body", "message", "status"),
    [
        (b"", "the body is empty", 400),
        (b" \n", "the body is empty", 400),
        (b'[{"a": 1}', "ends before it is complete", 400),
        (b'[{"a": "b]', "ends before it is complete", 400),
        (b'[{"a": "\\"]', "ends before it is complete", 400),
        (b'[{"a": [}]', "a wrong closing bracket at byte 9", 400),
        (b"[1}", "a wrong closing bracket at byte 3", 400),
        (b"[1] 2", "something follows its end, at byte 4", 400),
        (b"[1][2]", "something follows its end, at byte 4", 400),
        (b"[1,]", "item 1 of the array is empty", 400),
        (b"[,1]", "item 0 of the array is empty", 400),
        (b'{"batch": {}}', "batch must be an array", 400),
        (b'{"batch": [], "batch": [1]}', "batch occurs twice", 400),
        (b'{"batch": [1], "context": {"ip": "1"}}', "context next to batch", 400),
        (b'{"batch": [1], "integrations": {"All": false}}', "integrations next to batch", 400),
        (b"[" * 400_000, "ends before it is complete", 400),
        (b"[" + b"1," * 2_500 + b"1]", "holds 2,501 events, more than 2,500", 413),
    ],
)
def test_bodies_without_events(body: bytes, message: str, status: int) -> None:
    """What is wrong with the whole is said, with the place."""
    with pytest.raises(BodyError) as caught:
        read_body(body)
    assert message in caught.value.message
    assert caught.value.status == status


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(_JSON), st.booleans(), st.sampled_from([None, 1]))
def test_any_array_is_split_as_json_has_it(
    items: list[object], ascii_only: bool, indent: int | None
) -> None:
    """Each part, read alone, is the item."""
    text = json.dumps(items, ensure_ascii=ascii_only, indent=indent)
    assert [json.loads(event) for event in read_body(text.encode()).events] == items
    batch = json.dumps({"x": items, "batch": items}, ensure_ascii=ascii_only, indent=indent)
    assert [json.loads(event) for event in read_body(batch.encode()).events] == items


@given(st.binary(max_size=60) | st.text(alphabet='[]{},:" \\batch1', max_size=60).map(str.encode))
def test_any_bytes_end_in_events_or_a_fault(data: bytes) -> None:
    """Nothing else is raised, and every event is a piece of the body."""
    try:
        body = read_body(data)
    except BodyError:
        return
    assert all(event in data for event in body.events)


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (b'{"type": "track"}', b'{"type": "track"}'),
        (b'[ {"a": "]"} , nonsense', b'{"a": "]"}'),
        (b'{"batch": [{"a": {}}, nonsense', b'{"a": {}}'),
        (b'{"sentAt": {"x": [1]}, "b\\u0061tch" : [ 1 , 2], "x": "batch", "batch": 3', b"1"),
        (b'{"batch": [1', b'{"batch": [1'),
        (b'{"batch": {"a": 1}}', b'{"batch": {"a": 1}}'),
        (b"[]", b""),
        (b"", b""),
        (b"[" * 400_000, b"[" * 400_000),
    ],
)
def test_the_first_event_alone(body: bytes, first: bytes) -> None:
    """It is found whatever comes behind it; where there is none it is the body."""
    assert first_event(body) == first


@pytest.mark.parametrize(
    "body",
    [
        b'{"x": [' + b"[]," * 16_000 + b'[]], "y": [' + b"[]," * 16_000 + b'[]], "batch": [1]}',
        b"{" + b'"a":1,' * 40_000 + b'"batch": [1]}',
    ],
    ids=["brackets", "members"],
)
def test_a_first_event_that_is_too_far_away(body: bytes) -> None:
    """Looking for it ends, as it would cost too much for a stranger."""
    assert first_event(body) == body
    assert list(read_body(body).events) == [b"1"]


@given(st.lists(_JSON, min_size=1), st.booleans())
def test_the_first_event_is_that_of_the_body(items: list[object], is_batch: bool) -> None:
    """What is found before a body is read is what is read then."""
    data = json.dumps({"x": items, "batch": items} if is_batch else items, indent=1).encode()
    assert first_event(data) == read_body(data).events[0]
