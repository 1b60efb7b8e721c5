from __future__ import annotations

from destinations.segment.javascript.pointers import pointer


def test_keys_are_escaped() -> None:
    """Slashes and tildes in keys are escaped as RFC 6901 has it."""
    assert pointer("/a", "b/c~d") == "/a/b~1c~0d"
    assert pointer("", 0) == "/0"
