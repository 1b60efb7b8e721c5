"""Reads entries (what should be one event each) from a stream, in constant memory."""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple, Protocol, runtime_checkable

__all__ = [
    "MAX_ENTRY_BYTES",
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
"""So many bytes, and one entry more, are handed out or held at once."""

_SPACE: Final = b" \t\r\n"
"""What JSON calls white space. Anything else is part of a bad entry."""

_MARK: Final = b"\xef\xbb\xbf"
"""A byte order mark, which some programs write first, is no part of JSON (RFC 8259, 8.1)."""


_CUT: Final = b"[ ... the array is cut off: it has no ]"
"""What stands for the missing end of an array: no JSON, so that its line is told of."""


class Entry(NamedTuple):
    """What should be one event: ``line`` (from 1) is where it begins.

    ``data`` is cut at `MAX_ENTRY_BYTES`. An entry without data is an empty line.
    """

    line: int
    data: bytes
    truncated: bool = False


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

        Fewer than ``limit`` where they are long: a few megabytes at a time.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Wait until there are some, or no more."""
        ...

    def close(self) -> None:
        """Read no more; what was read can still be taken."""
        ...


class IteratedEntries:
    """Those of an iterable that does not make anybody wait, such as a file."""

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
        """Nobody has to wait."""

    def close(self) -> None:
        """Read no more; see `Entries.close`."""
        self.is_over = True


class ThreadedEntries:
    """Those of an iterable that may make its reader wait, such as a pipe: read by a thread."""

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
    """One entry for each line of NDJSON, empty lines included."""
    number = 0
    while data := stream.readline(MAX_ENTRY_BYTES):
        number += 1
        truncated = len(data) == MAX_ENTRY_BYTES and not data.endswith(b"\n")
        if truncated:
            rest = data
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(MAX_ENTRY_BYTES)
        if number == 1:
            data = data.removeprefix(_MARK)
        yield Entry(number, data.strip(_SPACE), truncated)


# Everything that matters for finding where an item of an array ends.
_TOKEN = re.compile(rb'["\\\[\]{},\n]')


class _Splitter:
    """Splits the items of one JSON array without parsing them."""

    def __init__(self) -> None:
        self.line = 1
        self._depth = 0
        self._in_text = False
        self._escaped_at = -1
        self._item = bytearray()
        self._item_line = 1
        self._truncated = False
        self._offset = 0

    def feed(self, chunk: bytes) -> Iterator[Entry]:
        start = 0
        for match in _TOKEN.finditer(chunk):
            position = match.start()
            token = match.group()
            if token == b"\n":
                self.line += 1
            elif self._in_text:
                self._text_token(token, self._offset + position)
            elif token == b'"':
                self._in_text = True
            elif token in b"[{":
                self._depth += 1
                if self._depth == 1 and not self._item.strip(_SPACE) and token == b"[":
                    start = position + 1
                    self._begin()
            elif token in b"]}":
                self._depth -= 1
                if self._depth == 0 and token == b"]":
                    self._keep(chunk[start:position])
                    start = position + 1
                    yield from self._end()
            elif token == b"," and self._depth == 1:
                self._keep(chunk[start:position])
                start = position + 1
                yield from self._end(always=True)
        self._keep(chunk[start:])
        self._offset += len(chunk)

    def finish(self) -> Iterator[Entry]:
        """What follows the last complete item: the rest of a file that was cut, or nothing.

        Where an array was opened and is not closed, but by an item that is cut itself, an entry
        that is no JSON tells of the cut: it ends as invalid.
        """
        is_cut_in_item = self._in_text or self._depth > 1
        yield from self._end()
        if self._depth == 1 and not is_cut_in_item:
            yield Entry(self.line, _CUT)

    def _text_token(self, token: bytes, place: int) -> None:
        if self._escaped_at == place:
            return
        if token == b"\\":
            self._escaped_at = place + 1
        elif token == b'"':
            self._in_text = False

    def _keep(self, piece: bytes) -> None:
        if not self._item and not piece.strip(_SPACE):
            return
        if not self._item:
            blank = len(piece) - len(piece.lstrip(_SPACE))
            self._item_line = self.line - piece[blank:].count(b"\n")
        room = MAX_ENTRY_BYTES - len(self._item)
        self._item += piece[:room]
        self._truncated = self._truncated or len(piece) > room

    def _begin(self) -> None:
        self._item.clear()
        self._truncated = False

    def _end(self, *, always: bool = False) -> Iterator[Entry]:
        data = bytes(self._item).strip(_SPACE)
        if data or always:
            yield Entry(self._item_line if data else self.line, data or b",", self._truncated)
        self._begin()


def read_json_entries(stream: BinaryIO) -> Iterator[Entry]:
    """One entry for each item of a JSON array; a single object is one entry."""
    splitter = _Splitter()
    chunk = stream.read(len(_MARK)).removeprefix(_MARK) + stream.read(_CHUNK)
    while chunk and not chunk.strip(_SPACE):
        yield from splitter.feed(chunk)
        chunk = stream.read(_CHUNK)
    found = chunk.lstrip(_SPACE)
    if found and not found.startswith(b"["):
        line = splitter.line + chunk[: -len(found)].count(b"\n")
        data = chunk + stream.read(MAX_ENTRY_BYTES)
        too_long = len(data) > MAX_ENTRY_BYTES
        yield Entry(line, data[:MAX_ENTRY_BYTES].strip(_SPACE), truncated=too_long)
        return
    while chunk:
        yield from splitter.feed(chunk)
        chunk = stream.read(_CHUNK)
    yield from splitter.finish()
