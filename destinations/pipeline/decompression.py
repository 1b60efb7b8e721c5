"""Read gzip data as it comes, in constant memory, up to where it is cut off or damaged."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["GZIP", "Inflated"]

GZIP: Final = b"\x1f\x8b"
"""What gzip data begins with (RFC 1952, 2.3.1)."""

_CHUNK: Final = 64 * 1024
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""zlib reads the header and checks the trailer of gzip then."""


class Inflated(io.RawIOBase):
    """The content of gzip data, of one member or several; what is read never waits for more.

    Where the data is cut off or damaged the content ends, and ``fault`` says so. A checksum stands
    only at the end of a member. If one has content and no end, ``wrong_from`` is its first line:
    from there on the content may be something else than what was compressed. Otherwise it is 0.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self.fault = ""
        self.wrong_from = 0
        self._stream = stream
        self._inflate = zlib.decompressobj(_GZIP_WINDOW)
        self._pending = b""
        self._taken = 0
        self._has_all = False
        self._line = self._first_line = 1
        self._has_content = False

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Write some of the content into the buffer; returns how many bytes, 0 at its end."""
        view = memoryview(buffer).cast("B")
        data = self._next(len(view))
        view[: len(data)] = data
        return len(data)

    def _next(self, limit: int) -> bytes:
        while not self.fault:
            if not self._pending and not self._has_all:
                self._pending = self._stream.read1(_CHUNK)  # type: ignore[attr-defined]
                self._taken += len(self._pending)
                self._has_all = not self._pending
            if self._inflate.eof:
                # Another member may follow; zeros fill blocks on a tape.
                self._pending = self._pending.lstrip(b"\0")
                if not self._pending:
                    if self._has_all:
                        break
                    continue
                self._inflate = zlib.decompressobj(_GZIP_WINDOW)
                self._first_line = self._line
                self._has_content = False
            before = self._inflate.copy()
            try:
                data = self._inflate.decompress(self._pending, limit)
            except zlib.error:
                return self._rest_of(before)
            ends = self._inflate.eof
            self._pending = self._inflate.unused_data if ends else self._inflate.unconsumed_tail
            if data:
                self._has_content = True
                self._line += data.count(b"\n")
                return data
            if self._has_all and not ends:
                self.fault = f"the gzip data is cut off at byte {self._taken:,}"
                self._note_doubt()
        return b""

    def _rest_of(self, inflate: zlib._Decompress) -> bytes:
        """Return the bytes before the damage: zlib gives nothing of a damaged piece."""
        found = bytearray()
        at = self._taken - len(self._pending)
        for number in range(len(self._pending)):
            try:
                found += inflate.decompress(self._pending[number : number + 1])
            except zlib.error as error:
                self.fault = f"the gzip data is damaged at byte {at + number + 1:,} ({_why(error)})"
                break
        self._has_content = self._has_content or bool(found)
        self._note_doubt()
        return bytes(found)

    def _note_doubt(self) -> None:
        """Note that nothing vouches for the content of this member, if it has some."""
        if self._has_content:
            self.wrong_from = self._first_line


def _why(error: zlib.error) -> str:
    """Return zlib's message, without its own name for the call."""
    return str(error).rpartition(": ")[2]
