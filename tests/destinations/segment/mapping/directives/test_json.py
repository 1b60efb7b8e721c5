from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {
    "o": {"b": 1.0, "2": [None, "é"]},
    "json": '{"a":[1,2]}',
    "bad": "{x",
    "n": 5,
}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ({"mode": "encode", "value": {"@path": "o"}}, '{"2":[null,"é"],"b":1}'),
        (
            {"mode": "encode", "value": {"a": {"@path": "nope"}, "b": [{"@path": "nope"}]}},
            '{"b":[null]}',
        ),
        ({"mode": "encode", "value": {"@path": "nope"}}, UNDEFINED),
        ({"mode": "encode", "value": "x"}, '"x"'),
        ({"mode": "decode", "value": {"@path": "json"}}, {"a": [1, 2]}),
        ({"mode": "decode", "value": {"@path": "bad"}}, "{x"),
        ({"mode": "decode", "value": "NaN"}, "NaN"),
        ({"mode": "decode", "value": {"@path": "n"}}, 5),
        ({"mode": "ENCODE", "value": "x"}, UNDEFINED),
    ],
)
def test_json_is_written_and_read(argument: Any, result: Any) -> None:
    """Values become JSON text and back; what cannot be decoded stays as it is."""
    assert compile_value({"@json": argument}).resolve(DATA) == result


@pytest.mark.parametrize("value", [0, "", None, False])
def test_a_falsy_value_fails_when_reached(value: Any) -> None:
    """The reference wants a value that JavaScript takes as true."""
    with pytest.raises(ResolveError, match='"value"'):
        compile_value({"@json": {"mode": "encode", "value": value}}).resolve(DATA)


def test_failures_within_count_in_any_mode() -> None:
    """What fails in the value fails, even where the mode gives nothing."""
    with pytest.raises(ResolveError):
        compile_value({"@json": {"mode": "ENCODE", "value": {"@path": {"@path": "n"}}}}).resolve(
            DATA
        )
