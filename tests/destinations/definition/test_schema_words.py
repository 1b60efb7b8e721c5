"""What the shipped schemas expect, they say in words with examples: a pattern is not for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.definition.document import read_document
from destinations.definition.schema_issues import schema_issues
from destinations.segment.validation.schema_wording import EXPECTED

ROOT = Path(__file__).parents[3]
SCHEMAS = sorted(
    path
    for package in ("destinations", "kana_destination")
    for path in (ROOT / package).rglob("*.schema.json")
)
_NOT_SCHEMAS = {"properties", "default", "const", "enum", "examples"}
"""Keywords of which the keys are names, or the values are data."""


def _schemas(given: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema within a schema."""
    if isinstance(given, list):
        for each in given:
            yield from _schemas(each)
    elif isinstance(given, dict):
        yield given
        for key, value in given.items():
            if key in {"properties", "$defs", "patternProperties"}:
                yield from _schemas(list(value.values()))
            elif key not in _NOT_SCHEMAS:
                yield from _schemas(value)


_RANGE = re.compile(r"(?<![\w.])(\d+) to (\d+)(?![\w.]*\d)")
_UNDER = re.compile(r"\bunder (\d+)\b")


def _read(path: Path) -> list[dict[str, Any]]:
    return list(_schemas(json.loads(path.read_text(encoding="utf-8"))))


def test_all_schemas_are_looked_at() -> None:
    """The schemas of definitions, of the configuration and of sandboxes are known."""
    assert {"serve.schema.json", "destination.schema.json"} <= {path.name for path in SCHEMAS}


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_pattern_has_words(path: Path) -> None:
    """Each pattern stands beside words with examples, and each example is right."""
    for schema in _read(path):
        if "pattern" in schema:
            words = schema.get(EXPECTED, "")
            assert " such as " in words, schema
            examples = re.split(", | or ", words.partition(" such as ")[2])
            for example in examples:
                assert re.search(schema["pattern"], example), (schema, example)


@pytest.mark.parametrize("path", [path for path in SCHEMAS if path.name.startswith("serve")])
def test_what_the_configuration_lacks_is_shown(path: Path) -> None:
    """A mapping of the configuration that must have keys says how it looks."""
    for schema in _read(path):
        is_mapping = "object" in schema.get("type", ())
        if is_mapping and "required" in schema and schema.keys() & {"title"} == set():
            named = schema["required"] in (["env"], ["file"])  # a secret has words of its own
            assert named or EXPECTED in schema, schema


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "keepAttempts: {failed: 30 days}",
            "one of s, m, h, d or w, such as 90m, 12h or 30d, not '30 days'",
        ),
        ("keepAttempts: {delivered: 30}", "such as 90m, 12h or 30d, not a number"),
        (
            "keepAttempts: {maxBytes: 256 MB}",
            "bytes, or text of a number with kB, MB or GB, such as 256MB or 1.5GB, not",
        ),
        (
            "keepAttempts: true",
            "or a mapping such as {failed: 30d, delivered: 1h, sample: 0.01}, not true",
        ),
        ("console: {listen: 8788}", "must be text of the form HOST:PORT, such as 127.0.0.1:8788"),
        ("api: {keys: [{env: K}]}", "lacks 'role'; expected a key with its role, such as {env: "),
        ("sources: [{keys: [{env: K}]}]", "lacks 'name'; expected a source such as {name: web, "),
        ("alerts: [{name: one}]", "lacks 'when', 'to'; expected a rule such as {name: many-dead"),
        ("alerts: {dead: 1}", "must be a list of rules such as [{when: {dead: {over: 10"),
    ],
)
def test_wrong_values_of_a_configuration(text: str, shown: str) -> None:
    """A wrong value says what would be right, with an example."""
    found = [str(issue) for issue in schema_issues(read_document(text, "f.yaml"), "serve")]
    assert [issue for issue in found if shown in issue], found


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_range_in_words_is_the_one_that_holds(path: Path) -> None:
    """A number that is described as "0 to 9" may be either; one "under 9" may not be 9."""
    for schema in _read(path):
        types = schema.get("type", [])
        if not {"number", "integer"}.intersection([types] if isinstance(types, str) else types):
            continue
        words = schema.get("description", "")
        for least, most in _RANGE.findall(words):
            assert (schema.get("minimum"), schema.get("maximum")) == (int(least), int(most)), words
        for most in _UNDER.findall(words):
            assert schema.get("exclusiveMaximum") == int(most), words
        if "exclusiveMaximum" in schema and re.search(r"\d", words):
            assert _UNDER.search(words), words
