from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.json_form import as_json_form
from destinations.segment.javascript.values import UNDEFINED, NativeFunction

TRIM = NativeFunction("trim")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (TRIM, UNDEFINED),
        (UNDEFINED, UNDEFINED),
        ({"a": TRIM, "b": None, "c": UNDEFINED}, {"b": None}),
        ([TRIM, 1, UNDEFINED], [None, 1, None]),
        ({"a": [{"b": TRIM}, [UNDEFINED]], "c": {"d": 1}}, {"a": [{}, [None]], "c": {"d": 1}}),
    ],
)
def test_what_json_has_no_word_for_is_left_out(value: Any, plain: Any) -> None:
    """Functions and undefined vanish from objects and are null in arrays, at any depth."""
    assert as_json_form(value) == plain


def test_what_is_json_is_not_copied() -> None:
    """A value without them comes back as the very same object."""
    value = {"a": [1, {"b": "x"}], "c": None}
    assert as_json_form(value) is value
