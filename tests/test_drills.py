"""The drills of the pages: what they print, those of a page in one shell and in their order."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.forked import forking_program

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"<!-- (drill|prints) -->\n```(?:sh)?\n(.+?)\n```\n", re.DOTALL)
# Between the drills, so that the output of each can be told from that of the others.
# Seconds; on a quiet machine the drills take a tenth of that.
_LONGEST = 200
_NEXT = "=== next drill ==="


def _drills(page: str) -> list[tuple[str, list[str]]]:
    """Return the commands of each drill of a page, and the lines that it prints among others."""
    drills: list[tuple[str, list[str]]] = []
    for kind, text in _BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if kind == "drill":
            drills.append((text, []))
        else:
            drills[-1][1].extend(text.splitlines())
    return drills


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _played(script: str, folder: Path, log: Path, programs: Path) -> int | None:
    """Play a script in a folder; returns its exit code, or None if it takes too long."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["bash", "-eu", "-c", script],
            cwd=folder,
            env={
                **os.environ,
                "HOME": str(folder.parent),
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    code: int | None = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(timeout=_LONGEST)
    # The server and the partner, if a drill failed before it stopped them.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return code


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="a drill needs bash and curl"
)
@pytest.mark.parametrize("page", ["operating.md", "direct-destination.md", "publishing.md"])
def test_drills(page: str, tmp_path: Path) -> None:
    """Each drill ends without an error and prints the lines of the page, in their order."""
    programs, folder = tmp_path / "bin", tmp_path / "drill"
    for path in (programs, folder):
        path.mkdir()
    prepare = (ROOT / "examples" / "operating" / "prepare.sh").read_text(encoding="utf-8")
    drills = _drills(page)
    script = f"\necho '{_NEXT}'\n".join(commands for commands, _ in drills)
    script = script.replace("/path/to/checkout/examples/operating", str(tmp_path))
    partner, server = (str(_free_port()) for _ in range(2))
    prepare, script = (
        text.replace("4000", partner).replace("8787", server) for text in (prepare, script)
    )
    prepare = prepare.replace("store: {", f"listen: {{port: {server}}}\nstore: {{", 1)
    (tmp_path / "prepare.sh").write_text(prepare, encoding="utf-8")
    log = tmp_path / "printed.txt"
    with forking_program(programs):
        code = _played(script, folder, log, programs)
    printed = log.read_text(encoding="utf-8")
    assert code == 0, printed
    outputs = printed.split(_NEXT)
    assert len(outputs) == len(drills)
    for output, (commands, expected) in zip(outputs, drills, strict=True):
        lines = iter(" ".join(line.split()) for line in output.splitlines())
        missing = [text for text in expected if not any(line.startswith(text) for line in lines)]
        assert missing == [], f"{commands}\n\nprinted:\n{output}"
