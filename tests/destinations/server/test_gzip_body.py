"""Compressed bodies: all that they hold, up to a bound."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from destinations.errors import BodyError
from destinations.server.gzip_body import inflated, inflated_beginning


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


_TEXT = b"".join(b"%d," % number for number in range(3_000))


@pytest.mark.parametrize(
    ("data", "most", "found"),
    [
        (b"", 10, b""),
        (b"nonsense", 10, b""),
        (gzip.compress(_TEXT), 100_000, _TEXT),
        (gzip.compress(_TEXT), 9, _TEXT[:9]),
        (gzip.compress(_TEXT), 0, b""),
        (gzip.compress(b"abc")[:-6], 9, b"abc"),
        (gzip.compress(b"abc") + b"garbage", 9, b"abc"),
        (gzip.compress(b"abc")[:-8] + b"\0" * 8, 9, b""),  # nothing before the damage
    ],
    ids=["nothing", "no gzip", "all", "some", "none", "cut off", "more behind it", "damaged"],
)
def test_the_beginning(data: bytes, most: int, found: bytes) -> None:
    """As much as can be read and is wanted, and never an error."""
    assert inflated_beginning(data, most) == found


def test_the_beginning_before_damage() -> None:
    """It is not lost with what comes after it."""
    data = bytearray(gzip.compress(_TEXT, 1))
    data[3_000:] = b"\xff" * (len(data) - 3_000)
    found = inflated_beginning(bytes(data), 100_000)
    assert len(found) > 1_000
    assert _TEXT.startswith(found[:1_000])
