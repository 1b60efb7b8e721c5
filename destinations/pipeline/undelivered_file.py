"""Write the file of undelivered events, which the same command continues after an interruption."""

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
from destinations.pipeline.places import Places
from destinations.pipeline.reading import MAX_ENTRY_BYTES, Entry
from destinations.pipeline.report import Replaced, Row
from destinations.pipeline.undelivered import Undelivered, Wrapped, is_beginning, unwrap
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker
from destinations.segment.event import read_event, read_json

__all__ = ["UndeliveredFile"]

_ENDS: Final = b"\r\n"


class UndeliveredFile:
    """Appends lines to a file; lines of earlier runs stay as long as they are true.

    So nothing that was written is lost, whatever ends the process. `finish` removes the earlier
    lines of deliveries that have a row in this run (they have a newer line, or need none), and
    every line whose content a corrected event has replaced. Raises OSError if the file cannot be
    written, and `UsageError` if it contains other lines. ``places`` finds the file
    and line of each row.
    """

    def __init__(
        self,
        path: Path,
        masker: Masker,
        earlier: SeenMessages | None = None,
        *,
        places: Places | None = None,
    ) -> None:
        self._path = path.resolve()
        # By delivery, a digest of the event in its latest line, and whether there is a row now.
        self._earlier = earlier or SeenMessages()
        # The replaced contents, and the messages that have some.
        self._replaced = SeenMessages()
        self.stream = OutputFile(path, append=True)
        try:
            self._size = self._read_earlier() if self.stream.is_regular else 0
        except BaseException:
            self.close()
            raise
        self._lines = Undelivered(self.stream, masker, places)
        self._is_newer = False

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Write an undelivered event; see `destinations.pipeline.run.Recorder`.

        Raises `TemporaryError` if that fails; then no later one is written either.
        """
        if self._size:
            for row, data in rows:
                self._replace(row, data)
        self._lines.record(rows)

    def replaced(self, content: Replaced) -> None:
        """Remove the lines of replaced content; see `destinations.pipeline.run.Run`.

        Lines that were written to a pipe cannot be removed.
        """
        if self.stream.is_regular:
            self._replaced.add(content.name)
            self._replaced.add(content.message_id)
            self._is_newer = True

    def finish(self) -> None:
        """Remove lines that are no longer true. Raises OSError; then the file is unchanged."""
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
        """The error that made writing fail, if any."""
        return self.stream.failure

    def close(self) -> None:
        """Close the file; raises `TemporaryError` if that shows that it is incomplete."""
        self._earlier.close()
        self._replaced.close()
        self.stream.close()

    def _read_earlier(self) -> int:
        """Read the lines of earlier runs; returns their size.

        An incomplete last line, of a process that ended or on a full disk, is removed: its event is
        in the store or in the input.
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
        # The raw event of a delivery that the queue has finished is gone; its messageId is enough.
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
    """Return the delivery of a line."""
    return _name(_message_id(wrapped), wrapped.key)


def _message_id(wrapped: Wrapped) -> str:
    """Return the identity of a line's event."""
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
    """Return a digest of the entry that a line of the file wraps."""
    line = data.replace(b"\n", b" ").replace(b"\r", b" ").strip()
    return int.from_bytes(hashlib.blake2b(line, digest_size=6).digest())
