"""Entries are read from NDJSON and from JSON arrays, wherever chunks and lines end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.pipeline import reading as module
from destinations.pipeline.reading import (
    MAX_ENTRY_BYTES,
    Entry,
    IteratedEntries,
    ThreadedEntries,
    read_json_entries,
    read_lines,
)

CUT = b"[ ... the array is cut off: it has no ]"
COMMA = b"[ ... a comma is missing here ... ]"
MORE = b"[ ... ] ... more than one value"


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (b"", []),
        (b"{}", [(1, b"{}")]),
        (b"{}\n", [(1, b"{}")]),
        (b"a\nb\n", [(1, b"a"), (2, b"b")]),
        (b"a\r\nb", [(1, b"a"), (2, b"b")]),
        (b"a\n\n  \t\r\nb", [(1, b"a"), (2, b""), (3, b""), (4, b"b")]),
        (b" \t{} \n", [(1, b"{}")]),
        (b"\x0b{}\x0c", [(1, b"\x0b{}\x0c")]),
        (b"\xff\n\0", [(1, b"\xff"), (2, b"\0")]),
    ],
)
def test_lines(data: bytes, entries: list[tuple[int, bytes]]) -> None:
    """One entry a line, empty ones included; only JSON's white space is taken off."""
    assert [(entry.line, entry.data) for entry in read_lines(BytesIO(data))] == entries


@pytest.mark.parametrize("ending", [b"", b"\n", b"\nnext"])
@pytest.mark.parametrize("extra", [-1, 0, 1, MAX_ENTRY_BYTES, 2 * MAX_ENTRY_BYTES + 5])
def test_long_lines_are_cut(extra: int, ending: bytes) -> None:
    """What is over the limit is dropped, not taken for a line of its own."""
    line = b"x" * (MAX_ENTRY_BYTES + extra)
    first, *rest = read_lines(BytesIO(line + ending))
    assert first.data == line[:MAX_ENTRY_BYTES]
    if extra:
        assert first.truncated is (extra > 0)
    assert rest == ([Entry(2, b"next")] if ending == b"\nnext" else [])


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (b"", []),
        (b" \n", []),
        (b"[]", []),
        (b" [ \n ] \n", []),
        (b'{"a": [1, 2]}', [(1, b'{"a": [1, 2]}')]),
        (b"not json", [(1, b"not json")]),
        (b"[1]", [(1, b"1")]),
        (b'[{"a": 1}, {"b": 2}]', [(1, b'{"a": 1}'), (1, b'{"b": 2}')]),
        (b'[\n  {"a": 1},\n  {"b": 2}\n]\n', [(2, b'{"a": 1}'), (3, b'{"b": 2}')]),
        (b'[{\n"a": 1\n}\n,\n\n{"b": 2}]', [(1, b'{\n"a": 1\n}'), (6, b'{"b": 2}')]),
        (b"[[1, [2]], [3]]", [(1, b"[1, [2]]"), (1, b"[3]")]),
        (
            b'["a]", "b,\\"c", "\\\\", "{"]',
            [(1, b'"a]"'), (1, b'"b,\\"c"'), (1, b'"\\\\"'), (1, b'"{"')],
        ),
        # What is no array to its end is not passed over in silence.
        (b'[{"a": 1}, {"b"', [(1, b'{"a": 1}'), (1, b'{"b"')]),
        (b'[{"a": 1}', [(1, b'{"a": 1}'), (1, CUT)]),
        (b'[{"a": 1},\n{"b": 2},\n', [(1, b'{"a": 1}'), (2, b'{"b": 2}'), (3, CUT)]),
        (b"[", [(1, CUT)]),
        (b"[1,2", [(1, b"1"), (1, b"2"), (1, CUT)]),
        (b"[1][2]", [(1, b"1"), (1, b"2")]),
        (b"[1 2]", [(1, b"1 2")]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 65536])
def test_items_of_an_array(
    monkeypatch: pytest.MonkeyPatch, chunk: int, data: bytes, entries: list[tuple[int, bytes]]
) -> None:
    """One entry for each item, with the line where it begins, however the stream is cut up."""
    if not data.lstrip().startswith(b"["):
        chunk = 65536  # what is no array is read at once
    monkeypatch.setattr(module, "_CHUNK", chunk)
    found = [(entry.line, entry.data) for entry in read_json_entries(BytesIO(data))]
    assert found == entries


WHITE = st.text(st.sampled_from(" \t\r\n"), max_size=3)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.sampled_from('ab"\\[]{},:\n ž'), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.sampled_from('a"\\]},'), max_size=3), inner, max_size=3)
    ),
)


@given(
    items=st.lists(st.tuples(JSON, WHITE, WHITE), max_size=6),
    indent=st.sampled_from([None, 1, "\t"]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 20),
)
def test_any_array_splits_into_its_items(
    items: list[tuple[Any, str, str]], indent: Any, ascii_only: bool, chunk: int
) -> None:
    """Each item comes out as it stands, with its line, whatever is in it and around it."""
    texts = [json.dumps(value, indent=indent, ensure_ascii=ascii_only) for value, _, _ in items]
    data = "["
    lines: list[int] = []
    for text, (_, before, after) in zip(texts, items, strict=True):
        data += ("," if lines else "") + before
        lines.append(data.count("\n") + 1)
        data += text + after
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        found = list(read_json_entries(BytesIO((data + "]").encode())))
    assert [entry.data.decode() for entry in found] == texts
    assert [entry.line for entry in found] == lines


