"""Installs Segment's reference runtime from npm, once, outside of the source tree.

``python -m benchmarks.reference.install [FOLDER]`` prints the folder that has ``node_modules``, or
why there is none on stderr (exit code 1).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import platformdirs

__all__ = ["FOLDER_VARIABLE", "InstallError", "install", "installed"]

FOLDER_VARIABLE: Final = "DIFFERENTIAL_REFERENCE"
"""The environment variable that names the folder; by default one in the user's cache."""

_FILES: Final = ("package.json", "package-lock.json")
_MIN_NODE: Final = (18, 17)
_SECONDS: Final = 300
_NPM_CI: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
# The lock file that an install was made from is next to it when it is complete.
_STAMP: Final = "installed-from.json"


class InstallError(Exception):
    """Why the reference runtime cannot be had, and what would help."""


def install(folder: Path | None = None) -> Path | None:
    """The folder with the ``node_modules`` that the lock file asks for, filled if need be.

    None, with the reason on stderr, where Node or npm is missing or npm fails.
    """
    try:
        return installed(folder)
    except InstallError as error:
        sys.stderr.write(f"Segment's runtime is not there: {error}\n")
        return None


def installed(folder: Path | None = None) -> Path:
    """As `install`, but raises InstallError with the reason."""
    folder = (folder or _default_folder()).resolve()
    _check_node()
    if _is_complete(folder):
        return folder
    if folder.exists() and any(folder.iterdir()) and not (folder / _STAMP).is_file():
        raise InstallError(f"{folder} has other files; {FOLDER_VARIABLE} can name another folder")
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is missing; it comes with Node (https://nodejs.org)")
    sys.stderr.write(f"installing Segment's runtime from npm into {folder} ...\n")
    try:
        _fill(folder, npm)
    except OSError as error:
        raise InstallError(f"cannot write to {folder}: {error.strerror}") from error
    return folder


def _default_folder() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("kana-destination") / "reference"


def _check_node() -> None:
    node = shutil.which("node")
    if node is None:
        raise InstallError(f"Node {_wanted()} or later is missing (https://nodejs.org)")
    try:
        done = subprocess.run([node, "--version"], check=False, capture_output=True, text=True)
    except OSError as error:
        raise InstallError(f"{node} cannot be started: {error.strerror}") from error
    version = re.match(r"v(\d+)\.(\d+)\.", done.stdout)
    if version is None or (int(version[1]), int(version[2])) < _MIN_NODE:
        found = done.stdout.strip() or "one that does not tell its version"
        raise InstallError(f"Node {_wanted()} or later is needed; {node} is {found}")


def _wanted() -> str:
    return ".".join(map(str, _MIN_NODE))


def _is_complete(folder: Path) -> bool:
    stamp = folder / _STAMP
    lock = Path(__file__).with_name("package-lock.json")
    return stamp.is_file() and stamp.read_bytes() == lock.read_bytes()


def _fill(folder: Path, npm: str) -> None:
    """Make the folder next to its place and move it there, so that it is never half there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as name:
        fresh = Path(name) / "fresh"
        fresh.mkdir()
        for file in _FILES:
            shutil.copyfile(Path(__file__).with_name(file), fresh / file)
        _run_npm(npm, fresh)
        shutil.copyfile(fresh / "package-lock.json", fresh / _STAMP)
        if folder.exists():
            folder.replace(Path(name) / "old")
        fresh.replace(folder)


def _run_npm(npm: str, folder: Path) -> None:
    try:
        done = subprocess.run(
            [npm, *_NPM_CI],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"npm ci did not end within {_SECONDS} s") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        why = lines[0] if lines else f"exit code {done.returncode}"
        raise InstallError(f"npm ci failed ({why}); it needs the npm registry")


def main() -> int:
    """Prints the folder."""
    folder = install(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    if folder is None:
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
