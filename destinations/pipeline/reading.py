"""Read entries (what should be one event each) from a stream, in constant memory."""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import BinaryIO, Final, Literal, NamedTuple, Protocol, runtime_checkable

from destinations.segment.event import NOT_JSON

__all__ = [
    "MARK",
    "MAX_ENTRY_BYTES",
    "SPACE",
    "Entries",
    "Entry",
    "IteratedEntries",
    "ThreadedEntries",
    "read_json_entries",
    "read_lines",
]

MAX_ENTRY_BYTES: Final = 1024 * 1024
"""Bytes kept of one entry. Far more than an event may have, so that a longer one, which is invalid
anyway, can be reported and written out without holding it whole."""

_CHUNK: Final = 64 * 1024

_TAKEN_BYTES: Final = 4 * 1024 * 1024
"""The number of bytes that are handed out or held at once, and one entry more."""

SPACE: Final = b" \t\r\n"
"""What JSON calls white space. Anything else is part of a bad entry."""

MARK: Final = b"\xef\xbb\xbf"
"""A byte order mark, which some programs write first, is not part of JSON (RFC 8259, 8.1)."""


_CUT: Final = b"[ ... the array is cut off: it has no ]"
_NO_COMMA: Final = b"[ ... a comma is missing here ... ]"
_MORE: Final = b"[ ... ] ... more than one value"
"""The text that stands for a fault without text of its own; it is not JSON."""

_DEEPEST: Final = 1_000
"""The number of open brackets that are distinguished; no event may have as many."""


class Entry(NamedTuple):
    """An entry that should be one event; it begins in ``line`` (from 1).

    ``data`` is cut at `MAX_ENTRY_BYTES`. An entry without data is an empty line. ``fault`` says
    what is wrong with the input here, and what was expected: then it is not an event, and ``code``
    is that of its row.
    ``hides_more`` says that what comes after it in the input could not be distinguished from it.
    """

    line: int
    data: bytes
    truncated: bool = False
    fault: str = ""
    hides_more: bool = False
    code: str = NOT_JSON


@runtime_checkable
class Entries(Protocol):
    """Gives entries as they are asked for. One thread at a time."""

    @property
    def is_over(self) -> bool:
        """Whether there are no more."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether there are some now, or reading has failed."""
        ...

    def take(self, limit: int) -> list[Entry]:
        """Return the next entries, as many as there are now; raises what reading raises.

        Fewer than ``limit`` where they are long: a few MiB at a time.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Wait until there are some, or no more."""
        ...

    def close(self) -> None:
        """Read no more; what was read can still be taken."""
        ...


