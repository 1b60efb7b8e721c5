from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.segment.javascript.json_text import parse, stringify
from destinations.segment.javascript.values import UNDEFINED, NativeFunction

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.0, None, True], "b": "x"}, '{"a":[1,2,null,true],"b":"x"}'),
        ({"b": 1, "10": 2, "9": 3, "01": 4}, '{"9":3,"10":2,"b":1,"01":4}'),
        ({"a": UNDEFINED, "f": NativeFunction("at")}, "{}"),
        (
            [UNDEFINED, NativeFunction("at"), math.nan, math.inf, 10**400],
            "[null" + ",null" * 4 + "]",
        ),
        (-0.0, "0"),
        (1e21, "1e+21"),
        ('"\\\n\x00\x7f\u2028é', '"\\"\\\\\\n\\u0000\x7f\u2028é"'),
        ("\ud83d", '"\\ud83d"'),
    ],
)
def test_values_are_written_as_javascript_writes_them(value: Any, text: str) -> None:
    """The text is that of JSON.stringify, down to the order of keys."""
    assert stringify(value) == text


@pytest.mark.parametrize("value", [UNDEFINED, NativeFunction("at")])
def test_what_is_no_json_has_no_text(value: Any) -> None:
    """Undefined and functions give undefined, not text."""
    assert stringify(value) is UNDEFINED


@pytest.mark.parametrize(
    "text", ["", "{x", "NaN", "[Infinity]", "'a'", '"\n"', "\ufeff1", "01", "[" * 5000]
)
def test_other_text_is_refused(text: str) -> None:
    """Python's extensions to JSON are refused, and so is nesting too deep to read."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_large_integers_are_read() -> None:
    """Integers of any length are read; Python's own limit does not apply."""
    assert parse("9" * 5000) == math.inf
    assert parse("12345678901234567890") == 12345678901234567890


@given(JSON)
def test_what_is_written_reads_back(value: Any) -> None:
    """The text is JSON, and writing what was read gives the same text."""
    text = stringify(value)
    assert isinstance(text, str)
    assert stringify(parse(text)) == text
    json.loads(text)
