"""Install the SDKs of ``package-lock.json``: ``python -m tests.sdks.install FOLDER``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_SECONDS: Final = 300


def main(folder: Path) -> None:
    """Fill the folder; its earlier packages are removed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise SystemExit("Node and npm are missing (https://nodejs.org)")
    if shutil.which("chromium") is None:
        sys.stderr.write("Chromium is missing: the tests of browsers are skipped\n")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(_HERE / name, folder / name)
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(install, cwd=folder, check=True, timeout=_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
