"""The file of what a run did not deliver, which the same command goes on with after a cut."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from destinations.errors import EventError, TemporaryError, UsageError
from destinations.pipeline.dedupe import fingerprints
from destinations.pipeline.memory_queue import SeenMessages
from destinations.pipeline.output import OutputFile
from destinations.pipeline.reading import MAX_ENTRY_BYTES, Entry
from destinations.pipeline.report import Replaced, Row
from destinations.pipeline.undelivered import Undelivered, Wrapped, is_beginning, unwrap
from destinations.runtime.action import SubscriptionKey
from destinations.secrets import Masker
from destinations.segment.event import read_event, read_json

__all__ = ["UndeliveredFile"]

_ENDS: Final = b"\r\n"


class UndeliveredFile:
    """Appends lines to a file; what earlier runs wrote there stays, as long as it is true.

    So whatever ends the process, nothing that was written is lost. `finish` leaves out the earlier
    lines of deliveries that this run has a row for: it has written a newer line for each, or they
    need none any more; and every line of a content that was replaced by a corrected one. Raises
    OSError if the file cannot be written, and `UsageError` if it holds anything but such lines.
    """

    def __init__(self, path: Path, masker: Masker, earlier: SeenMessages | None = None) -> None:
        self._path = path.resolve()
        # By delivery, a digest of the event in its latest line, and whether there is a row now.
        self._earlier = earlier or SeenMessages()
        # Which contents were replaced, and which messages have such.
        self._replaced = SeenMessages()
        self.stream = OutputFile(path, append=True)
        try:
            self._size = self._read_earlier() if self.stream.is_regular else 0
        except BaseException:
            self.close()
            raise
        self._lines = Undelivered(self.stream, masker)
        self._is_newer = False

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Write what was not delivered; see `destinations.pipeline.run.Recorder`.

        Raises `TemporaryError` if that fails; what comes after it is not written either.
        """
        if self._size:
            for row, data in rows:
                self._replace(row, data)
        self._lines.record(rows)

    def replaced(self, content: Replaced) -> None:
        """Leave out the lines of a content that was replaced; see `destinations.pipeline.run.Run`.

        Those that were written to a pipe have gone.
        """
        if self.stream.is_regular:
            self._replaced.add(content.name)
            self._replaced.add(content.message_id)
            self._is_newer = True

    def finish(self) -> None:
        """Leave out what is not true any more. Raises OSError; then the file is as it was."""
        if not self._is_newer:
            return
        path = self._path.with_name(f"{self._path.name}.new")
        try:
            with path.open("wb") as new, self._path.open("rb") as old:
                left = self._size
                for line in _lines(old):
                    is_earlier = left > 0
                    left -= len(line)
                    if not self._is_out_of_date(line, is_earlier=is_earlier):
                        new.write(line)
                new.flush()
                os.fsync(new.fileno())
            shutil.copymode(self._path, path)
            path.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    @property
    def failure(self) -> TemporaryError | None:
        """Why it could not be written, if it could not."""
        return self.stream.failure

    def close(self) -> None:
        """Close the file; raises `TemporaryError` if only that tells that it is not whole."""
        self._earlier.close()
        self._replaced.close()
        self.stream.close()

    def _read_earlier(self) -> int:
        """Read what earlier runs wrote; returns its size.

        A line that was cut by the end of its process, or of the disk, is taken off: its event is in
        the store or in the input.
        """
        size, line = 0, b""
        with self._path.open("rb") as stream:
            for number, line in enumerate(_lines(stream), 1):
                wrapped = unwrap(Entry(number, line.strip(_ENDS)))
                if wrapped is not None:
                    self._earlier.add(_delivery(wrapped), _digest(wrapped.data))
                elif line.strip():
                    if is_beginning(line) and not line.endswith(b"\n"):
                        self.stream.cut(size)
                        return size
                    msg = (
                        f"line {number} of {self._path} is not an undelivered event: expected a "
                        "new file, an empty one, or one that --undelivered wrote"
                    )
                    raise UsageError(msg)
                size += len(line)
        if line and not line.endswith(b"\n"):
            size += self.stream.write(b"\n")
        return size

    def _replace(self, row: Row, data: bytes) -> None:
        name = _name(row.message_id, row.key)
        before = self._earlier.get(name)
        # What was delivered of the queue has no raw event any more; its messageId says it all.
        if before is not None and (not data or _digest(data) == before.number):
            self._earlier.add(name, before.number, correctable=True)
            self._is_newer = True

    def _is_out_of_date(self, line: bytes, *, is_earlier: bool) -> bool:
        wrapped = unwrap(Entry(1, line.strip(_ENDS)))
        if wrapped is None:
            return False
        if is_earlier and self._earlier.get(_delivery(wrapped)) == (_digest(wrapped.data), True):
            return True
        return self._is_replaced(wrapped)

    def _is_replaced(self, wrapped: Wrapped) -> bool:
        message_id = _message_id(wrapped)
        if self._replaced.get(message_id) is None:
            return False
        try:
            _, event = read_event(wrapped.data)
        except EventError:
            return False
        contents = (Replaced(message_id, one, wrapped.is_refused) for one in fingerprints(event))
        return any(self._replaced.get(one.name) is not None for one in contents)


def _lines(stream: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """Yield the lines of a stream, or of its first ``size`` bytes, with their ends."""
    while size is None or size > 0:
        line = stream.readline(MAX_ENTRY_BYTES + 1)
        if not line:
            return
        yield line
        if size is not None:
            size -= len(line)


def _delivery(wrapped: Wrapped) -> str:
    """Return which delivery a line is of."""
    return _name(_message_id(wrapped), wrapped.key)


def _message_id(wrapped: Wrapped) -> str:
    """Return what the event of a line is recognised by."""
    message_id = wrapped.message_id
    if not message_id:
        with contextlib.suppress(EventError):
            event = read_json(wrapped.data)
            own = event.get("messageId") if isinstance(event, dict) else None
            message_id = own if isinstance(own, str) else ""
    return message_id


def _name(message_id: str, key: SubscriptionKey | None) -> str:
    return "\0".join((message_id, *(key or ())))


def _digest(data: bytes) -> int:
    """Return a digest of what was read, which is on one line in the file."""
    line = data.replace(b"\n", b" ").replace(b"\r", b" ").strip()
    return int.from_bytes(hashlib.blake2b(line, digest_size=6).digest())
