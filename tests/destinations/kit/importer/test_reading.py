from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError, DestinationsError, UsageError
from destinations.kit.importer.findings import Findings
from destinations.kit.importer.reading import destinations_in, read_json_file, subscriptions_in

ONE = {"slug": "a", "actions": {}}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (ONE, {"a": ""}),
        ([ONE], {"a": "/0"}),
        ({"a": {"actions": {}}, "b~/": ONE | {"slug": "b"}}, {"a": "/a", "b": "/b~0~1"}),
        ({"destinationMetadata": ONE}, {"a": "/destinationMetadata"}),
        ({"data": {"destinationMetadata": ONE}}, {"a": "/data/destinationMetadata"}),
        ({"data": {"destinationsCatalog": [ONE]}}, {"a": "/data/destinationsCatalog/0"}),
    ],
)
def test_shapes_of_destinations(value: Any, found: dict[str, str]) -> None:
    """Every shape is told by what is in it; each destination keeps its path."""
    findings = Findings("f")
    placed = destinations_in(value, findings)
    assert {slug: path for slug, (path, _) in placed.items()} == found
    assert findings.issues == []


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({}, "", "holds no destination: expected destinationMetadata"),
        ([], "", "holds no destination"),
        (1, "", "holds no destination"),
        ([ONE, 1], "/1", "should be a destination with actions but is a number"),
        ([ONE, ONE], "/1", "is another destination called 'a': keep one"),
        ({"actions": {}}, "", "lacks 'slug'"),
    ],
)
def test_what_is_no_destination(value: Any, path: str, message: str) -> None:
    """The issue says where, and what would be right."""
    findings = Findings("f")
    destinations_in(value, findings)
    (issue,) = findings.issues
    assert (issue.path, issue.file) == (path, "f")
    assert message in issue.message


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({"partnerAction": "a"}, [""]),
        ([{"actionSlug": "a"}, 1], ["/0", "/1"]),
        ({"data": {"subscriptions": [{"actionId": "a"}]}}, ["/data/subscriptions/0"]),
        ({"data": {"subscription": {"actionId": "a"}}}, ["/data/subscription"]),
        ([ONE], None),
        ([], None),
        (ONE, None),
        ("x", None),
    ],
)
def test_shapes_of_subscriptions(value: Any, paths: list[str] | None) -> None:
    """Subscriptions are told by the action that they name."""
    found = subscriptions_in(value)
    assert (None if found is None else [path for path, _ in found]) == paths


def test_gzip(tmp_path: Path) -> None:
    """A compressed file is read like any other."""
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(json.dumps(ONE).encode()))
    assert read_json_file(path) == ONE


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("x.json", "{", DefinitionError, "x.json:1: is not JSON"),
        ("x.json", '{"a": 1, "a": 2}', DefinitionError, "the key 'a' occurs twice"),
        ("x.json", "[NaN]", DefinitionError, "NaN is not a JSON number"),
        ("x.json", b"\xff\xfe\xfd", DefinitionError, "is not JSON"),
        ("x.json", "[" * 100_000, DefinitionError, "is not JSON"),
        ("x.json.gz", "{}", UsageError, "cannot read"),
        ("x.json.gz", gzip.compress(b"{}", mtime=0)[:-6], UsageError, "cannot read"),
    ],
)
def test_files_that_cannot_be_read(
    name: str,
    content: Any,
    error: type[DestinationsError],
    message: str,
    write: Callable[[str, Any], Path],
) -> None:
    """One clear line with the file's name."""
    with pytest.raises(error) as raised:
        read_json_file(write(name, content))
    assert message in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(UsageError, match="No such file"):
        read_json_file(tmp_path / "none.json")
