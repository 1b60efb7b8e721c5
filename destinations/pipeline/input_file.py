"""One file or stream of events: its form, recognised by how it begins, and its entries.

An input in a wrong form would give a row of nonsense for each of its lines. So it is refused before
its first event, in a sentence that says what would be right. What is compressed with gzip is read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from destinations.errors import UsageError
from destinations.pipeline.decompression import GZIP, Inflated
from destinations.pipeline.reading import MARK, SPACE, Entry, read_json_entries, read_lines

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["STANDARD_INPUT", "Form", "InputFile"]

Form = Literal["ndjson", "json"]

STANDARD_INPUT: Final = "-"
"""What names the standard input instead of a file."""

_HEAD: Final = 64 * 1024
"""The number of bytes that are looked at; an event has half as many."""

_BUFFER: Final = 128 * 1024
_DAMAGED: Final = b"[ ... the gzip data ends here]"
"""What stands for the damage of an input that has no text of its own: not JSON, as in its row."""

_COMPRESSED: Final[Sequence[tuple[bytes, str, str]]] = (
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"\xfd7zXZ\x00", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
)
"""How a file begins, its format, and the command that writes its content to standard output."""

_OTHER_FORMATS: Final[Sequence[tuple[bytes, str]]] = (
    (b"PAR1", "Parquet"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"%PDF-", "PDF"),
    (b"<", "XML or HTML"),
)
"""How a file begins that has no events in JSON, and its format."""

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_SUFFIXES: Final = frozenset({".zst", ".xz", ".bz2", ".zip", ".gz"})

_WIDE: Final[Sequence[tuple[bytes, str]]] = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
"""Byte order marks (Unicode, 23.8), the longer ones first."""

_WIDE_UNMARKED: Final[Sequence[tuple[re.Pattern[bytes], str]]] = (
    (re.compile(rb"[^\0]\0\0\0"), "UTF-32LE"),
    (re.compile(rb"\0\0\0[^\0]"), "UTF-32BE"),
    (re.compile(rb"[^\0]\0[^\0]\0"), "UTF-16LE"),
    (re.compile(rb"\0[^\0]\0[^\0]"), "UTF-16BE"),
)
"""Where the zeros of ASCII are (RFC 4627, 3): JSON begins with two characters of it."""

_ARRAY: Final = re.compile(rb"\[\s*(?:[\]{]|\Z)")
_MEMBER: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*:\s*')
_COMMA: Final = re.compile(r"\s*,")
_CELL: Final = re.compile(r"[A-Za-z_][\w.$ -]*")
_SEPARATORS: Final = ",;\t"
_KNOWN: Final = frozenset(
    {
        *("messageid", "userid", "anonymousid", "event", "type", "timestamp", "receivedat"),
        *("sentat", "originaltimestamp", "properties", "traits", "context", "email"),
    }
)
"""Names that a column of events has, in lowercase letters and without _, spaces and the like."""


class InputFile:
    """A file of events, or a stream; the entries of a stream can be asked for once.

    ``name`` is its path, or `STANDARD_INPUT`. ``form`` is what the user says of it: else a name
    that ends in ``.json`` or ``.json.gz`` stands for one array of events, all others for one event
    a line, and an input that begins otherwise is refused. If it ``adapts``, it is read as what it
    begins as, and of a stream more than the first line is waited for.
    """

    def __init__(
        self, name: str, stream: BinaryIO, form: Form | None = None, *, adapts: bool = False
    ) -> None:
        self.name = name
        self.is_stream = not stream.seekable()
        self._stream = stream
        self._form = form
        self._adapts = adapts
        self._start = 0 if self.is_stream else stream.tell()
        self._is_gzip = False
        self._digest: str | None = None

    @property
    def shown(self) -> str:
        """The name in a sentence."""
        return "standard input" if self.name == STANDARD_INPUT else self.name

    def check(self) -> None:
        """Raise `UsageError` for an input that cannot be read as events, unless it is a stream.

        A stream is looked at when its first entry is asked for, as it may make its reader wait.
        A file that is compressed is read as a whole: only its checksums tell whether what comes
        out is what was put in, and an event with another amount must not be sent.
        """
        if not self.is_stream:
            self._stream.seek(self._start)
            self._look(self._content())
            if self._is_gzip:
                self._check_content()
            self._stream.seek(self._start)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries, from the beginning; raises `UsageError` as `check` does.

        Where gzip data is cut off or damaged, the last entry has a fault that says so, and from
        which line on the content may be wrong.
        """
        if not self.is_stream:
            self._stream.seek(self._start)
        content = self._content()
        head, form = self._look(content)
        if self.is_stream or isinstance(content, Inflated):
            source: BinaryIO = io.BufferedReader(_Replayed(head, content), _BUFFER)
        else:
            source = self._stream
            source.seek(self._start)
        line = 0
        for entry in read_json_entries(source) if form == "json" else read_lines(source):
            line = entry.line
            yield entry
        if isinstance(content, Inflated) and content.fault:
            fault = f"{content.fault}; the rest of the input was not read"
            if content.wrong_from:
                fault += f", and the lines from {content.wrong_from:,} on may be wrong"
            yield Entry(line + 1, _DAMAGED, fault=fault, hides_more=True)

    def digest(self) -> str:
        """Return a digest of what is in it, unpacked; it must be no stream."""
        if self._digest is None:
            _, self._digest = self._read_through()
            self._stream.seek(self._start)
        return self._digest

    def position(self) -> int:
        """Return how many bytes of a file were read, packed as they are."""
        return self._stream.tell() - self._start

    @property
    def size(self) -> int | None:
        """The bytes of a file, packed as they are; None for a stream."""
        if self.is_stream:
            return None
        try:
            return max(os.fstat(self._stream.fileno()).st_size - self._start, 0)
        except OSError:
            return None

    def _read_through(self) -> tuple[BinaryIO | Inflated, str]:
        """Read all of it from its beginning; returns what was read, and the digest of it."""
        self._stream.seek(self._start)
        content = self._content()
        digest = hashlib.sha256()
        while piece := _read_some(content, _BUFFER):
            digest.update(piece)
        return content, digest.hexdigest()

    def _check_content(self) -> None:
        """Refuse gzip data that is damaged or cut off within a member.

        Damaged bytes can make other valid text, and also a member that seems to be cut off.
        """
        content, self._digest = self._read_through()
        if isinstance(content, Inflated) and content.wrong_from:
            self._refuse(
                f"cannot be trusted: {content.fault}",
                f"its content from line {content.wrong_from:,} on may be wrong",
                "use an intact copy",
            )

    # -- what it begins with -------------------------------------------------------------------

    def _content(self) -> BinaryIO | Inflated:
        """Return the stream of events, inflated if it is compressed with gzip."""
        first = _read_at_least(self._stream, len(GZIP))
        packed: BinaryIO
        if self.is_stream:
            packed = io.BufferedReader(_Replayed(first, self._stream), _BUFFER)
        else:
            packed = self._stream
            packed.seek(self._start)
        self._is_gzip = first.startswith(GZIP)
        return Inflated(packed) if self._is_gzip else packed

    def _look(self, content: BinaryIO | Inflated) -> tuple[bytes, Form]:
        """Return how the content begins, and what it is read as."""
        # Whether a stream has more by now is chance, and must not decide.
        only_one_line = self.is_stream and not self._adapts
        head = _head_of(content, only_one_line=only_one_line)
        if not self._is_gzip:
            self._check_packing(head)
        elif head.startswith(GZIP):
            unpack = self._unpack("gunzip -c")
            self._refuse("is compressed twice with gzip", "expected once", unpack)
        self._check_encoding(head)
        text = head.removeprefix(MARK).strip(SPACE)
        self._check_format(text)
        if only_one_line:
            text = text.partition(b"\n")[0].strip(SPACE)
        form = self._form or self._form_of_name()
        if _is_csv(text, is_named=".csv" in PurePath(self.name.lower()).suffixes):
            self._refuse("is CSV", "expected JSON, one event a line or one array of events", "")
        if text.startswith(b"{") and _is_batch(text):
            self._refuse(
                'is a body of Segment\'s HTTP API ({"batch": [...]})',
                "expected its events",
                "make them with: " + self._piped("jq -c '.batch[]'"),
            )
        if self._form is None:
            form = self._begun(text, form)
        return head, form

    def _begun(self, text: bytes, form: Form) -> Form:
        """Return the form that the text begins as; refuses another one than expected."""
        if form == "ndjson" and _ARRAY.match(text):
            if not self._adapts:
                self._refuse("is an array", "expected one event a line", "use --format json")
            return "json"
        if form == "ndjson" and text.partition(b"\n")[0].strip(SPACE) == b"{" and not self._adapts:
            cure = "use --format json"
            if _has_more_than_one(text):
                cure = "make such lines with: " + self._piped("jq -c .")
            self._refuse("has an event over many lines", "expected one a line", cure)
        if form == "json" and _has_lines(text):
            if not self._adapts:
                self._refuse("has one event a line", "expected an array", "use --format ndjson")
            return "ndjson"
        return "json" if self._adapts and _has_many_lines(text) else form

    def _form_of_name(self) -> Form:
        return "json" if self.name.lower().removesuffix(".gz").endswith(".json") else "ndjson"

    def _check_packing(self, data: bytes) -> None:
        for magic, name, command in _COMPRESSED:
            if data.startswith(magic):
                unpack = self._unpack(command)
                self._refuse(f"is compressed with {name}", "expected JSON, plain or gzip", unpack)

    def _check_format(self, text: bytes) -> None:
        """Refuse other formats than JSON, and lines that only a carriage return ends."""
        expected = "expected JSON, one event a line or one array of events"
        for magic, name in _OTHER_FORMATS:
            if text.startswith(magic):
                self._refuse(f"is {name}", expected, "")
        first = text.partition(b"\n")[0]
        if not first.startswith((b"{", b"[")) and _CONTROLS.search(first):
            self._refuse("is binary", expected, "")
        if b"\n" not in text and re.match(rb"\{[^\r]*\}\s*\r\s*\{", text):
            is_named = self.name != STANDARD_INPUT and not self._is_gzip
            convert = self._piped(r"tr '\r' '\n'" + " <" * is_named, ".lf")
            self._refuse("ends its lines with CR", "expected LF", f"convert it with: {convert}")

    def _check_encoding(self, data: bytes) -> None:
        encoding = next((name for mark, name in _WIDE if data.startswith(mark)), "")
        if not encoding:
            found = [name for pattern, name in _WIDE_UNMARKED if pattern.match(data)]
            encoding = found[0] if found else ""
        if encoding:
            convert = self._piped(f"iconv -f {encoding} -t UTF-8", ".utf8")
            self._refuse(f"is {encoding}", "expected UTF-8", f"convert it with: {convert}")

    def _refuse(self, what: str, expected: str, cure: str) -> None:
        raise UsageError("; ".join(filter(None, [f"{self.shown} {what}: {expected}", cure])))

    def _unpack(self, command: str) -> str:
        if self.name == STANDARD_INPUT:
            return f"put {command} before it"
        path = PurePath(self.name)
        if path.suffix in _SUFFIXES:
            target = path.with_suffix("")
        else:
            target = path.with_name(f"{path.stem}.unpacked{path.suffix}")
        source = shlex.quote(self.name)
        return f"unpack it with: {command} {source} > {shlex.quote(str(target))}"

    def _piped(self, command: str, infix: str = "") -> str:
        """Return a command line that makes a file which can be read."""
        if self.name == STANDARD_INPUT:
            return f"... | {'gunzip | ' if self._is_gzip else ''}{command} | destinations ..."
        path = PurePath(self.name.removesuffix(".gz") if self._is_gzip else self.name)
        suffix = f"{infix}{path.suffix}" if infix else ".events.ndjson"
        target = shlex.quote(str(path.with_name(f"{path.stem}{suffix}")))
        source = shlex.quote(self.name)
        if self._is_gzip:
            return f"gunzip -c {source} | {command} > {target}"
        return f"{command} {source} > {target}"


