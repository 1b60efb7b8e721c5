"""Inflate bodies that come compressed, as far as they may be long."""

from __future__ import annotations

import contextlib
import zlib
from typing import Final

from destinations.errors import BodyError

__all__ = ["inflated", "inflated_beginning"]

_GZIP: Final = 16 + zlib.MAX_WBITS

_SLICE: Final = 1024

_MOST_MEMBERS: Final = 100
"""Each member of a gzip file costs a copy of what follows it."""


def inflated(data: bytes, limit: int) -> bytes:
    """Return the content of a gzip body of one member or several.

    Raises `BodyError` for more than ``limit`` bytes, before more of them are made (413), and for
    what is cut off, damaged, or followed by something else (400).
    """
    pieces: list[bytes] = []
    left = limit
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            # One byte more shows whether there is more.
            piece = member.decompress(data, left + 1)
        except zlib.error:
            raise BodyError("is not gzip, as Content-Encoding says, or is damaged") from None
        left -= len(piece)
        if left < 0:
            raise BodyError(f"the body is longer than {limit:,} bytes when it is inflated", 413)
        if not member.eof:
            raise BodyError("is not gzip as a whole: it ends before it is complete")
        pieces.append(piece)
        data = member.unused_data
        if not data:
            return b"".join(pieces)
    raise BodyError(f"is gzip with more than {_MOST_MEMBERS} members")


def inflated_beginning(data: bytes, most: int) -> bytes:
    """Return the first ``most`` bytes of what a gzip body holds, as far as it can be read."""
    member = zlib.decompressobj(_GZIP)
    pieces: list[bytes] = []
    # In slices: what comes before damage is not lost with it.
    with contextlib.suppress(zlib.error):
        for at in range(0, len(data), _SLICE):
            if most <= 0 or member.eof:
                break
            piece = member.decompress(data[at : at + _SLICE], most)
            pieces.append(piece)
            most -= len(piece)
    return b"".join(pieces)
