"""The page on SDKs: what it shows is what the tests run, and what the server reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from destinations.server import read_config

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = (ROOT / "docs" / "sdks.md").read_text("utf-8")


def test_every_program_is_tested() -> None:
    """Each program of the page has a name, by which a test of this folder runs it."""
    programs = re.findall(r"(?ms)^(?:<!-- tested: (\S+) -->\n)?```(?:python|js|ruby|php)\n", PAGE)
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert len(programs) == 6
    assert all(name and f'"{name}"' in tests for name in programs), programs


def test_the_configuration(tmp_path: Path) -> None:
    """The server reads it, and warns of nothing."""
    found = re.search(r"(?ms)^```yaml\n(.*?)^```", PAGE)
    assert found is not None
    path = tmp_path / "serve.yaml"
    path.write_text(found[1], encoding="utf-8")
    names = re.findall(r"\{env: (\w+)\}", found[1])
    config = read_config(path, {name: f"{name}-0123456789" for name in names})
    assert [one.name for one in config.sources] == ["backend", "website"]
    assert not config.warnings