class _Replayed(io.RawIOBase):
    """A stream whose beginning was read already."""

    def __init__(self, head: bytes, rest: BinaryIO | Inflated) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Write what there is into the buffer; returns how many bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._head:
            data, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            data = _read_some(self._rest, len(view))
        view[: len(data)] = data
        return len(data)


def _read_some(stream: BinaryIO | Inflated, limit: int) -> bytes:
    """Return the next bytes, at most ``limit``; none at the end."""
    if isinstance(stream, Inflated):
        return stream.read(limit) or b""
    found: bytes = stream.read1(limit)  # type: ignore[attr-defined]
    return found


def _read_at_least(stream: BinaryIO | Inflated, least: int) -> bytes:
    """Return the first bytes of a stream, fewer than ``least`` only if it ends."""
    found = b""
    while len(found) < least and (piece := _read_some(stream, _HEAD)):
        found += piece
    return found


def _head_of(stream: BinaryIO | Inflated, *, only_one_line: bool) -> bytes:
    """Return some thousand bytes of a stream, or its first line that is not empty, and maybe more.

    A reader of the entries waits for that line as well, but for nothing after it.
    """
    found = b""
    while len(found) < _HEAD:
        if only_one_line and b"\n" in found.removeprefix(MARK).lstrip(SPACE):
            break
        piece = _read_some(stream, _HEAD)
        if not piece:
            break
        found += piece
    return found


