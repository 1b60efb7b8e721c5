from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED, NativeFunction


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (UNDEFINED, "undefined"),
        (1.5, "1.5"),
        ({"a": 1}, "[object Object]"),
        ([], ""),
        ([1, "a", None, UNDEFINED, [2, [3]], {}], "1,a,,,2,3,[object Object]"),
        (NativeFunction("trim"), "function trim() { [native code] }"),
    ],
)
def test_values_print_as_in_javascript(value: Any, text: str) -> None:
    """Each kind of value has the text that String() gives it."""
    assert to_string(value) == text
