"""The directive @convert: each word, what it takes, and what it refuses."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import MappingError, ResolveError
from destinations.secrets import Secret
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_mapping, compile_value
from destinations.segment.mapping.conversions import CONVERSIONS
from destinations.segment.mapping.directives import DIRECTIVES
from destinations.segment.mapping.parts import beyond_segment


def _converted(value: Any, to: object) -> Any:
    return compile_value({"@convert": {"value": {"@path": "$.v"}, "to": to}}).resolve({"v": value})


MAIL = hashlib.sha256(b"ada@example.com").hexdigest()
UUID = "13c0b661-f48b-51cd-ba54-97c5999169c0"
GIVEN: list[tuple[Any, object, Any]] = [
    # times
    ("2026-03-05T14:30:00Z", "seconds", 1772721000),
    ("2026-03-05T14:30:00.999Z", "seconds", 1772721000),
    ("2026-03-05T14:30:00.250Z", "milliseconds", 1772721000250),
    ("2026-03-05T14:30:00.250999Z", "milliseconds", 1772721000250),
    ("2026-03-05T14:30:00.1234567891Z", "milliseconds", 1772721000123),
    ("2026-03-05T14:30:00,5Z", "milliseconds", 1772721000500),
    ("2026-03-05T14:30:00.1234567891Z", "microseconds", 1772721000123456),
    ("2026-03-05T14:30:00.25Z", "microseconds", 1772721000250000),
    (1772721000.000001, "microseconds", 1772721000000001),
    (1772721000250, "microseconds", 1772721000250000),
    ("1969-12-31T23:59:59.999999Z", "microseconds", -1),
    ("2026-03-05T15:30:00+01:00", "iso", "2026-03-05T14:30:00.000Z"),
    ("2026-03-05T15:30:00+0100", "iso", "2026-03-05T14:30:00.000Z"),
    ("2026-03-05T15:30+01", "iso", "2026-03-05T14:30:00.000Z"),
    ("2026-03-05 14:30", "iso", "2026-03-05T14:30:00.000Z"),
    ("2026-03-05T14:30:00", "iso", "2026-03-05T14:30:00.000Z"),
    ("2026-03-05", "iso", "2026-03-05T00:00:00.000Z"),
    (1772721000, "iso", "2026-03-05T14:30:00.000Z"),
    (1772721000.25, "iso", "2026-03-05T14:30:00.250Z"),
    (1772721000250, "iso", "2026-03-05T14:30:00.250Z"),
    (1772721000250.0, "seconds", 1772721000),
    (1772721000, "milliseconds", 1772721000000),
    (1772721000.001, "milliseconds", 1772721000001),
    (99_999_999_999, "iso", "5138-11-16T09:46:39.000Z"),
    (100_000_000_000, "iso", "1973-03-03T09:46:40.000Z"),
    (0, "iso", "1970-01-01T00:00:00.000Z"),
    (-1, "milliseconds", -1000),
    (-0.5, "seconds", -1),
    ("1969-12-31T23:59:59.5Z", "seconds", -1),
    ("0001-01-01", "seconds", -62135596800),
    ("9999-12-31T23:59:59.999Z", "milliseconds", 253402300799999),
    ("1772721000", ["number", "iso"], "2026-03-05T14:30:00.000Z"),
    # numbers
    ("12.5", "number", 12.5),
    (" 12.50 ", "number", 12.5),
    ("+5", "number", 5),
    ("-0.5e2", "number", -50),
    (".5", "number", 0.5),
    ("5.", "number", 5),
    (2.5, "number", 2.5),
    (7, "number", 7),
    ("12345678901234567890123", "number", 12345678901234567890123),
    ("007", "integer", 7),
    ("5.0", "integer", 5),
    (5.0, "integer", 5),
    (-3, "integer", -3),
    ("0e-400", "number", 0),
    ("-0.000e5", "number", 0),
    ("5e-324", "number", 5e-324),
    ("1.7e308", "number", 1.7e308),
    (10**308, "number", 10**308),
    # text
    (10**308, "text", "1" + "0" * 308),
    (1e308, "text", "1e+308"),
    (5, "text", "5"),
    (5.0, "text", "5"),
    (1.5, "text", "1.5"),
    (True, "text", "true"),
    ("", "text", ""),
    ("Straße É", "lower", "straße é"),
    ("straße é", "upper", "STRASSE É"),
    ("\ufeff\u00a0 a b \u2003\n", "trim", "a b"),
    ("+1 (555) 010-9999", "digits", "15550109999"),
    ("\u0665\u0666 5", "digits", "565"),
    ("n/a", "digits", ""),
    ("\u00b2", "digits", ""),
    # hashes
    ("ada@example.com", "sha256", MAIL),
    (" Ada@Example.com", ["trim", "lower", "sha256"], MAIL),
    (MAIL, "sha256", MAIL),
    (MAIL.upper(), "sha256", MAIL.upper()),
    (MAIL, ["trim", "lower", "sha256"], MAIL),
    (MAIL[1:], "sha256", hashlib.sha256(MAIL[1:].encode()).hexdigest()),
    ("g" * 64, "sha256", hashlib.sha256(b"g" * 64).hexdigest()),
    ("", "sha256", ""),
    ("é", "sha256", hashlib.sha256("é".encode()).hexdigest()),
    (Secret("ada@example.com"), "sha256", MAIL),
    # names of one form
    ("m-1", "uuid", "ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c"),
    ("", "uuid", ""),
    (UUID, "uuid", UUID),
    (UUID.upper(), "uuid", UUID.upper()),
    (Secret("m-1"), "uuid", "ecb62ab8-f5aa-5a0e-bd79-ea2d50600a9c"),
    (15550109999, ["text", "sha256"], hashlib.sha256(b"15550109999").hexdigest()),
]


@pytest.mark.parametrize(("value", "to", "expected"), GIVEN, ids=lambda one: repr(one)[:40])
def test_what_is_given(value: Any, to: object, expected: Any) -> None:
    """The value in the form of each word in turn, and of its type."""
    found = _converted(value, to)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("word", CONVERSIONS)
@pytest.mark.parametrize("value", [None, UNDEFINED])
def test_what_is_not_there(word: str, value: object) -> None:
    """Nothing stays nothing and null stays null, whatever would be made of them."""
    assert _converted(value, word) is value
    assert _converted(value, [word, word]) is value


TIME = "a time in ISO 8601, such as 2026-03-05T14:30:00Z, or a number of seconds or milliseconds"
NUMBER = "a number, or text such as 12.5"
INTEGER = "a whole number, or text such as 12"
LARGE = "a number between -1.8e308 and 1.8e308"
SMALL = "0, or a number that is further from it than 5e-324"
NO_TIMES: tuple[Any, ...] = (
    *("", "tomorrow", "March 5, 2026", "2026-02-30", "2026-13-01", "2026-3-5"),
    *("2026-03-05T24:30:00Z", "2026-03-05T14:30:60Z", "20260305", "1772721000"),
    *("2026-W10-4", "2026-03-05T14:30:00 Z", " 2026-03-05", "2026-03-05T14"),
    *("2026-03-05T24:00:00Z", "2026-03-05T14:30+01:60", "2026-03-05T14:30+0199"),
    *("0001-01-01T00:00:00+01:00", True, [], {}, math.inf, math.nan),
    *(300_000_000_000_000, -100_000_000_000_000, 10**400, 1e21, 1e308, -1.7e308),
)
REFUSED: list[tuple[Any, object, str, str]] = [
    *[
        (value, word, word, TIME)
        for word in ("iso", "seconds", "milliseconds", "microseconds")
        for value in NO_TIMES
    ],
    *[
        (value, "number", "number", NUMBER)
        for value in ("", " ", "5 EUR", "1,000", "0x10", "Infinity", "NaN", "٥", True, [5])
    ],
    (math.inf, "number", "number", NUMBER),
    *[(value, "integer", "integer", INTEGER) for value in (5.5, "5.5", "x", 1e300, False)],
    ({"a": 1}, "text", "text", "text, a number, true or false"),
    ([1], "text", "text", "text, a number, true or false"),
    (math.nan, "text", "text", "text, a number, true or false"),
    *[
        (value, word, word, "text")
        for word in ("lower", "upper", "trim", "digits")
        for value in (5, True, ["a"], {"a": 1})
    ],
    (5, "sha256", "sha256", "text of whole characters"),
    ("\ud800", "sha256", "sha256", "text of whole characters"),
    (5, "uuid", "uuid", "text of whole characters"),
    ("\ud800", "uuid", "uuid", "text of whole characters"),
    # No double holds these: JavaScript would make Infinity or 0 of them.
    *[
        (value, word, word, LARGE)
        for word in ("number", "integer", "text")
        for value in (10**400, -(10**400), 2**1024, 10**4000)
    ],
    *[
        (value, word, word, LARGE)
        for word in ("number", "integer")
        for value in ("9" * 401, "1e400", "-1e400", "1e309", "1e999", "9" * 5000)
    ],
    *[
        (value, "number", "number", SMALL)
        for value in ("1e-400", "-.001e-330", "0.0" + "0" * 400 + "1")
    ],
    ("1e-400", "integer", "integer", SMALL),
    *[(value, word, word, TIME) for word in ("iso", "seconds") for value in (10**4000, 1e308)],
    (-math.inf, "text", "text", "text, a number, true or false"),
    # The word that cannot be followed is named, not the first.
    ("x", ["trim", "number", "iso"], "number", NUMBER),
    ("5", ["integer", "lower"], "lower", "text"),
]


@pytest.mark.parametrize(
    ("value", "to", "word", "expected"), REFUSED, ids=lambda one: repr(one)[:30]
)
def test_what_is_refused(value: Any, to: object, word: str, expected: str) -> None:
    """The event fails with the place and what would be right, and without the value."""
    mapping = compile_mapping({"a": {"@convert": {"value": {"@path": "$.v"}, "to": to}}})
    with pytest.raises(ResolveError) as caught:
        mapping.resolve({"v": value})
    assert caught.value.path == "/a/@convert"
    assert caught.value.message.startswith(f"cannot make {word} of this ")
    assert caught.value.message.endswith(f"; expected {expected}")


WORDS = ", ".join(CONVERSIONS)


@pytest.mark.parametrize(
    ("argument", "issue"),
    [
        ({"value": 1}, '/a/@convert: should have the field "to" but does not'),
        ({"to": "iso"}, '/a/@convert: should have the field "value" but does not'),
        ("iso", "/a/@convert: should be an object but is a string"),
        ({"value": 1, "to": 5}, "/a/@convert/to: should be a string but is a number"),
        ({"value": 1, "to": []}, "/a/@convert/to: should have at least one word"),
        (
            {"value": 1, "to": "secnods"},
            f'/a/@convert/to: should be one of {WORDS} but is "secnods"; did you mean seconds?',
        ),
        (
            {"value": 1, "to": ["trim", "ISO"]},
            f'/a/@convert/to/1: should be one of {WORDS} but is "ISO"; did you mean iso?',
        ),
        ({"value": {"@paht": 1}, "to": "iso"}, "/a/@convert/value: has the unknown directive"),
    ],
)
def test_what_is_wrong_with_an_argument(argument: object, issue: str) -> None:
    """It is found when the mapping is loaded, with its place and the nearest word."""
    with pytest.raises(MappingError) as caught:
        compile_mapping({"a": {"@convert": argument}})
    assert [str(one)[: len(issue)] for one in caught.value.issues] == [issue]


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("second", f'should be one of {WORDS} but is "second"; did you mean seconds?'),
        (["trim", 5], f"should be one of {WORDS} but is 5"),
        ([], "should have at least one word"),
    ],
)
def test_words_where_loading_does_not_look(to: object, message: str) -> None:
    """Within arrays an issue is a warning, and the event fails that reaches it."""
    compiled = compile_value([{"@convert": {"value": 1, "to": to}}])
    assert [str(one) for one in compiled.warnings] == [f"/0/@convert/to: {message}"]
    with pytest.raises(ResolveError, match="/0/@convert/to"):
        compiled.resolve({})


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))  # noqa: DTZ001 - naive means UTC
def test_a_time_is_the_same_in_each_form(moment: datetime) -> None:
    """From any time to ISO and back nothing but microseconds is lost."""
    exact = moment.replace(tzinfo=UTC)
    milliseconds = (exact - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    text = exact.isoformat()
    assert _converted(text, "milliseconds") == milliseconds
    assert _converted(_converted(text, "iso"), "milliseconds") == milliseconds
    assert _converted(text, "microseconds") // 1000 == milliseconds
    assert _converted(text, "seconds") == milliseconds // 1000
    if abs(milliseconds) >= 1e11:
        assert _converted(_converted(milliseconds, "iso"), "milliseconds") == milliseconds


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
       st.sampled_from(sorted(CONVERSIONS)))  # fmt: skip
def test_anything_is_converted_or_refused(value: Any, word: str) -> None:
    """No value makes another error, and what is converted once stays as it is."""
    try:
        found = _converted(value, word)
    except ResolveError:
        return
    # Two letters of one may become others again, and small numbers are seconds.
    if word not in {"upper", "milliseconds", "microseconds"}:
        assert _converted(found, word) == found


@given(
    st.integers() | st.integers(-400, 400).map(lambda at: (-7 if at < 0 else 7) * 10 ** abs(at))
    | st.floats()
    | st.builds("{}e{}".format, st.integers(-99, 99), st.integers(-700, 700)),
    st.sampled_from(
        ["number", "integer", "text", "iso", "seconds", "milliseconds", "microseconds"]
    ),
)  # fmt: skip
def test_no_number_becomes_infinite_or_nothing(value: Any, word: str) -> None:
    """What is sent is finite, and not 0 unless it was: otherwise the event fails."""
    try:
        found = _converted(value, word)
    except ResolveError:
        return
    if isinstance(found, int | float):
        assert math.isfinite(float(found))
        if word in {"number", "integer"}:
            digits = str(value).partition("e")[0]
            assert bool(found) is bool(float(digits))
    elif not isinstance(value, str):
        assert found not in {"Infinity", "-Infinity", "NaN"}


def test_which_directives_segment_lacks() -> None:
    """It is the only one, and an exporter is told where it stands."""
    assert [name for name, one in DIRECTIVES.items() if not one.in_segment] == ["@convert"]
    convert = {"@convert": {"value": {"@path": "$.a"}, "to": "iso"}}
    mapping = {
        "a/b": [1, {"@if": {"exists": convert, "then": {"c": convert}}}],
        "d": {"@literal": convert},
        "e": {"@path": "$.@convert"},
    }
    assert list(beyond_segment(mapping)) == [
        ("/a~1b/1/@if/exists", "@convert"),
        ("/a~1b/1/@if/then/c", "@convert"),
        ("/d/@literal", "@convert"),
    ]
