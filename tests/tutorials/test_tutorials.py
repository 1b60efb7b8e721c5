"""The tutorials: every command of a page, in its order, from an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.forked import forking_program
from tests.tutorials.blocks import INSTALLS, ROOT, blocks_of
from tests.tutorials.terminals import play

_DOCS = ROOT / "docs"
PAGES = sorted([*_DOCS.glob("start.md"), *(_DOCS / "tutorials").glob("*.md")])
WAYS = [
    pytest.param(page, instead, id=f"{page.stem}-instead" if instead else page.stem)
    for page in PAGES
    for instead in (False, True)
    if not instead or "<!-- instead -->" in page.read_text(encoding="utf-8")
]


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="a tutorial needs bash and curl"
)
@pytest.mark.parametrize(("page", "instead"), WAYS)
def test_tutorials(page: Path, tmp_path: Path, *, instead: bool) -> None:
    """Each command of a page ends as it says, and prints what it shows."""
    programs = tmp_path / "bin"
    programs.mkdir()
    with forking_program(programs):
        play(
            blocks_of(page, instead=instead),
            tmp_path,
            {
                **os.environ,
                "PATH": os.pathsep.join(
                    [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
                ),
                "TZ": "UTC",
            },
        )


def test_extras_of_installs() -> None:
    """What the pages install is this package, and extras that it has."""
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    extras = setup.partition("[options.extras_require]\n")[2].partition("\n[")[0]
    known = set(re.findall(r"^(\w+) =", extras, re.MULTILINE))
    named = [found[1] for line in INSTALLS if (found := re.search(r"\[([\w,]+)\]", line))]
    assert named
    for one in named:
        assert set(one.split(",")) <= known
