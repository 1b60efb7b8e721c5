"""Plain scalars mean what the core schema of YAML 1.2 says, and what readers of 1.1 say as well."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.definition.document import read_document
from destinations.definition.yaml_schema import LOADERS, Dumper, write_scalar
from destinations.errors import DefinitionError
from tests.example_counts import examples

ROOT = Path(__file__).parents[3]

AGREED: list[tuple[str, Any]] = [
    ("null", None), ("Null", None), ("NULL", None), ("~", None), ("", None),
    ("true", True), ("True", True), ("TRUE", True),
    ("false", False), ("False", False), ("FALSE", False),
    ("0", 0), ("-0", 0), ("+12", 12), ("-19", -19), ("1000", 1000), ("0x1F", 31),
    ("0.5", 0.5), ("-0.5", -0.5), (".5", 0.5), ("1.", 1.0), ("1.0e+3", 1000.0), (".5e-1", 0.05),
    ("+12.5", 12.5), ("-1.E+2", -100.0),
    # Text to all of them.
    ("nO", "nO"), ("yEs", "yEs"), ("tRUE", "tRUE"), ("none", "none"), ("north", "north"),
    ("0x", "0x"), ("0xG", "0xG"), ("1_a", "1_a"), ("_", "_"), ("1.2.3", "1.2.3"),
    ("127.0.0.1:8787", "127.0.0.1:8787"), ("8080:8080", "8080:8080"), ("12:75", "12:75"),
    ("2026-01", "2026-01"), ("2026-W01", "2026-W01"), ("1e", "1e"), ("e3", "e3"), ("+", "+"),
    ("NaN", "NaN"), ("Infinity", "Infinity"), ("==", "=="), ("<", "<"), ("1,000", "1,000"),
    ("$.userId", "$.userId"), ("${KEY}", "${KEY}"),
]  # fmt: skip

AMBIGUOUS: list[tuple[str, str]] = [
    *((text, ", or write true") for text in ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON")),
    *((text, ", or write false") for text in ("n", "N", "no", "No", "NO", "off", "Off", "OFF")),
    ("12:30", ""), ("09:30", ""), ("1:2:3", ""), ("-1:30.5", ""), ("0:07", ""),
    ("0123", ", or write 83 or 123"), ("-0123", ", or write -83 or -123"), ("007", ", or write 7"),
    ("09", ", or write 9"), ("01.5", ", or write 1.5"), ("00", ", or write 0"),
    ("0o17", ", or write 15"), ("0b101", ", or write 5"), ("-0x1F", ", or write -31"),
    ("0X1F", ", or write 31"), ("0x1_F", ", or write 31"), ("0x_", ""),
    ("1_000", ", or write 1000"), ("1_0.5", ", or write 10.5"), ("2026_01", ", or write 202601"),
    ("1e3", ", or write 1000"), ("1.5e3", ", or write 1500"), ("1e+3", ", or write 1000"),
    ("1e-7", ", or write 1.0e-07"), ("-.5", ", or write -0.5"), ("+.5", ", or write 0.5"),
    ("1e999", ""), ("0" * 900, ""),
    ("2026-01-01", ""), ("2026-1-1", ""), ("2026-01-01T10:00:00Z", ""), ("2026-01-01T10:00Z", ""),
    ("2026-01-01 10:00:00.5 +01:00", ""),
    ("=", ""), ("<<", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), AGREED)
def test_what_readers_agree_on_is_read(text: str, value: Any) -> None:
    """Null, booleans and numbers are those of the core schema; PyYAML's own reader says so too."""
    found = read_document(f"a: {text}", name="f.yaml").data["a"]
    assert (type(found), found) == (type(value), value)
    assert yaml.safe_load(f"a: {text}") == {"a": value}


@pytest.mark.parametrize(("text", "cure"), AMBIGUOUS, ids=[text[:30] for text, _ in AMBIGUOUS])
def test_what_readers_disagree_on_is_refused(text: str, cure: str) -> None:
    """The issue has its line and path, and says what to write; a key can only be quoted."""
    with pytest.raises(DefinitionError) as caught:
        read_document(f"a:\n  b: {text}\n{text}: 1", name="f.yaml")
    value, key = map(str, caught.value.issues)
    message = f"YAML readers disagree on what `{text[:40]}` is: quote it"
    assert value == f"f.yaml:2: /a/b: {message}{cure}"
    assert key == f"f.yaml:3: /{text}: {message}"


