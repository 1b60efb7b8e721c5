from __future__ import annotations

import json
from pathlib import Path

import pytest

from destinations.definition import check_folder
from destinations.errors import UsageError
from destinations.kit.exporter import export_segment
from destinations.kit.init import create_destination
from destinations.kit.testing.made_faults import fault_cases, play_fault
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import subject_in


@pytest.mark.parametrize("slug", ["my-partner", "a1", "partner", "no", "y", "007", "1e3", "null"])
def test_what_is_made_is_whole(tmp_path: Path, slug: str) -> None:
    """It is valid, whatever its name may be in YAML; its case replays, and its faults end well."""
    files = create_destination(slug, tmp_path / "new")
    folder = tmp_path / "new" / slug
    assert [path.relative_to(folder).as_posix() for path in files] == [
        "cases/track.yaml",
        "destination.yaml",
        "schemas/action.schema.json",
        "schemas/case.schema.json",
        "schemas/destination.schema.json",
        "trackEvent.yaml",
    ]
    assert check_folder(folder) == ()
    subject = subject_in(folder)
    assert (subject.slug, subject.definition.name) == (slug, slug.replace("-", " ").title())
    (case,) = subject.cases()
    assert replay(subject, case).differences == ()
    assert export_segment(folder, tmp_path / "exported").refused == ()
    reports = [play_fault(fault) for fault in fault_cases(subject)]
    assert reports
    assert [report.differences for report in reports if not report.passed] == []
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "__" not in text
        if path.suffix == ".yaml":
            schema = text.partition("$schema: ")[2].partition("\n")[0]
            assert json.loads((path.parent / schema).read_text(encoding="utf-8"))["title"]


@pytest.mark.parametrize("slug", ["", "My", "a_b", "a/b", "-a", "a-", "..", "a b"])
def test_names_that_are_none(tmp_path: Path, slug: str) -> None:
    """A slug is the name of the folder and of the destination."""
    with pytest.raises(UsageError, match="invalid name"):
        create_destination(slug, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder that holds something is left alone; an empty one is filled."""
    (tmp_path / "empty").mkdir()
    assert create_destination("empty", tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for slug in ("full", "file", "empty"):
        with pytest.raises(UsageError, match=f"{slug} exists and is not empty"):
            create_destination(slug, tmp_path)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    """It is named, with the reason."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"cannot write .*file.partner: Not a directory"):
        create_destination("partner", tmp_path / "file")
