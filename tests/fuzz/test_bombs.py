"""Inputs that multiply are refused or handled within limits of time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.fuzz

pytest.importorskip("resource")  # Windows has no such limits

SCRIPT = Path(__file__).with_name("bombs.py")
TOO_LARGE = "makes more than 1,000,000 values and characters of this event"
TOO_LARGE_TEXT = "values should have at most 1000000 characters"

# What must come of each case: what its result starts with, and what it ends with.
EXPECTED = {
    "mapping of 100,000 objects": ("MappingError: /a/a", "nested more than 100 levels deep"),
    "mapping of 100,000 arrays": ("MappingError: /a/0", "nested more than 100 levels deep"),
    "path from an event": ("{}", ""),
    "path in a triple placeholder": ("{'x': ''}", ""),
    "triple placeholders": ("ResolveError: /x/@template: ", TOO_LARGE),
    "many placeholders": ("ResolveError: /x/@template: ", TOO_LARGE),
    "many templates": ("ResolveError: /: ", TOO_LARGE),
    "replace with all before": ("ResolveError: /x/@replace: ", TOO_LARGE),
    "json in json": ("ResolveError: /x/@json", TOO_LARGE),
    "json of 100,000 levels": ("{'x': '[[[[", ""),
    "doubling transforms": ("ResolveError: /x/@transform", TOO_LARGE),
    "array in array": ("ResolveError: /x/@arrayPath: ", TOO_LARGE),
    "flatten deep and wide": ("ResolveError: /x/@flatten: ", TOO_LARGE),
    "merge of texts": ("ResolveError: /x/@merge: ", TOO_LARGE),
    "liquid list in itself": ("ResolveError: /x/@liquid: ", TOO_LARGE_TEXT),
    "liquid range": ("ResolveError: /x/@liquid: ", TOO_LARGE_TEXT),
    "liquid append": ("ResolveError: /x/@liquid: ", TOO_LARGE_TEXT),
    "liquid capture": ("ResolveError: /x/@liquid: ", "output stream limit reached"),
    "liquid for": ("ResolveError: /x/@liquid: ", "the tag for is disabled"),
    "liquid date": ("ResolveError: /x/@liquid: ", TOO_LARGE_TEXT),
    "number of digits and a letter": ("['/a must be a number, got ", ""),
    "multiple of with a huge integer": ("['/a must be a multiple of 3", ""),
    "pattern that backtracks": ("['/a must match ", ""),
    "look-ahead that backtracks": ("['/a must match ", ""),
    "email": ("['/a must be an email address", ""),
    "uri": ("['/a must be a URI", ""),
    "url": ("['/a must be a URL", ""),
    "url of labels": ("['/a must be a URL", ""),
    "date": ("['/a must be a date", ""),
    "uri template": ("['/a must be a URI template", ""),
    "regex": ("['/a must be a regular expression", ""),
    "base64": ("['/a must be base64", ""),
    "payload of 900 levels": ("['/a must not be nested so deeply']", ""),
    "fql of 100,000 clauses": ("([FqlIssue(position=200000", "characters')], False)"),
    "fql of 5,000 clauses": ("([], False)", ""),
    "fql of 100,000 parentheses": ("([FqlIssue(position=1,", "parentheses')], False)"),
    "fql of dots": ("([], False)", ""),
    "fql match of stars": ("([FqlIssue(position=13,", "], False)"),
    "yaml aliases": ("DefinitionError: f:2: YAML aliases", "repeat the value"),
    "yaml of 100,000 arrays": ("DefinitionError: f:1: nested more than 64 levels deep", ""),
    "yaml of 100,000 objects": ("DefinitionError: f:1: nested more than 64 levels deep", ""),
    "yaml of 10 MB": ("DefinitionError: f: has 10,000,000 characters, more than 1,000,000", ""),
    "yaml number": (
        "DefinitionError: f:1: /a: YAML readers disagree on what `1:1:",
        ": quote it",
    ),
    "event of 100,000 arrays": ("EventError: is not JSON: recursion limit", ""),
    "event of 16,000 arrays in arrays": ("EventError: is not JSON: recursion limit", ""),
    "event of 6,000 equal keys": ("EventError: is not JSON: Detected duplicate key", ""),
    "event with a long number": ("EventError: is not JSON: number out of range", ""),
    "graphql of 100,000 levels": ("['line 1 of the document: ", ""),
    "body of 5,000 levels": ("ResolveError: /: the body is nested too deeply", ""),
    "body with a long number": ("ResolveError: /: the body holds a number that JSON", ""),
    "payload of 900 levels as bytes": ("5401", ""),
    "mapping of 90 levels that reads": ("True", ""),
    "address of 30,000 dots": ("30006", ""),
    "year of Retry-After": ("None", ""),
    "zone of Retry-After": ("None", ""),
}


@pytest.fixture(scope="module")
def results() -> dict[str, str]:
    """What came of each case; one that was killed is missing, and the others go on without it."""
    left = list(EXPECTED)
    found: dict[str, str] = {}
    while left:
        done = subprocess.run(
            [sys.executable, SCRIPT, *left], capture_output=True, text=True, check=False
        )
        for line in done.stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word == "start":
                left.remove(rest)
            else:
                name, result = json.loads(rest)
                found[name] = result
        if done.returncode and not done.stdout:
            pytest.fail(done.stderr)
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_is_bounded(name: str, results: dict[str, str]) -> None:
    """Every such input ends in its documented way, within 10 seconds and 1 GB."""
    start, end = EXPECTED[name]
    assert name in results, "was killed, or failed with an error that is not documented"
    assert results[name].startswith(start)
    assert results[name].endswith(end)
