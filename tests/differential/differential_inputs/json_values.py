"""Events and the values in them, aimed at the places where JavaScript and Python differ."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

__all__ = ["events", "json_values", "keys", "numbers", "one_in", "scalars", "texts"]


def one_in(draw: st.DrawFn, count: int) -> bool:
    """True once in ``count`` times; examples get smaller towards False."""
    return bool(draw(st.integers(1, count)) == count)


_EDGE_TEXTS: Final = (
    "", " ", "0", "1", "-1", "1.5", "1e3", "0x10", " 12 ", "true", "false", "null", "undefined",
    "NaN", "Infinity", "-0", "a@b", "ann@example.com", "https://example.com/?q=1", "2024-02-29",
    "2023-02-29", "2024-01-01T00:00:00Z", "2024-01-01T25:00:00Z", "20240101", "1700000000",
    "1700000000000", "Jan 5, 2024", "x*", "*x", "a.b", "[0]", "{{type}}", "{\"a\": [1, null]}",
    "[1,", "\ud83d\ude00", "\ud83d", "İ", "ß", "ﬁ", "\u00a0x\ufeff", "line\nend",
    "Order Completed", "track", "\x00", "\u2028", "\"", "\\", "$&", "-", "é", "e\u0301", "Σ", "ΑΣ",
    "01", "1_000", "٣", "+5", ".5", "5.", "1e400",
)  # fmt: skip

keys = st.one_of(
    st.sampled_from(
        [
            "a",
            "b",
            "c",
            "email",
            "name",
            "user id",
            "a.b",
            "0",
            "1",
            "01",
            "length",
            "é",
            "",
            "$",
            "A",
        ]
    ),
    st.text(max_size=4),
).filter(lambda key: not key.startswith(("@", "$js")) and key != "__proto__")
"""Keys of objects. None is a directive; ``__proto__`` is no key that JavaScript sets."""

texts = st.one_of(st.sampled_from(_EDGE_TEXTS), st.text(max_size=12))

numbers = st.one_of(
    st.sampled_from(
        [
            0, -0.0, 1, -1, 2, 10, 0.1, 1.5, -1e-7, 1e21, 1e-7, 123456789012345680000, 2**53,
            5e-324, 1.7976931348623157e308, 1700000000, 1700000000000,
            8.64e15, 0.000001,
        ]
    ),
    st.integers(-(10**6), 10**6),
    # Beyond that the reference rounds, and this package does not (docs/conformance.md).
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip

scalars = st.one_of(st.none(), st.booleans(), numbers, texts)

json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=10,
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """An event whose members are mostly of the kinds that they have in life, and sometimes not."""
    members: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(st.sampled_from(["track", "identify", "page"]), scalars),
        "event": st.one_of(st.sampled_from(["Order Completed", "x", "null"]), scalars),
        "name": scalars,
        "userId": scalars,
        "timestamp": st.one_of(st.just("2024-01-01T00:00:00.000Z"), scalars),
        "properties": st.one_of(st.dictionaries(keys, json_values, max_size=5), json_values),
        "traits": st.one_of(st.dictionaries(keys, json_values, max_size=4), json_values),
        "context": st.one_of(st.dictionaries(keys, json_values, max_size=3), json_values),
        "items": st.lists(st.dictionaries(keys, json_values, max_size=3), max_size=3),
    }
    event: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=members))
    return event
