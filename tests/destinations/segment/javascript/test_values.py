from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest

from destinations.segment.javascript.values import (
    UNDEFINED,
    NativeFunction,
    Undefined,
    article,
    is_truthy,
    type_name,
)


def test_undefined_is_one_falsy_value() -> None:
    """There is one undefined value; copies of it are itself, and it equals nothing else."""
    assert Undefined() is UNDEFINED
    assert copy.deepcopy({"a": UNDEFINED})["a"] is UNDEFINED
    assert copy.copy(UNDEFINED) is UNDEFINED
    assert pickle.loads(pickle.dumps(UNDEFINED)) is UNDEFINED  # noqa: S301
    assert not UNDEFINED
    assert UNDEFINED != None  # noqa: E711
    assert repr(UNDEFINED) == "undefined"


@pytest.mark.parametrize("value", [{}, [], "x", " ", 1, -1, True, math.inf, NativeFunction("at")])
def test_truthy_values(value: Any) -> None:
    """Containers are truthy even when empty."""
    assert is_truthy(value)


@pytest.mark.parametrize("value", [None, UNDEFINED, "", 0, 0.0, False, math.nan])
def test_falsy_values(value: Any) -> None:
    """Only these are falsy."""
    assert not is_truthy(value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "number"),
        (1.5, "number"),
        ("", "string"),
        ({}, "object"),
        ([], "array"),
        (UNDEFINED, "undefined"),
        (NativeFunction("at"), "function"),
        (b"", "bytes"),
    ],
)
def test_types_have_their_javascript_names(value: Any, name: str) -> None:
    """Values are named by their JavaScript type, others by their Python type."""
    assert type_name(value) == name


def test_articles_fit_their_noun() -> None:
    """Nouns that begin with a vowel get "an"."""
    assert (article("array"), article("string")) == ("an array", "a string")
