"""Requests as they come over the wire."""

from __future__ import annotations

import gzip

import pytest

from destinations.sandbox import wire
from destinations.sandbox.wire import WireRequest

# Without the time, as the names of tests are made of it.
PACKED = gzip.compress(b"abc", mtime=0)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"content-encoding": "gzip"}, PACKED, b"abc"),
        ({"content-encoding": "GZIP"}, gzip.compress(b"", mtime=0), b""),
        ({}, PACKED, PACKED),
        ({"content-encoding": "br"}, b"abc", b"abc"),
        ({"content-encoding": "gzip"}, b"abc", b"abc"),
        ({"content-encoding": "gzip"}, PACKED[:-4], PACKED[:-4]),
    ],
)
def test_compressed_bodies(headers: dict[str, str], body: bytes, expected: bytes) -> None:
    """A body of gzip is decompressed; one that is none, or is cut off, stays as it came."""
    assert WireRequest("POST", "/", headers, body).decompressed().body == expected


def test_very_large_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that would become very many stay as they are."""
    monkeypatch.setattr(wire, "_MOST_BYTES", 1000)
    body = gzip.compress(bytes(1001))
    request = WireRequest("POST", "/", {"content-encoding": "gzip"}, body)
    assert request.decompressed().body == body
    fitting = WireRequest("POST", "/", {"content-encoding": "gzip"}, gzip.compress(bytes(999)))
    assert fitting.decompressed().body == bytes(999)
