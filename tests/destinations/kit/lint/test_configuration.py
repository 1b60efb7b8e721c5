from __future__ import annotations

from pathlib import Path

import pytest

from destinations.errors import DefinitionError, UsageError
from destinations.kit.lint import read_configuration


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file to write."""
    return tmp_path / "lint.yaml"


def test_levels_and_words(file: Path) -> None:
    """Levels by rule, ``false`` for off among them, and words in any case."""
    file.write_text("levels: {will: error, their: false}\nwords: [Frobnitz]\n", encoding="utf-8")
    configuration = read_configuration(file)
    assert configuration.levels == {"will": "error", "their": "off"}
    assert configuration.words == {"frobnitz"}


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        ("- a\n", [(1, "must be a mapping with the keys levels, words and styles")]),
        ("level: {}\n", [(1, "is not a key here; known: levels, words, styles")]),
        ("levels:\n  wil: error\n", [(2, "is not a rule; docs lint --rules lists all")]),
        (
            "levels:\n  will: bad\n",
            [(2, "must be one of error, warning, suggestion, off, not 'bad'")],
        ),
        ("levels: []\n", [(1, "must be a mapping of rule ids to levels")]),
        ("levels: {}\nwords: [1]\n", [(2, "must be a list of words")]),
        ("words: a\nlevels: {wil: x}\n", [
            (1, "must be a list of words"),
            (2, "is not a rule; docs lint --rules lists all"),
            (2, "must be one of error, warning, suggestion, off, not 'x'"),
        ]),
    ],
)  # fmt: skip
def test_every_issue_has_its_line(file: Path, text: str, issues: list[tuple[int, str]]) -> None:
    """What is wrong is named with the line and what would be right."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        read_configuration(file)
    assert [(issue.line, issue.message) for issue in caught.value.issues] == issues


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=r"cannot read the configuration .*nothing\.yaml"):
        read_configuration(tmp_path / "nothing.yaml")
