"""What an input is, is told by how it begins; what cannot be right is refused in one sentence."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.pipeline.input_file import Form, InputFile
from destinations.pipeline.reading import Entry


class Pipe(io.BufferedReader):
    """A stream that can be read once."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))

    def seekable(self) -> bool:
        """Tell that it cannot be read again."""
        return False


EVENT: dict[str, Any] = {"type": "track", "event": "Used", "userId": "ü", "messageId": "m1"}
ONE = json.dumps(EVENT, ensure_ascii=False)
LINES = f"{ONE}\n{ONE}\n".encode()
BATCH = {"writeKey": "k", "context": {"a": [1, "]"]}, "batch": [EVENT], "sentAt": "2026-01-01"}

# The name, the content, and what is said of it.
REFUSED: dict[str, tuple[str, bytes, str]] = {
    "UTF-16": (
        "a b",
        ONE.encode("utf-16"),
        "is UTF-16: expected UTF-8; convert it with: iconv -f UTF-16 -t UTF-8 'a b' > 'a b.utf8'",
    ),
    "UTF-16 without a mark": (
        "e.json",
        f"[{ONE}]".encode("utf-16-le"),
        "expected UTF-8; convert it with: iconv -f UTF-16LE -t UTF-8 e.json > e.utf8.json",
    ),
    "UTF-16, the other way round": ("e", ONE.encode("utf-16-be"), "e is UTF-16BE: expected UTF-8"),
    "UTF-32": ("e", ONE.encode("utf-32"), "e is UTF-32: expected UTF-8"),
    "UTF-32 without a mark": ("e", ONE.encode("utf-32-le"), "e is UTF-32LE: expected UTF-8"),
    "UTF-32, the other way round": ("e", ONE.encode("utf-32-be"), "e is UTF-32BE: expected UTF-8"),
    "UTF-16 within gzip": (
        "e.ndjson.gz",
        gzip.compress(ONE.encode("utf-16")),
        "convert it with: gunzip -c e.ndjson.gz | iconv -f UTF-16 -t UTF-8 > e.utf8.ndjson",
    ),
    "gzip within gzip": (
        "e.gz",
        gzip.compress(gzip.compress(LINES)),
        "e.gz is compressed twice with gzip: expected once; unpack it with: gunzip -c e.gz > e",
    ),
    "zstd": (
        "e.zst",
        b"\x28\xb5\x2f\xfd\x04\x00",
        "is compressed with zstd: expected JSON, plain or gzip; unpack it with: zstd -dc e.zst > e",
    ),
    "xz": ("e.xz", b"\xfd7zXZ\x00\x00", "e.xz is compressed with xz"),
    "xz that is not called so": (
        "e.xz.ndjson",
        b"\xfd7zXZ\x00\x00",
        "unpack it with: xz -dc e.xz.ndjson > e.xz.unpacked.ndjson",
    ),
    "Parquet": ("e.parquet", b"PAR1\x15\x00", "e.parquet is Parquet: expected JSON, one event a"),
    "Avro": ("e", b"Obj\x01\x04", "e is Avro: expected JSON"),
    "XML": ("e", b'<?xml version="1.0"?>', "e is XML or HTML: expected JSON"),
    "random bytes": ("e", b"\x91\r\x02\xff\x8e,\n\x13", "e is binary: expected JSON"),
    "Parquet within gzip": ("e.gz", gzip.compress(b"PAR1\x15"), "e.gz is Parquet"),
    "lines that end with CR": (
        "e.ndjson",
        f"{ONE}\r{ONE}\r".encode(),
        r"CR: expected LF; convert it with: tr '\r' '\n' < e.ndjson > e.lf.ndjson",
    ),
    "CSV with CR": ("e", b"messageId,event\rm1,Used\r", "e is CSV: expected JSON"),
    "bzip2": ("e.bz2", b"BZh91AY&SY", "e.bz2 is compressed with bzip2"),
    "zip": ("e.zip", b"PK\x03\x04\x14\x00", "e.zip is compressed with zip"),
    "CSV": (
        "e.csv",
        b"messageId,userId,event\r\nm1,u,Used\r\n",
        "e.csv is CSV: expected JSON, one event a line or one array of events",
    ),
    "CSV with ; and quotes": ("e.txt", b'"User ID";"Event"\n"u";"A;b"\n', "e.txt is CSV"),
    "CSV with tabs": ("e.tsv", b"user_id\tevent\n", "e.tsv is CSV"),
    "CSV with names of its own": ("e.txt", b"who,what\nu,Used\n", "e.txt is CSV"),
    "CSV by its name": ("e.csv.gz", gzip.compress(b"who,what\n"), "e.csv.gz is CSV"),
    "an array in .ndjson": (
        "e.ndjson",
        f"[\n  {ONE}\n]".encode(),
        "e.ndjson is an array: expected one event a line; use --format json",
    ),
    "an empty array in .ndjson": ("e.ndjson", b" [ ]\n", "e.ndjson is an array"),
    "an array behind a mark": ("e", b"\xef\xbb\xbf\n" + f"[{ONE}]".encode(), "e is an array"),
    "an event over many lines": (
        "e.ndjson",
        json.dumps(EVENT, indent=2).encode(),
        "e.ndjson has an event over many lines: expected one a line; use --format json",
    ),
    "several events over many lines": (
        "e.ndjson",
        (json.dumps(EVENT, indent=2) + "\n").encode() * 2,
        "expected one a line; make such lines with: jq -c . e.ndjson > e.events.ndjson",
    ),
    "NDJSON in .json": (
        "e.json",
        LINES,
        "e.json has one event a line: expected an array; use --format ndjson",
    ),
    "NDJSON in .json.gz": ("e.JSON.gz", gzip.compress(LINES), "e.JSON.gz has one event a line"),
    "a batch": (
        "e.json",
        json.dumps(BATCH).encode(),
        "expected its events; make them with: jq -c '.batch[]' e.json > e.events.ndjson",
    ),
    "a batch over many lines": ("e.json", json.dumps(BATCH, indent=1).encode(), "HTTP API"),
    "a batch a line": ("e.ndjson", json.dumps(BATCH).encode() + b"\n{}", "HTTP API"),
    "a batch that is longer than what is looked at": (
        "e.ndjson",
        json.dumps({"batch": [EVENT] * 2_000}).encode(),
        "HTTP API",
    ),
    "a batch within gzip": (
        "e.json.gz",
        gzip.compress(json.dumps(BATCH).encode()),
        "make them with: gunzip -c e.json.gz | jq -c '.batch[]' > e.events.ndjson",
    ),
}


