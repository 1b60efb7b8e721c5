from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_mapping, compile_value

DATA: dict[str, Any] = {"name": "Zoë", "n": 5, "yes": True, "none": None, "path": "name", "o": {}}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ("$.name", "Zoë"),
        ("name.length", 3),
        ({"@path": "path"}, "Zoë"),
        ("nope", UNDEFINED),
        ("", DATA),
    ],
)
def test_paths_are_followed(argument: Any, result: Any) -> None:
    """The argument is a path, or a directive that gives one."""
    assert compile_value({"@path": argument}).resolve(DATA) == result


@pytest.mark.parametrize("name", ["@path", "@template"])
@pytest.mark.parametrize(
    ("argument", "kind"),
    [({"@path": "nope"}, "undefined"), ({"@path": "o"}, "object"), ({"@path": "none"}, "null")],
)
def test_text_is_needed(name: str, argument: Any, kind: str) -> None:
    """What a directive gives in place of the text has to be text."""
    with pytest.raises(ResolveError, match=f"should be a string but is {kind}"):
        compile_value({name: argument}).resolve(DATA)


def test_functions_vanish_from_results() -> None:
    """A path to a method finds a function: it exists, but is no value of the result."""
    mapping = {
        "a": {"@path": "o.toString"},
        "b": {"@if": {"exists": {"@path": "o.constructor"}, "then": "yes"}},
        "c": [{"@path": {"@template": "o.{{nope}}valueOf"}}],
    }
    assert compile_mapping(mapping).resolve(DATA) == {"b": "yes", "c": [None]}


@pytest.mark.parametrize("path", ["$.name.trim", "o.toString", {"@path": "method"}])
def test_a_path_alone_may_lead_to_a_function(path: object) -> None:
    """Nothing else in a mapping is needed for a method to be taken out of it."""
    data = {**DATA, "method": "name.trim"}
    assert compile_mapping({"a": {"@path": path}}).resolve(data) == {}
