"""JSON as bytes: compact, exact, and only what JSON can hold."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import ResolveError
from destinations.http.json_bytes import decode_json, encode_json
from destinations.secrets import Secret


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"a": [1, None]}, b'{"a":[1,null]}'),
        ("ž😀", '"ž😀"'.encode()),
        ("\u2028\x7f/<>", '"\u2028\x7f/<>"'.encode()),
        (1.5, b"1.5"),
        (1.0, b"1.0"),
        (-0.0, b"-0.0"),
        (0, b"0"),
        (2**63, b"9223372036854775808"),
        (2**64, b"18446744073709551616"),
        (-(2**70), b"-1180591620717411303424"),
        ([None, {"null": None}, "null"], b'[null,{"null":null},"null"]'),
        (Secret("sk_test"), b'"sk_test"'),
        ({"a": Secret("sk_test")}, b'{"a":"sk_test"}'),
        ({Secret("sk_test"): 1}, b'{"sk_test":1}'),
        (None, b"null"),
    ],
    ids=repr,
)
def test_bodies_are_compact_utf8(value: object, data: bytes) -> None:
    """JSON without spaces, text as it is, and the value of a secret."""
    assert encode_json(value) == data


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        *(math.inf, -math.inf, math.nan, [None, math.inf], {"null": None, "a": [math.nan]}),
        *("\ud800", {"\udc00": 1}, ["null", "\ud800"]),
        pytest.param(10**5000, id="huge"),
        pytest.param(_deep(100_000), id="deep"),
    ],
)
def test_what_json_cannot_hold(value: object) -> None:
    """Such values are an error of the event, whatever stands beside them."""
    with pytest.raises(ResolveError, match="the body"):
        encode_json(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["null", "\ud800", math.inf, -0.0, 2**63, 2**64, -(2**63) - 1, 1e16, 1e-7]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def _same(one: object, other: object) -> bool:
    """Whether two values are equal in their types as well."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


@given(value=JSON)
def test_what_is_written_is_read_again(value: Any) -> None:
    """Every value is written as JSON that means it, and only that, or is refused."""
    try:
        data = encode_json(value)
    except ResolveError:
        with pytest.raises(ValueError, match=r"surrogates not allowed|not JSON compliant"):
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    else:
        assert _same(json.loads(data), value)
        assert _same(decode_json(data), value)


def _deep_in(levels: int, kind: str) -> Any:
    value: Any = '[{"' * 2_000 if kind == "beside texts" else 1
    for _ in range(levels):
        value = {"[": value, "b": 1} if kind == "objects" else [value, "]}"]
    return value


@pytest.mark.parametrize("kind", ["arrays", "objects", "beside texts"])
@pytest.mark.parametrize("levels", [1, 199, 500, 900])
def test_depth(levels: int, kind: str) -> None:
    """What a mapping can nest is written and read, whatever its texts hold."""
    value = _deep_in(levels, kind)
    assert decode_json(encode_json(value)) == value


@pytest.mark.parametrize("kind", ["arrays", "objects", "beside texts"])
@pytest.mark.parametrize("levels", [901, 950, 998, 1_100])
def test_too_deep(levels: int, kind: str) -> None:
    """What could not be read again by everybody is not written."""
    with pytest.raises(ResolveError, match="nested too deeply to be written as JSON"):
        encode_json(_deep_in(levels, kind))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        *((b"[" * levels + b"]" * levels, "nested too deeply") for levels in (901, 998, 100_000)),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        *((data, "is not JSON") for data in (b"", b"{", b"nul", b'"\xff"', b"[1] 2")),
    ],
)
def test_what_was_not_written_here(data: bytes, why: str) -> None:
    """It is the same error as for what cannot be written, and never one of the parser's own."""
    with pytest.raises(ResolveError, match=why):
        decode_json(data)