@pytest.mark.parametrize(("name", "data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(name: str, data: bytes, message: str) -> None:
    """Before the first event, with what would be right, and again when entries are asked for."""
    file = InputFile(name, io.BytesIO(data))
    for ask in (file.check, lambda: next(file.entries())):
        with pytest.raises(UsageError) as raised:
            ask()
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)


# Of those that are told by a later line, a stream has only the first one.
LATER = {
    *("CSV with names of its own", "NDJSON in .json", "NDJSON in .json.gz"),
    "a batch over many lines",
    "several events over many lines",
}


@pytest.mark.parametrize("case", [one for one in REFUSED if one not in LATER])
def test_what_is_refused_of_a_stream(case: str) -> None:
    """The same, when the first entry is asked for: until then nothing is waited for."""
    name, data, message = REFUSED[case]
    file = InputFile(name, Pipe(data))
    file.check()
    with pytest.raises(UsageError) as raised:
        next(file.entries())
    assert message in str(raised.value)


STREAMS = {
    "UTF-16": (ONE.encode("utf-16"), "... | iconv -f UTF-16 -t UTF-8 | destinations ..."),
    "within gzip": (
        gzip.compress(ONE.encode("utf-16")),
        "... | gunzip | iconv -f UTF-16 -t UTF-8 | destinations ...",
    ),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "put zstd -dc before it"),
    "zip": (b"PK\x03\x04\x14\x00", "put unzip -p before it"),
}