@pytest.mark.parametrize("form", ["'{}'", '"{}"', "!!str {}", "|-\n  {}", ">-\n  {}"])
def test_quoted_it_is_text(form: str) -> None:
    """Whatever has quotes, a tag for text or is a block is text."""
    for text, _ in AMBIGUOUS:
        written = form.format(text)
        assert read_document(f"a: {written}", name="f.yaml").data == {"a": text}


def test_the_cure_is_no_text() -> None:
    """What the issue says to write instead of text is another value."""
    for text, cure in AMBIGUOUS:
        for other in cure.removeprefix(", or write ").split(" or "):
            found = read_document(f"a: {other}", name="f.yaml").data["a"]
            assert not isinstance(found, str), text


PLAIN = st.text("0123456789-+._:eExobTZ ", min_size=1, max_size=10) | st.sampled_from(
    [
        "".join(letters)
        for word in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
        for letters in itertools.product(*({letter, letter.upper()} for letter in word))
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(PLAIN)
def test_nothing_is_read_that_pyyaml_reads_otherwise(text: str) -> None:
    """Each plain scalar is an issue, or has the value that the reader of YAML 1.1 gives it."""
    written = f"- {text}\n"
    try:
        (found,) = read_document(written, name="f.yaml").data
    except (DefinitionError, ValueError, TypeError):
        return
    if isinstance(found, dict | list):
        return  # a mapping such as "0:": its keys are text
    (other,) = yaml.safe_load(written)
    assert (type(found), found) == (type(other), other)


@pytest.mark.parametrize("loader", LOADERS)
def test_both_parsers_have_the_schema(loader: Any) -> None:
    """What libyaml refuses is read by the pure parser with the same tags."""
    text = "".join(f"- {text}\n" for text, _ in [*AGREED, *AMBIGUOUS])
    found, other = yaml.compose(text, loader), yaml.compose(text, LOADERS[-1])
    assert found is not None
    assert other is not None
    tags = [node.tag for node in found.value]
    assert tags == [node.tag for node in other.value]
    assert tags.count("!ambiguous") == len(AMBIGUOUS)


TEXT = (
    st.text(st.characters(codec="utf-8"), max_size=30)
    | PLAIN
    | st.sampled_from([text for text, _ in [*AGREED, *AMBIGUOUS]])
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=examples(60), deadline=None)
@given(JSON)
def test_what_is_written_is_read_by_both(value: Any) -> None:
    """The writer quotes what any reader could take for something else."""
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)
    assert read_document(text, name="f.yaml").data == value
    assert yaml.safe_load(text) == value


@settings(max_examples=examples(60), deadline=None)
@given(TEXT)
def test_a_scalar_on_one_line(text: str) -> None:
    """Wherever a text is put into a line of YAML, it comes back as it was."""
    written = write_scalar(text)
    assert "\n" not in written
    for around in ("a: {}\n", "{{a: {}, b: 1}}\n"):
        document = around.format(written)
        assert read_document(document, name="f.yaml").data["a"] == text
        assert yaml.safe_load(document)["a"] == text


def _shipped() -> list[Path]:
    folders = ("definitions", "destinations", "examples", "kana_destination")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.y*ml"))
    # Compose reads its own files, which have aliases.
    return sorted(path for path in found if path.name != "compose.yaml")


@pytest.mark.parametrize("path", _shipped(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_all_readers_read_what_is_shipped(path: Path) -> None:
    """Definitions, cases, examples and tables are the same to a reader of YAML 1.1."""
    text = path.read_text(encoding="utf-8")
    assert read_document(text, name=path.name).data == yaml.load(text, yaml.CSafeLoader)


def test_huge_numbers_are_refused() -> None:
    """Numbers that no reader of JSON holds are issues, and no traceback."""
    for text in ("9" * 5000, "9" * 400, "1.0e+999", ".inf", "-.INF", ".NaN"):
        with pytest.raises(DefinitionError) as caught:
            read_document(f"a: {text}", name="f.yaml")
        assert caught.value.issues[0].path == "/a"
    assert math.isfinite(read_document("a: 1.0e+300", name="f.yaml").data["a"])
