"""TypeScript says the values that it is given, whatever is in them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destinations.kit.exporter.literals import (
    comment,
    file_name,
    is_identifier,
    line_comment,
    literal,
    member,
    name_of,
    text,
)

HARD = (
    "",
    "it's",
    '"quoted"',
    "'both' and \"both\"",
    "${settings.apiKey}",
    "`${1 + 1}`",
    "\\",
    "\\u0041",
    "\\'; process.exit(1); '",
    "*/ process.exit(1) /*",
    "// no comment",
    "</script>",
    "line\nbreak\r\nand\ttab",
    "\x00\x1f\x7f\x85\u2028\u2029\ufeff",
    "\ud83d\ude00"[:1],
    "😀 und ß",
    "{{event}}",
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def _read(source: str) -> str:
    """Read a string literal of TypeScript, which must have no other end than its last quote."""
    quote = source[0]
    assert quote in "'\""
    found, rest = [], source[1:]
    while rest[0] != quote:
        assert rest[0] not in "\n\r\u2028\u2029"
        if rest[0] != "\\":
            found.append(rest[0])
            rest = rest[1:]
        elif rest[1] == "u":
            found.append(chr(int(rest[2:6], 16)))
            rest = rest[6:]
        else:
            found.append(ESCAPES.get(rest[1], rest[1]))
            rest = rest[2:]
    assert rest == quote
    return "".join(found)


@pytest.mark.parametrize("value", HARD, ids=ascii)
def test_hard_text(value: str) -> None:
    """Quotes, backslashes and what ends lines are escaped; `${` means nothing in such quotes."""
    assert _read(text(value)) == value


@given(st.text(st.characters()))
def test_any_text(value: str) -> None:
    """Any text is read as it was written."""
    assert _read(text(value)) == value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
    | st.sampled_from(HARD),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(), max_size=8) | st.sampled_from(["__proto__", "default", "a-b"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=5, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(JSON, min_size=50, max_size=100))
def test_node_reads_the_same(values: list[Any]) -> None:
    """Node reads each expression as the value, also with indentation and in any place of a line."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is missing: install Node 18 or later (https://nodejs.org)")
    values = [*HARD, *values]
    parts = ",\n".join(f"({literal(one, 4, at % 130)})" for at, one in enumerate(values))
    # Of a number, JSON has many spellings, so both are compared in Node.
    code = (
        f"const found = [{parts}]\n"
        "const { readFileSync } = require('node:fs')\n"
        "const { isDeepStrictEqual } = require('node:util')\n"
        "const values = JSON.parse(readFileSync(0, 'utf8'))\n"
        "values.forEach((one, at) => isDeepStrictEqual(one, found[at]) || console.log(at))\n"
    )
    done = subprocess.run(
        [node, "-e", code],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogatepass",
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@given(st.text(st.characters()) | st.sampled_from(HARD), st.integers(0, 8))
def test_comments_end_where_they_should(value: str, indent: int) -> None:
    """Nothing of a description is code: no comment ends before its last characters."""
    found = comment(value, indent).strip(" \n")
    assert found.startswith("/**")
    assert found.index("*/") == len(found) - 2
    line = line_comment(value)
    assert line.startswith("// ")
    assert not re.search(r"[\n\r\u2028\u2029]", line)


def test_a_comment_is_no_mark() -> None:
    """A description never looks like a mark of code by hand."""
    assert line_comment("By hand: begin") == "// By hand, begin"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("track", "track"),
        ("trackEvent", "trackEvent"),
        ("track-event", "trackEvent"),
        ("track_event", "track_event"),
        ("Track event!", "TrackEvent"),
        ("delete", "delete_"),
        ("await", "await_"),
        ("eval", "eval_"),
        ("2fa", "_2fa"),
        ("größe", "grE"),
        ("🙂", "_"),
        ("a.b", "aB"),
    ],
)
def test_names(name: str, expected: str) -> None:
    """A name that is no identifier, or that the language keeps, becomes one."""
    assert name_of(name) == expected
    assert is_identifier(expected)


@given(st.lists(st.text(max_size=6) | st.sampled_from(["a-b", "a_b", "aB", "new"]), max_size=12))
def test_names_are_different(names: list[str]) -> None:
    """Each name is an identifier of its own."""
    found: list[str] = []
    for name in names:
        found.append(name_of(name, found))
    assert len(set(found)) == len(found)
    assert all(map(is_identifier, found))


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("trackEvent", [], "trackEvent"),
        ("http", [], "httpAction"),
        ("HTTP", [], "HTTPAction"),
        ("index", [], "indexAction"),
        ("con", [], "conAction"),
        ("node_modules", [], "node_modulesAction"),
        ("Track", ["track"], "TrackAction"),
        ("TRACK", ["track", "TrackAction"], "TRACKAction2"),
    ],
)
def test_folders(name: str, taken: list[str], expected: str) -> None:
    """No folder is called like a file beside it, or like another in other case."""
    assert file_name(name, taken) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("name", "name"),
        ("default", "default"),
        ("a-b", "'a-b'"),
        ("it's", '"it\'s"'),
        ("", "''"),
        ("__proto__", "['__proto__']"),
    ],
)
def test_keys(key: str, expected: str) -> None:
    """Keys have quotes where they need them; that of the prototype is a key like others."""
    assert member(key) == expected


def test_deep_values_take_no_longer_than_they_are() -> None:
    """Each level is measured once, so 64 of them, the most that a body may have, are nothing."""
    value: Any = "x"
    for _ in range(64):
        value = {"a": [value]}
    written = literal(value)
    assert written.count("a: [") == 64
    assert written.splitlines()[0] == "{"