@pytest.mark.parametrize(("data", "message"), STREAMS.values(), ids=STREAMS)
def test_the_cure_of_standard_input(data: bytes, message: str) -> None:
    """It has no name that a command could read."""
    with pytest.raises(UsageError) as raised:
        next(InputFile("-", Pipe(data)).entries())
    assert message in str(raised.value)


TWO = [Entry(1, ONE.encode()), Entry(2, ONE.encode())]
ARRAY = f"[{ONE},\n{ONE}]".encode()

# The name, the content, what the user says of it, and its entries.
READ: dict[str, tuple[str, bytes, Form | None, list[Entry]]] = {
    "NDJSON": ("e.ndjson", LINES, None, TWO),
    "NDJSON behind a mark": ("e.ndjson", b"\xef\xbb\xbf" + LINES, None, TWO),
    "an array": ("e.json", ARRAY, None, TWO),
    "gzip": ("e.ndjson.gz", gzip.compress(LINES), None, TWO),
    "gzip that is not called so": ("e", gzip.compress(LINES), None, TWO),
    "no gzip that is called so": ("e.ndjson.gz", LINES, None, TWO),
    "an array within gzip": ("e.json.gz", gzip.compress(ARRAY), None, TWO),
    "an array that is said to be one": ("e.ndjson", ARRAY, "json", TWO),
    "lines that are said to be some": ("e.json", LINES, "ndjson", TWO),
    "one event in .json": ("e.json", ONE.encode(), None, TWO[:1]),
    "nothing": ("e.ndjson", b"", None, []),
    "nothing in .json": ("e.json", b"", None, []),
    "text that is no table": ("e.ndjson", b"Hello, world.\n", None, [Entry(1, b"Hello, world.")]),
    "one line of names": ("e.ndjson", b"hello, world\n", None, [Entry(1, b"hello, world")]),
    "an array that is no event": (
        "e.ndjson",
        b'["a"]\n{}',
        None,
        [Entry(1, b'["a"]'), Entry(2, b"{}")],
    ),
    "an event with a batch": (
        "e.ndjson",
        b'{"batch":[1],"type":"track"}',
        None,
        [Entry(1, b'{"batch":[1],"type":"track"}')],
    ),
    "a batch that is no array": ("e.ndjson", b'{"batch":1}', None, [Entry(1, b'{"batch":1}')]),
}


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
@pytest.mark.parametrize(("name", "data", "form", "entries"), READ.values(), ids=READ)
def test_what_is_read(
    kind: type[io.BytesIO], name: str, data: bytes, form: Form | None, entries: list[Entry]
) -> None:
    """Files and streams have the same entries; a file has them as often as they are asked for."""
    file = InputFile(name, kind(data), form)
    file.check()
    assert list(file.entries()) == entries
    if not file.is_stream:
        assert list(file.entries()) == entries


ADAPTED = {
    "an array in .ndjson": ("e.ndjson", ARRAY, TWO),
    "NDJSON in .json": ("e.json", LINES, TWO),
    "an event over many lines": (
        "-",
        f"{{\n{ONE[1:]}".encode(),
        [Entry(1, f"{{\n{ONE[1:]}".encode())],
    ),
}


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
@pytest.mark.parametrize(("name", "data", "entries"), ADAPTED.values(), ids=ADAPTED)
def test_what_adapts(kind: type[io.BytesIO], name: str, data: bytes, entries: list[Entry]) -> None:
    """Where nothing is delivered, it is read as what it is."""
    assert list(InputFile(name, kind(data), adapts=True).entries()) == entries