class IteratedEntries:
    """Reads entries from an iterable that never blocks, such as a file."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = iter(entries)
        self._error: BaseException | None = None
        self.is_over = False

    @property
    def has_more(self) -> bool:
        """Whether there are some now; see `Entries.has_more`."""
        return not self.is_over

    def take(self, limit: int) -> list[Entry]:
        """Return the next entries; see `Entries.take`."""
        if self._error is not None:
            self.is_over = True
            raise self._error
        found: list[Entry] = []
        room = _TAKEN_BYTES
        try:
            for entry in itertools.islice(self._entries, limit):
                found.append(entry)
                room -= len(entry.data)
                if room <= 0:
                    return found
        except BaseException as error:
            if not found:
                self.is_over = True
                raise
            self._error = error  # what was read before it comes first
            return found
        self.is_over = len(found) < limit
        return found

    def wait(self, seconds: float) -> None:
        """Return at once: all entries are here."""

    def close(self) -> None:
        """Read no more; see `Entries.close`."""
        self.is_over = True


class ThreadedEntries:
    """Reads entries in a thread, from an iterable that may block, such as a pipe."""

    def __init__(self, entries: Iterable[Entry], *, room: int = 2_000) -> None:
        self._wake: Callable[[], None] = lambda: None
        self._room = room
        self._changed = threading.Condition()
        self._buffer: deque[Entry] = deque()
        self._bytes = 0
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._read, args=(iter(entries),), name="reader", daemon=True
        )

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to read; ``wake`` is called when there is something new."""
        self._wake = wake
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether there are no more."""
        with self._changed:
            return self._ended and not self._buffer and self._error is None

    def take(self, limit: int) -> list[Entry]:
        """Return the next entries; see `Entries.take`."""
        with self._changed:
            found = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
            self._bytes -= sum(len(entry.data) for entry in found)
            self._changed.notify()
            if not found and self._error is not None:
                error, self._error = self._error, None
                raise error
        return found

    @property
    def has_more(self) -> bool:
        """Whether there are some now; see `Entries.has_more`."""
        with self._changed:
            return bool(self._buffer) or self._error is not None

    def wait(self, seconds: float) -> None:
        """Wait until there are some, or no more; see `Entries.wait`."""
        with self._changed:
            if not self._buffer and not self._ended:
                self._changed.wait(seconds)

    @property
    def _is_full(self) -> bool:
        return len(self._buffer) >= self._room or self._bytes >= _TAKEN_BYTES

    def close(self) -> None:
        """Read no more; see `Entries.close`."""
        with self._changed:
            self._closed = self._ended = True
            self._changed.notify()

    def _read(self, entries: Iterator[Entry]) -> None:
        error: BaseException | None = None
        try:
            for entry in entries:
                with self._changed:
                    while self._is_full and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    self._buffer.append(entry)
                    self._bytes += len(entry.data)
                    is_first = len(self._buffer) == 1
                    self._changed.notify()
                if is_first:
                    self._wake()
        except BaseException as raised:  # noqa: BLE001 - raised again where entries are taken
            error = raised
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify()
        self._wake()


def read_lines(stream: BinaryIO) -> Iterator[Entry]:
    """Yield an entry for each line of NDJSON, empty lines included."""
    number = 0
    while data := stream.readline(MAX_ENTRY_BYTES):
        number += 1
        truncated = len(data) == MAX_ENTRY_BYTES and not data.endswith(b"\n")
        if truncated:
            rest = data
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(MAX_ENTRY_BYTES)
        if number == 1:
            data = data.removeprefix(MARK)
        yield Entry(number, data.strip(SPACE), truncated)


# Everything that matters for finding where an element of an array ends.
_TOKEN = re.compile(rb'["\\\[\]{},\n]')


class _Expected(Enum):
    """The token that may come next between two elements."""

    ELEMENT_OR_END = 0
    ELEMENT = 1
    COMMA_OR_END = 2
    NOTHING = 3


class _Splitter:
    """Splits the elements of one JSON array without parsing them.

    What is wrong between elements has an entry with a fault, and those after it are still read. An
    array after another one is read as well, and so is one object after another.
    """

    def __init__(self) -> None:
        self.line = 1
        self._in_array = False
        self._expected = _Expected.ELEMENT
        # The open brackets of an element, and how many more there are.
        self._open = bytearray()
        self._deeper = 0
        self._in_text = False
        self._escaped_at = -1
        self._item = bytearray()
        self._item_line = 1
        self._item_at = 0
        self._truncated = False
        self._offset = 0
        self._elements = 0
        self._had_array = False
        self._told: set[bytes] = set()

    def feed(self, chunk: bytes) -> Iterator[Entry]:  # noqa: C901 - each kind of token once
        start = 0
        for match in _TOKEN.finditer(chunk):
            position = match.start()
            token = match.group()
            if token == b"\n":
                self.line += 1
                continue
            if self._in_text:
                self._text_token(token, self._offset + position)
                continue
            if token == b'"':
                self._in_text = True
            elif self._open:
                if token in b"[{":
                    self._push(token)
                elif token in b"]}":
                    ended = self._pop(token)
                    if ended is None:
                        continue
                    self._keep(chunk, start, position + (ended == "element"))
                    start = position + 1
                    yield self._end_element() if ended == "element" else self._end_open_element()
            elif token in b"[{":
                self._keep(chunk, start, position)
                yield from self._begin(token, self._offset + position)
                start = position + (not self._open)
            elif self._in_array and token in b",]":
                self._keep(chunk, start, position)
                start = position + 1
                yield from self._separate(token)
        self._keep(chunk, start, len(chunk))
        self._offset += len(chunk)

    def finish(self) -> Iterator[Entry]:
        """Yield what follows the last complete element: the rest of a cut file, or nothing.

        Where an array was opened and is not closed, but by an element that is cut itself, an entry
        reports the cut.
        """
        if self._open or self._in_text:
            yield self._unfinished("the input ends within it")
            return
        yield from self._end_text()
        if self._in_array:
            fault = "the array has no ] at its end: the input may have been cut off here"
            yield Entry(self.line, _CUT, fault=fault)

    # -- within an element ---------------------------------------------------------------------

    def _text_token(self, token: bytes, place: int) -> None:
        if self._escaped_at == place:
            return
        if token == b"\\":
            self._escaped_at = place + 1
        elif token == b'"':
            self._in_text = False

    def _push(self, token: bytes) -> None:
        if len(self._open) < _DEEPEST:
            self._open += token
        else:
            self._deeper += 1

    def _pop(self, token: bytes) -> Literal["element", "array"] | None:
        """Close a bracket; returns what ends with it.

        One of the other kind closes those within its own: the element is not JSON, and ends.
        """
        if self._deeper:
            self._deeper -= 1
            return None
        place = self._open.rfind(b"[" if token == b"]" else b"{")
        if place < 0:
            return "array" if token == b"]" and self._in_array else None
        del self._open[place:]
        return None if self._open else "element"

    # -- between elements ----------------------------------------------------------------------

    def _begin(self, token: bytes, at: int) -> Iterator[Entry]:
        """Begin an element, or an array."""
        has_text = bool(self._item)
        yield from self._end_text(is_followed=True)
        if token == b"[" and not self._in_array:
            self._in_array = self._had_array = True
            self._expected = _Expected.ELEMENT_OR_END
            return
        if self._expected is _Expected.COMMA_OR_END and not has_text:
            fault = (
                f"a comma is missing before element {self._elements + 1:,} (byte {at + 1:,}); the "
                "rest is read, and further missing commas are not reported"
            )
            yield from self._tell(_NO_COMMA, fault)
        elif self._expected is _Expected.NOTHING and not has_text:
            yield from self._tell(_MORE, self._behind(at))
        self._open += token

    def _separate(self, token: bytes) -> Iterator[Entry]:
        """End what stands before a comma, or before the end of the array."""
        is_end = token == b"]"
        if self._item:
            yield from self._end_text()
        elif self._expected is _Expected.ELEMENT or (
            self._expected is _Expected.ELEMENT_OR_END and not is_end
        ):
            before = " before ]" if is_end else ""
            fault = f"a comma{before} {self._after}: expected an element"
            yield Entry(self.line, b",", fault=fault)
        self._in_array = not is_end
        self._expected = _Expected.NOTHING if is_end else _Expected.ELEMENT

    def _end_text(self, *, is_followed: bool = False) -> Iterator[Entry]:
        """Yield what stands between brackets: a value such as 1, or what does not belong there."""
        if not self._item:
            return
        at = self._item_at
        fault = ""
        if not self._in_array:
            fault = self._behind(at)
            if not self._item.strip(SPACE + b",") and _MORE in self._told:
                self._clear()
                return
            self._told.add(_MORE)
        elif is_followed or self._expected is _Expected.COMMA_OR_END:
            fault = (
                f"text {self._after} (byte {at + 1:,}): expected an element, a comma or the ] that "
                "ends the array"
            )
        else:
            self._elements += 1
        yield self._entry(fault)

    @property
    def _after(self) -> str:
        number = self._elements
        return f"after element {number:,}" if number else "before the first element"

    def _behind(self, at: int) -> str:
        if not self._had_array:
            return (
                f"more than one value (byte {at + 1:,}): expected a single object or array; "
                "for one event a line, use --format ndjson"
            )
        return f"text after the ] that ends the array (byte {at + 1:,}): expected the end"

    def _tell(self, data: bytes, fault: str) -> Iterator[Entry]:
        """Yield a fault that costs no event, once."""
        if data not in self._told:
            self._told.add(data)
            yield Entry(self.line, data, fault=fault)

    def _end_element(self) -> Entry:
        self._elements += 1
        self._expected = _Expected.COMMA_OR_END if self._in_array else _Expected.NOTHING
        return self._entry()

    def _end_open_element(self) -> Entry:
        entry = self._unfinished(f"the array ends within it, at line {self.line:,}")
        self._in_array, self._expected = False, _Expected.NOTHING
        self._open.clear()
        return entry

    def _unfinished(self, how: str) -> Entry:
        self._elements += 1
        what = f"element {self._elements:,} of the array" if self._in_array else "a value"
        return self._entry(
            f"{what} (from byte {self._item_at + 1:,} on) does not end: {how}, so a bracket or a "
            "quote is missing, and the events after it could not be read",
            hides_more=True,
        )

    def _keep(self, chunk: bytes, start: int, end: int) -> None:
        piece = chunk[start:end]
        if not self._item:
            piece = piece.lstrip(SPACE)
            if not piece:
                return
            self._item_at = self._offset + end - len(piece)
            self._item_line = self.line - piece.count(b"\n")
        room = MAX_ENTRY_BYTES - len(self._item)
        self._item += piece[:room]
        self._truncated = self._truncated or len(piece) > room

    def _entry(self, fault: str = "", *, hides_more: bool = False) -> Entry:
        data = bytes(self._item).strip(SPACE)
        entry = Entry(self._item_line, data, self._truncated, fault, hides_more)
        self._clear()
        return entry

    def _clear(self) -> None:
        self._item.clear()
        self._truncated = False


def read_json_entries(stream: BinaryIO) -> Iterator[Entry]:
    """Yield an entry for each element of a JSON array; a single object is one entry.

    What is wrong with the array has an entry of its own, and the elements after it are still read.
    """
    splitter = _Splitter()
    chunk = stream.read(len(MARK)).removeprefix(MARK) + stream.read(_CHUNK)
    while chunk and not chunk.strip(SPACE):
        yield from splitter.feed(chunk)
        chunk = stream.read(_CHUNK)
    found = chunk.lstrip(SPACE)
    if found and not found.startswith((b"[", b"{")):
        line = splitter.line + chunk[: -len(found)].count(b"\n")
        data = chunk + stream.read(MAX_ENTRY_BYTES)
        too_long = len(data) > MAX_ENTRY_BYTES
        fault = "expected an array of events, or one event" if too_long else ""
        yield Entry(line, data[:MAX_ENTRY_BYTES].strip(SPACE), too_long, fault, too_long)
        return
    while chunk:
        yield from splitter.feed(chunk)
        chunk = stream.read(_CHUNK)
    yield from splitter.finish()
