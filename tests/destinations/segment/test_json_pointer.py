from __future__ import annotations

import pytest

from destinations.segment.json_pointer import pointer


@pytest.mark.parametrize(
    ("keys", "text"),
    [((), ""), ((0,), "/0"), (("a", 0, "b"), "/a/0/b"), (("a/b", "~", ""), "/a~1b/~0/")],
)
def test_keys_are_escaped(keys: tuple[object, ...], text: str) -> None:
    """Slashes and tildes in keys are escaped as RFC 6901 has it, and indices are keys, too."""
    assert pointer(*keys) == text