@given(data=st.binary(max_size=40), chunk=st.integers(1, 8))
def test_any_bytes_are_read(data: bytes, chunk: int) -> None:
    """Nothing makes the reader fail, and nothing but white space and marks of arrays is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        entries = [entry.data for entry in read_json_entries(BytesIO(data))]
    # These tell of what is not there.
    found = b"".join(one for one in entries if one not in {CUT, COMMA, MORE})
    marks = b" \t\r\n[],"
    data = data.removeprefix(b"\xef\xbb\xbf")
    assert found.translate(None, marks) == data.translate(None, marks)


@pytest.mark.parametrize("extra", [0, 1, 100_000])
def test_long_items_are_cut(extra: int) -> None:
    """An item over the limit is kept to the limit, and the next one is whole."""
    item = b'"' + b"x" * (MAX_ENTRY_BYTES - 2 + extra) + b'"'
    first, second = read_json_entries(BytesIO(b"[" + item + b",2]"))
    assert first == Entry(1, item[:MAX_ENTRY_BYTES], extra > 0)
    assert second == Entry(1, b"2")


@pytest.mark.parametrize("extra", [-1, 0, 1, 100_000])
def test_a_long_object_is_cut(extra: int) -> None:
    """A file that is one object is held to the same limit."""
    data = b'"' + b"x" * (MAX_ENTRY_BYTES - 2 + extra) + b'"'
    (entry,) = read_json_entries(BytesIO(data))
    assert entry[:3] == (1, data[:MAX_ENTRY_BYTES], extra > 0)
    assert entry.hides_more is bool(entry.fault) is (extra > 0)


ONE, TWO, THREE = b'{"a": "1,}]"}', b'{"a": [2]}', b'{"a": {"b": 3}}'


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        (b"[%s %s\n%s]", {(1, COMMA): "a comma is missing before element 2 (byte 16)"}),
        (b"[%s\n%s, %s]", {(2, COMMA): "a comma is missing before element 2 (byte 16)"}),
        (b"[%s, %s\n,,%s]", {(2, b","): "a comma after element 2: expected an element"}),
        (b"[%s,,%s,\n,%s]", {(1, b","): "a comma after element 1", (2, b","): "a comma after el"}),
        (b"[,%s, %s, %s]", {(1, b","): "a comma before the first element: expected an element"}),
        (b"[%s, %s, %s,\n]", {(2, b","): "a comma before ] after element 3: expected an elem"}),
        (b"[%s, %s foo, %s]", {(1, b"foo"): "text after element 2 (byte 28): expected an element"}),
        (b"[%s, foo %s, %s]", {(1, b"foo"): "text after element 1 (byte 17)"}),
        (b"[foo\n%s, %s, %s]", {(1, b"foo"): "text before the first element (byte 2)"}),
        (b'[%s "x" %s, %s]', {(1, b'"x"'): "text after element 1 (byte 16)"}),
        (b"[%s}, %s, %s]", {(1, b"}"): "text after element 1 (byte 15)"}),
        (b"[%s, %s, %s] foo", {(1, b"foo"): "text after the ] that ends the array (byte 46)"}),
        (b"[%s], %s, %s", {(1, b","): "text after the ] that ends the array (byte 16)"}),
        (b"[%s] %s %s", {(1, MORE): "text after the ] that ends the array (byte 17)"}),
        (b"%s\n%s\n%s\n", {(2, MORE): "more than one value (byte 15): expected a single object"}),
        (b"[%s]\n[%s, %s]", {}),
        (b"[%s, %s, %s", {(1, CUT): "the array has no ] at its end"}),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 7, 65536])
def test_what_is_wrong_between_elements(
    monkeypatch: pytest.MonkeyPatch, chunk: int, data: bytes, faults: dict[tuple[int, bytes], str]
) -> None:
    """It is named with its place and what was expected, and every element is read."""
    monkeypatch.setattr(module, "_CHUNK", chunk)
    entries = list(read_json_entries(BytesIO(data % (ONE, TWO, THREE))))
    assert [entry.data for entry in entries if not entry.fault] == [ONE, TWO, THREE]
    found = {(entry.line, entry.data): entry.fault for entry in entries if entry.fault}
    assert found.keys() == faults.keys()
    for place, fault in faults.items():
        assert found[place].startswith(fault)
    assert not any(entry.hides_more for entry in entries)


@pytest.mark.parametrize(
    ("data", "read", "fault", "hides_more"),
    [
        (b'[%s, {"a": [2}, %s]', [ONE, b'{"a": [2}', THREE], "", False),
        (
            b'[%s,\n{"a": {"b": 1}, %s]\n',
            [ONE],
            "element 2 of the array (from byte 17 on) does not end: the array ends within it",
            True,
        ),
        (
            b'[%s,\n{"a": "1, %s]\n',
            [ONE],
            "element 2 of the array (from byte 17 on) does not end: the input ends within it",
            True,
        ),
        (b'[%s, {"a": 2], %s', [ONE, THREE], "element 2 of the array (from byte 17 on)", True),
        (b'[%s, %s, {"a', [ONE, THREE], "element 3 of the array (from byte 34 on)", True),
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 65536])
def test_an_element_without_an_end(
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    data: bytes,
    read: list[bytes],
    fault: str,
    *,
    hides_more: bool,
) -> None:
    """It says from where on events may be hidden in it; what stands around it is read."""
    monkeypatch.setattr(module, "_CHUNK", chunk)
    entries = list(read_json_entries(BytesIO(data % (ONE, THREE))))
    assert [entry.data for entry in entries if not entry.fault] == read
    first = next((entry for entry in entries if entry.fault), None)
    assert (first is not None and first.hides_more) is hides_more
    if first is not None:
        assert first.fault.startswith(fault)


def test_a_file_without_commas_is_told_once() -> None:
    """Every element is read, and memory holds one of them."""
    data = b"[" + b" ".join(b'{"a": %d}' % number for number in range(1_000)) + b"]"
    entries = list(read_json_entries(BytesIO(data)))
    assert len(entries) == 1_001
    assert [entry.data for entry in entries if entry.fault] == [COMMA]


@pytest.mark.parametrize("data", [b"[" * 100_000, b'[{"a":' * 100_000, b"[" * 2_000 + b"]" * 2_000])
def test_brackets_without_an_end(data: bytes) -> None:
    """However deep they are, they are one entry, and bounded."""
    (entry,) = read_json_entries(BytesIO(data))
    assert len(entry.data) <= MAX_ENTRY_BYTES


@pytest.mark.parametrize("data", [b"[1]", b"1", b" [\n1]"])
def test_a_byte_order_mark_is_no_part_of_the_first_entry(data: bytes) -> None:
    """Files of programs that write a mark first are read like any other; within, it is a fault."""
    assert list(read_json_entries(BytesIO(b"\xef\xbb\xbf" + data))) == list(
        read_json_entries(BytesIO(data))
    )
    lines = read_lines(BytesIO(b"\xef\xbb\xbf1\n\xef\xbb\xbf2"))
    assert [entry.data for entry in lines] == [b"1", b"\xef\xbb\xbf2"]


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (b"[1,\n2]", [Entry(100_001, b"1"), Entry(100_002, b"2")]),
        (b'{"a":\n1}', [Entry(100_001, b'{"a":\n1}')]),
    ],
)
def test_white_space_before_it_may_be_long(data: bytes, entries: list[Entry]) -> None:
    """What a file holds does not depend on how far its beginning is read at once."""
    assert list(read_json_entries(BytesIO(b" " * 100_000 + b"\n" * 100_000 + data))) == entries


def test_entries_of_a_file_come_in_pieces() -> None:
    """As many as are asked for, fewer where they are long, and then it is over."""
    short = IteratedEntries(Entry(number, b"x") for number in range(5))
    assert [len(short.take(2)) for _ in range(3)] == [2, 2, 1]
    assert short.is_over
    long = IteratedEntries(Entry(number, b"x" * MAX_ENTRY_BYTES) for number in range(9))
    assert [len(long.take(500)) for _ in range(3)] == [4, 4, 1]
    assert long.is_over


def _waited_for(entries: ThreadedEntries) -> list[Entry]:
    found: list[Entry] = []
    while not entries.is_over:
        entries.wait(10)
        found += entries.take(3)
    return found


def test_entries_of_a_pipe_come_by_a_thread() -> None:
    """All of them in order, and whoever waits for the first is woken."""
    woken = threading.Event()
    entries = ThreadedEntries((Entry(number, b"x") for number in range(10)), room=4)
    assert not entries.is_over
    entries.start(woken.set)
    assert woken.wait(10)
    assert [entry.line for entry in _waited_for(entries)] == list(range(10))


def test_a_pipe_that_breaks() -> None:
    """What was read before comes first, then the error, once."""

    def source() -> Iterator[Entry]:
        yield Entry(1, b"x")
        raise OSError("gone")

    entries = ThreadedEntries(source())
    entries.start(lambda: None)
    found: list[Entry] = []

    def read() -> None:
        while True:
            entries.wait(10)
            found.extend(entries.take(5))

    with pytest.raises(OSError, match="gone"):
        read()
    assert [entry.line for entry in found] == [1]
    assert entries.is_over


@pytest.mark.parametrize("size", [1, MAX_ENTRY_BYTES])
def test_a_pipe_is_read_no_further_than_there_is_room(size: int) -> None:
    """Nothing is read ahead without bound, neither many entries nor long ones."""
    read: list[int] = []
    full = threading.Event()

    def source() -> Iterator[Entry]:
        for number in range(100):
            read.append(number)
            if len(read) > 4:
                full.set()
            yield Entry(number, b"x" * size)

    entries = ThreadedEntries(source(), room=4)
    entries.start(lambda: None)
    assert full.wait(10)
    assert len(read) == 5
    entries.close()
