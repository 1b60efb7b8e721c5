"""Subscriptions: FQL made by its grammar, and text that somebody broke."""

from __future__ import annotations

from typing import Any, Final

from differential_inputs.json_values import events, json_values, one_in, scalars, texts
from hypothesis import strategies as st

__all__ = ["matching_events", "subscriptions"]

_FIELDS: Final = (
    "type", "event", "name", "userId", "properties.a", "properties.b", "properties.a.b",
    "traits.email", "traits.a", "context.a", "context.a.b", "properties.length", "properties.0",
    "properties.a.length",
)  # fmt: skip
_ODD_FIELDS: Final = (
    "anonymousId", "properties", "traits", "context", "event.a", "type.length",
    "properties.user\\ id", "properties.a\\.b", "properties.", "properties..a", "property.a",
    "toString", "constructor", "propertiesx.a", "contextual", "and", "or", "null", "nullable",
    "order", "android", "true", "properties.null", "properties.and", "properties.a-b",
    "properties.1a", "properties.é", "properties . a", "properties[a]", "properties.toString",
    "properties.constructor.name", "contains", "match", "not",
)  # fmt: skip
_VALUES: Final = (
    '"track"', '"identify"', '"Order Completed"', '"x"', '""', '"null"', '"1"', '"1.5"', '" 1 "',
    '"0x10"', "1", "0", "-1", "+1", "1.5", "-0", "10", "true", "false", "null", '"true"', '"a*"',
    '"*a"', '"*"',
)  # fmt: skip
_ODD_VALUES: Final = (
    "'x'", "'it\"s'", "x", "True", "NULL", "undefined", "1.", ".5", "1.2.3", "-", "+", "--1",
    "1e3", "1_0", '"x', "x\"", "\"a\\\"b\"", "(x)", "()", "[1]", "", "properties.a", '"x"y',
    '"x" "y"', "1a", "é", "\\", '"\n"',
)  # fmt: skip
_PATTERNS: Final = (
    '"x*"',
    '"*x"',
    '"*"',
    '"**"',
    '"x"',
    '"Order*"',
    '"*Completed"',
    '""',
    '"x*y"',
    "x*",
    "1",
    "null",
)

_quoted = texts.filter(lambda text: '"' not in text).map(lambda text: f'"{text}"')


def _mostly(
    usual: st.SearchStrategy[str], odd: st.SearchStrategy[str], once_in: int
) -> st.SearchStrategy[str]:
    @st.composite
    def choose(draw: st.DrawFn) -> str:
        return draw(odd if one_in(draw, once_in) else usual)

    return choose()


_field = _mostly(st.sampled_from(_FIELDS), st.sampled_from(_ODD_FIELDS), 16)
_value = _mostly(
    st.one_of(st.sampled_from(_VALUES), st.sampled_from(_VALUES), _quoted),
    st.sampled_from(_ODD_VALUES),
    24,
)
_operator = _mostly(
    st.sampled_from(["=", "=", "=", "!=", "<", "<=", ">", ">="]),
    st.sampled_from(["==", "=>", "<>", "!", "is", "contains", "", "~", "! =", "=!"]),
    40,
)
_space = _mostly(st.just(" "), st.sampled_from(["", "  ", "\n", "\t", "\r", "\u00a0"]), 40)
_joint = _mostly(
    st.sampled_from(["and", "or"]),
    st.sampled_from(["AND", "OR", "&&", ",", "", "not", "and not", "and and"]),
    12,
)
_comma = _mostly(st.just(", "), st.sampled_from([",", " , ", " ", ",,"]), 12)


@st.composite
def _terms(draw: st.DrawFn) -> str:
    between = draw(_space)
    if draw(st.integers(0, 9)) < 6:
        return between.join((draw(_field), draw(_operator), draw(_value)))
    name = draw(
        _mostly(st.sampled_from(["contains", "match"]), st.sampled_from(["Contains", "ends"]), 20)
    )
    wanted = draw(st.one_of(st.sampled_from(_PATTERNS), _value))
    negation = draw(_mostly(st.sampled_from(["", "!"]), st.sampled_from(["! ", "not "]), 12))
    return f"{negation}{name}({draw(_field)}{draw(_comma)}{wanted})"


@st.composite
def _levels(draw: st.DrawFn, depth: int) -> str:
    text = ""
    for at in range(draw(st.sampled_from([1, 1, 2, 2, 3, 4]))):
        if at:
            text += f"{draw(_space)}{draw(_joint)}{draw(_space)}"
        if depth and one_in(draw, 4):
            negation = draw(_mostly(st.just(""), st.sampled_from(["!", "not "]), 6))
            text += f"{negation}({draw(_levels(depth - 1))})"
        else:
            text += draw(_terms())
    return text


@st.composite
def subscriptions(draw: st.DrawFn) -> str:
    """A subscription; of some a part is cut out, doubled, or replaced by a character."""
    text = draw(_levels(draw(st.sampled_from([1, 1, 1, 2]))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(at + 3, len(text))))
        piece = draw(
            st.one_of(
                st.sampled_from(
                    [
                        "",
                        "",
                        "(",
                        ")",
                        '"',
                        "'",
                        "!",
                        "\\",
                        ".",
                        ",",
                        " ",
                        "[",
                        "]",
                        "é",
                        "=",
                        "-",
                        "\n",
                    ]
                ),
                st.just(text[at:end] * 2),
                st.text(max_size=2),
            )
        )
        text = text[:at] + piece + text[end:]
    return text


@st.composite
def matching_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event that has what subscriptions ask for, with values near those that they ask about."""
    value = st.one_of(
        st.sampled_from(
            ["track", "Order Completed", "x", "ax", "xa", "null", "1", "", "true", "a*", "*a"]
        ),
        st.sampled_from([1, 0, -1, 1.5, 10, -0.0, True, False, None]),
        scalars,
    )
    nested = st.one_of(
        value,
        st.dictionaries(st.sampled_from(["a", "b", "email", "length", "0", "user id"]), value),
    )
    holder = st.one_of(
        st.dictionaries(
            st.sampled_from(["a", "b", "email", "user id", "a-b", "null", "0", "é"]), nested
        ),
        json_values,
    )
    members = {
        "type": value, "event": value, "name": value, "userId": value,
        "properties": holder, "traits": holder, "context": holder,
    }  # fmt: skip
    event: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries({}, optional=members), st.fixed_dictionaries(members), events()
        )
    )
    return event
