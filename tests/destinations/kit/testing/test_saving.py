from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.kit.testing.case import Case
from destinations.kit.testing.case_reading import read_case
from destinations.kit.testing.saving import case_path, save_case
from destinations.kit.testing.subject import Subject
from destinations.secrets import Masker


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "../a", "a.yaml", "-a", "a--b"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    """A name is that of a file on every system."""
    with pytest.raises(UsageError, match="invalid name"):
        case_path(tmp_path, name)


def test_a_case_is_never_overwritten(
    make_case: Callable[..., Case], partner: Subject, tmp_path: Path
) -> None:
    """Neither when the name is chosen nor when the file appears later."""
    path = case_path(tmp_path / "new", "one")
    save_case(partner, make_case(), path, Masker())
    text = path.read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"one\.yaml exists"):
        case_path(tmp_path / "new", "one")
    with pytest.raises(UsageError, match="cannot write"):
        save_case(partner, make_case(), path, Masker())
    assert path.read_text(encoding="utf-8") == text
    assert read_case(path, partner.definition) == replace(make_case(), name="one")


def test_no_part_of_a_case_is_left(
    make_case: Callable[..., Case],
    partner: Subject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that gets full leaves no file, so that the same command works later."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "cases"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match=r"cannot write .*one\.yaml: No space left"):
            save_case(partner, make_case(), folder / "one.yaml", Masker())
    assert not folder.exists()  # which was made for it
    save_case(partner, make_case(), case_path(folder, "one"), Masker())
    assert [path.name for path in folder.iterdir()] == ["one.yaml"]


def test_a_secret_is_never_written(
    make_case: Callable[..., Case], partner: Subject, tmp_path: Path
) -> None:
    """The last look at the text as a whole: if a secret is in it, there is no file."""
    path = tmp_path / "one.yaml"
    with pytest.raises(UsageError, match="would hold a secret"):
        save_case(partner, make_case(), path, Masker(["monthly"]))
    assert not path.exists()


def test_a_case_that_does_not_replay_is_not_written(
    make_case: Callable[..., Case], partner: Subject, tmp_path: Path
) -> None:
    """What differs is said."""
    path = tmp_path / "one.yaml"
    with pytest.raises(UsageError, match="does not replay; nothing was written\n  request 1"):
        save_case(partner, replace(make_case(), interactions=()), path, Masker())
    assert not path.exists()


def test_editors_find_the_schema_beside_it(
    make_case: Callable[..., Case], partner: Subject, tmp_path: Path
) -> None:
    """In a checkout of the framework its path is in the file; elsewhere that of a copy, if any."""
    schema = tmp_path / "destinations" / "definition" / "schemas" / "case.schema.json"
    outside = tmp_path / "definitions" / "a" / "cases" / "outside.yaml"
    save_case(partner, make_case(), outside, Masker())
    assert outside.read_text(encoding="utf-8").startswith("description:")
    copy = tmp_path / "definitions" / "a" / "schemas" / "case.schema.json"
    copy.parent.mkdir()
    copy.touch()
    beside = outside.with_name("beside.yaml")
    save_case(partner, make_case(), beside, Masker())
    assert beside.read_text(encoding="utf-8").startswith("$schema: ../schemas/case.schema.json\n")
    copy.unlink()
    schema.parent.mkdir(parents=True)
    schema.touch()
    inside = outside.with_name("inside.yaml")
    save_case(partner, make_case(), inside, Masker())
    (line, _) = inside.read_text(encoding="utf-8").split("\n", 1)
    assert (inside.parent / line.removeprefix("$schema: ")).resolve() == schema.resolve()