def test_a_stream_is_not_waited_for() -> None:
    """The first event is there as soon as its line is."""

    class Slow(Pipe):
        def read1(self, _size: int = -1, /) -> bytes:
            data = super().read1(4)
            assert data, "nothing may ask for more"
            return data

    line = ONE.encode() + b"\n"
    line += b" " * (-len(line) % 4)
    assert next(InputFile("-", Slow(line)).entries()).data == ONE.encode()


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
def test_damaged_gzip(kind: type[io.BytesIO]) -> None:
    """The events before it are there; the last entry says what is wrong, and hides the rest."""
    data = gzip.compress(LINES + ONE[:20].encode())[:-4]
    *before, last = InputFile("e.gz", kind(data)).entries()
    assert before == [*TWO, Entry(3, ONE[:20].encode())]
    assert (last.line, last.hides_more) == (4, True)
    size = len(data)
    assert last.fault == (
        f"the gzip data is cut off at byte {size}; the rest of the input was not read, "
        "and the lines from 1 on may be wrong"
    )


def test_a_file_is_left_where_it_was() -> None:
    """It may have been read before: its beginning is where it stands."""
    stream = io.BytesIO(b"x" + LINES)
    stream.read(1)
    file = InputFile("e", stream)
    file.check()
    digest = file.digest()
    assert (stream.tell(), list(file.entries())) == (1, TWO)
    assert digest == InputFile("f.gz", io.BytesIO(gzip.compress(LINES))).digest()
    assert digest != InputFile("e", io.BytesIO(LINES + b"x")).digest()


_SENT = b"".join(b'{"n": %d}\n' % number for number in range(100))
_PACKED = gzip.compress(_SENT, mtime=0)


@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_file_gives_no_wrong_event(bit: int) -> None:
    """Whatever bit of gzip data is flipped, a file is refused, or its events are the right ones.

    Deflate makes other valid text of damaged bytes, and the checksum comes after the last event.
    """
    refused = 0
    for place in range(len(_PACKED)):
        damaged = bytearray(_PACKED)
        damaged[place] ^= 1 << bit
        file = InputFile("e.ndjson.gz", io.BytesIO(bytes(damaged)))
        try:
            file.check()
        except UsageError:
            refused += 1
            continue
        found = [one.data for one in file.entries() if not one.fault]
        assert _SENT.startswith(b"\n".join(found))
    assert refused > len(_PACKED) // 2


def test_what_is_said_of_damage() -> None:
    """A file is refused with the first line that may be wrong; a stream says it at its end."""
    damaged = bytearray(_PACKED)
    damaged[len(_PACKED) - 8] ^= 1
    data = gzip.compress(LINES) + bytes(damaged)
    with pytest.raises(UsageError) as raised:
        InputFile("e.gz", io.BytesIO(data)).check()
    assert str(raised.value) == (
        f"e.gz cannot be trusted: the gzip data is damaged at byte {len(data) - 4:,} (incorrect "
        "data check): its content from line 3 on may be wrong; use an intact copy"
    )
    *_, last = InputFile("-", Pipe(data)).entries()
    assert last.fault.endswith(
        "the rest of the input was not read, and the lines from 3 on may be wrong"
    )
    assert last.hides_more


@pytest.mark.parametrize(
    "cut",
    [
        _PACKED[:-9],
        _PACKED[:-1],
        gzip.compress(LINES) + _PACKED[: len(_PACKED) // 2],
    ],
    ids=["its end", "its last byte", "its second member"],
)
def test_a_file_that_is_cut_off_is_refused(cut: bytes) -> None:
    """Damage can look like it, so that nothing vouches for what comes before the cut."""
    with pytest.raises(UsageError, match=f"cut off at byte {len(cut):,}: .*; use an intact copy$"):
        InputFile("e.gz", io.BytesIO(cut)).check()


def test_what_follows_a_whole_member_does_not_make_it_doubtful() -> None:
    """Its checksum was right: its events are read, and a row says that more may be missing."""
    file = InputFile("e.gz", io.BytesIO(gzip.compress(LINES) + b"text"))
    file.check()
    *found, last = file.entries()
    assert found == TWO
    assert last.fault.endswith("; the rest of the input was not read")
