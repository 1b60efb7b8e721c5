"""What is installed is found by its entry points, and nothing else is needed."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from destinations.definition import load_definition
from destinations.errors import UsageError
from destinations.runtime.entry_points import DEFINITIONS, PLUGINS, plugin_slugs
from destinations.runtime.plugins import find_folder, find_plugin, installed

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lets exactly these entry points be installed: group, name, and what they lead to."""

    def make(*found: tuple[str, str, str]) -> None:
        points = [EntryPoint(name, value, group) for group, name, value in found]

        def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
            return [one for one in points if one.group == group and name in {None, one.name}]

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)

    return make


@pytest.fixture
def package(tmp_path: Path, write_definition: Callable[..., Path]) -> str:
    """A package that brings the definition ``sample``, and folders that are none."""
    folder = tmp_path / "acme_definitions"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    write_definition().rename(folder / "sample")
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.txt").write_text("none", encoding="utf-8")
    return folder.name


def test_what_this_distribution_brings() -> None:
    """The shipped destination is there by its slug, with its plugin."""
    assert "kana" in dict(installed())
    assert "kana" in plugin_slugs()
    assert find_plugin("kana") is not None
    assert load_definition(find_folder("kana")).slug == "kana"


def test_definitions_of_other_packages(
    install: Install, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each folder of a named package that is a definition is installed, sorted by slug."""
    monkeypatch.syspath_prepend(tmp_path)
    install(
        (DEFINITIONS, "acme", package), (DEFINITIONS, "shipped", "kana_destination.definitions")
    )
    slugs = [slug for slug, _ in installed()]
    assert slugs == ["braze", "kana", "sample", "slack", "webhook"]
    assert load_definition(find_folder("sample")).name == "Sample"
    assert find_plugin("sample") is None
    sys.modules.pop(package)


def test_a_plugin_is_found_by_its_slug(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The class that an entry point names is made without arguments; another slug has none."""
    (tmp_path / "acme_plugin.py").write_text("class Sample:\n    made = True\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    install((PLUGINS, "sample", "acme_plugin:Sample"))
    assert plugin_slugs() == ["sample"]
    assert find_plugin("other") is None
    assert "acme_plugin" not in sys.modules  # names are told without loading anything
    plugin = find_plugin("sample")
    assert getattr(plugin, "made", False)
    sys.modules.pop("acme_plugin")


def test_a_definition_whose_package_is_gone(install: Install) -> None:
    """An entry point that leads nowhere is a clear error with what to do."""
    install((DEFINITIONS, "gone", "nowhere_at_all"))
    with pytest.raises(UsageError, match=r"the definitions in nowhere_at_all are not installed"):
        list(installed())


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
