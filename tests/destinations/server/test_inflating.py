"""Compressed bodies: all that they hold, up to a bound."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from destinations.errors import BodyError
from destinations.server.inflating import inflated


@pytest.mark.parametrize(
    "pieces", [[b"abc"], [b"abc", b"", b"de"], [b""], [b"x"] * 100, [b"x" * 1_000]]
)
def test_members(pieces: list[bytes]) -> None:
    """One member or several, up to exactly as many bytes as there may be."""
    data = b"".join(gzip.compress(piece) for piece in pieces)
    assert inflated(data, sum(map(len, pieces))) == b"".join(pieces)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"\x1f", 400),
        (b"nonsense", 400),
        (gzip.compress(b"abc")[:-1], 400),
        (gzip.compress(b"abc")[:-8] + b"\0" * 8, 400),
        (gzip.compress(b"abc") + b"\x1f\x8b", 400),
        (gzip.compress(b"abc") + b"garbage", 400),
        (gzip.compress(b"x") * 101, 400),
        (gzip.compress(b"x" * 1_001), 413),
        (gzip.compress(b"x" * 600) * 2, 413),
    ],
    ids=[
        *("nothing", "a byte", "no gzip", "cut", "damaged", "half a member", "garbage"),
        *("many members", "long", "long members"),
    ],
)
def test_what_is_refused(data: bytes, status: int) -> None:
    """Whatever is cut off, damaged, followed by something, or too long."""
    with pytest.raises(BodyError) as caught:
        inflated(data, 1_000)
    assert caught.value.status == status


def test_bombs() -> None:
    """No more is made than there may be, however much it would be."""
    bomb = gzip.compress(b"\0" * 100_000_000)
    tracemalloc.start()
    with pytest.raises(BodyError):
        inflated(bomb, 100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