def _has_lines(text: bytes) -> bool:
    """Return whether text is one object a line, and there are two of them at least."""
    first, _, rest = text.partition(b"\n")
    return first.startswith(b"{") and rest.lstrip(SPACE).startswith(b"{") and _is_json(first)


def _has_many_lines(text: bytes) -> bool:
    """Return whether text is an object, or begins with one, that is written over several lines."""
    first, _ = _split_value(text)
    return first.startswith("{") and "\n" in first


def _has_more_than_one(text: bytes) -> bool:
    """Return whether an object follows the first value."""
    _, rest = _split_value(text)
    return rest.lstrip().startswith("{")


def _split_value(text: bytes) -> tuple[str, str]:
    """Return the JSON value that text begins with, and the rest; two empty texts without one."""
    found = text.decode("utf-8", "replace")
    try:
        _, end = json.JSONDecoder().raw_decode(found)
    except (ValueError, RecursionError):
        return "", ""
    return found[:end], found[end:]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_batch(text: bytes) -> bool:
    """Return whether an object has an array under ``batch`` and, as far as it is here, no type."""
    decoder = json.JSONDecoder()
    found = text.decode("utf-8", "replace")
    position, has_batch = 1, False
    try:
        while (match := _MEMBER.match(found, position)) is not None:
            key: str = json.loads(match[1])
            if key == "type":
                return False
            has_batch = has_batch or (key == "batch" and found.startswith("[", match.end()))
            _, position = decoder.raw_decode(found, match.end())
            comma = _COMMA.match(found, position)
            if comma is None:
                break
            position = comma.end()
    except (ValueError, RecursionError):
        pass  # it is not all here, or no JSON
    return has_batch


def _is_csv(text: bytes, *, is_named: bool) -> bool:
    """Return whether text is a table: it begins with names in columns.

    Events have one of them or, if not, the next line has as many columns, or the file is called so.
    """
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines()[:2]]
    if not text or any(line.startswith(("{", "[")) for line in lines):
        return False
    for separator in _SEPARATORS:
        try:
            rows = [next(csv.reader([line], delimiter=separator), []) for line in lines]
        except csv.Error:  # such as a cell that is longer than the library allows
            return False
        head = [cell.strip() for cell in rows[0]]
        if len(head) > 1 and all(map(_CELL.fullmatch, head)):
            names = {re.sub(r"[^a-z]", "", cell.lower()) for cell in head}
            is_even = len(rows) > 1 and len(rows[1]) == len(head)
            return bool(names & _KNOWN) or is_even or is_named
    return False
