from __future__ import annotations

from pathlib import Path

from destinations.kit.segment_conformance import run_conformance

FOUND = Path(__file__).parents[1] / "conformance" / "found"


def test_what_was_found_stays_mended() -> None:
    """Each difference that was found became a vector, and comes out as the reference has it."""
    reports = list(run_conformance(FOUND))
    assert {report.file: (report.passed, report.differences) for report in reports} == {
        path.name: (len(path.read_text(encoding="utf-8").splitlines()), [])
        for path in FOUND.glob("*.jsonl")
    }
    assert reports
