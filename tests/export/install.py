"""Install what exported folders are compiled and tested with, from npm, once.

``python -m tests.export.install [FOLDER]`` prints the folder that has ``node_modules``, or why
there is none on stderr (exit code 1).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.npm_packages import Packages, print_folder

__all__ = ["FRAMEWORK"]

# fast-uri is held back in package.json: newer ones refuse the names that Segment's framework gives
# to its schemas, which have spaces.
FRAMEWORK: Final = Packages(
    "Segment's framework with its compiler", Path(__file__).parent, "EXPORT_PROOF", "export-proof"
)


if __name__ == "__main__":
    sys.exit(print_folder(FRAMEWORK))
