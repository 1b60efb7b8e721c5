"""The examples of docs/library.md run as they stand, and print what the page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.forked import run_forked

PAGE = Path(__file__).parent.parent / "docs" / "library.md"
EXAMPLES = re.findall(
    r"```python\n(.*?)```\n\n```text\n(.*?)```\n", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


def test_every_example_is_run() -> None:
    """No example of the page is without the output that it is compared with."""
    assert len(EXAMPLES) == PAGE.read_text(encoding="utf-8").count("```python")
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize(("program", "printed"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example(program: str, printed: str, tmp_path: Path) -> None:
    """It runs in a folder of its own, prints this, and imports only public names and paths."""
    assert set(re.findall(r"^(?:from|import) (\S+)", program, re.MULTILINE)) <= {
        "destinations",
        "kana_destination",
        "pathlib",
    }
    file = tmp_path / "example.py"
    file.write_text(program, encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    done = run_forked(
        [sys.executable, "-P", str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert [line.rstrip() for line in done.stdout.splitlines()] == printed.splitlines()
