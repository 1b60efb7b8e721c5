"""Docs are true: generated pages are up to date, links lead somewhere, tests say what must hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations._version import __version__
from destinations.definition.document import read_document

ROOT = Path(__file__).parent.parent
# Pages of destinations, in folders of docs/, are for another site: the linter checks them.
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "explanations").glob("*.md"),
        *(ROOT / "docs" / "how-to").glob("*.md"),
        *(ROOT / "docs" / "reference").glob("*codes.md"),
    ]
)
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "fixtures" not in path.parts)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_test_says_what_must_hold() -> None:
    """Each test has a docstring."""
    lacking = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert lacking == []


def test_generated_pages_are_up_to_date() -> None:
    """What is made from data says what the data says."""
    result = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")


def _anchor(heading: str) -> str:
    """The anchor that a heading has where the pages are shown."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is to a file or folder that is there, and to a heading in it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{_name(page)} links to {target}"
        assert found.is_relative_to(ROOT)
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), f"{_name(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_pages_are_well_formed(page: Path) -> None:
    """Code blocks are closed, and there is one title."""
    text = page.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert len(re.findall(r"^# ", outside, re.MULTILINE)) == 1


def test_contributing_names_files_that_are_there() -> None:
    """Each path in the guides exists; a word in capitals stands for a name of one's own."""
    guides = (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "how-to" / "extend.md")
    text = "".join(path.read_text(encoding="utf-8") for path in guides)
    named = re.findall(r"`((?:destinations|docs|kana_destination|tests)/[\w./-]+)`", text)
    assert len(named) > 20
    own = re.compile("[A-Z]{2,}")
    assert [path for path in named if not own.search(path) and not (ROOT / path).exists()] == []


def test_the_changelog_has_the_version() -> None:
    """What is released last is this version; before the first release there is no section."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, *released = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert unreleased == "Unreleased"
    assert released[:1] in ([], [__version__])


@pytest.mark.parametrize("name", ["architecture.md", "guarantees.md"])
def test_guarantees_name_tests_that_are_there(name: str) -> None:
    """Each test that the architecture and the guarantees name is in the file that it names."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    rows = text.partition("Guarantees")[2].splitlines()
    named = [re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", row) for row in rows if "`" in row]
    assert named
    for tests in named:
        path = ""
        for file, test in tests:
            path = file or path
            assert (ROOT / path).is_file(), path
            assert not test or f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test


@pytest.mark.parametrize("arguments", [("build", "--check"), ("lint",)], ids=" ".join)
def test_pages_of_destinations(
    arguments: tuple[str, ...],
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page of every shipped destination is up to date, without an error or a warning."""
    monkeypatch.chdir(ROOT)
    done = command("docs", *arguments)
    assert done.code == 0, done.out + done.err


def _yaml_examples() -> list[tuple[str, str]]:
    """Each block of YAML in a page, with the page and the line where it begins."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for block in re.finditer(r"(?ms)^```yaml\n(.*?)^```", page.read_text("utf-8")):
            line = block.string.count("\n", 0, block.start()) + 1
            found.append((f"{page.relative_to(ROOT)}:{line}", block[1]))
    return found


@pytest.mark.parametrize(("place", "text"), _yaml_examples())
def test_examples_of_yaml_are_read(place: str, text: str) -> None:
    """Readers copy them, so the package's own reader takes each."""
    read_document(text, name=place)


def test_links_have_words_as_text() -> None:
    """No link between pages has the name of a file as its text: on the site there are no files."""
    found = [
        f"{_name(page)}: [{text}]({target})"
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for text, target in re.findall(
            r"\[([^\]]+)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")
        )
        if ".md" in target and text.strip("`").endswith(".md")
    ]
    assert found == []
