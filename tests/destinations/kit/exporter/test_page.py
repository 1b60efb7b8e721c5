"""The guide says what is refused, and its commands work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.errors import DefinitionError
from destinations.kit.exporter import export_segment
from tests.destinations.kit.exporter.folders import Definition
from tests.destinations.kit.exporter.test_refusals import REFUSED
from tests.shipped import DEFINITIONS, SHIPPED

PAGE: Final = Path(__file__).parents[4] / "docs" / "how-to" / "export-to-segment.md"


def test_what_is_refused(tmp_path: Path) -> None:
    """Each message that an export gives is in the table, and each of the table is given."""
    messages = set()
    for name, refused in REFUSED.items():
        definition = Definition()
        refused.change(definition)
        folder = definition.write(tmp_path / name / "acme")
        with pytest.raises(DefinitionError) as caught:
            export_segment(folder, tmp_path / "out", check=True)
        messages |= {one.message for one in caught.value.issues}
    with pytest.raises(DefinitionError) as caught:
        export_segment(DEFINITIONS / "kana", tmp_path / "out", check=True)
    messages |= {one.message for one in caught.value.issues}
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("## What is refused")[2].partition("\n## ")[0]
    said = [
        row.split(" | ")[1] for row in re.findall(r"^\| (?!In the)(.*) \|$", table, re.MULTILINE)
    ]
    assert len(said) == len(set(said)) > 0
    assert [one for one in messages if not any(row in one for row in said)] == []
    assert [row for row in said if not any(row in one for one in messages)] == []


def test_what_is_exported_whole(tmp_path: Path) -> None:
    """The table has each definition of the repository, and says of which nothing is refused."""
    text = PAGE.read_text(encoding="utf-8").partition("## Check")[2]
    said = dict(re.findall(r"^\| (\S+) \| (whole|in part) \|", text, re.MULTILINE))
    found = {}
    for name in SHIPPED:
        refused = export_segment(DEFINITIONS / name, tmp_path / name, partial=True).refused
        found[name] = "in part" if refused else "whole"
    assert said == found


def test_its_commands(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They work in their order, and the last one finds the folder up to date."""
    monkeypatch.chdir(tmp_path)
    Definition().write(Path("acme"))
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    assert len(lines) > 1
    for line in lines:
        program, *arguments = line.split()
        assert program == "destinations"
        done = command(*arguments)
        assert done.code == 0, done
    assert done.out == "destinations/acme is up to date.\n"
