"""YAML and JSON are read with the line of every value, and strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition.document import Document, read_document
from destinations.errors import DefinitionError


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1\nb: [x, 2.5, true, null, '']", {"a": 1, "b": ["x", 2.5, True, None, ""]}),
        ("text", "text"),
        (
            "1: x\ntrue: z\n1.0: null\n? 0x1F\n: ~",
            {"1": "x", "true": "z", "1.0": None, "0x1F": None},
        ),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ('{"a": 12e5, "b": -1.5E-1, "c": "12e5", "d": 12}', {"a": 12e5, "b": -0.15, "c": "12e5"}),
        ('{\n\t"a":\t1\n}', {"a": 1}),
        ('{"a": "\\ud83d\\ude00", "\\ud83d\\ude00": "\\/"}', {"a": "😀", "😀": "/"}),
        ('["\\t"]', ["\t"]),
        ('["\x85 \u2028 \u2029", "\ufeff\x7f\x9f"]', ["\x85 \u2028 \u2029", "\ufeff\x7f\x9f"]),
        ("[NaN, Infinity]", ["NaN", "Infinity"]),
    ],
)
def test_documents_are_read(text: str, data: Any) -> None:
    """Values are those of JSON: keys are text, and JSON keeps its meaning."""
    found = read_document(text, name="f.yaml").data
    if isinstance(found, dict):
        found.pop("d", None)
    assert found == data


def test_every_value_has_its_line() -> None:
    """A value is looked for where its key stands, an item where it begins."""
    text = "# first\na: 1\nb:\n  c:\n    - x\n    - v: 2\nd/e~: {f: 3,\n  g: 4}\n"
    assert dict(read_document(text, name="f.yaml").lines) == {
        "": 2,
        "/a": 2,
        "/b": 3,
        "/b/c": 4,
        "/b/c/0": 5,
        "/b/c/1": 6,
        "/b/c/1/v": 6,
        "/d~1e~0": 7,
        "/d~1e~0/f": 7,
        "/d~1e~0/g": 8,
    }


@pytest.mark.parametrize(
    ("path", "line"),
    [("", 1), ("/a", 1), ("/b/c", 3), ("/b/missing", 2), ("/b/missing/deep", 2), ("/z", 1)],
)
def test_an_issue_has_the_closest_line(path: str, line: int) -> None:
    """What is not there is reported at what is around it."""
    document = Document("f.yaml", None, {"": 1, "/a": 1, "/b": 2, "/b/c": 3})
    issue = document.issue(path, "is wrong")
    assert (issue.path, issue.file, issue.line) == (path, "f.yaml", line)
    assert str(issue).startswith(f"f.yaml:{line}: ")


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        ("", ["f.yaml:1: the file is empty"]),
        ("# only a comment", ["f.yaml:1: the file is empty"]),
        ("a: 1\nb: 2\na: 3", ["f.yaml:3: /a: the key 'a' occurs twice"]),
        ('{"a": {"b": 1, "b": 2}}', ["f.yaml:1: /a/b: the key 'b' occurs twice"]),
        ("a: &x 1\nb: *x", ["f.yaml:2: YAML aliases (*name) are not supported"]),
        ("a: .inf\nb: .nan", ["f.yaml:1: /a: must be a finite", "f.yaml:2: /b: must be a finite"]),
        ('{"a": 1e999}', ["f.yaml:1: /a: must be a finite number"]),
        (
            "a: !!binary aGk=",
            ["f.yaml:1: /a: unsupported tag tag:yaml.org,2002:binary: expected a"],
        ),
        (
            "a: !!python/name:os.system x",
            ["f.yaml:1: /a: unsupported tag tag:yaml.org,2002:python/name:os.sys"],
        ),
        ("a: !!int x", ["f.yaml:1: /a: cannot be read: 'x' does not fit its type"]),
        ("a: !!bool 1", ["f.yaml:1: /a: cannot be read: '1' does not fit its type"]),
        ("a: !!set {x}", ["f.yaml:1: /a: unsupported tag tag:yaml.org,2002:set: expected a JSON"]),
        ("!mine\na: 1", ["f.yaml:1: unsupported tag !mine: expected a JSON value"]),
        ("a: !!int 0123", ["f.yaml:1: /a: YAML readers disagree on what `0123` is: quote it"]),
        (
            "a: NO\nb:\n  - 1\n  - 12:30\non: x",
            [
                "f.yaml:1: /a: YAML readers disagree on what `NO` is: quote it, or write false",
                "f.yaml:4: /b/1: YAML readers disagree on what `12:30` is: quote it",
                "f.yaml:5: /on: YAML readers disagree on what `on` is: quote it",
            ],
        ),
        (
            "a: x\u2028y # \x85b: 1\n",
            [
                r"f.yaml:1: YAML readers disagree on the character U+2028: write it as \L in",
                r"f.yaml:1: YAML readers disagree on the character U+0085: write it as \N in",
            ],
        ),
        (
            "a: x\x85y\x85 # \x85\nb: \x85",
            [
                r"f.yaml:1: YAML readers disagree on the character U+0085: write it as \N in",
                r"f.yaml:2: YAML readers disagree on the character U+0085: write it as \N in",
            ],
        ),
        ("? [1]\n: x", ["f.yaml:1: a key must be text"]),
        ("a: 1\n  b: 2", ["f.yaml:2: not YAML: mapping values are not allowed here"]),
        ("a: [1", ["f.yaml:1: not YAML: expected ',' or ']'"]),
        ("a: 1\n---\nb: 2", ["f.yaml:2: not YAML: but found another document"]),
        ("a:\n\tb: 1", ["f.yaml:2: not YAML: found character '\\t'"]),
        ("a: '\x07'", ["f.yaml: not YAML: unacceptable character"]),
        ('a: "\\ud800"', ["f.yaml:1: /a: has a lone surrogate (half of a character)"]),
        ('{"\\udc00": 1}', ["f.yaml:1: has a lone surrogate (half of a character)"]),
        ("[" * 80 + "]" * 80, [f"f.yaml:1: {'/0' * 65}: nested more than 64 levels deep"]),
        ("[" * 1_100 + "]" * 1_100, ["f.yaml:1: nested more than 64 levels deep"]),
    ],
)
def test_what_cannot_be_read_is_reported(text: str, issues: list[str]) -> None:
    """Every issue that reading can find is reported, with its line and path."""
    with pytest.raises(DefinitionError) as caught:
        read_document(text, name="f.yaml")
    assert len(caught.value.issues) == len(issues)
    for issue, expected in zip(caught.value.issues, issues, strict=True):
        assert str(issue).startswith(expected)


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ('a:\n- {subscribe: contains(event, "abc")}', True),
        ('- {name: A, when: event = "a: b"}', True),
        ("- {drop: 'contains(event, \"abc\")', by: a: b}", False),
        ('- {name: contains(event, "abc")}', False),
        ('- subscribe: event = "a: b"', False),
    ],
)
def test_fql_in_braces(text: str, hints: bool) -> None:
    """Where YAML ends within it, the issue says what to do; other lines get no such advice."""
    with pytest.raises(DefinitionError) as caught:
        read_document(text, name="f.yaml")
    assert ("; in braces, quote FQL that has a comma or a colon" in str(caught.value)) is hints


TEXT = st.text(
    st.characters(min_codepoint=32, codec="utf-8", exclude_categories=["Cc"]), max_size=9
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(value=JSON, indent=st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_json(value: Any, indent: Any) -> None:
    """A JSON file means what a JSON parser says, however it is laid out."""
    text = json.dumps(value, indent=indent)
    found = read_document(text, name="f.json").data
    assert found == value
    assert json.dumps(found) == json.dumps(value)
