from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.paths import compile_path, split_path, strip_root

DATA: dict[str, Any] = {
    "userId": "u1",
    "zero": 0,
    "properties": {
        "user id": 1,
        "list": [{"name": "A"}, {"name": "B"}],
        "a": {"b": "dotted"},
        "k[x": 2,
        "plan.name": "pro",
        "v1.0": {"build.id": 7},
    },
}


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("a.b", ("a", "b")),
        ("a[0].b", ("a", "0", "b")),
        ("a['b c']", ("a", "b c")),
        ('a["b"]["c"]', ("a", "b", "c")),
        ("a['b.c']", ("a", "b", "c")),
        ("a[b]", ("a[b]",)),
        ("", ()),
        ("..", ()),
        ("a..b", ("a", "b")),
        ("a[''].b", ("a", "", "b")),
        (" a", (" a",)),
        (r"a\.b", ("a.b",)),
        (r"a.b\.c.d", ("a", "b.c", "d")),
        (r"a['b\.c'].d", ("a", "b.c", "d")),
        (r"a\.b[0]\.c", ("a.b", "0", r".c")),
        (r"a\b.c", (r"a\b", "c")),
    ],
)
def test_paths_are_cut(path: str, keys: tuple[str, ...]) -> None:
    """Dots cut everywhere, brackets beside digits and quotes; quotes vanish."""
    assert split_path(path) == keys


@pytest.mark.parametrize(
    ("path", "rest"), [("$.a", "a"), ("a", "a"), ("$.", ""), ("a$.b", "ab"), ("$.$.a", "$.a")]
)
def test_the_root_is_stripped(path: str, rest: str) -> None:
    """The first $. goes, wherever it stands."""
    assert strip_root(path) == rest


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", DATA),
        (".", DATA),
        ("userId", "u1"),
        ("properties['user id']", 1),
        ("properties.list[1].name", "B"),
        ("properties.list.length", 2),
        ("properties['a.b']", "dotted"),
        (r"properties.plan\.name", "pro"),
        (r"properties['plan\.name']", "pro"),
        (r"properties.v1\.0.build\.id", 7),
        ("properties.plan.name", UNDEFINED),
        ("properties.list[5].name", UNDEFINED),
        ("nope.deeper", UNDEFINED),
        ("zero.x.y", 0),
        ("userId.length", 2),
        ("$", UNDEFINED),
    ],
)
def test_paths_find_values(path: str, found: Any) -> None:
    """A path finds what is there; falsy values on the way are found, too."""
    assert compile_path(path)(DATA) == found
