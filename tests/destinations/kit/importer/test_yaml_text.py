from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.definition.document import read_document
from destinations.kit.importer.yaml_text import comment, yaml_text

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=120),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab@$:- .#'", max_size=9), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text("abc@ _-é:#", min_size=1, max_size=9), _VALUES, min_size=1))
def test_what_is_written_is_read(data: dict[str, Any]) -> None:
    """Whatever JSON holds comes back as it was from the YAML, indented or not."""
    assert read_document(yaml_text(data), name="x").data == data
    nested = "fields:\n" + yaml_text(data, indent=2)
    assert read_document(nested, name="x").data == {"fields": data}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"@path": "$.userId"}, "a: {'@path': $.userId}\n"),
        (
            {"@if": {"exists": {"@path": "a"}, "then": 1}},
            "a:\n  '@if':\n    exists: {'@path': a}\n    then: 1\n",
        ),
        ({"connect": 5, "read": 10.5}, "a: {connect: 5, read: 10.5}\n"),
        ({"x": "z"}, "a:\n  x: z\n"),
        (["a", "b"], "a: [a, b]\n"),
        ([{"x": "z"}], "a:\n  - x: z\n"),
        ("one\ntwo", "a: |-\n  one\n  two\n"),
        ("word " * 30 + "end", "a: >-\n  " + "word " * 19 + "word\n  " + "word " * 10 + "end\n"),
        ("no", "a: 'no'\n"),
        ("1\x852\u20283", 'a: "1\\N2\\L3"\n'),
    ],
)
def test_the_layout(value: Any, text: str) -> None:
    """Short directives, lists and numbers stand on one line, all else in blocks."""
    assert yaml_text({"a": value}) == text


def test_comments() -> None:
    """Each line has its sign, and nothing in the text can end the comment."""
    lines = comment("word " * 40 + "\nx: 1\x85y: 2\u2028z: 3", indent=4).splitlines()
    assert len(lines) > 1
    assert all(line.startswith("    # ") and len(line) <= 100 for line in lines)
