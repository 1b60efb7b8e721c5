from __future__ import annotations

import json

import pytest

from destinations.kit.segment_conformance import run_conformance
from tests.reference.documented import INPUTS, VECTORS, documented, key_of, kind_of


def test_what_is_documented_is_what_segment_does() -> None:
    """Each input that the reference names has the result that Segment's runtime gave for it."""
    reports = {report.file: report for report in run_conformance(VECTORS)}
    assert {kind_of(VECTORS / name) for name in reports} == set(INPUTS)
    for report in reports.values():
        assert report.differences == []
        assert report.passed == report.total > 100


@pytest.mark.parametrize("kind", INPUTS)
def test_no_documented_input_is_without_a_vector(kind: str) -> None:
    """The vectors are those of the pages: none is missing, and none is left from before."""
    (path,) = (path for path in VECTORS.glob("*.jsonl") if kind_of(path) == kind)
    definitions = json.loads((VECTORS / "definitions.json").read_text(encoding="utf-8"))
    fields = definitions["documented"]["actions"]
    vectors = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for vector in vectors:
        if kind == "action":
            vector["fields"] = fields[vector["action"]]["fields"]
    assert [key_of(kind, vector) for vector in vectors] == [
        key_of(kind, one) for one in documented(kind)
    ]
