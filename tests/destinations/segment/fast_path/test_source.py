from __future__ import annotations

import keyword

import pytest

from destinations.segment.fast_path.source import Source


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (("properties",), "properties"),
        (("context", "page"), "context_page"),
        (("value",), "part_1"),
        (("payload",), "part_1"),
        (("made",), "part_1"),
        (("event",), "part_1"),
        (("type",), "part_1"),
        (("class",), "part_1"),
        (("check_1",), "part_1"),
        (("Order",), "part_1"),
        (("a b",), "part_1"),
        (("x\ny",), "part_1"),
        (("é",), "part_1"),
        (("a" * 100,), "part_1"),
    ],
)
def test_names_of_parts(keys: tuple[str, ...], name: str) -> None:
    """Keys give names only where these are plain and free; nothing of a key gets into the code."""
    source = Source(Miss=ValueError, EMPTY={})
    function = source.function("payload", "event")
    assert function.part(keys) == name
    assert function.part(keys) == name
    function.line(f"return {name}.get('k')")
    inner: object = {"k": 1}
    for key in reversed(keys):
        inner = {key: inner}
    made = source.compile()[function.name]
    assert made(inner) == 1
    assert made({}) is None
    assert not keyword.iskeyword(name)


def test_two_parts_of_one_name() -> None:
    """Different keys that would have the same name have different ones."""
    function = Source(Miss=ValueError, EMPTY={}).function("payload", "event")
    assert len({function.part(("a", "b")), function.part(("a_b",)), function.part(("a",))}) == 3


def test_bound_objects_have_names_of_their_own() -> None:
    """Each object that the code names has another name."""
    source = Source()
    names = {source.bind("check", value) for value in (1, 2, 3)}
    assert len(names) == 3
