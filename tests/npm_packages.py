"""Installs packages of npm once, outside of the source tree, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

if sys.platform != "win32":
    import fcntl

__all__ = ["InstallError", "Packages", "installed", "print_folder"]

_FILES: Final = ("package.json", "package-lock.json")
_MIN_NODE: Final = (18, 17)
_SECONDS: Final = 300
_NPM_CI: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
# The lock file that an install was made from is next to it when it is complete.
_STAMP: Final = "installed-from.json"


class InstallError(Exception):
    """Why packages cannot be had, and what would help."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Packages of npm: ``source`` has their package.json and its lock file.

    They are installed into the folder that the environment ``variable`` names, or else into the
    folder ``name`` of the user's cache. ``title`` is what messages call them.
    """

    title: str
    source: Path
    variable: str
    name: str

    def folder(self) -> Path:
        """Return the folder that has them, or will have them."""
        named = os.environ.get(self.variable)
        cache = platformdirs.user_cache_path("kana-destination")
        return Path(named) if named else cache / self.name


def installed(packages: Packages, folder: Path | None = None) -> Path:
    """Return the folder with the ``node_modules`` that the lock file asks for, filled if need be.

    It is that of the packages unless ``folder`` is another. Raises InstallError with the reason
    where Node or npm is missing or npm fails. Of several processes that ask at once, one installs,
    and the others wait for it.
    """
    folder = (folder or packages.folder()).resolve()
    _check_node()
    if _is_complete(folder, packages):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f".{folder.name}.lock")):
            if not _is_complete(folder, packages):
                _install(folder, packages)
    except OSError as error:
        raise InstallError(f"cannot write to {folder}: {error.strerror}") from error
    return folder


def print_folder(packages: Packages) -> int:
    """Print the folder, filled if need be; without it, print why on stderr and return 1.

    The first argument of the command may be another folder than that of the packages.
    """
    try:
        print(installed(packages, Path(sys.argv[1]) if len(sys.argv) > 1 else None))
    except InstallError as error:
        sys.stderr.write(f"{packages.title} is not there: {error}\n")
        return 1
    return 0


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process has the lock; on Windows nothing waits."""
    with lock.open("w") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)  # the end of a process, too, lets go of it
        yield


def _install(folder: Path, packages: Packages) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / _STAMP).is_file():
        raise InstallError(f"{folder} has other files; {packages.variable} can name another folder")
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is missing; it comes with Node (https://nodejs.org)")
    sys.stderr.write(f"installing {packages.title} from npm into {folder} ...\n")
    _fill(folder, packages, npm)


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


def _is_complete(folder: Path, packages: Packages) -> bool:
    stamp = folder / _STAMP
    lock = packages.source / "package-lock.json"
    return stamp.is_file() and stamp.read_bytes() == lock.read_bytes()


def _fill(folder: Path, packages: Packages, npm: str) -> None:
    """Make the folder next to its place and move it there, so that it is never half there."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as name:
        fresh = Path(name) / "fresh"
        fresh.mkdir()
        for file in _FILES:
            shutil.copyfile(packages.source / file, fresh / file)
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
