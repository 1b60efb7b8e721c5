"""What a document breaks of a schema is said as its author would say it."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.schema_wording import Mismatch, wording


def _type(value: Any, *kinds: str, **schema: Any) -> Mismatch:
    return Mismatch("type", {"type": list(kinds), **schema}, value)


def _options(count: int, value: Any) -> Mismatch:
    return Mismatch("enum", {"enum": [f"o{one:02}" for one in range(count)]}, value, ("key",))


ENUM = {"enum": ["GET", "POST", 1]}
MESSAGES: dict[str, tuple[Mismatch, str]] = {
    "null": (_type("x", "null"), "must be null, not text"),
    "two types": (_type([], "string", "integer"), "must be text or an integer, not a list"),
    "a boolean last": (
        _type(None, "boolean", "integer"),
        "must be an integer, true or false, not null",
    ),
    "a whole number as a float": (_type(5.0, "integer"), "must be an integer, not 5.0; write 5"),
    "one that is out of bounds": (
        _type(5.0, "integer", minimum=6),
        "must be an integer, not 5.0",
    ),
    "an integer in quotes": (
        _type("5", "integer"),
        "must be an integer, not '5'; write 5 without quotes",
    ),
    "a number in quotes": (
        _type("5.5", "number"),
        "must be a number, not '5.5'; write 5.5 without quotes",
    ),
    "no integer in quotes": (_type("5.5", "integer"), "must be an integer, not text"),
    "true in quotes": (
        _type("true", "boolean"),
        "must be true or false, not 'true'; write true without quotes",
    ),
    "too small in quotes": (
        _type("5", "integer", exclusiveMinimum=5),
        "must be an integer, not text",
    ),
    "small enough in quotes": (
        _type("4", "integer", exclusiveMaximum=5),
        "must be an integer, not '4'; write 4 without quotes",
    ),
    "an option that is near": (
        Mismatch("enum", ENUM, "POTS"),
        "must be one of GET, POST, 1, not 'POTS'; did you mean POST?",
    ),
    "twelve options": (
        _options(12, "x"),
        f"must be one of {', '.join(f'o{one:02}' for one in range(12))}, not 'x'",
    ),
    "thirteen options": (
        _options(13, "x"),
        f"unknown key 'x'; known: {', '.join(f'o{one:02}' for one in range(13))}",
    ),
    "the branch for the value's type": (
        Mismatch(
            "anyOf",
            {"anyOf": []},
            "PUT",
            ways=((Mismatch("enum", ENUM, "PUT"),), (_type("PUT", "object"),)),
        ),
        "must be one of GET, POST, 1, not 'PUT'",
    ),
    "branches for other types": (
        Mismatch(
            "anyOf",
            {"anyOf": []},
            None,
            ways=((Mismatch("enum", ENUM, None),), (_type(None, "object"),)),
        ),
        "must be one of GET, POST, 1 or a mapping, not null",
    ),
    "an empty mapping": (Mismatch("const", {"const": 1}, {}), "must be 1, not {}"),
    "an empty list": (Mismatch("const", {"const": 1}, []), "must be 1, not []"),
    "a mapping": (Mismatch("const", {"const": 1}, {"a": 1}), "must be 1, not a mapping"),
    "what is required": (
        Mismatch("required", {"required": ["a", "b", "c"]}, {"b": 1}),
        "lacks 'a', 'c'",
    ),
    "one of several": (
        Mismatch("oneOf", {"oneOf": [{"required": ["a", "b"]}, {"required": ["c"]}]}, {}),
        "must have exactly one of: a and b | c",
    ),
    "what excludes one another": (
        Mismatch("not", {"not": {"required": ["a", "b"]}}, {"a": 1, "b": 2}),
        "must not have a and b together",
    ),
    "a value that is excluded": (Mismatch("not", {"not": {"const": "a"}}, "a"), "must not be 'a'"),
    "a form that is excluded": (
        Mismatch("not", {"not": {"type": "null"}}, 1),
        "must not have this form",
    ),
    "a bound": (
        Mismatch("exclusiveMinimum", {"exclusiveMinimum": 1, "maximum": 9}, 1),
        "must be a number over 1 and of at most 9, not 1",
    ),
    "two bounds": (
        Mismatch("minimum", {"minimum": 1, "maximum": 9}, 0),
        "must be a number from 1 to 9, not 0",
    ),
    "a step": (Mismatch("multipleOf", {"multipleOf": 3}, 4), "must be a multiple of 3, not 4"),
    "a keyword without words": (Mismatch("contains", {"contains": {}}, [], message="none"), "none"),
}


@pytest.mark.parametrize(("mismatch", "message"), MESSAGES.values(), ids=MESSAGES)
def test_what_is_wrong_is_said(mismatch: Mismatch, message: str) -> None:
    """The message says what was expected and what is there, and the cure where that is clear."""
    assert wording(mismatch) == message


NOUNS = {
    "date-like": "a date or Unix time",
    "date": "a date (YYYY-MM-DD)",
    "time": "a time (hh:mm:ss)",
    "date-time": "a date and time (YYYY-MM-DDThh:mm:ssZ)",
    "duration": "a duration (ISO 8601)",
    "email": "an email address",
    "hostname": "a host name",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "uri": "a URI",
    "url": "a URL of the public web",
    "uri-template": "a URI template",
    "uri-reference": "a URI reference",
    "uuid": "a UUID",
    "json-pointer": "a JSON pointer",
    "json-pointer-uri-fragment": "a JSON pointer in a URI",
    "relative-json-pointer": "a relative JSON pointer",
    "regex": "a regular expression",
    "byte": "base64",
    "text": "text",
    "password": "text",
    "binary": "text",
    "int32": "an integer of 32 bits",
    "int64": "an integer",
    "float": "a number",
    "double": "a number",
    "another": "a valid another",
}


@pytest.mark.parametrize(("name", "noun"), NOUNS.items())
def test_a_format_has_a_noun(name: str, noun: str) -> None:
    """A value of the wrong format is told what it must be, in words that need no look-up."""
    assert wording(Mismatch("format", {"format": name}, "")) == f"must be {noun}, not ''"


def test_every_format_is_tried() -> None:
    """A new format gets a row of the table above."""
    assert NOUNS.keys() - {"another"} == FORMATS.keys()
