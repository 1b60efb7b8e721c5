from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.kit.segment_conformance import FileReport, LineResult, run_conformance

VECTORS = Path(__file__).parents[2] / "conformance"
EXPECTED_LINES = {"actions.jsonl.gz": 1640, "fql.jsonl.gz": 4000, "mapping.jsonl.gz": 4000}


@pytest.fixture(scope="module")
def reports() -> dict[str, FileReport]:
    return {report.file: report for report in run_conformance(VECTORS)}


@pytest.mark.parametrize("file", EXPECTED_LINES)
def test_vectors_pass(reports: dict[str, FileReport], file: str) -> None:
    """Every recorded line of the reference runtime comes out the same, @liquid lines included."""
    report = reports[file]
    differing = "\n".join(
        f"{file}:{difference.line} expected {difference.expected} got {difference.got}"
        for difference in report.differences
    )
    assert not differing
    assert report.passed == report.total == EXPECTED_LINES[file]
    assert report.ok


def test_liquid_lines_are_counted_apart(reports: dict[str, FileReport]) -> None:
    """The lines with @liquid have totals of their own, because some of them may differ."""
    assert reports["mapping.jsonl.gz"].liquid_total == 312
    assert reports["fql.jsonl.gz"].liquid_total == 0


def write(directory: Path, name: str, *records: object) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    if name.endswith(".gz"):
        (directory / name).write_bytes(gzip.compress(text.encode()))
    else:
        (directory / name).write_text(text, encoding="utf-8")


def test_differences_are_found(tmp_path: Path) -> None:
    """A line that comes out differently is counted as failed and shown, up to the number asked."""
    vector = {"mapping": {"a": {"@path": "$.a"}}, "event": {"a": 1}}
    write(
        tmp_path,
        "mapping-more.jsonl",
        {**vector, "output": {"a": 1.0}},
        {**vector, "output": {"a": True}},
        {**vector, "output": {}},
        {**vector, "error": {"messages": ["no"]}},
    )
    (report,) = run_conformance(tmp_path, differences=2)
    assert (report.total, report.passed, report.ok) == (4, 1, False)
    assert [(d.line, d.expected, d.got) for d in report.differences] == [
        (2, {"output": {"a": True}}, {"output": {"a": 1}}),
        (3, {"output": {}}, {"output": {"a": 1}}),
    ]


def test_liquid_lines_have_a_tolerance(tmp_path: Path) -> None:
    """Two in a hundred lines with @liquid may differ, other lines may not."""
    right = {"mapping": {"a": {"@liquid": "x"}}, "event": {}, "output": {"a": "x"}}
    wrong = {**right, "output": {"a": "y"}}
    write(tmp_path, "mapping.jsonl", *[right] * 98, wrong, wrong)
    (report,) = run_conformance(tmp_path)
    assert report.ok
    write(tmp_path, "mapping.jsonl", *[right] * 97, wrong, wrong, wrong)
    (report,) = run_conformance(tmp_path)
    assert not report.ok


def test_records_have_the_names_of_the_vectors(tmp_path: Path) -> None:
    """Each line is told of as a record with its file, its number and what came out."""
    definitions = {
        "d": {"actions": {"a": {"fields": {"n": {"type": "integer", "required": True}}}}}
    }
    write(tmp_path, "definitions.json.gz", definitions)
    action = {"destination": "d", "action": "a", "subscribe": 'type = "track"'}
    write(
        tmp_path,
        "actions.jsonl",
        {**action, "mapping": {"n": 3.0}, "event": {"type": "track"}, "payload": {"n": 3}},
        {**action, "mapping": {}, "event": {"type": "track"}, "error": {}},
        {**action, "mapping": {}, "event": {"type": "page"}, "skipped": "not subscribed"},
        {**action, "mapping": {"n": {"@nope": 1}}, "event": {"type": "track"}, "error": {}},
    )
    write(tmp_path, "fql.jsonl.gz", {"fql": "nope", "event": {}, "invalid": True})
    seen: list[LineResult] = []
    reports = list(run_conformance(tmp_path, on_line=seen.append))
    assert all(report.ok for report in reports)
    records = [line.record() for line in seen]
    assert records[0] == {"file": "actions.jsonl", "line": 1, "payload": {"n": 3}}
    assert records[1]["error"] == {"messages": ["/n is required but missing"], "status": 400}
    assert records[2] == {"file": "actions.jsonl", "line": 3, "skipped": "not subscribed"}
    assert records[3]["error"]["messages"][0].startswith("/n: has the unknown directive @nope")
    assert records[4] == {"file": "fql.jsonl.gz", "line": 1, "match": False}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("other.jsonl", "{}", "no vectors found; expected files mapping, fql, actions"),
        ("fql.jsonl", "{", "fql.jsonl:1: cannot read this line"),
        ("mapping.jsonl", "{}", "mapping.jsonl:1: cannot read this line"),
        (
            "actions.jsonl",
            '{"destination":"d","action":"a","subscribe":"","event":{},"mapping":{},"payload":{}}',
            "definitions.json does not define d/a",
        ),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    """A directory without vectors, a broken line and an unknown action are refused by name."""
    (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        list(run_conformance(tmp_path))
