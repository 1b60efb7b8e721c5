"""Install what exported folders are compiled and tested with, from npm, once.

``python -m tests.export.install [FOLDER]`` prints the folder that has ``node_modules``, or why
there is none on stderr (exit code 1).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from benchmarks.reference.install import Packages, install

__all__ = ["FRAMEWORK"]

# fast-uri is held back in package.json: newer ones refuse the names that Segment's framework gives
# to its schemas, which have spaces.
FRAMEWORK: Final = Packages(
    "Segment's framework with its compiler", Path(__file__).parent, "EXPORT_PROOF", "export-proof"
)


def main() -> int:
    """Print the folder."""
    folder = install(Path(sys.argv[1]) if len(sys.argv) > 1 else None, FRAMEWORK)
    if folder is None:
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
