from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {"name": "Zoë", "n": 5, "yes": True, "none": None, "path": "name", "o": {}}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ({"operator": "upper", "value": {"@path": "name"}}, "ZOË"),
        ({"operator": "lower", "value": "İß"}, "i̇ß"),
        ({"operator": "upper", "value": "ß"}, "SS"),
        ({"operator": "upper", "value": {"@path": "n"}}, 5),
        ({"operator": "title", "value": {"@path": "n"}}, 5),
        ({"operator": "upper", "value": ""}, UNDEFINED),
        ({"operator": "upper"}, UNDEFINED),
    ],
)
def test_case_is_changed(argument: Any, result: Any) -> None:
    """Text changes its case, other values stay, a falsy argument gives nothing."""
    assert compile_value({"@case": argument}).resolve(DATA) == result


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"value": "x"}, '"operator"'),
        ({"operator": "title", "value": {"@path": "name"}}, '"lower" or "upper" but is title'),
    ],
)
def test_case_needs_an_operator(argument: Any, message: str) -> None:
    """A missing operator fails when reached, an unknown one when there is text to change."""
    with pytest.raises(ResolveError, match=message):
        compile_value({"@case": argument}).resolve(DATA)
