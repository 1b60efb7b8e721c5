"""Builds what is released, checks it, and tries it as a user would: ``tox -e release``.

In an empty folder it makes the source distribution, and the wheel from that. Both are checked. The
wheel is installed in an empty environment, and does the README's main job with the examples.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


def _run(command: Sequence[str | Path], **given: Path) -> str:
    """Run a command and return what it prints; ends the program if it fails."""
    print("+", *command, flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, cwd=given.get("cwd")
    )
    print(done.stdout + done.stderr, end="", flush=True)
    if done.returncode != 0:
        raise SystemExit(f"exit code {done.returncode}")
    return done.stdout


def _version() -> str:
    """Return the version that is released; ends the program if the changelog has another one."""
    text = (ROOT / "destinations" / "_version.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'__version__ = "(.+)"', text)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d.+?)\] - \d{4}-\d{2}-\d{2}$", changes, re.MULTILINE)
    if released[:1] != [version]:
        raise SystemExit(f"CHANGELOG.md has no section '## [{version}] - DATE' on top")
    return str(version)


def main(folder: Path) -> None:
    """Build into ``folder``, which must be empty or missing."""
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty")
    version = _version()
    dist = folder / "dist"
    _run([sys.executable, "-m", "build", "--outdir", dist, ROOT])
    files = sorted(dist.iterdir())
    _run([sys.executable, "-m", "twine", "check", "--strict", *files])
    (wheel,) = dist.glob("*.whl")
    # The framework and its first plugin are two packages of one distribution on purpose.
    _run([sys.executable, "-m", "check_wheel_contents", "--ignore", "W009", wheel])
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(folder / "source", filter="data")
    (source_folder,) = (folder / "source").iterdir()
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    _run([python, "-m", "pip", "install", "--quiet", wheel])
    command = folder / "env" / "bin" / "destinations"
    said = _run([command, "--version"], cwd=folder)
    if version not in said:
        raise SystemExit(f"the command says {said!r}, not {version}")
    events = source_folder / "examples" / "events.ndjson"
    done = _run([command, "run", "kana", "--events", events, "--sandbox"], cwd=folder)
    if "1,000 lines read: 1,000 rows, one for each." not in done:
        raise SystemExit("the main job did not print its totals")
    _run([command, "help", "@path"], cwd=folder)
    print(f"{version} can be released: {', '.join(one.name for one in files)} in {dist}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
