"""What the fuzz tests share: how many examples they try, and random JSON.

``FUZZ_EXAMPLES`` sets the number; with a seed (``pytest --hypothesis-seed``) a run can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.example_counts import FUZZ_EXAMPLES

settings.register_profile(
    "fuzz",
    max_examples=FUZZ_EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

_KEYS = st.one_of(
    st.sampled_from(
        ["a", "b", "type", "event", "properties", "", "0", "10", "length", "__proto__",
         "constructor", "toString", "__class__", "a.b", "a/b", "a~b", "@a", "$ref", "_metadata"]
    ),
    st.text(max_size=4),
)  # fmt: skip
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -0.0, 10**400, -(10**400), 1e308, 2**53, 1.5]),
    st.floats(),
    st.text(alphabet=st.characters(), max_size=8),  # with halves of surrogate pairs
    st.sampled_from(["", "9" * 400, "2020-01-01", "{{a}}", "{{{a}}}", "$.a.b", "null", "\ud800"]),
)
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=12,
)


@dataclass(frozen=True)
class Strategies:
    """Random values; floats are of any kind, texts hold halves of surrogate pairs."""

    keys: st.SearchStrategy[str]
    scalars: st.SearchStrategy[Any]
    json: st.SearchStrategy[Any]


@pytest.fixture(scope="session")
def strategies() -> Strategies:
    """Random JSON in the shapes that make trouble."""
    return Strategies(_KEYS, _SCALARS, JSON)
