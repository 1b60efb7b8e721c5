from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.json_pointer import pointer, value_at, with_value


@pytest.mark.parametrize(
    ("keys", "text"),
    [((), ""), ((0,), "/0"), (("a", 0, "b"), "/a/0/b"), (("a/b", "~", ""), "/a~1b/~0/")],
)
def test_keys_are_escaped(keys: tuple[object, ...], text: str) -> None:
    """Slashes and tildes in keys are escaped as RFC 6901 has it, and indices are keys, too."""
    assert pointer(*keys) == text


@pytest.mark.parametrize("keys", [(), ("a", 1, "b"), ("x/y", "~1"), ("", "")])
def test_a_pointer_leads_to_its_value(keys: tuple[object, ...]) -> None:
    """What `pointer` writes, `value_at` reads: slashes and tildes, empty keys and indices."""
    document: Any = "found"
    for key in reversed(keys):
        document = {key: document} if isinstance(key, str) else [None, document]
    assert value_at(document, pointer(*keys)) == "found"


@pytest.mark.parametrize(
    ("place", "changed"),
    [("", 7), ("/a", {"a": 7}), ("/a/1", {"a": [0, 7]}), ("/a/0", {"a": [7, {"~/": 1}]}),
     ("/a/1/~0~1", {"a": [0, {"~/": 7}]})],
)  # fmt: skip
def test_another_value_at_a_place(place: str, changed: object) -> None:
    """All else stays, and so does the document that is copied."""
    document = {"a": [0, {"~/": 1}]}
    assert with_value(document, place, 7) == changed
    assert document == {"a": [0, {"~/": 1}]}


def test_a_place_that_is_not_there() -> None:
    """A pointer into nothing is a LookupError, whatever it leads through."""
    for place in ("/b", "/a/2"):
        with pytest.raises(LookupError):
            value_at({"a": [1, 2]}, place)
        with pytest.raises(LookupError):
            with_value({"a": [1, 2]}, place + "/c", 7)
