from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.cleaning import without_undefined


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ({"a": UNDEFINED, "b": None}, {"b": None}),
        ([UNDEFINED, 1], [UNDEFINED, 1]),
        ({"a": [{"b": UNDEFINED}, [{"c": UNDEFINED}]], "d": {}}, {"a": [{}, [{}]], "d": {}}),
        (UNDEFINED, UNDEFINED),
        ("text", "text"),
    ],
)
def test_undefined_members_vanish(value: Any, cleaned: Any) -> None:
    """Undefined members of objects go at any depth; items of arrays keep their places."""
    before = repr(value)
    assert without_undefined(value) == cleaned
    assert repr(value) == before


def test_what_holds_none_is_not_copied() -> None:
    """A value without undefined members comes back as the very same object."""
    value = {"a": [1, {"b": [UNDEFINED]}], "c": None}
    assert without_undefined(value) is value
