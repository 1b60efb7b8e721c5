"""gzip data is read in whatever pieces it comes, up to where it is cut off or damaged."""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc

import pytest

from destinations.pipeline.decompression import Inflated


def _lines(number: int) -> bytes:
    chance = random.Random(number)
    return b"".join(b"%s\n" % json.dumps(chance.random()).encode() for _ in range(number))


LINES = _lines(1_500)
PACKED = gzip.compress(LINES)


class Trickle(io.BytesIO):
    """A stream that never gives more than some bytes at once, as a pipe may."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read1(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        return super().read(self._most if size in {None, -1} else min(self._most, size or 0))


def _read(data: bytes, most: int = 1 << 20) -> tuple[bytes, str]:
    inflated = Inflated(Trickle(data, most))
    return io.BufferedReader(inflated, 128 * 1024).read(), inflated.fault


WHOLE = {
    "one member": PACKED,
    "two members": gzip.compress(LINES[:1000]) + gzip.compress(LINES[1000:]),
    "an empty member": gzip.compress(b"") + PACKED,
    "zeros behind it": PACKED + bytes(700),
    "zeros between members": gzip.compress(LINES[:1000]) + bytes(9) + gzip.compress(LINES[1000:]),
    "without compression": gzip.compress(LINES, 0),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("most", [1, 7, 1 << 20])
def test_all_of_it(data: bytes, most: int) -> None:
    """The content is whole, wherever the pieces end, and has no fault."""
    assert _read(data, most) == (LINES, "")


def test_nothing() -> None:
    """A member without content has none."""
    assert _read(gzip.compress(b"")) == (b"", "")


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 1000, len(PACKED) - 3])
def test_it_is_cut_off(cut: int) -> None:
    """What comes before is given; the end of the data, or of its checksum, is missing."""
    data, fault = _read(PACKED[:-cut])
    assert LINES.startswith(data)
    assert fault == f"the gzip data is cut off at byte {len(PACKED) - cut:,}"
    if cut <= 8:  # the trailer alone
        assert data == LINES


# What is wrong at which byte, and what is said of it.
DAMAGED = {
    "the checksum": (len(PACKED) - 8, "incorrect data check"),
    "the length": (len(PACKED) - 4, "incorrect length check"),
}


@pytest.mark.parametrize(("at", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_trailer_that_does_not_fit(at: int, said: str) -> None:
    """All of the content is given before it is known."""
    packed = bytearray(PACKED)
    packed[at] ^= 1
    data, fault = _read(bytes(packed))
    assert data == LINES
    assert fault.startswith("the gzip data is damaged at byte ")
    assert said in fault


def test_damage_in_the_middle() -> None:
    """Nothing of what comes before is lost, though zlib gives nothing of the piece that has it."""
    lines = _lines(7_000)
    whole = gzip.compress(lines)
    for at in range(5_000, 60_000, 5_000):
        packed = bytearray(whole)
        packed[at : at + 4] = b"\xff\xff\xff\xff"
        data, fault = _read(bytes(packed))
        assert fault
        # Of such lines a byte that is packed stands for nearly two.
        sound = round(1.8 * at)
        assert len(data) >= sound
        assert data[:sound] == lines[:sound]


def test_text_behind_it() -> None:
    """It is no gzip data, and nobody can tell what is missing."""
    data, fault = _read(PACKED + b"text")
    assert data == LINES
    assert "incorrect header check" in fault


def test_memory_is_bounded() -> None:
    """However much comes of little, it is given in pieces."""
    packed = gzip.compress(bytes(50_000_000))
    inflated = Inflated(io.BytesIO(packed))
    buffer = bytearray(64 * 1024)
    tracemalloc.start()
    total = 0
    while number := inflated.readinto(buffer):
        total += number
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 50_000_000
    assert peak < 2_000_000
