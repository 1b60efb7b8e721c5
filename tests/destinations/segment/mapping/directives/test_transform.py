from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {
    "items": [{"n": "A", "p": 1}, {"n": "B"}, None],
    "one": {"n": "S"},
    "text": "hi😀",
    "zero": 0,
    "deep": {"a": {"b": 1, "c": [1, {"d": 2}], "e": {}}, "10": "x", "9": None},
    "left": {"a": 1, "b": 1},
    "right": {"a": 2, "c": 2},
}


def test_transforms_resolve_on_a_new_event() -> None:
    """The mapping sees what ``apply`` made, without its undefined members."""
    value = {
        "@transform": {
            "apply": {"x": {"@path": "one.n"}, "y": {"@path": "nope"}},
            "mapping": {"z": {"@path": "x"}, "all": {"@path": ""}, "old": {"@path": "one"}},
        }
    }
    assert compile_value(value).resolve(DATA) == {"z": "S", "all": {"x": "S"}}


def test_transforms_of_nothing_start_from_an_empty_event() -> None:
    """Where an outer transform gave nothing, an inner one works on an object without members."""
    inner = {"@transform": {"apply": {"b": {"@template": "x{{c}}"}}, "mapping": {"@path": "b"}}}
    outer = {"@transform": {"apply": {"@path": "missing"}, "mapping": inner}}
    assert compile_value(outer).resolve({}) == "x"


def test_transforms_need_an_object() -> None:
    """Within items of arrays, a transform of anything but an object fails."""
    transform = {"@transform": {"apply": {"a": 1}, "mapping": {"b": {"@path": "a"}}}}
    compiled = compile_value({"@arrayPath": ["list", transform]})
    assert compiled.resolve({"list": [{}]}) == [{"b": 1}]
    with pytest.raises(ResolveError, match="needs an object to work on, got number"):
        compiled.resolve({"list": [5]})


def test_what_apply_makes_may_not_be_too_large() -> None:
    """Text that is taken twice counts twice, even where the mapping drops it again."""
    apply = {"a": {"@path": "text"}, "b": {"@path": "text"}}
    compiled = compile_value({"@transform": {"apply": apply, "mapping": {"c": 1}}})
    assert compiled.resolve({"text": "x" * 400_000}) == {"c": 1}
    with pytest.raises(ResolveError, match=r"^/@transform: "):
        compiled.resolve({"text": "x" * 600_000})
