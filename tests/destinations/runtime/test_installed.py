"""What is installed is found by its entry points; what is wrong with one stops no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from destinations.definition import load_definition
from destinations.errors import UsageError
from destinations.runtime.installed import find_folder, installed
from tests.shipped import SHIPPED

Install = Callable[..., Path]


def test_what_this_distribution_brings() -> None:
    """The shipped destinations are there by their slugs, with their package and its version."""
    known = installed()
    assert list(known.destinations) == SHIPPED
    assert known.destinations["kana"].package.name == "kana-destination"
    assert known.destinations["kana"].package.version
    assert (known.conflicts, known.issues) == ({}, [])
    assert load_definition(find_folder("kana")).slug == "kana"


def test_definitions_of_other_packages(install: Install) -> None:
    """Each folder of a named package that is a definition is installed, sorted by slug."""
    folder = install("acme-destinations", "sample")
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.txt").write_text("none", encoding="utf-8")
    known = installed().destinations
    assert list(known) == sorted([*SHIPPED, "sample"])
    assert str(known["sample"].package) == "acme-destinations 1.5"
    assert load_definition(find_folder("sample")).name == "Sample"


def test_packages_that_come_and_go(install: Install) -> None:
    """What is installed or removed while a process runs is seen by the next look."""
    assert "sample" not in installed().destinations
    folder = install("acme-destinations", "sample")
    assert "sample" in installed().destinations
    shutil.rmtree(folder.with_name("acme_destinations-1.5.dist-info"))
    assert "sample" not in installed().destinations


def test_one_package_named_twice(install: Install) -> None:
    """Two entry points for the same definitions are no conflict."""
    folder = install("acme-destinations", "sample")
    points = folder.with_name("acme_destinations-1.5.dist-info") / "entry_points.txt"
    own = "own = acme_destinations\n"
    points.write_text(points.read_text().replace(own, f"{own}again = acme_destinations\n"))
    assert "sample" in installed().destinations


def test_two_of_one_name(install: Install) -> None:
    """The error names both packages; each is used by its folder, the others by their names."""
    folder = install("acme-destinations", "sample", "mine")
    install("other-destinations", "sample")
    known = installed()
    assert list(known.conflicts) == ["sample"]
    assert {"kana", "mine"} <= known.destinations.keys()
    assert "sample" not in known.destinations
    with pytest.raises(UsageError) as raised:
        find_folder("sample")
    message = str(raised.value)
    assert message.startswith("two packages have a destination 'sample': acme-destinations 1.5 (")
    assert " and other-destinations 1.5 (" in message
    assert "\n" not in message
    assert find_folder(str(folder / "sample")) == folder / "sample"
    assert load_definition(find_folder("mine")).slug == "mine"


@pytest.mark.parametrize(
    ("init", "why"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first second"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError: invalid syntax"),
    ],
)
def test_a_package_that_cannot_be_imported(install: Install, init: str, why: str) -> None:
    """One line says which and why, where nothing else has the name; the others are there."""
    install("acme-destinations", "sample", init=init)
    known = installed()
    (issue,) = known.issues
    prefix = "the definitions in acme_destinations of acme-destinations 1.5 cannot be imported: "
    assert issue.startswith(prefix + why)
    assert "\n" not in issue
    assert load_definition(find_folder("kana")).slug == "kana"
    with pytest.raises(UsageError, match=r"unknown destination 'sample': .*; the definitions in"):
        find_folder("sample")


def test_a_definition_whose_package_is_gone(install: Install) -> None:
    """An entry point that leads nowhere is told with what to do."""
    folder = install("acme-destinations", "sample")
    folder.rename(folder.with_name("moved"))
    (issue,) = installed().issues
    assert issue.startswith(
        "the definitions in acme_destinations of acme-destinations 1.5 are not installed; in a"
    )


def test_a_folder_is_a_destination(
    write_definition: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any folder with a definition may be named, by a relative path as well."""
    folder = write_definition()
    assert load_definition(find_folder(str(folder))).slug == "sample"
    monkeypatch.chdir(folder.parent)
    assert load_definition(find_folder("./sample")).slug == "sample"
    monkeypatch.chdir(folder)
    assert load_definition(find_folder(".")).slug == "sample"


def test_an_installed_destination_comes_before_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name means the same wherever it is used; a folder of that name is given as a path."""
    (tmp_path / "kana").mkdir()
    (tmp_path / "kana" / "destination.yaml").write_text("name: Other", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_definition(find_folder("kana")).name == "Kana"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", r"unknown destination 'nope': neither installed \(.*kana.*\) nor a folder"),
        ("empty", "the folder empty holds no destination.yaml"),
        ("file", "unknown destination 'file'"),
    ],
)
def test_what_is_no_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """The error names what was looked for, and what there is."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        find_folder(name)
