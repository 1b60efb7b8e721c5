from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.mapping.liquid import compile_liquid_template

DATA: dict[str, Any] = {
    "n": 5,
    "text": "10",
    "word": "abc",
    "none": None,
    "no": False,
    "list": [1, "a", [2]],
    "same": [1, "a", [2]],
    "object": {"a": 1},
    "void": {},
    "blank_text": " \n",
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("n == 5.0", True),
        ("n == '5'", False),
        ("no == 0", False),
        ("none == nil", True),
        ("nope == nil", True),
        ("nope != none", True),
        ("list == same", True),
        ("object == object", True),
        ("void == empty", True),
        ("list == empty", False),
        ("word == empty", False),
        ("empty == empty", False),
        ("blank_text == blank", True),
        ("blank_text == empty", False),
        ("no == blank", True),
        ("nope == blank", True),
        ("n < text", True),
        ("text > 9", True),
        ("'9' > '10'", True),
        ("word > 1", False),
        ("word < 1", False),
        ("none >= 0", True),
        ("nope >= 0", False),
        ("nil >= 0", False),
        ("no <= 0", True),
        ("list > 1", False),
        ("empty > 1", False),
        ("word contains 'b'", True),
        ("text contains 1", True),
        ("list contains 'a'", True),
        ("list contains 'b'", False),
        ("n contains 5", False),
        ("nope contains 'a'", False),
        ("word contains empty", True),
        ("not n == 5", False),
        ("n and none or word", True),
        ("0", True),
        ("''", True),
    ],
)
def test_conditions_hold_as_in_javascript(condition: str, holds: bool) -> None:
    """Values are compared as JavaScript compares them, and no comparison fails."""
    template = f"{{% if {condition} %}}yes{{% else %}}no{{% endif %}}"
    assert compile_liquid_template(template)(DATA) == ("yes" if holds else "no")


def test_conditions_of_every_branch_are_adapted() -> None:
    """Also in elsif, unless and nested tags, and without changing the data."""
    template = (
        "{% if false %}{% elsif text > 9 %}{% unless text < 9 %}{% if 'b' < 1 %}x{% else %}ok"
        "{% endif %}{% endunless %}{% endif %}"
    )
    assert compile_liquid_template(template)(DATA) == "ok"
